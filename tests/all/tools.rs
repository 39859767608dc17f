//! Tool files and the commands behind them, as a workflow meets them.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use repertoire::tools::{CliOptions, Registry};
use repertoire::{Code, Error, Limits, Tenant};
use repertoire_tests::bench_with;
use serde_json::{Value, json};

fn options() -> CliOptions {
    CliOptions { search_path: std::env::var_os("PATH"), ..CliOptions::default() }
}

fn fixtures() -> Registry {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tools");
    Registry::from_folder(&folder, &options()).unwrap()
}

async fn tenant() -> Tenant {
    bench_with(|builder| builder.tools(fixtures())).await.tenant
}

async fn value(tenant: &Tenant, code: &str) -> Value {
    let run = tenant.session().run(code).await.unwrap();
    match run.value() {
        Ok(value) => value.to().unwrap(),
        Err(failure) => panic!("{}\n{}", failure.message, failure.traceback),
    }
}

#[tokio::test]
async fn a_yaml_file_is_a_tool() {
    let tenant = tenant().await;
    let listed =
        value(&tenant, "[[tool.name, len(tool.callables) > 0] for tool in tools.list()]").await;
    assert_eq!(listed, json!([["dashes", true], ["missing", true], ["probe", true]]));
    assert_eq!(value(&tenant, "tools.probe.print(text='hello')").await, json!("hello"));
    let both = "
import asyncio
await asyncio.gather(tools.probe.print.call_async(text='a'), tools.probe.print.call_async(text='b'))
";
    assert_eq!(value(&tenant, both).await, json!(["a", "b"]));
    assert_eq!(
        value(&tenant, "tools.search('does what a test asks for', limit=1)[0].name").await,
        json!("probe")
    );
}

/// No shell sees an argument, the command sees nothing of this process's environment, and none reads its input.
#[tokio::test]
async fn arguments_stay_what_they_are() {
    let tenant = tenant().await;
    for text in ["$(id)", "`id`; id | id", "a b", "'\"", "*", "~", "é\n", "$HOME"] {
        let code = format!(
            "import json; json.loads(tools.probe.argv(text={})) if isinstance(tools.probe.argv(text={0}), str) else tools.probe.argv(text={0})",
            json!(text)
        );
        let seen = value(&tenant, &code).await;
        assert!(seen["argv"].as_array().unwrap().contains(&json!(text)), "{text:?}: {seen}");
        assert_eq!(seen["stdin"], json!(""), "{seen}");
        let names: Vec<_> = seen["env"].as_object().unwrap().keys().map(String::as_str).collect();
        assert!(
            !names.iter().any(|name| name.starts_with("CARGO") || *name == "USER"),
            "{names:?}"
        );
    }
}

#[tokio::test]
async fn options_that_nobody_declared_start_nothing() {
    let tenant = tenant().await;
    let code = "
from repertoire import InvalidArgumentError
def refused(call):
    try:
        call()
        return 'accepted'
    except InvalidArgumentError:
        return 'refused'
[refused(call) for call in (
    lambda: tools.probe.argv(text='-x', output='/tmp/x', nonsense=1),
    lambda: tools.probe.print(),
    lambda: tools.probe.print(text=1),
    lambda: tools.probe.argv(mode='flood'),
    lambda: tools.probe.big(text='12x'),
    lambda: tools.probe(level='medium'),
)]";
    assert_eq!(value(&tenant, code).await, json!(vec!["refused"; 6]));
}

#[tokio::test]
async fn commands_that_fail_say_how() {
    let tenant = tenant().await;
    let code = "
from repertoire import NotFoundError, RepertoireError, ToolError
def failed(call):
    try:
        return repr(call())
    except RepertoireError as error:
        return [error.code, error.details.get('status'), 'it failed' in str(error)]
[
    failed(lambda: tools.probe.fail(text='3')),
    failed(lambda: tools.missing())[0],
    failed(lambda: tools.probe.flood())[0],
    failed(lambda: tools.probe.no_such_recipe())[0],
]";
    let seen = value(&tenant, code).await;
    assert_eq!(seen, json!([["tool-failed", 3, true], "unavailable", "tool-failed", "not-found"]));
}

