//! Real processes, through the registry as a workflow's calls are.

mod shipped;

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::error::{Code, Error, Result};
use crate::id::TenantId;
use crate::json::Json;
use crate::tools::secrets::{Secret, SecretMap, SecretName};
use crate::tools::{AtOnce, CallContext, Registry, ToolOptions};

fn options(scratch: &Path) -> ToolOptions {
    ToolOptions {
        search_path: Some("relative:/usr/bin:/bin".into()),
        scratch: scratch.to_owned(),
        ..options_with_secrets()
    }
}

fn options_with_secrets() -> ToolOptions {
    let secret = Secret::new("canary-token-1").unwrap();
    let secrets = SecretMap::default().with(SecretName::new("TOKEN").unwrap(), secret);
    ToolOptions {
        variables: [("PASSED".into(), "on".into()), ("KEPT".into(), "back".into())].into(),
        secrets: std::sync::Arc::new(secrets),
        ..ToolOptions::default()
    }
}

fn context() -> CallContext {
    CallContext { tenant: TenantId::new("test").unwrap(), run: None, deadline: None }
}

async fn call_in(folder: &Path, callable: &str, arguments: &Value) -> Result<Value> {
    // Each test finds what its own calls leave behind.
    let scratch = tempfile::tempdir().unwrap();
    let tools = Registry::from_folder(folder, &options(scratch.path())).unwrap();
    let (tool, recipe) = callable.split_once('.').unwrap_or((callable, ""));
    let answer = tools.call(tool, recipe, &Json::from(arguments.clone()), &context()).await;
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0, "scratch is left");
    answer.map(|json| json.to().unwrap())
}

/// Calls a fixture.
async fn call(callable: &str, arguments: Value) -> Result<Value> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/tools");
    call_in(&fixtures, callable, &arguments).await
}

/// What the fixture says that it was started with.
async fn told(callable: &str, arguments: Value) -> Value {
    let text = call(callable, arguments).await.unwrap();
    serde_json::from_str(text.as_str().unwrap()).unwrap()
}

async fn argv(callable: &str, arguments: Value) -> Value {
    told(callable, arguments).await["argv"].clone()
}

/// Calls a tool of this text.
async fn call_of(file: &str, callable: &str, arguments: Value) -> Result<Value> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tool.yaml"), file).unwrap();
    call_in(folder.path(), callable, &arguments).await
}

fn details(error: &Error) -> Value {
    error.details().unwrap().to().unwrap()
}

/// A duration that no other process sleeps for.
fn unique() -> String {
    format!("600.{}", rand::random::<u64>())
}

/// How many processes have this in their command line.
fn processes(marked: &str) -> usize {
    let all = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let line = std::fs::read(entry.ok()?.path().join("cmdline")).ok()?;
        String::from_utf8_lossy(&line).contains(marked).then_some(())
    });
    all.count()
}

