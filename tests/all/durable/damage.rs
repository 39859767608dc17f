//! Files that are damaged, and files that somebody has left behind.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use repertoire::Blame;

use super::{create, names, open};

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        found.extend(if path.is_dir() { files(&path) } else { [path].into() });
    }
    found
}

/// Every file of the last commit, damaged in every way: the state before it, or after it, or
/// an error; never another, and never none.
#[tokio::test(flavor = "multi_thread")]
async fn any_damage_to_the_last_commit() {
    let place = tempfile::tempdir().unwrap();
    let whole = place.path().join("whole");
    let known = {
        let store = open(&whole).await.unwrap();
        create(&store, "one").await.unwrap();
        create(&store, "two").await.unwrap();
        files(&whole)
    };
    create(&open(&whole).await.unwrap(), "three").await.unwrap();
    let last: Vec<PathBuf> = files(&whole).difference(&known).cloned().collect();
    let in_folder = |folder: &str| last.iter().any(|path| path.iter().any(|part| part == folder));
    assert!(in_folder("data") && in_folder("_versions"), "{last:?}");
    let (before, after): (BTreeSet<String>, BTreeSet<String>) = (
        ["one", "two"].map(str::to_owned).into(),
        ["one", "two", "three"].map(str::to_owned).into(),
    );
    type Damage = Box<dyn Fn(&Path, Vec<u8>)>;
    let mut kinds: Vec<(String, Damage)> = vec![
        (
            "zeroed".to_owned(),
            Box::new(|path, bytes| fs::write(path, vec![0; bytes.len()]).unwrap()),
        ),
        ("deleted".to_owned(), Box::new(|path, _| fs::remove_file(path).unwrap())),
    ];
    for eighth in 0..8 {
        kinds.push((
            format!("cut at {eighth}/8"),
            Box::new(move |path, bytes| {
                fs::write(path, &bytes[..bytes.len() * eighth / 8]).unwrap();
            }),
        ));
        kinds.push((
            format!("a bit flipped at {eighth}/8"),
            Box::new(move |path, mut bytes| {
                let at = (bytes.len() * eighth / 8 + 5).min(bytes.len() - 1);
                bytes[at] ^= 0x10;
                fs::write(path, bytes).unwrap();
            }),
        ));
    }
    let (mut recovered, mut refused) = (0, 0);
    for (n, path) in last.iter().enumerate() {
        for (k, (kind, damage)) in kinds.iter().enumerate() {
            let copied = place.path().join(format!("{n}-{k}"));
            copy(&whole, &copied);
            let damaged = copied.join(path.strip_prefix(&whole).unwrap());
            damage(&damaged, fs::read(&damaged).unwrap());
            let what = format!("{kind}: {}", path.strip_prefix(&whole).unwrap().display());
            let store = open(&copied).await.unwrap();
            match names(&store).await {
                Ok(found) if found == before => {
                    recovered += 1;
                    create(&store, "three").await.unwrap_or_else(|e| panic!("{what}: {e}"));
                    assert_eq!(names(&store).await.unwrap(), after, "{what}");
                }
                Ok(found) => assert_eq!(found, after, "{what}"),
                Err(error) => {
                    refused += 1;
                    assert_eq!(error.blame(), Blame::Host, "{what}: {}", error.chain());
                    let says = error.chain();
                    assert!(
                        says.contains("workflow") || says.contains("damaged"),
                        "{what}: {says}"
                    );
                }
            }
            fs::remove_dir_all(&copied).unwrap();
        }
    }
    assert!(recovered > 10 && refused > 0, "{recovered} recovered, {refused} refused");
}

/// What a writer that was killed may leave behind is in nobody's way.
#[tokio::test]
async fn leftovers() {
    let data = tempfile::tempdir().unwrap();
    create(&open(data.path()).await.unwrap(), "one").await.unwrap();
    let table = data.path().join("tenants/acme/workflows.lance");
    for n in 1..50 {
        fs::write(table.join(format!("_versions/{}.manifest#{n}", u64::MAX - 3)), "half").unwrap();
        fs::write(table.join(format!("_versions/.tmp{n}")), "half").unwrap();
        fs::write(table.join(format!("data/half{n}.lance")), "half").unwrap();
    }
    let store = open(data.path()).await.unwrap();
    create(&store, "two").await.unwrap();
    assert_eq!(names(&store).await.unwrap().len(), 2);
}
