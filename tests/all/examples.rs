//! The examples of the documents, run as they stand.
//!
//! Blocks of `python` are agent code of one session, in order; one that says
//! `file=NAME` is a file of the directory in which the commands of the `sh` blocks, behind a `$`, are run.

use std::fs;

use repertoire_tests::{bench, repository};

/// The blocks of a document: what follows the three backticks, and the text.
fn blocks(document: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(repository().join(document)).unwrap();
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(kind) = line.strip_prefix("```").filter(|kind| !kind.is_empty()) else { continue };
        let body: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
        blocks.push((kind.to_owned(), body.join("\n") + "\n"));
    }
    blocks
}

#[tokio::test]
async fn python_of_artifacts() {
    let tenant = bench().await.tenant;
    let (mut session, mut count) = (tenant.session(), 0);
    for (_, code) in blocks("docs/artifacts.md").iter().filter(|(kind, _)| kind == "python") {
        let run = session.run(code).await.unwrap();
        run.value().unwrap_or_else(|failure| panic!("{code}\n{}", failure.traceback));
        count += 1;
    }
    assert!(count >= 4, "{count} blocks were found");
}

#[cfg(feature = "full")]
pub(crate) mod commands {
    use std::path::Path;
    use std::process::Command;

    use repertoire_tests::{build_dir, cache_dir, cli, component};

    use super::*;

    /// Gives a command what the program needs, and nothing else.
    pub(crate) fn surround<'a>(command: &'a mut Command, dir: &Path) -> &'a mut Command {
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", dir)
            .env("REPERTOIRE_DATA", dir.join("data"))
            .env("REPERTOIRE_COMPONENT", component())
            .env("REPERTOIRE_CACHE", cache_dir())
            .env("REPERTOIRE_MODEL", build_dir().join("model"))
            .env("REPERTOIRE_ONNXRUNTIME", build_dir().join("lib/libonnxruntime.so"))
            .current_dir(dir)
    }

    /// Runs the commands of a document in a directory; answers how many there were, and what they printed.
    fn run(document: &str, dir: &Path, tools: bool) -> (usize, String) {
        for (kind, text) in blocks(document) {
            if let Some((_, name)) = kind.split_once("file=") {
                fs::write(dir.join(name), text).unwrap();
            }
        }
        let program = cli();
        let found = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{found}", program.parent().unwrap().display());
        let (mut count, mut printed) = (0, String::new());
        let blocks = blocks(document);
        let lines =
            blocks.iter().filter(|(kind, _)| kind == "sh").flat_map(|(_, text)| text.lines());
        for line in lines.filter_map(|line| line.strip_prefix("$ ")) {
            let mut command = Command::new("sh");
            command.args(["-c", line]);
            surround(&mut command, dir).env("PATH", &path);
            if tools {
                command.env("REPERTOIRE_TOOLS", repository().join("tools"));
            }
            let output = command.output().unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{document}: {line}\n{stderr}");
            printed.push_str(&String::from_utf8_lossy(&output.stdout));
            count += 1;
        }
        (count, printed)
    }

    #[test]
    fn of_artifacts() {
        let dir = tempfile::tempdir().unwrap();
        let (count, printed) = run("docs/artifacts.md", dir.path(), false);
        assert_eq!(count, 6);
        assert_eq!(printed.matches("\"a\"").count(), 2, "{printed}");
    }

    #[test]
    fn of_capabilities() {
        let dir = tempfile::tempdir().unwrap();
        let (count, printed) = run("docs/capabilities.md", dir.path(), true);
        assert_eq!(count, 4);
        for part in ["tools.curl.get", "workflows.inner", "artifacts.reports/page", "\"named_by\""]
        {
            assert!(printed.contains(part), "{part}: {printed}");
        }
    }
}
