//! The component and its cache: missing, foreign, stale, damaged, unsafe.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use repertoire::{Code, Engine, Error, Runtime, RuntimeOptions};
use repertoire_tests::{TenantOrNew, cache_dir, component, runtime};
use sha2::{Digest, Sha256};

async fn refused(options: RuntimeOptions) -> Error {
    Runtime::load(options).await.err().expect("it was loaded")
}

#[tokio::test]
async fn without_a_component() {
    let place = tempfile::tempdir().unwrap();
    let missing = place.path().join("python.wasm");
    for options in [
        RuntimeOptions::new(&missing),
        RuntimeOptions::new(&missing).cache(place.path().join("cache")),
    ] {
        let error = refused(options).await;
        assert_eq!(error.code(), Code::Unavailable);
        let message = error.chain();
        assert!(message.contains("make setup") && message.contains("python.wasm"), "{message}");
    }
}

#[tokio::test]
async fn with_something_else() {
    let place = tempfile::tempdir().unwrap();
    for (name, bytes) in [
        ("text", &b"not a component"[..]),
        ("empty", &b""[..]),
        ("module", &b"\0asm\x01\0\0\0"[..]),
        ("component", &b"\0asm\x0d\0\x01\0"[..]),
    ] {
        let path = place.path().join(name);
        fs::write(&path, bytes).unwrap();
        let error = refused(RuntimeOptions::new(&path).cache(place.path().join("cache"))).await;
        assert_eq!(error.code(), Code::Unavailable, "{name}");
        assert!(error.message().contains("not a Python component"), "{name}: {error}");
    }
    let error = refused(RuntimeOptions::new(place.path())).await;
    assert_eq!(error.code(), Code::Unavailable);
}

#[tokio::test]
async fn a_cache_that_others_can_write_to() {
    let place = tempfile::tempdir().unwrap();
    for mode in [0o777, 0o770, 0o702] {
        fs::set_permissions(place.path(), PermissionsExt::from_mode(mode)).unwrap();
        let error = refused(RuntimeOptions::new(component()).cache(place.path())).await;
        assert_eq!(error.code(), Code::Unavailable);
        assert!(error.message().contains("written to by others"), "{error}");
    }
    let file = place.path().join("file");
    fs::write(&file, "").unwrap();
    assert_eq!(
        refused(RuntimeOptions::new(component()).cache(file)).await.code(),
        Code::Unavailable
    );
}

/// A cache of its own with what the tests' has.
async fn copy_of_the_cache(place: &Path) -> PathBuf {
    runtime().await;
    let cache = place.join("cache");
    fs::create_dir(&cache).unwrap();
    fs::set_permissions(&cache, PermissionsExt::from_mode(0o700)).unwrap();
    for entry in fs::read_dir(cache_dir()).unwrap() {
        let path = entry.unwrap().path();
        if matches!(path.extension().and_then(|e| e.to_str()), Some("cwasm" | "image" | "sum")) {
            fs::copy(&path, cache.join(path.file_name().unwrap())).unwrap();
        }
    }
    cache
}

fn entry(cache: &Path) -> PathBuf {
    let entries = fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().path());
    let mut entries = entries.filter(|path| path.extension().is_some_and(|e| e == "cwasm"));
    let entry = entries.next().expect("an entry");
    assert!(entries.next().is_none(), "more than one entry");
    entry
}

async fn works(runtime: Runtime) {
    let engine = Engine::builder().runtime(Arc::new(runtime)).build().await.unwrap();
    let run = engine.tenant_or_new("acme").await.unwrap().session().run("6 * 7").await.unwrap();
    assert_eq!(run.value().unwrap().as_str(), "42");
}

/// Machine code that somebody has changed is not run: it is noticed and compiled again.
#[tokio::test]
async fn an_entry_that_is_damaged() {
    let place = tempfile::tempdir().unwrap();
    let cache = copy_of_the_cache(place.path()).await;
    let good = fs::read(entry(&cache)).unwrap();
    // Copied is as good as new: it is told by its digest.
    works(Runtime::load(RuntimeOptions::new(component()).cache(&cache)).await.unwrap()).await;
    assert!(fs::read(entry(&cache)).unwrap() == good);
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    bad[middle..middle + 4096].iter_mut().for_each(|byte| *byte ^= 0xff);
    fs::write(entry(&cache), &bad).unwrap();
    works(Runtime::load(RuntimeOptions::new(component()).cache(&cache)).await.unwrap()).await;
    assert!(fs::read(entry(&cache)).unwrap() != bad, "the damaged entry is still there");
}

/// What memories begin with is no less dangerous than the code.
#[tokio::test]
async fn an_image_that_is_damaged_or_missing() {
    let place = tempfile::tempdir().unwrap();
    let cache = copy_of_the_cache(place.path()).await;
    let image = entry(&cache).with_extension("image");
    let good = fs::read(&image).unwrap();
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    bad[middle..middle + 4096].iter_mut().for_each(|byte| *byte ^= 0xff);
    fs::write(&image, &bad).unwrap();
    works(Runtime::load(RuntimeOptions::new(component()).cache(&cache)).await.unwrap()).await;
    let again = fs::read(&image).unwrap();
    assert!(again == good, "the same component makes another image");
}

/// An entry of an older component or of another wasmtime is replaced, whatever its sidecar says.
/// Shown with a component that is compiled in no time, and is then refused for not being Python.
#[tokio::test]
async fn an_entry_that_is_stale() {
    let place = tempfile::tempdir().unwrap();
    let (path, cache) = (place.path().join("small.wasm"), place.path().join("cache"));
    fs::write(&path, b"\0asm\x0d\0\x01\0").unwrap();
    let load = async || refused(RuntimeOptions::new(&path).cache(&cache)).await;
    load().await;
    let first = entry(&cache);
    let good = fs::read(&first).unwrap();

    let foreign = b"what another version has compiled".to_vec();
    fs::write(&first, &foreign).unwrap();
    let digest: String =
        Sha256::digest(&foreign).iter().map(|byte| format!("{byte:02x}")).collect();
    fs::write(first.with_extension("sum"), format!("{} 0 {digest}", foreign.len())).unwrap();
    assert!(load().await.message().contains("not a Python component"));
    assert!(fs::read(&first).unwrap() == good, "the foreign entry is still there");

    fs::remove_file(first.with_extension("sum")).unwrap();
    fs::write(&first, &foreign).unwrap();
    load().await;
    assert!(fs::read(&first).unwrap() == good, "an entry without a digest was used");

    let time = fs::metadata(&path).unwrap().modified().unwrap() + Duration::from_secs(5);
    fs::File::options().append(true).open(&path).unwrap().set_modified(time).unwrap();
    load().await;
    assert_ne!(entry(&cache), first, "the old component's entry is still in use");
}

#[tokio::test]
async fn a_cache_directory_is_made_for_this_user_alone() {
    let place = tempfile::tempdir().unwrap();
    let (path, cache) = (place.path().join("small.wasm"), place.path().join("a/cache"));
    fs::write(&path, b"\0asm\x0d\0\x01\0").unwrap();
    refused(RuntimeOptions::new(&path).cache(&cache)).await;
    assert_eq!(fs::metadata(&cache).unwrap().permissions().mode() & 0o777, 0o700);
}
