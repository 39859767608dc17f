//! How well a search finds what is meant, on the Berkeley function calling leaderboard: 829 functions
//! saved as workflows, and 1,000 questions of users. `make search-quality` runs it.
//!
//! Nothing here, or in the engine, was fitted to these questions but the two numbers of
//! `search/index.rs`, as `docs/decisions/0030-search.md` tells.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::time::{Duration, Instant};

use repertoire_tests::{TenantOrNew, build_dir, engine_on_disk};
use serde_json::Value;

const KINDS: [&str; 4] = ["simple_python", "multiple", "parallel", "parallel_multiple"];

/// What is reached today, less than a question in a hundred below: a change that finds less is noticed.
const FLOORS: [f64; 3] = [0.83, 0.965, 0.885];

/// Of a function, what tells it from others: its name and its description.
type Key = (String, String);

struct Function {
    name: String,
    source: String,
    description: String,
}

fn lines(path: &str) -> Vec<Value> {
    let path = build_dir().join("bfcl").join(path);
    let text = fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; run `make search-quality`", path.display()));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn key(function: &Value) -> Key {
    (text(function, "name").to_owned(), text(function, "description").to_owned())
}

/// A name that workflows and Python can have, and nobody else has.
fn free(name: &str, taken: &mut HashSet<String>) -> String {
    let mut name: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if name.starts_with(|c: char| c.is_ascii_digit())
        || ["from", "lambda", "class", "in", "is", "global", "def"].contains(&name.as_str())
    {
        name.insert(0, 'x');
    }
    while !taken.insert(name.clone()) {
        name.push('x');
    }
    name
}

fn hint(schema: &Value) -> String {
    let values = schema["enum"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !values.is_empty() && values.iter().all(Value::is_string) {
        let values: Vec<_> = values.iter().map(Value::to_string).collect();
        return format!("Literal[{}]", values.join(", "));
    }
    match text(schema, "type") {
        "integer" => "int",
        "float" | "number" => "float",
        "boolean" => "bool",
        "array" | "tuple" => "list",
        "dict" => "dict",
        _ => "str",
    }
    .to_owned()
}

/// The function as somebody would have written it.
fn function(function: &Value, taken: &mut HashSet<String>) -> Function {
    let name = free(text(function, "name"), taken);
    let (mut hints, mut arguments) = (Vec::new(), String::new());
    let mut parameters = HashSet::new();
    for (parameter, schema) in
        function["parameters"]["properties"].as_object().into_iter().flatten()
    {
        let parameter = free(parameter, &mut parameters);
        hints.push(format!("{parameter}: {}", hint(schema)));
        let meaning = text(schema, "description").split_whitespace().collect::<Vec<_>>().join(" ");
        arguments.push_str(&format!("\n    {parameter}: {meaning}"));
    }
    let description = text(function, "description").to_owned();
    let mut docstring = description.clone();
    if !arguments.is_empty() {
        docstring.push_str(&format!("\n\nArgs:{arguments}"));
    }
    // A string of JSON is one of Python.
    let docstring = Value::from(docstring).to_string();
    let hints = hints.join(", ");
    let source = format!(
        "from typing import Literal\n\ndef run({hints}):\n    {docstring}\n    return None\n"
    );
    Function { name, source, description }
}

fn questions() -> (BTreeMap<Key, Value>, Vec<(String, HashSet<Key>)>) {
    let (mut functions, mut questions) = (BTreeMap::new(), Vec::new());
    for kind in KINDS {
        let answers = lines(&format!("possible_answer/BFCL_v4_{kind}.json"));
        let answers: HashMap<_, _> =
            answers.iter().map(|answer| (text(answer, "id"), &answer["ground_truth"])).collect();
        for entry in lines(&format!("BFCL_v4_{kind}.json")) {
            let offered: HashMap<_, _> = entry["function"]
                .as_array()
                .unwrap()
                .iter()
                .map(|function| (text(function, "name"), key(function)))
                .collect();
            for function in entry["function"].as_array().unwrap() {
                functions.entry(key(function)).or_insert_with(|| function.clone());
            }
            let called = answers[text(&entry, "id")].as_array().unwrap().iter();
            let called = called.flat_map(|call| call.as_object().unwrap().keys());
            let wanted = called.filter_map(|name| offered.get(name.as_str()).cloned()).collect();
            let turns = entry["question"].as_array().unwrap().iter();
            let said = turns.flat_map(|turn| turn.as_array().unwrap());
            let said: Vec<_> = said
                .filter(|message| text(message, "role") == "user")
                .map(|m| text(m, "content"))
                .collect();
            questions.push((said.join(" "), wanted));
        }
    }
    (functions, questions)
}

fn median(times: &mut [Duration], share: f64) -> f64 {
    times.sort();
    let at = ((times.len() - 1) as f64 * share) as usize;
    times[at].as_secs_f64() * 1e3
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes; `make search-quality` runs it"]
async fn alone() {
    let (functions, questions) = questions();
    assert_eq!((functions.len(), questions.len()), (829, 1000));
    let data = tempfile::tempdir().unwrap();
    let engine = engine_on_disk(data.path()).await;
    let tenant = engine.tenant_or_new("quality").await.unwrap();
    let (mut taken, mut names, mut creating) = (HashSet::new(), HashMap::new(), Vec::new());
    for (key, described) in functions {
        let Function { name, source, description } = function(&described, &mut taken);
        let started = Instant::now();
        tenant
            .add_workflow(&name, &source, &description)
            .await
            .unwrap_or_else(|e| panic!("{source}: {e}"));
        creating.push(started.elapsed());
        names.insert(key, name);
    }
    let (mut first, mut fifth, mut reciprocal, mut searching) = (0.0, 0.0, 0.0, Vec::new());
    for (question, wanted) in &questions {
        let wanted: HashSet<&str> = wanted.iter().map(|key| names[key].as_str()).collect();
        assert!(!wanted.is_empty(), "{question}");
        let started = Instant::now();
        let hits = tenant.search(question, 100).await.unwrap();
        searching.push(started.elapsed());
        let found = hits.iter().position(|hit| wanted.contains(hit.workflow.name.as_str()));
        if let Some(rank) = found {
            first += f64::from(rank == 0);
            fifth += f64::from(rank < 5);
            reciprocal += 1.0 / (rank + 1) as f64;
        }
    }
    let asked = questions.len() as f64;
    let figures = [first / asked, fifth / asked, reciprocal / asked];
    let [first, fifth, reciprocal] = figures;
    println!("recall@1 {first:.3}  recall@5 {fifth:.3}  MRR {reciprocal:.3}");
    for (what, times) in [("create", &mut creating), ("search", &mut searching)] {
        let (p50, p99) = (median(times, 0.5), median(times, 0.99));
        println!("{what}: p50 {p50:.1} ms, p99 {p99:.1} ms, the embedding included");
    }
    for (figure, floor) in figures.into_iter().zip(FLOORS) {
        assert!(figure >= floor, "the search finds less than before: {figures:.3?}");
    }
}
