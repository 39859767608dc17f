//! What is read from a source, without running it: a folder with a source and
//! (a part of) what is said of it, or why it is refused.

use std::fs;
use std::path::Path;

use repertoire::workflow::{Analysis, Parameter};
use repertoire_tests::bench;
use serde_json::{Value, json};

fn parameter(parameter: &Parameter) -> Value {
    json!({
        "name": parameter.name,
        "schema": parameter.schema.to::<Value>().unwrap(),
        "required": parameter.required,
        "default": parameter.default.as_ref().map(|default| default.to::<Value>().unwrap()),
        "description": parameter.description,
    })
}

fn shown(analysis: &Analysis) -> Value {
    let signature = &analysis.signature;
    json!({
        "signature": signature.text,
        "is_async": signature.is_async,
        "parameters": signature.parameters.iter().map(parameter).collect::<Vec<_>>(),
        "accepts_unknown": signature.accepts_unknown,
        "returns": signature.returns.to::<Value>().unwrap(),
        "returns_description": signature.returns_description,
        "raises": signature.raises.iter().map(|raises| json!([raises.exception, raises.description])).collect::<Vec<_>>(),
        "description": analysis.description,
        "docstring": analysis.docstring,
        "uses": {
            "tools": analysis.uses.tools,
            "workflows": analysis.uses.workflows,
            "artifacts": analysis.uses.artifacts,
            "computed": analysis.uses.computed,
        },
        "warnings": analysis.warnings.iter().map(|warning| json!([warning.line, warning.code])).collect::<Vec<_>>(),
    })
}

#[tokio::test]
async fn sources() {
    let tenant = bench().await.tenant;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/analysis");
    let mut folders: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    let mut failed = Vec::new();
    for folder in &folders {
        let name = folder.file_name().unwrap().to_string_lossy();
        let source = fs::read_to_string(folder.join("source.py")).unwrap();
        let expected: Value =
            serde_json::from_str(&fs::read_to_string(folder.join("expected.json")).unwrap())
                .unwrap();
        match (tenant.analyze(&source).await, expected.get("error")) {
            (Ok(analysis), None) => {
                let actual = shown(&analysis);
                for (key, value) in expected.as_object().unwrap() {
                    if actual.get(key) != Some(value) {
                        failed.push(format!(
                            "--- {name}: {key} is\n    {}\n    not\n    {value}",
                            actual[key]
                        ));
                    }
                }
            }
            (Err(error), Some(expected)) => {
                let part = expected["message_contains"].as_str().unwrap();
                if error.code().as_str() != expected["code"] || !error.message().contains(part) {
                    failed.push(format!(
                        "--- {name}: refused otherwise: {}: {}",
                        error.code(),
                        error.message()
                    ));
                }
            }
            (Ok(_), Some(_)) => failed.push(format!("--- {name}: was accepted")),
            (Err(error), None) => {
                failed.push(format!("--- {name}: was refused: {}", error.message()))
            }
        }
    }
    assert!(folders.len() > 10, "there are few cases in {folders:?}");
    assert!(failed.is_empty(), "{} failed:\n\n{}\n", failed.len(), failed.join("\n\n"));
}

/// Arguments are checked against what the analysis says, nested runs' as well.
#[tokio::test]
async fn the_schema_is_what_arguments_are_checked_against() {
    let tenant = bench().await.tenant;
    let source = "
from dataclasses import dataclass
from typing import Literal, TypedDict
@dataclass
class Point:
    x: int
    y: int = 0
class Options(TypedDict, total=False):
    mode: Literal['fast', 'slow']
def run(point: Point, options: Options = {}, pairs: list[tuple[str, int]] = []) -> dict:
    return {'x': point.x + point.y, 'mode': options.get('mode'), 'pairs': len(pairs)}
";
    tenant.add_workflow("plot", source, "").await.unwrap();
    let good = json!({"point": {"x": 1, "y": 2}, "options": {"mode": "fast"}, "pairs": [["a", 1]]});
    let run = tenant.invoke("plot", good).await.unwrap();
    assert_eq!(
        run.value().unwrap().to::<Value>().unwrap(),
        json!({"x": 3, "mode": "fast", "pairs": 1})
    );
    for (bad, part) in [
        (json!({"point": {"y": 2}}), "point"),
        (json!({"point": {"x": "1"}}), "/x"),
        (json!({"point": {"x": 1}, "options": {"mode": "medium"}}), "options"),
        (json!({"point": {"x": 1}, "pairs": [["a"]]}), "pairs"),
        (json!({"point": {"x": 1}, "pairs": [[1, "a"]]}), "pairs at /0"),
    ] {
        let error = tenant.invoke("plot", bad).await.unwrap_err();
        assert_eq!(error.code(), repertoire::Code::InvalidArgument);
        assert!(error.message().contains(part), "{error}");
    }
    let code = "
from repertoire import InvalidArgumentError
try:
    workflows.plot(point={'y': 1})
except InvalidArgumentError as error:
    seen = [isinstance(error, TypeError), 'point' in str(error)]
seen";
    let run = tenant.session().run(code).await.unwrap();
    assert_eq!(run.value().unwrap().as_str().replace(' ', ""), "[true,true]");
}
