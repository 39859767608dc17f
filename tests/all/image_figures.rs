//! What a runtime image costs; prints, and is not run by `make test`:
//!
//!     cargo test --workspace -- --ignored --nocapture image_figures

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use repertoire::id::ImageName;
use repertoire::images::Wheel;
use repertoire::{Runtime, RuntimeOptions, Tenant};
use repertoire_tests::{bench_with, build_dir, cache_dir, component};

use crate::hostile::Footprint;

/// Processes that are measured, each on the same image.
const PROCESSES: usize = 5;

/// Where the images lie, in the process that is measured.
const PLACE: &str = "REPERTOIRE_TESTS_IMAGES";

const PLAIN: &str = "def run() -> int:\n    return 1\n";

const ON_IMAGE: &str = "# /// script\n# [tool.repertoire]\n# runtime = \"reports\"\n# ///\n\
     import jinja2\nimport yaml\ndef run() -> str:\n    return jinja2.Template('{{ x }}').render(x=yaml.safe_load('1'))\n";

/// A tenant with a workflow on the image and one without, and a runtime of which nobody has run anything.
async fn tenant(images: &Path) -> (Tenant, Duration) {
    let started = Instant::now();
    let options = RuntimeOptions { standby: 0, ..RuntimeOptions::new(component()) };
    let runtime = Arc::new(Runtime::load(options.cache(cache_dir())).await.unwrap());
    let load = started.elapsed();
    let bench = bench_with(|builder| builder.runtime(runtime).images(images)).await;
    bench.tenant.add_workflow("plain", PLAIN, "").await.unwrap();
    bench.tenant.add_workflow("on_image", ON_IMAGE, "").await.unwrap();
    (bench.tenant, load)
}

async fn run(tenant: &Tenant, workflow: &str) -> Duration {
    let started = Instant::now();
    let run = tenant.invocation(workflow).run().await.unwrap();
    let took = started.elapsed();
    assert!(run.value().is_ok(), "{run:?}");
    took
}

#[tokio::test]
#[ignore = "run by `image_figures`, in a process of its own"]
async fn alone() {
    let Some(images) = std::env::var_os(PLACE) else { return };
    let (tenant, load) = tenant(Path::new(&images)).await;
    for _ in 0..3 {
        run(&tenant, "plain").await;
    }
    let (base, resident) = (Footprint::now().resident_mib, resident_mib());
    let first = run(&tenant, "on_image").await;
    let second = run(&tenant, "on_image").await;
    let plain = run(&tenant, "plain").await;
    let own = Footprint::now().resident_mib.saturating_sub(base);
    let shown = resident_mib().saturating_sub(resident);
    println!("| {load:.1?} | {plain:.1?} | {first:.1?} | {second:.1?} | {own} MiB | {shown} MiB |");
}

/// Pages of files with it: of the image those that were looked at, which all its memories share.
fn resident_mib() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    (pages * rustix::param::page_size() as u64) >> 20
}

#[tokio::test]
#[ignore = "prints figures; run it by name"]
async fn image_figures() {
    let place = tempfile::tempdir().unwrap();
    let bench = bench_with(|builder| builder.images(place.path())).await;
    let files = std::fs::read_dir(build_dir().join("packages")).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    let wheels =
        files.filter(|path| path.extension().is_some_and(|end| end == "whl")).map(|path| {
            let file = path.file_name().unwrap().to_string_lossy().into_owned();
            Wheel { file, bytes: std::fs::read(path).unwrap() }
        });
    let name = ImageName::new("reports").unwrap();
    bench.engine.build_image(name, Vec::new(), wheels.collect()).await.unwrap();
    println!(
        "| load the component | plain run | first run on the image | second run | own memory | with pages of files |"
    );
    println!("|---|---|---|---|---|---|");
    for _ in 0..PROCESSES {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["image_figures::alone", "--exact", "--ignored", "--nocapture"])
            .env(PLACE, place.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8_lossy(&output.stdout);
        // The harness writes the test's name before what the test writes.
        let line = said.lines().find_map(|line| Some(&line[line.find("| ")?..]));
        println!("{}", line.unwrap_or_else(|| panic!("{said}")));
    }
}