/// The process with this in its command line that we have started ourselves.
fn child(marked: &str) -> Option<u32> {
    let ours = format!("PPid:\t{}\n", std::process::id());
    std::fs::read_dir("/proc").unwrap().find_map(|entry| {
        let folder = entry.ok()?.path();
        let line = std::fs::read(folder.join("cmdline")).ok()?;
        let status = std::fs::read_to_string(folder.join("status")).ok()?;
        (String::from_utf8_lossy(&line).contains(marked) && status.contains(&ours))
            .then(|| folder.file_name()?.to_str()?.parse().ok())?
    })
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(5), "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn every_kind_of_parameter() {
    let given = json!({
        "flag": true, "verbose": false, "path": "p q", "output": "o", "count": -3, "ratio": 0.5,
        "item": ["a", 1], "level": "low", "name": "*", "text": "t", "more": ["u", "v"],
    });
    assert_eq!(
        argv("probe.argv", given).await,
        json!([
            "--flag",
            "--path=p q",
            "-oo",
            "-n-3",
            "--ratio=0.5",
            "-ia",
            "-i1",
            "--level=low",
            "-name",
            "*",
            "t",
            "u",
            "v",
        ])
    );
    assert_eq!(argv("probe", json!({})).await, json!([]));
    // Digits beyond what a machine number has are passed on as they are.
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/tools");
    let tools = Registry::from_folder(&fixtures, &options(Path::new("/tmp"))).unwrap();
    let huge = Json::parse(r#"{"count": 123456789012345678901234567890}"#).unwrap();
    let answer = tools.call("probe", "argv", &huge, &context()).await.unwrap();
    assert!(answer.as_str().contains("-n123456789012345678901234567890"), "{answer}");
}

#[tokio::test]
async fn no_shell_reads_a_value() {
    for text in [
        "; touch /tmp/pwned `id` $(id) | x > y && z\n*",
        "$(x)",
        "a\nb\n",
        "'",
        "\"",
        "\\",
        "~",
        "${HOME}",
        "é😀",
        "",
        " ",
    ] {
        assert_eq!(argv("probe.argv", json!({ "text": text })).await, json!([text]));
        assert_eq!(
            argv("probe.argv", json!({ "path": text, "item": [text] })).await,
            json!([format!("--path={text}"), format!("-i{text}")])
                .as_array()
                .map(|both| match text {
                    // Nothing to attach.
                    "" => json!([both[0], "-i", ""]),
                    _ => json!(both),
                })
                .unwrap()
        );
    }
}

#[tokio::test]
async fn a_value_never_becomes_an_option() {
    for dash in ["-", "-o", "--output=/tmp/pwned", "--"] {
        // Joined to its option, or after "--", it is a value.
        let given = json!({ "path": dash, "output": dash });
        assert_eq!(
            argv("probe.argv", given).await,
            json!([format!("--path={dash}"), format!("-o{dash}")])
        );
        let given = json!({ "text": dash, "rest": [dash, "x"], "verbose": true });
        assert_eq!(argv("dashes", given).await, json!(["-v", "--", dash, dash, "x"]));
        // Else it is refused, and the refusal says what would allow it.
        for (given, line) in [
            (json!({ "text": dash }), "`double_dash: true` in probe.yaml"),
            (json!({ "more": ["a", dash] }), "`double_dash: true` in probe.yaml"),
            (json!({ "name": dash }), "`allow_dash: true` in probe.yaml"),
        ] {
            let error = call("probe.argv", given).await.unwrap_err();
            assert_eq!(error.code(), Code::InvalidArgument);
            assert!(error.message().contains(line), "{error}");
        }
    }
    assert_eq!(argv("dashes", json!({ "verbose": true })).await, json!(["-v"]));
    let file = "name: x\ncommand: echo\nschema: {options: {a: {flag: -a, form: separate, allow_dash: true}}}";
    assert_eq!(call_of(file, "x", json!({ "a": "-b" })).await.unwrap(), "-a -b\n");
}

#[tokio::test]
async fn what_no_argument_can_be_is_refused() {
    for (given, problem) in [
        (json!({ "text": "a\0b" }), "argument text contains a null byte"),
        (json!({ "item": ["a", "\0"] }), "argument item contains a null byte"),
        (json!({ "text": "@/etc/passwd" }), "`allow_at: true` in probe.yaml"),
        (json!({ "path": "@x" }), "`allow_at: true` in probe.yaml"),
        (json!({ "text": "A".repeat(128 * 1024) }), "argument text has 131072 bytes"),
        (json!({ "item": vec!["A".repeat(4096); 1024] }), "a command takes 1048576"),
        (json!({ "level": "middle" }), "argument level"),
        (json!({ "count": "1" }), "argument count"),
        (json!({ "count": 1.5 }), "argument count"),
        (json!({ "item": [["a"]] }), "argument item"),
        (json!({ "flag": "yes" }), "argument flag"),
        (json!({ "env": { "LD_PRELOAD": "/x" } }), "there is no parameter \"env\""),
    ] {
        let error = call("probe.argv", given).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
        assert!(error.message().contains(problem), "{error}");
    }
    assert_eq!(
        argv("probe.argv", json!({ "text": "A".repeat(128 * 1024 - 1) })).await[0]
            .as_str()
            .map(str::len),
        Some(128 * 1024 - 1)
    );
}

#[tokio::test]
async fn a_preset_holds() {
    for given in [json!({ "mode": "flood" }), json!({ "mode": "argv" })] {
        let error = call("probe.argv", given).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument);
        assert!(error.message().contains("there is no parameter \"mode\""), "{error}");
    }
    let error = call("probe.print", json!({ "text": "a", "output": "/x" })).await.unwrap_err();
    assert!(error.message().contains("there is no parameter \"output\""), "{error}");
    // Unless `params` names it as well.
    let file = "name: x\ncommand: echo\nschema: {options: {aa: {}, bb: {type: boolean}}}\n\
                recipes: {r: {preset: {aa: p, bb: true}, params: {aa: {}, bb: {}}}}";
    assert_eq!(call_of(file, "x.r", json!({})).await.unwrap(), "--aa=p --bb\n");
    assert_eq!(call_of(file, "x.r", json!({ "aa": "q", "bb": false })).await.unwrap(), "--aa=q\n");
}

