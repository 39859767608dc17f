//! What a run does, told while it lasts.

use std::sync::{Arc, Mutex};

use repertoire::Code;
use repertoire::run::{Event, Stream};
use repertoire_tests::bench;
use serde_json::json;

fn shown(event: &Event) -> String {
    match event {
        Event::Output { stream: Stream::Stdout, text, .. } => format!("out {text:?}"),
        Event::Output { stream: Stream::Stderr, text, .. } => format!("err {text:?}"),
        Event::CallStarted { target, .. } => format!("> {target}"),
        Event::CallEnded { target, error: None, .. } => format!("< {target}"),
        Event::CallEnded { target, error: Some(code), .. } => format!("< {target} {code}"),
    }
}

/// Events as lines; what was written in several pieces is one.
fn lines(events: &[Event]) -> Vec<String> {
    let mut merged: Vec<Event> = Vec::new();
    for event in events {
        match (merged.last_mut(), event) {
            (
                Some(Event::Output { run, stream, text }),
                Event::Output { run: next_run, stream: next_stream, text: more },
            ) if run == next_run && stream == next_stream && !text.ends_with('\n') => {
                text.push_str(more)
            }
            _ => merged.push(event.clone()),
        }
    }
    merged.iter().map(shown).collect()
}

#[tokio::test]
async fn output_and_calls_in_order() {
    let tenant = bench().await.tenant;
    tenant
        .add_workflow("leaf", "def run():\n print('leaf')\n tools.test.echo(x=1)", "")
        .await
        .unwrap();
    let source = "
import sys
def run():
    print('one')
    workflows.leaf()
    print('two', file=sys.stderr)
    try:
        tools.test.fail(message='no')
    except RuntimeError:
        print('three é')
";
    tenant.add_workflow("root", source, "").await.unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    let invocation = tenant.invocation("root");
    let run =
        invocation.on_event(move |event| sink.lock().unwrap().push(event)).run().await.unwrap();
    let events = seen.lock().unwrap();
    assert_eq!(
        lines(&events),
        [
            "out \"one\\n\"",
            "> workflows.leaf",
            "out \"leaf\\n\"",
            "> tools.test.echo",
            "< tools.test.echo",
            "< workflows.leaf",
            "err \"two\\n\"",
            "> tools.test.fail",
            "< tools.test.fail tool-failed",
            "out \"three é\\n\"",
        ]
    );
    // Each says whose it is, and the record has the root's own.
    let writers: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Output { run, text, .. } if text.contains("leaf") => Some(*run),
            _ => None,
        })
        .collect();
    assert!(writers.len() == 1 && writers[0] != run.invocation.id);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("one\nthree é\n", "two\n"));
}

#[tokio::test]
async fn arrive_while_the_run_lasts() {
    let bench = bench().await;
    let source = "def run():\n print('begun')\n tools.test.hang()";
    bench.tenant.add_workflow("wait", source, "").await.unwrap();
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let invocation = bench.tenant.invocation("wait").on_event(move |event| _ = sender.send(event));
    tokio::select! {
        _ = invocation.run() => panic!("it cannot end"),
        event = receiver.recv() => assert!(shown(&event.unwrap()).starts_with("out \"begun")),
    }
}

#[tokio::test]
async fn a_session_tells_too() {
    let tenant = bench().await.tenant;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    let mut session = tenant.session().on_event(move |event| sink.lock().unwrap().push(event));
    session.run("print(1)\ntools.tset.echo(x=1)").await.unwrap();
    session.run("print(2)").await.unwrap();
    let seen = seen.lock().unwrap();
    assert_eq!(
        lines(&seen),
        ["out \"1\\n\"", "> tools.tset.echo", "< tools.tset.echo not-found", "out \"2\\n\""]
    );
}

#[tokio::test]
async fn every_run_is_on_record_newest_first() {
    let tenant = bench().await.tenant;
    tenant.add_workflow("echo", "def run(x): return x", "").await.unwrap();
    let mut ids = Vec::new();
    for x in 0..3 {
        ids.push(tenant.invoke("echo", json!({ "x": x })).await.unwrap().invocation.id);
        // Ids have milliseconds; those of one are in no order.
        tokio::time::sleep(std::time::Duration::from_millis(3)).await;
    }
    let failed = tenant.session().run("1 / 0").await.unwrap();
    ids.push(failed.invocation.id);
    ids.reverse();
    let runs = tenant.runs(10).await.unwrap();
    assert_eq!(runs.iter().map(|run| run.invocation.id).collect::<Vec<_>>(), ids);
    assert_eq!(tenant.runs(2).await.unwrap().len(), 2);
    assert_eq!(runs[3].invocation.arguments.as_str(), r#"{"x":0}"#);
    assert_eq!(runs[0].value().unwrap_err().code, Code::Raised);
    let unknown = repertoire::id::RunId::parse("01ARZ3NDEKTSV4RRFFQ69G5FAV").unwrap();
    assert_eq!(tenant.run_record(unknown).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(repertoire::id::RunId::parse("../x").unwrap_err().code(), Code::InvalidArgument);
    // A refused call was no run.
    assert!(tenant.invoke("echo", json!({})).await.is_err());
    assert_eq!(tenant.runs(10).await.unwrap().len(), 4);
}

/// Whoever shows output as it comes gets whole lines, and what was written
/// past Python's streams where it belongs.
#[tokio::test]
async fn a_print_is_one_event() {
    let tenant = bench().await.tenant;
    let source = "
import os
def run():
    print('one', 1, None)
    print('two', end='')
    os.write(1, b'raw')
    print('three', 'four', sep='-', end='!')
";
    tenant.add_workflow("root", source, "").await.unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    let invocation = tenant.invocation("root");
    invocation.on_event(move |event| sink.lock().unwrap().push(shown(&event))).run().await.unwrap();
    assert_eq!(
        *seen.lock().unwrap(),
        [r#"out "one 1 None\n""#, r#"out "two""#, r#"out "raw""#, r#"out "three-four!""#]
    );
}
