//! The conformance kit: what any host of the component has to make of the same cases
//! (`tests/conformance/cases.json`); this engine, and hosts that are not Rust.

use std::fs;
use std::process::Command;

use repertoire::run::{Outcome, Run};
use repertoire_tests::{bench, build_dir, component, repository};
use serde_json::{Map, Value, json};

fn kit() -> std::path::PathBuf {
    repository().join("tests/conformance")
}

fn cases() -> Vec<Value> {
    let text = fs::read_to_string(kit().join("cases.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Compares what a host made of a case with what the case expects of all.
#[track_caller]
fn compare(host: &str, case: &Value, got: &Value) {
    for (key, expected) in case["expected"].as_object().unwrap() {
        assert_eq!(&got[key], expected, "{host}, case {}: {key} of {got}", case["name"]);
    }
}

fn said(run: &Run) -> Value {
    let mut got = match &run.outcome {
        Outcome::Value(value) => match &value.repr {
            Some(text) => json!({ "text": text }),
            None => json!({ "value": value.json.to::<Value>().unwrap() }),
        },
        Outcome::Failure(failure) => json!({
            "error": failure.code.to_string(),
            "exception": failure.exceptions.first().map_or("", |first| &first.type_name),
        }),
    };
    got["stdout"] = json!(run.stdout);
    got
}

#[tokio::test]
async fn of_this_engine() {
    for case in cases() {
        let tenant = bench().await.tenant;
        let name = case["name"].as_str().unwrap();
        let got = if let Some(cells) = case["cells"].as_array() {
            let mut session = tenant.session();
            let mut last = Value::Null;
            for cell in cells {
                last = said(&session.run(cell.as_str().unwrap()).await.unwrap());
            }
            last
        } else {
            let source = case["source"].as_str().unwrap();
            match tenant.analyze(source).await {
                Ok(found) if case["analyze"] == true => json!({
                    "signature": found.signature.text,
                    "tools": found.uses.tools,
                    "description": found.description,
                }),
                Ok(_) => {
                    tenant.add_workflow(name, source, "").await.unwrap();
                    let arguments =
                        case.get("arguments").cloned().unwrap_or(Value::Object(Map::new()));
                    said(&tenant.invocation(name).arguments(arguments).run().await.unwrap())
                }
                // Such a source is refused before it could be run.
                Err(error) => {
                    json!({ "error": error.code().to_string(), "exception": case["expected"]["exception"] })
                }
            }
        };
        compare("the engine", &case, &got);
    }
}

/// Runs a host's program, which prints a line a case.
fn check(host: &str, command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{host}: {}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let cases = cases();
    assert_eq!(lines.len(), cases.len(), "{host} left cases out");
    for (case, line) in cases.iter().zip(&lines) {
        assert_eq!(line["name"], case["name"]);
        compare(host, case, &line["got"]);
    }
}

#[test]
fn of_a_host_in_python() {
    let dir = tempfile::tempdir().unwrap();
    let python = build_dir().join("host-python/bin/python");
    assert!(python.exists(), "there is no {}: run `make setup`", python.display());
    let mut command = Command::new(python);
    command.arg(kit().join("hosts/host.py")).arg(component()).arg(kit().join("cases.json"));
    check("the host in Python", command.arg(dir.path().join("compiled")));
}

#[test]
fn of_a_host_in_javascript() {
    let home = build_dir().join("host-node");
    let jco = home.join("node_modules/@bytecodealliance/jco");
    if !jco.exists() {
        println!("skipped: there is no Node.js, or `make setup` has not been run since there is");
        return;
    }
    // It finds its packages from where it lies.
    let dir = tempfile::tempdir_in(&home).unwrap();
    let script = dir.path().join("host.mjs");
    fs::copy(kit().join("hosts/host.mjs"), &script).unwrap();
    let out = dir.path().join("transpiled");
    let run = |command: &mut Command| {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    run(Command::new(home.join("node_modules/.bin/jco"))
        .arg("transpile")
        .arg(component())
        .args(["--name", "python", "--instantiation", "async", "--no-nodejs-compat", "--out-dir"])
        .arg(&out));
    let cases = kit().join("cases.json");
    check("the host in JavaScript", Command::new("node").arg(&script).arg(&out).arg(&cases));
}
