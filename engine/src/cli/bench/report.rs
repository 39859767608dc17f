//! Figures, and how they are shown.

use serde::Serialize;

use crate::cli::output::Output;
use crate::cli::text::{Align, Table};
use crate::error::Result;

/// What was measured of one thing.
#[derive(Debug, Serialize)]
struct Figure {
    name: String,
    what: &'static str,
    unit: &'static str,
    samples: usize,
    min: f64,
    p50: f64,
    p99: f64,
}

/// All figures of one run of the command.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    version: &'static str,
    cores: usize,
    figures: Vec<Figure>,
    #[serde(skip)]
    has_progress: bool,
}

impl Report {
    pub(super) fn new(output: &Output) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            cores: std::thread::available_parallelism().map_or(1, Into::into),
            figures: Vec::new(),
            has_progress: !output.quiet && !output.json,
        }
    }

    /// Adds a figure of one or more samples.
    pub(super) fn add(
        &mut self,
        name: impl Into<String>,
        what: &'static str,
        unit: &'static str,
        mut samples: Vec<f64>,
    ) {
        samples.sort_by(f64::total_cmp);
        let (name, at) = (name.into(), |share| quantile(&samples, share));
        let figure = Figure {
            min: at(0.0),
            p50: at(0.5),
            p99: at(0.99),
            name,
            what,
            unit,
            samples: samples.len(),
        };
        if self.has_progress {
            tracing::info!(name = figure.name, p50 = figure.p50, "measured");
        }
        self.figures.push(figure);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.figures.is_empty()
    }

    pub(super) fn print(&self, output: &Output) -> Result<()> {
        if output.json {
            return output.object(self);
        }
        let mut table = Table::new([
            ("FIGURE", Align::Left),
            ("P50", Align::Right),
            ("P99", Align::Right),
            ("MIN", Align::Right),
            ("UNIT", Align::Left),
            ("SAMPLES", Align::Right),
            ("WHAT", Align::Left),
        ]);
        for figure in &self.figures {
            table.row([
                figure.name.clone(),
                number(figure.p50),
                number(figure.p99),
                number(figure.min),
                figure.unit.to_owned(),
                figure.samples.to_string(),
                figure.what.to_owned(),
            ]);
        }
        output.print(&table.render())
    }
}

/// The sample below which this share of all sorted samples lies.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index among some thousands"
    )]
    let index = ((sorted.len().saturating_sub(1)) as f64 * share).round() as usize;
    sorted.get(index).copied().unwrap_or_default()
}

/// Three digits that matter.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles() {
        let samples: Vec<f64> = (0..=100).map(f64::from).collect();
        assert_eq!([0.0, 0.5, 0.99].map(|share| quantile(&samples, share) as u32), [0, 50, 99]);
        assert_eq!(quantile(&[], 0.5), 0.0);
        assert_eq!([123.4, 12.34, 1.234, 0.1234].map(number), ["123", "12.3", "1.23", "0.123"]);
    }
}
