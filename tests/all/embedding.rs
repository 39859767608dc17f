//! The program of `docs/embedding.md`.

use std::fs;
use std::process::Command;

use repertoire_tests::{cache_dir, cli, component, repository};

#[test]
fn the_document_has_the_example_as_it_is() {
    let read = |path: &str| fs::read_to_string(repository().join(path)).unwrap();
    let (page, example) = (read("docs/embedding.md"), read("engine/examples/embedding.rs"));
    let (_, block) = page.split_once("```rust,no_run\n").unwrap();
    let (header, program) = example.split_once('\n').unwrap();
    assert!(header.starts_with("//!"));
    assert_eq!(block.split_once("```").unwrap().0, program);
    assert!(program.lines().count() <= 45, "the page says that it is short");
}

#[test]
fn the_example_runs() {
    // `cargo test` builds it before it runs any test.
    let example = cli().with_file_name("examples").join("embedding");
    assert!(example.exists(), "run `cargo build --workspace --examples`");
    let output = Command::new(example).arg(component()).arg(cache_dir()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}
