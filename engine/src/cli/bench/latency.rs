//! One run from the caller to the result, and how many of them a machine does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::report::Report;
use super::stage::{Stage, median, milliseconds, succeeded};
use crate::clock::Stopwatch;
use crate::error::{Error, Result};

const TRIVIAL: &str = "def run(n: int = 1) -> int:\n    return n + 1\n";
const TRIVIAL_ASYNC: &str = "async def run(n: int = 1) -> int:\n    return n + 1\n";

pub(super) async fn measure(stage: &Stage<'_>, report: &mut Report) -> Result<()> {
    if stage.wants("trivial") || stage.wants("async-overhead") {
        stage.add("trivial", TRIVIAL).await?;
        stage.add("trivial_async", TRIVIAL_ASYNC).await?;
        let plain = stage.sample_paced("trivial", r#"{"n": 1}"#).await?;
        let with_async = stage.sample_paced("trivial_async", r#"{"n": 1}"#).await?;
        let in_a_row = stage.sample("trivial", r#"{"n": 1}"#).await?;
        let overhead = median(&with_async) - median(&plain);
        report.add("trivial", "`def run`, caller to result, a fresh instance", "ms", plain);
        report.add("trivial-in-a-row", "the same without pauses of 10 ms between", "ms", in_a_row);
        report.add("trivial-async", "the same with `async def run`", "ms", with_async);
        report.add("async-overhead", "difference of the two medians", "ms", vec![overhead]);
    }
    if stage.wants("large-first") || stage.wants("large-second") {
        let (mut first, mut second) = (Vec::new(), Vec::new());
        let watch = Stopwatch::start();
        for round in 0..20 {
            let name = format!("large_{round}");
            stage.add(&name, &large(round)).await?;
            first.push(stage.invoke(&name, "{}").await?);
            second.push(stage.invoke(&name, "{}").await?);
            if round > 2 && watch.elapsed() > stage.time() {
                break;
            }
        }
        report.add("large-first", "first run of a workflow of 1,000 lines", "ms", first);
        report.add("large-second", "second run of it", "ms", second);
    }
    Ok(())
}

/// A workflow of a thousand lines, of which a run uses few.
fn large(round: usize) -> String {
    let mut source = format!("\"\"\"Large, number {round}.\"\"\"\n");
    for index in 0..199 {
        source.push_str(&format!(
            "def step_{index}(value: int, factor: int = {index}) -> dict:\n    \
             rows = [value * factor + k for k in range(5)]\n    \
             if value > {index}:\n        rows.append(sum(rows))\n    \
             return {{\"rows\": rows, \"step\": {index}}}\n"
        ));
    }
    source.push_str("def run() -> dict:\n    return step_7(3)\n");
    source
}

/// Runs per second of several tasks at once.
pub(super) async fn throughput(stage: &Stage<'_>, report: &mut Report) -> Result<()> {
    if !stage.wants("throughput") {
        return Ok(());
    }
    // Names are kept from figure to figure.
    let _ = stage.add("trivial", TRIVIAL).await;
    let (mut samples, mut latencies) = (Vec::new(), Vec::new());
    // The first stretch warms up and is not counted.
    for stretch in 0..4 {
        let (done, watch) = (Arc::new(AtomicU64::new(0)), Stopwatch::start());
        let deadline = stage.time();
        let tasks: Vec<_> = (0..stage.given.tasks.max(1))
            .map(|_| {
                let (tenant, done) = (stage.tenant.clone(), Arc::clone(&done));
                tokio::spawn(async move {
                    let mut latencies = Vec::new();
                    while watch.elapsed() < deadline {
                        let one = Stopwatch::start();
                        let run = tenant.invoke("trivial", serde_json::json!({"n": 1})).await?;
                        succeeded(&run)?;
                        latencies.push(milliseconds(&one));
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok::<_, Error>(latencies)
                })
            })
            .collect();
        let mut all = Vec::new();
        for task in tasks {
            all.extend(
                task.await
                    .map_err(|error| Error::internal("a task failed").with_source(error))??,
            );
        }
        if stretch > 0 {
            #[expect(clippy::cast_precision_loss, reason = "some thousands")]
            samples.push(done.load(Ordering::Relaxed) as f64 / watch.elapsed().as_secs_f64());
            latencies.extend(all);
        }
    }
    report.add(
        "throughput",
        "isolated runs, all cores, as many tasks as --tasks",
        "runs/s",
        samples,
    );
    report.add("throughput-latency", "of one run meanwhile", "ms", latencies);
    Ok(())
}
