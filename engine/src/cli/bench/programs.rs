//! Programs that compute. `make compare` runs the same files elsewhere.

use super::report::Report;
use super::stage::Stage;
use crate::error::Result;

const PROGRAMS: [(&str, &str); 10] = [
    ("big_integers", include_str!("programs/big_integers.py")),
    ("calls", include_str!("programs/calls.py")),
    ("decimals", include_str!("programs/decimals.py")),
    ("dicts", include_str!("programs/dicts.py")),
    ("json_round_trip", include_str!("programs/json_round_trip.py")),
    ("loops", include_str!("programs/loops.py")),
    ("objects", include_str!("programs/objects.py")),
    ("regex", include_str!("programs/regex.py")),
    ("sorting", include_str!("programs/sorting.py")),
    ("strings", include_str!("programs/strings.py")),
];

pub(super) async fn measure(stage: &Stage<'_>, report: &mut Report) -> Result<()> {
    for (name, source) in PROGRAMS {
        let figure = format!("cpu/{name}");
        if stage.wants(&figure) {
            let workflow = format!("cpu_{name}");
            stage.add(&workflow, source).await?;
            let samples = stage.sample(&workflow, "{}").await?;
            report.add(figure, "a program that computes, caller to result", "ms", samples);
        }
    }
    Ok(())
}