#[tokio::test]
async fn a_process_learns_nothing_of_the_machine() {
    let all = told("probe.argv", json!({})).await;
    assert_eq!(all["env"], json!({ "LANG": "C.UTF-8", "PATH": "relative:/usr/bin:/bin" }));
    assert_eq!(all["stdin"], "");
    assert!(all["cwd"].as_str().unwrap().contains("/repertoire-"), "{all}");

    let file = "name: x\ncommand: env\nenv: {A: \"1\", LANG: C}";
    let text = call_of(file, "x", json!({})).await.unwrap();
    let mut lines: Vec<_> = text.as_str().unwrap().lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["A=1", "LANG=C", "PATH=relative:/usr/bin:/bin"]);
    let text = call_of("name: x\ncommand: pwd\ncwd: /usr", "x", json!({})).await.unwrap();
    assert_eq!(text, "/usr\n");
    let error = call_of("name: x\ncommand: pwd\ncwd: nowhere", "x", json!({})).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert_eq!(error.message(), "tool x: `cwd` in tool.yaml is not a directory");
}

#[tokio::test]
async fn what_is_printed_is_the_answer() {
    assert_eq!(call("probe.print", json!({ "text": " a\n" })).await.unwrap(), " a\n");
    assert_eq!(call("probe.bytes", json!({})).await.unwrap(), "a\u{fffd}b");
    let big = call("probe.big", json!({ "text": "4194304" })).await.unwrap();
    assert_eq!(big.as_str().map(str::len), Some(4 << 20));
}

#[tokio::test]
async fn an_exit_status_is_an_error() {
    let error =
        call("probe.fail", json!({ "text": "22", "more": ["\u{1b}[1mno"] })).await.unwrap_err();
    assert_eq!(error.code(), Code::ToolFailed);
    assert_eq!(error.message(), "tool probe: exit status 22: [1mno");
    assert_eq!(
        details(&error),
        json!({
            "status": 22, "signal": null, "meaning": null, "retryable": false,
            "stderr": "something before\n\u{1b}[1mno\n\n",
        })
    );
    let error = call("probe.signal", json!({})).await.unwrap_err();
    assert_eq!(error.message(), "tool probe: killed by signal 9");
    assert_eq!(details(&error)["signal"], 9);
    // Of much, the end is kept.
    let file = "name: x\ncommand: sh\nargs: [-c, 'yes | head -c 100000 >&2; echo end >&2; exit 1']";
    let error = call_of(file, "x", json!({})).await.unwrap_err();
    assert_eq!(error.message(), "tool x: exit status 1: end");
    assert_eq!(details(&error)["stderr"].as_str().map(str::len), Some(8192));
}

#[tokio::test]
async fn output_is_counted_while_it_is_read() {
    let error = call("probe.big", json!({ "text": "4194305" })).await.unwrap_err();
    assert_eq!(error.code(), Code::ToolFailed);
    assert!(error.message().contains("more than 4194304 bytes"), "{error}");
    assert_eq!(details(&error)["limit_bytes"], 4 << 20);
    let started = Instant::now();
    assert_eq!(call("probe.flood", json!({})).await.unwrap_err().code(), Code::ToolFailed);
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}

#[tokio::test]
async fn time_is_limited_and_the_whole_group_ends() {
    let mark = unique();
    let file = format!(
        "name: x\ncommand: sh\ntimeout: 0.5\nargs: [-c, 'echo working >&2; (sleep {mark} & sleep {mark}) & sleep {mark}']"
    );
    let started = Instant::now();
    let (answer, ()) = tokio::join!(
        call_of(&file, "x", json!({})),
        until("three sleep", || processes(&format!("sleep\0{mark}")) == 3)
    );
    let error = answer.unwrap_err();
    assert_eq!(error.code(), Code::TimedOut);
    assert_eq!(error.message(), "tool x: stopped after 500ms, the `timeout` in tool.yaml");
    assert_eq!(details(&error)["stderr"], "working\n");
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    until("all are gone", || processes(&mark) == 0).await;
}

