//! What the documents promise is there.

use std::fs;
use std::path::Path;

use repertoire_tests::repository;

/// The documents of the project.
fn documents() -> Vec<(String, String)> {
    let root = repository();
    let mut paths: Vec<_> = [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "python-wasm/README.md",
        "tests/cases/README.md",
    ]
    .iter()
    .map(|name| root.join(name))
    .filter(|path| path.exists())
    .collect();
    paths.extend(
        fs::read_dir(root.join("docs"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|e| e == "md")),
    );
    let named = |path: &Path| path.strip_prefix(&root).unwrap().display().to_string();
    paths.iter().map(|path| (named(path), fs::read_to_string(path).unwrap())).collect()
}

/// The targets of a makefile.
fn targets() -> Vec<String> {
    let text = fs::read_to_string(repository().join("Makefile")).unwrap();
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(name, rest)| {
            !name.is_empty() && !rest.starts_with('=') && !name.contains([' ', '\t', '#', '='])
        })
        .map(|(name, _)| name.to_owned())
        .collect()
}

#[test]
fn make_targets_exist() {
    let targets = targets();
    assert!(targets.contains(&"setup".to_owned()), "{targets:?}");
    let mut seen = 0;
    for (document, text) in documents() {
        for (at, _) in text.match_indices("`make ") {
            let name: String = text[at + 6..]
                .chars()
                .take_while(|c| c.is_ascii_lowercase() || *c == '-')
                .collect();
            assert!(
                name.is_empty() || targets.contains(&name),
                "{document}: there is no target {name}"
            );
            seen += usize::from(!name.is_empty());
        }
    }
    assert!(seen > 5, "few targets are named: {seen}");
}

#[test]
fn links_between_documents_lead_somewhere() {
    let (root, mut seen) = (repository(), 0);
    for (document, text) in documents() {
        let folder = root.join(&document).parent().unwrap().to_owned();
        for (at, _) in text.match_indices("](") {
            let target: String =
                text[at + 2..].chars().take_while(|c| !matches!(c, ')' | '#' | ' ')).collect();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            seen += 1;
            assert!(folder.join(&target).exists(), "{document}: {target} does not exist");
        }
    }
    assert!(seen > 0, "no links were found");
}

/// Every command of the documents is one that the program has.
#[cfg(feature = "full")]
#[test]
fn commands_exist() {
    let program = repertoire_tests::cli();
    let mut seen = 0;
    for (document, text) in documents() {
        for line in text.lines() {
            let Some((_, rest)) = line
                .trim_start_matches(['$', ' '])
                .split_once("repertoire ")
                .filter(|(before, _)| {
                    before.is_empty()
                        || before.ends_with('/')
                        || before.ends_with('`')
                        || before.ends_with("| ")
                })
            else {
                continue;
            };
            let words: Vec<&str> = rest
                .split_whitespace()
                .take_while(|word| word.chars().all(|c| c.is_ascii_lowercase()))
                .take(2)
                .collect();
            let Some(first) = words.first() else { continue };
            let groups = ["workflows", "tools", "artifacts", "runs", "runtime"];
            let command =
                if groups.contains(first) && words.len() > 1 { &words[..2] } else { &words[..1] };
            let output =
                std::process::Command::new(&program).args(command).arg("--help").output().unwrap();
            assert!(
                output.status.success(),
                "{document}: there is no `repertoire {}`",
                command.join(" ")
            );
            seen += 1;
        }
    }
    assert!(seen > 3, "few commands are named: {seen}");
}
