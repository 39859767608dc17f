//! What it costs a running workflow to ask its host for something.

use super::report::Report;
use super::stage::{Stage, median, net};
use crate::error::Result;

const LEAF: &str = "def run(n: int = 1) -> int:\n    return n + 1\n";

const NESTED: &str = "\
def run(n: int = 0) -> int:
    for i in range(n):
        workflows.invoke('leaf', n=i)
    return n
";

const BLOCKING: &str = "\
def run(n: int = 0) -> int:
    for i in range(n):
        tools.echo(text='small')
    return n
";

const GATHER: &str = "\
import asyncio
async def run(n: int = 0) -> int:
    await asyncio.gather(*(tools.echo.call_async(text='small') for _ in range(n)))
    return n
";

/// A kind of call: its figure, its workflow, how many at once, and the unit in milliseconds.
struct Kind {
    name: &'static str,
    what: &'static str,
    unit: &'static str,
    workflow: &'static str,
    source: &'static str,
    count: f64,
    /// The figure is the time of this many calls.
    of: f64,
    per_millisecond: f64,
}

const KINDS: [Kind; 3] = [
    Kind {
        name: "nested",
        what: "one `workflows.invoke` of a trivial workflow",
        unit: "ms",
        workflow: "nested",
        source: NESTED,
        count: 100.0,
        of: 1.0,
        per_millisecond: 1.0,
    },
    Kind {
        name: "blocking-call",
        what: "one tool call, guest to host and back, small JSON",
        unit: "us",
        workflow: "blocking",
        source: BLOCKING,
        count: 1000.0,
        of: 1.0,
        per_millisecond: 1000.0,
    },
    Kind {
        name: "gather-1000",
        what: "1,000 tool calls in one `asyncio.gather`",
        unit: "ms",
        workflow: "gather",
        source: GATHER,
        count: 1000.0,
        of: 1000.0,
        per_millisecond: 1.0,
    },
];

pub(super) async fn measure(stage: &Stage<'_>, report: &mut Report) -> Result<()> {
    for kind in KINDS.iter().filter(|kind| stage.wants(kind.name)) {
        let _ = stage.add("leaf", LEAF).await;
        stage.add(kind.workflow, kind.source).await?;
        // What comes with every run is measured apart and taken off.
        let base = median(&stage.sample(kind.workflow, r#"{"n": 0}"#).await?);
        let with = stage.sample(kind.workflow, &format!(r#"{{"n": {}}}"#, kind.count)).await?;
        let samples = net(with, base, kind.count / kind.of, kind.per_millisecond);
        report.add(kind.name, kind.what, kind.unit, samples);
    }
    Ok(())
}
