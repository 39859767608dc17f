//! The rules of the architecture, read off the sources: which module may use
//! which, and which crate is used behind which door.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use repertoire_tests::repository;

/// The modules in the order of `lib.rs`: each may use those before it.
const ORDER: [&str; 34] = [
    "error",
    "json",
    "clock",
    "id",
    "limits",
    "live",
    "workflow",
    "recording",
    "run",
    "usage",
    "grants",
    "quota",
    "budget",
    "schema", // vocabulary
    "embed",
    "search",
    "library",
    "lance",
    "artifacts",
    "record",
    "approvals",
    "storage",
    "admission",
    "tools", // the flow
    "images",
    "capabilities",
    "host",
    "sandbox",
    "runtimes",
    "analysis",
    "catalog",
    "exchange",
    "invoke",
    "replay",
];

/// How many of them are vocabulary.
const VOCABULARY: usize = 14;

/// What comes after all of those, in this order.
const FRONT: [&str; 6] = ["invocation", "session", "tenant", "engine", "serve", "cli"];

/// Arrows that point the other way, each with its reason.
const EXCEPTIONS: [(&str, &str); 4] = [
    // One door to wasmtime in two rooms: a store's data has the state of the
    // calls that its guest has started.
    ("host", "sandbox"),
    // `schema` of the library maps to columns whose helpers are LanceDB's door.
    ("library", "lance"),
    // What an embedder remembers of questions is as long as a question may be.
    ("embed", "search"),
    // An error carries details, which are JSON; JSON that is none is an error.
    ("error", "json"),
];

/// Crates that only these files may name.
const DOORS: [(&[&str], &[&str]); 9] = [
    (&["wasmtime", "wasmtime_wasi"], &["sandbox/", "host/"]),
    (&["repertoire_host_bindings"], &["sandbox/", "host/"]),
    (
        &["lancedb", "arrow_array", "arrow_schema"],
        &[
            "lance/",
            "library/lance.rs",
            "library/schema.rs",
            "library/upgrade.rs",
            "artifacts/lance.rs",
            "artifacts/upgrade.rs",
            "record/lance.rs",
        ],
    ),
    (&["fastembed", "ort"], &["embed/fastembed.rs"]),
    (
        &[
            "clap",
            "clap_complete",
            "indicatif",
            "toml",
            "directories",
            "anyhow",
            "tracing_subscriber",
        ],
        &["cli/", "main.rs"],
    ),
    (&["axum"], &["cli/", "serve/"]),
    (&["rmcp", "sse_stream"], &["tools/mcp/", "serve/"]),
    // Tools' requests go through one client, which checks where to.
    (&["reqwest"], &["tools/http/", "tools/spec/http", "tools/spec/mcp.rs", "tools/mcp/web.rs"]),
    (&["rand", "rand_chacha"], &["clock.rs", "sandbox/wasi.rs"]),
];

/// Words that only these files may use.
const WORDS: [(&str, &[&str]); 6] = [
    ("std::env::var", &["main.rs"]),
    ("env::args", &["main.rs"]),
    ("env::current_dir", &["main.rs"]),
    ("SystemTime::now", &["clock.rs"]),
    // `budget.rs` compares with a deadline that tokio's timer is given as well.
    ("Instant::now", &["clock.rs", "budget.rs"]),
    ("std::process::exit", &["main.rs", "cli/"]),
];

/// The longest a file may be, its tests included.
const MAX_LINES: usize = 500;

/// A source file: its path below `src`, and its text.
type Source = (String, String);

fn sources() -> Vec<Source> {
    fn walk(dir: &Path, root: &Path, found: &mut Vec<Source>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, root, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let (root, mut found) = (repository().join("engine/src"), Vec::new());
    walk(&root, &root, &mut found);
    found.sort();
    assert!(found.len() > 30, "the sources lie elsewhere");
    found
}

/// The module that a file belongs to.
fn module(file: &str) -> &str {
    file.split('/').next().unwrap_or(file).trim_end_matches(".rs")
}

/// Code without comments, and without the tests at the end of a file.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    let lines = text.lines().map(|line| match line.trim_start() {
        comment if comment.starts_with("//") => "",
        _ => line.split(" // ").next().unwrap_or(line),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Whether a text names a crate: in a path or a `use`.
fn names_crate(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = &code[at + name.len()..];
        let begins =
            before.is_none_or(|c| !(c.is_alphanumeric() || c == '_' || c == ':' || c == '.'));
        // `crate::embed::fastembed` is a module of ours.
        let is_path =
            after.starts_with("::") || (after.starts_with(';') && code[..at].ends_with("use "));
        begins && is_path
    })
}

/// The modules of this crate that a text names: `crate::a::..` and `use crate::{a::.., b::..}`.
fn used(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        let word = |text: &str| -> String {
            text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
        };
        match rest.strip_prefix('{') {
            None => found.push(word(rest)),
            Some(list) => {
                let (mut depth, mut item) = (0, String::new());
                for c in list.chars() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => found.push(word(&std::mem::take(&mut item))),
                        _ => {}
                    }
                    if c != ',' || depth > 0 {
                        item.push(c);
                    }
                }
                found.push(word(&item));
            }
        }
    }
    found.retain(|name| !name.is_empty());
    found.sort();
    found.dedup();
    found
}

