//! Wheels from Python's package index, by somebody's pip.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use super::super::app::App;
use super::read;
use crate::error::{Error, Result};
use crate::id::quoted;
use crate::images::Wheel;

/// Finds what packages need, by what their metadata say, and has pip download it.
const RESOLVE: &str = include_str!("resolve.py");

/// How much of what pip complains about is shown.
const SHOWN: usize = 2_000;

pub(super) async fn wheels(
    app: &App,
    python: &Path,
    requirements: &[String],
) -> Result<Vec<Wheel>> {
    for requirement in requirements {
        check(requirement)?;
    }
    let cannot = |what: &str, error: std::io::Error| Error::unavailable(what).with_source(error);
    let folder = tempfile::tempdir_in(app.settings.temp_dir())
        .map_err(|error| cannot("cannot make a temporary directory", error))?;
    let done = Command::new(python)
        .args(["-I", "-c", RESOLVE])
        .arg(folder.path())
        .args(requirements)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| {
            let python = python.display();
            cannot(
                &format!(
                    "cannot run {python}, whose pip fetches packages: name another with --python"
                ),
                error,
            )
        })?;
    if !done.status.success() {
        let text = String::from_utf8_lossy(&done.stderr);
        let text = text.trim();
        let from = text.ceil_char_boundary(text.len().saturating_sub(SHOWN));
        let text = text.get(from..).unwrap_or_default();
        return Err(Error::invalid_argument(format!("the packages cannot be fetched: {text}")));
    }
    let entries = std::fs::read_dir(folder.path())
        .map_err(|error| cannot("cannot read the downloaded packages", error))?;
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "whl"));
    files.sort();
    files.iter().map(|file| read(file)).collect()
}

/// A package and a version, and nothing that pip would take for an option, a path or an address.
fn check(requirement: &str) -> Result<()> {
    let refuse = || {
        Error::invalid_argument(format!(
            "{} is no pinned package: write PACKAGE==VERSION, as in pyyaml==6.0.3",
            quoted(requirement)
        ))
    };
    let (name, version) = requirement.split_once("==").ok_or_else(refuse)?;
    let (name, extras) = match name.strip_suffix(']').and_then(|name| name.split_once('[')) {
        Some((name, extras)) => (name, extras),
        None => (name, ""),
    };
    let word = |text: &str, more: &str| {
        text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    let fits = word(name, "._-")
        && word(version, "._+!")
        && (extras.is_empty() || extras.split(',').all(|extra| word(extra.trim(), "._-")));
    if fits { Ok(()) } else { Err(refuse()) }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn only_pinned_packages_reach_pip() {
        for good in ["pyyaml==6.0.3", "Jinja2==3.1.6", "a[b,c-d]==1!2.0+local", "x==1"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in [
            "pyyaml",
            "pyyaml>=6",
            "",
            "==1",
            "--index-url==x",
            "-r==x",
            "./a==1",
            "a==./b",
            "a == 1",
            "a==1 --x",
            "a @ git+https://example.org/a",
            "a==1;python_version<'3'",
            "a==*",
            "a[==1",
            "a==1\nb==2",
            "http://a==1",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