fn alive(argument: &str) -> bool {
    fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        fs::read(entry.path().join("cmdline"))
            .is_ok_and(|bytes| bytes == format!("sleep\0{argument}\0").as_bytes())
    })
}

/// The command, its children and their children end with the run that called it.
#[tokio::test]
async fn a_stopped_run_leaves_no_process() {
    let tenant = tenant().await;
    tenant
        .add_workflow("wait", "def run(n: str): return tools.probe.hang(text=n)", "")
        .await
        .unwrap();
    // Names the processes, and nobody else's.
    let number = format!("{}", 700_000 + std::process::id());
    let limits = Limits { wall_time: Duration::from_millis(700), ..Limits::default() };
    let arguments = json!({"n": number.as_str()});
    let invocation = tenant.invocation("wait").arguments(arguments.clone()).limits(limits);
    let run = async { invocation.run().await.unwrap() };
    let watch = async {
        let started = Instant::now();
        while !alive(&number) && started.elapsed() < Duration::from_secs(20) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        alive(&number)
    };
    let (run, was_alive) = tokio::join!(run, watch);
    assert!(was_alive, "the command was never seen: the test shows nothing");
    assert_eq!(run.value().unwrap_err().code, Code::TimedOut);
    let started = Instant::now();
    // Dying takes the kernel a moment; the bound is for a busy machine.
    while alive(&number) && started.elapsed() < Duration::from_secs(10) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(!alive(&number), "a process is left");
}

fn refused(text: &str) -> Error {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("bad.yaml"), text).unwrap();
    let started = Instant::now();
    let error = Registry::from_folder(folder.path(), &options()).expect_err(text);
    // An alias bomb that was expanded would take gigabytes and minutes.
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    error
}

#[test]
fn files_that_are_no_tools() {
    let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (from, to) in ["a", "b", "c", "d", "e", "f", "g", "h", "i"]
        .iter()
        .zip(["b", "c", "d", "e", "f", "g", "h", "i", "j"])
    {
        bomb.push_str(&format!("{to}: &{to} [{}]\n", vec![format!("*{from}"); 10].join(", ")));
    }
    let bomb = format!("name: bad\ncommand: echo\ndescription: x\n{bomb}");
    for (text, parts) in [
        ("name: bad\ncommand: echo\ncomand: x\n", &["bad.yaml", "comand"][..]),
        (
            "name: bad\ncommand: echo\nschema:\n  options:\n    x: {tpye: string}\n",
            &["bad.yaml", "tpye"][..],
        ),
        ("name: class\ncommand: echo\n", &["bad.yaml", "class"][..]),
        ("name: [\n", &["bad.yaml:1"][..]),
        ("", &["bad.yaml"][..]),
        (&bomb, &["bad.yaml"][..]),
        (
            "name: bad\ncommand: echo\nrecipes:\n  go:\n    preset: {nope: 1}\n",
            &["bad.yaml", "nope"][..],
        ),
    ] {
        let error = refused(text);
        assert_eq!(error.code(), Code::InvalidArgument, "{text}: {}", error.chain());
        for part in parts {
            assert!(error.chain().contains(part), "{text}: lacks {part}: {}", error.chain());
        }
    }
    let error = Registry::from_folder(Path::new("/nowhere/tools"), &options()).unwrap_err();
    assert!(error.chain().contains("/nowhere/tools"), "{error}");
}

/// What is shipped loads, and the recipe that the first workflow needs is there.
#[test]
fn the_shipped_tools_load() {
    let tools =
        Registry::from_folder(&repertoire_tests::repository().join("tools"), &options()).unwrap();
    assert!(tools.get("curl").unwrap().callable("get").is_some());
}