fn rank(module: &str) -> Option<usize> {
    ORDER.iter().chain(&FRONT).position(|known| *known == module)
}

/// Everything that is against a rule.
fn violations(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for (file, text) in sources {
        let (own, code) = (module(file), code(text));
        if text.lines().count() > MAX_LINES {
            found
                .push(format!("{file}: has {} lines, more than {MAX_LINES}", text.lines().count()));
        }
        if own != "lib" && own != "main" {
            let Some(here) = rank(own) else {
                found.push(format!("{file}: the module {own} has no place in the order"));
                continue;
            };
            for other in used(&code) {
                let exception = EXCEPTIONS.contains(&(own, other.as_str()));
                match rank(&other) {
                    // `crate::Error` and the like: what lib.rs re-exports, for front-ends only.
                    None if other.starts_with(char::is_uppercase) && own == "cli" => {}
                    None => found.push(format!(
                        "{file}: names crate::{other}, which has no place in the order"
                    )),
                    Some(there) if there > here && !exception => {
                        found.push(format!("{file}: {own} uses {other}, which comes after it"));
                    }
                    Some(there) if here < VOCABULARY && there >= VOCABULARY => {
                        found.push(format!("{file}: vocabulary uses {other}, which is flow"));
                    }
                    Some(_) => {}
                }
            }
        }
        if file.ends_with("tests.rs") || file.contains("/tests/") {
            continue;
        }
        let is_in = |places: &[&str]| places.iter().any(|place| file.starts_with(place));
        for (crates, places) in DOORS {
            for name in crates.iter().filter(|name| !is_in(places) && names_crate(&code, name)) {
                found.push(format!("{file}: names the crate {name} outside of {places:?}"));
            }
        }
        for (word, places) in WORDS {
            if !is_in(places) && code.contains(word) {
                found.push(format!("{file}: says {word} outside of {places:?}"));
            }
        }
    }
    found
}

#[test]
fn the_sources_keep_the_rules() {
    let found = violations(&sources());
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

/// The order here is the one that a reader finds in `lib.rs`.
#[test]
fn every_module_has_a_place() {
    let text = fs::read_to_string(repository().join("engine/src/lib.rs")).unwrap();
    let declared: Vec<&str> = text
        .lines()
        .filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';'))
        .collect();
    assert!(declared.len() > 20, "{declared:?}");
    for name in &declared {
        assert!(rank(name).is_some(), "{name} has no place in the order");
    }
    assert_eq!(declared[..VOCABULARY], ORDER[..VOCABULARY]);
}

/// The control: the checker finds what it is for.
#[test]
fn planted_violations_are_found() {
    let planted = [
        ("id.rs", "use crate::library::Library;", "id uses library"),
        ("budget.rs", "use crate::invoke::Invoker;", "budget uses invoke"),
        ("invoke.rs", "use crate::{budget::Budget, engine::Engine};", "invoke uses engine"),
        ("search.rs", "fn f() { crate::sandbox::run() }", "search uses sandbox"),
        ("engine.rs", "use crate::cli::Args;", "engine uses cli"),
        ("tools/cli/mod.rs", "use crate::host::calls::Calls;", "tools uses host"),
        ("library/memory.rs", "use lancedb::Connection;", "crate lancedb"),
        ("invoke.rs", "fn f(s: &wasmtime::Store<u8>) {}", "crate wasmtime"),
        ("embed/mod.rs", "use fastembed::TextEmbedding;", "crate fastembed"),
        ("engine.rs", "use clap;", "crate clap"),
        ("record/memory.rs", "let now = std::time::SystemTime::now();", "SystemTime::now"),
        ("tools/cli/mod.rs", "std::env::var(\"PATH\")", "std::env::var"),
        ("brand_new.rs", "", "no place in the order"),
        ("catalog.rs", &"\n".repeat(501), "more than 500"),
    ];
    for (file, text, expected) in planted {
        let found = violations(&[(file.to_owned(), text.to_owned())]);
        assert!(found.iter().any(|line| line.contains(expected)), "{file}: {text:?}: {found:?}");
    }
    // And leaves alone what is only said.
    let harmless = "//! See [`engine`](crate::engine), lancedb::Table and SystemTime::now.\nuse crate::error::Error; // crate::cli\n";
    let found = violations(&[("id.rs".to_owned(), harmless.to_owned())]);
    assert!(found.is_empty(), "{found:?}");
    let nested = "use crate::{\n    error::{Code, Error},\n    invoke::Invoker,\n};";
    assert_eq!(used(nested), ["error", "invoke"]);
}

/// An exception that nothing needs is one too many.
#[test]
fn every_exception_is_used() {
    let mut arrows: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (file, text) in sources() {
        arrows.entry(module(&file).to_owned()).or_default().extend(used(&code(&text)));
    }
    for (from, to) in EXCEPTIONS {
        assert!(arrows[from].iter().any(|used| used == to), "{from} does not use {to}");
    }
}