#[tokio::test]
async fn dropping_a_call_ends_the_whole_group() {
    let mark = unique();
    let given = json!({ "text": mark });
    let mut running = Box::pin(call("probe.hang", given));
    tokio::select! {
        answer = &mut running => panic!("answered: {answer:?}"),
        () = until("both sleep", || processes(&format!("sleep\0{mark}")) == 2) => {}
    }
    let child = child(&mark).unwrap();
    drop(running);
    until("all are gone", || processes(&mark) == 0).await;
    until("ours is reaped", || !Path::new(&format!("/proc/{child}")).exists()).await;
}

#[tokio::test]
async fn what_a_command_leaves_running_ends_with_it() {
    let mark = unique();
    let started = Instant::now();
    assert_eq!(call("probe.daemon", json!({ "text": mark })).await.unwrap(), "hi\n");
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    until("it is gone", || processes(&mark) == 0).await;

    // One that left the group escapes, but does not hold the call up for longer than its time.
    let mark = format!("7.{}", rand::random::<u32>());
    let file = format!(
        "name: x\ncommand: sh\ntimeout: 0.5\nargs: [-c, 'setsid sleep {mark} & sleep 0.1; echo hi']"
    );
    let error = call_of(&file, "x", json!({})).await.unwrap_err();
    assert_eq!(error.code(), Code::TimedOut);
}

#[tokio::test]
async fn a_command_that_is_not_there() {
    let error = call("missing", json!({})).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert_eq!(
        error.message(),
        "tool missing: command \"there-is-no-such-command\" is not on the search path; \
         install it, or correct `command` in missing.yaml"
    );
    let error = call_of("name: x\ncommand: ./nothing/y", "x", json!({})).await.unwrap_err();
    // The machine's folders are none of a workflow's business.
    assert!(
        error.message().starts_with("tool x: command \"y\" is not an executable file"),
        "{error}"
    );
    let error = call_of("name: x\ncommand: ./tool.yaml", "x", json!({})).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
}

#[tokio::test]
async fn many_at_once() {
    let calls = (0..50).map(|number| async move {
        let text = format!("{number}");
        assert_eq!(call("probe.print", json!({ "text": text })).await.unwrap(), json!(text));
    });
    futures::future::join_all(calls).await;
}

/// Only so many are processes at once; the others wait, and a call that is dropped makes room.
#[tokio::test]
async fn processes_are_counted() {
    let (folder, marks) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = format!(
        "name: x\ncommand: sh\ncwd: {}\nargs: [-c, 'touch $$.mark; sleep 0.05; ls *.mark | wc -l; rm $$.mark']\n",
        marks.path().display()
    );
    std::fs::write(folder.path().join("tool.yaml"), file).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let options = ToolOptions { processes: AtOnce::new(4), ..options(scratch.path()) };
    let tools = Registry::from_folder(folder.path(), &options).unwrap();
    let call = async || {
        let answer = tools.call("x", "", &Json::empty_object(), &context()).await.unwrap();
        answer.to::<String>().unwrap().trim().parse::<usize>().unwrap()
    };
    let counts = futures::future::join_all((0..20).map(|_| call())).await;
    // Of four a quarter is for other tenants.
    assert!(counts.iter().all(|count| (1..=3).contains(count)), "{counts:?}");
    let dropped = tokio::time::timeout(Duration::from_millis(20), async {
        futures::future::join_all((0..20).map(|_| call())).await
    });
    assert!(dropped.await.is_err());
    call().await;
}

