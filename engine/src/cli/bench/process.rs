//! The whole program: from its start to its end.

use std::process::Stdio;

use super::report::Report;
use super::stage::{Stage, milliseconds};
use crate::clock::Stopwatch;
use crate::error::{Error, Result};

const TRIVIAL: &str = "def run(n: int = 1) -> int:\n    return n + 1\n";

pub(super) async fn measure(stage: &Stage<'_>, report: &mut Report) -> Result<()> {
    if !stage.wants("process") {
        return Ok(());
    }
    let unavailable =
        |error| Error::unavailable("the program cannot be started").with_source(error);
    let scratch =
        stage.app.settings.temp_dir().join(format!("repertoire-bench-{}", std::process::id()));
    std::fs::create_dir_all(&scratch).map_err(unavailable)?;
    let source = scratch.join("trivial.py");
    std::fs::write(&source, TRIVIAL).map_err(unavailable)?;
    let program = async |arguments: &[&str]| {
        let watch = Stopwatch::start();
        let status = tokio::process::Command::new(&stage.app.environment.executable)
            .args(["--quiet", "--data"])
            .arg(scratch.join("data"))
            .args(arguments)
            .stdout(Stdio::null())
            .status()
            .await
            .map_err(unavailable)?;
        if !status.success() {
            return Err(Error::unavailable(format!("`repertoire {}` failed", arguments.join(" "))));
        }
        Ok(milliseconds(&watch))
    };
    let measured = async {
        let source = source.to_string_lossy();
        program(&["workflows", "create", "trivial", "--source", &source]).await?;
        program(&["run", "trivial"]).await?;
        for (name, what, arguments) in [
            (
                "process-run",
                "`repertoire run` of a trivial workflow, the whole program",
                &["run", "trivial"][..],
            ),
            (
                "process-list",
                "`repertoire workflows list`, the whole program",
                &["workflows", "list"],
            ),
            ("process-runs", "`repertoire runs list`, the whole program", &["runs", "list"]),
        ] {
            let (mut samples, watch) = (Vec::new(), Stopwatch::start());
            while samples.len() < 5 || (samples.len() < 100 && watch.elapsed() < stage.time()) {
                samples.push(program(arguments).await?);
            }
            report.add(name, what, "ms", samples);
        }
        Ok(())
    };
    let measured = measured.await;
    // What stays behind is a few files in the temporary directory.
    let _ = std::fs::remove_dir_all(&scratch);
    measured
}