/// A parameter that is read, and statuses that mean something else than usual.
#[tokio::test]
async fn standard_input_and_statuses() {
    let grep = "name: grep\ncommand: grep\nexit_codes:\n  1: {means: answer, description: nothing was found}\n  \
                2: {means: retry, description: trouble}\nschema:\n  options:\n    word: {flag: -e, required: true}\n    \
                text: {type: string, stdin: true}\n    lines: {type: array, flag: --include, join: ','}\n";
    let text = json!({"word": "b", "text": "abc\nxyz\n-b-\n"});
    assert_eq!(call_of(grep, "grep", text).await.unwrap(), json!("abc\n-b-\n"));
    assert_eq!(call_of(grep, "grep", json!({"word": "q", "text": "a"})).await.unwrap(), json!(""));
    let error = call_of(grep, "grep", json!({"word": "[", "text": "a"})).await.unwrap_err();
    assert!(error.message().contains("exit status 2 (trouble)"), "{error}");
    assert_eq!(details(&error)["retryable"], json!(true));
    let error = call_of(grep, "grep", json!({"word": "b", "lines": ["a,b"]})).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument, "{error}");

    // More than a pipe holds, both ways at once.
    let cat = "name: cat\ncommand: cat\nschema: {options: {text: {stdin: true}}}\n";
    let long = "x".repeat(1 << 20);
    assert_eq!(call_of(cat, "cat", json!({"text": long})).await.unwrap(), json!(long));
    // One that does not read it is not waited for, and without it there is none.
    let echo = "name: x\ncommand: echo\nargs: [hi]\nschema: {options: {text: {type: array, stdin: true}}}\n";
    assert_eq!(call_of(echo, "x", json!({"text": ["a", "b"]})).await.unwrap(), json!("hi\n"));
    let lines = "name: x\ncommand: cat\nschema: {options: {text: {type: array, stdin: true}}}\n";
    assert_eq!(call_of(lines, "x", json!({"text": ["a", 2]})).await.unwrap(), json!("a\n2"));
    assert_eq!(call_of(lines, "x", json!({})).await.unwrap(), json!(""));
    // A list in one argument.
    let joined =
        "name: x\ncommand: echo\nschema: {options: {a: {type: array, flag: --a, join: ','}}}\n";
    assert_eq!(call_of(joined, "x", json!({"a": ["b", 1]})).await.unwrap(), json!("--a=b,1\n"));
}

/// A command gets the secret and what is passed on; whoever called sees neither the one nor the rest.
#[tokio::test]
async fn secrets_reach_the_command_only() {
    let file = "name: x\ncommand: sh\nargs: [-c, 'env; printf %s \"$KEY\" | base64; echo \"$KEY\" >&2; exit $STATUS']\n\
                env: {KEY: {secret: TOKEN}, BOTH: {secret: TOKEN, before: 'k='}, STATUS: 0}\npass_env: [PASSED, NOT_THERE]\n";
    let seen = call_of(file, "x", json!({})).await.unwrap();
    let seen = seen.as_str().unwrap();
    assert!(
        seen.contains("KEY=[secret TOKEN]\n") && seen.contains("BOTH=k=[secret TOKEN]\n"),
        "{seen}"
    );
    assert!(
        seen.contains("PASSED=on\n") && !seen.contains("KEPT") && !seen.contains("NOT_THERE"),
        "{seen}"
    );
    assert!(!seen.contains("canary") && !seen.contains("Y2FuYXJ5"), "{seen}");
    let error = call_of(&file.replace("STATUS: 0", "STATUS: 4"), "x", json!({})).await.unwrap_err();
    let all = format!("{} {:?} {}", error.chain(), error, details(&error));
    assert!(all.contains("[secret TOKEN]") && !all.contains("canary"), "{all}");
    // The control: the command does get it.
    let told = "name: x\ncommand: sh\nargs: [-c, 'printf %s \"$KEY\" | wc -c']\nenv: {KEY: {secret: TOKEN}}\n";
    assert_eq!(call_of(told, "x", json!({})).await.unwrap().as_str().unwrap().trim(), "14");
    let none = "name: x\ncommand: true\nenv: {KEY: {secret: NONE}}\n";
    let error = call_of(none, "x", json!({})).await.unwrap_err();
    assert!(error.message().contains("there is no secret NONE"), "{error}");
}

/// Half a secret is not found: what is cut is scrubbed first.
#[tokio::test]
async fn a_secret_is_not_cut_in_two() {
    let file = "name: x\ncommand: sh\nargs: [-c, 'printf %0289d 0 >&2; printf \"$KEY\" >&2; printf %08190d 0 >&2; exit 1']\n\
                env: {KEY: {secret: TOKEN}}\n";
    let error = call_of(file, "x", json!({})).await.unwrap_err();
    let text = details(&error)["stderr"].as_str().unwrap().to_owned();
    assert!(text.ends_with("00000") && text.len() == 8192, "{}", text.len());
    // Of the token's 14 bytes the last two would be left.
    assert!(!text.contains('1') && !text.contains('-'), "{}", &text[..20]);
}
