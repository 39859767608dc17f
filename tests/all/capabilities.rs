//! What a run may reach, whatever its source says of itself.

use repertoire::run::Run;
use repertoire::{Code, Grants, LiveGrants, Tenant};
use repertoire_tests::{Bench, bench, bench_with};
use serde_json::{Value, json};

async fn granted(grants: Grants) -> Bench {
    bench_with(|builder| builder.grants(grants)).await
}

fn rules(allow: &[&str]) -> Grants {
    allow.iter().fold(Grants::nothing(), |grants, rule| grants.allow(rule).unwrap())
}

async fn value(tenant: &Tenant, code: &str) -> Value {
    of(&tenant.session().run(code).await.unwrap())
}

fn of(run: &Run) -> Value {
    match run.value() {
        Ok(value) => value.to().unwrap(),
        Err(failure) => panic!("{}\n{}", failure.message, failure.traceback),
    }
}

/// However a tool is reached, the boundary is the same; and what may be called can be.
#[tokio::test]
async fn what_is_not_granted_is_denied_however_it_is_reached() {
    let bench = granted(rules(&["tools.test.echo", "workflows.create"])).await;
    let code = r#"
import asyncio
import wit_world.imports.tools as raw
from componentize_py_types import Err
from repertoire import DeniedError

def attempt(call):
    try:
        return call()
    except DeniedError as error:
        assert isinstance(error, PermissionError)
        return error.code
    except Err as error:
        return error.value.code.name
name = "".join(["ty", "ped"])
[
    attempt(lambda: tools.test.echo(x=1)),
    attempt(lambda: tools.test.typed(x=1)),
    attempt(lambda: getattr(getattr(tools, "test"), name)(x=1)),
    attempt(lambda: tools["test"][name](x=1)),
    attempt(lambda: asyncio.run(tools.test.typed.call_async(x=1))),
    attempt(lambda: raw.call("test", "typed", '{"x": 1}')),
    attempt(lambda: raw.start("test", "typed", '{"x": 1}') and "started"),
    attempt(lambda: tools.admin.drop(table="all")),
    attempt(lambda: artifacts.save("a", 1)),
    attempt(lambda: workflows.anything()),
    attempt(lambda: workflows.delete("anything")),
]"#;
    let seen = value(&bench.tenant, code).await;
    let denied = json!("denied");
    assert_eq!(seen[0], json!({"x": 1}));
    for index in [1, 2, 3, 4, 7, 8, 9, 10] {
        assert_eq!(seen[index], denied, "{index}: {seen}");
    }
    assert_eq!(seen[5], json!("DENIED"));
    // Started, it is the answer that is refused.
    assert_eq!(seen[6], json!("started"));
    assert_eq!(bench.seen.started(), 1, "only echo was called");
    let error = bench.tenant.invoke("anything", json!({})).await.unwrap_err();
    assert_eq!(error.code(), Code::Denied);
    assert!(error.message().ends_with(r#"allow = ["workflows.anything"]"#), "{error}");
    let error = bench.tenant.call_tool("test", "typed", &json!({"x": 1}).into()).await.unwrap_err();
    assert_eq!(error.code(), Code::Denied);
}

/// The refusal says what to write, and writing it is enough.
#[tokio::test]
async fn the_refusal_prints_the_line_that_allows_it() {
    let bench = granted(rules(&["workflows"])).await;
    let run = bench.tenant.session().run("tools.test.echo(x=1)").await.unwrap();
    let failure = run.value().unwrap_err();
    assert_eq!(failure.code, Code::Denied);
    let (_, line) = failure.message.split_once("allow = [").unwrap();
    let rule = line.trim_end_matches(']').trim_matches('"');
    assert_eq!(rule, "tools.test.echo");
    let allowed = Grants::clone(&bench.tenant.grants().get()).allow(rule).unwrap();
    bench.tenant.grants().set(allowed);
    assert_eq!(value(&bench.tenant, "tools.test.echo(x=1)").await, json!({"x": 1}));
}

#[tokio::test]
async fn lists_and_searches_show_what_may_be_run() {
    let bench = bench().await;
    let tenant = &bench.tenant;
    for (name, source) in [
        ("plain", "def run(): return 1"),
        ("uses_echo", "def run(): return tools.test.echo(x=1)"),
        ("uses_typed", "def run(): return tools.test.typed(x=1)"),
        ("through", "def run(): return workflows.uses_typed()"),
        ("keeps", "def run(): return artifacts.load('private/x')"),
    ] {
        tenant.add_workflow(name, source, format!("Do the thing called {name}")).await.unwrap();
    }
    let code = "
[
    [w.name for w in workflows.list()],
    sorted(w.name for w in workflows.search('do the thing', limit=2)) != [],
    sorted(w.name for w in workflows.search('do the thing', limit=100)),
    [name for name in ('plain', 'uses_typed') if workflows.get(name)],
    [[t.name, [c.name for c in t.callables]] for t in tools.list()],
    [[t.name, len(t.callables)] for t in tools.search('anything')],
]";
    let everything = value(tenant, code).await;
    assert_eq!(everything[0].as_array().unwrap().len(), 5, "the control: {everything}");
    assert_eq!(everything[2].as_array().unwrap().len(), 5, "the control: {everything}");
    let denied = ["tools.test.typed", "artifacts.private/*"];
    let grants = denied.iter().fold(Grants::everything(), |g, rule| g.deny(rule).unwrap());
    tenant.grants().set(grants.allow("workflows").unwrap().allow("tools").unwrap());
    let seen = value(tenant, code).await;
    assert_eq!(seen[0], json!(["plain", "uses_echo"]));
    assert_eq!(seen[1], json!(true));
    assert_eq!(seen[2], json!(["plain", "uses_echo"]));
    assert_eq!(seen[3], json!(["plain", "uses_typed"]), "its own name is not refused");
    let callables = seen[4][0][1].as_array().unwrap();
    assert!(!callables.contains(&json!("typed")) && callables.contains(&json!("echo")), "{seen}");
    assert_eq!(seen[5][0][1], json!(callables.len()));
    let names: Vec<_> =
        tenant.workflows().await.unwrap().iter().map(|w| w.name.to_string()).collect();
    assert_eq!(names, ["plain", "uses_echo"]);
    assert!(tenant.search("do the thing", 9).await.unwrap().len() == 2);
    assert!(tenant.tools()[0].callable("typed").is_none());
}

/// A workflow lends nothing to who invokes it.
#[tokio::test]
async fn a_nested_run_has_its_callers_grants() {
    let bench = bench().await;
    let tenant = &bench.tenant;
    tenant
        .add_workflow("shared_mailer", "def run(to: str): return tools.test.echo(x=to)", "")
        .await
        .unwrap();
    let code = "workflows.invoke('shared_mailer', to='x')";
    assert_eq!(value(tenant, code).await, json!({"x": "x"}));
    let mut poor = tenant.session().grants(rules(&["workflows"]));
    let run = poor.run(code).await.unwrap();
    assert_eq!(run.value().unwrap_err().code, Code::Denied);
    assert_eq!(bench.seen.started(), 1);
    let run = tenant
        .invocation("shared_mailer")
        .arguments(json!({"to": "y"}))
        .grants(rules(&["workflows"]))
        .run()
        .await
        .unwrap();
    assert_eq!(run.value().unwrap_err().code, Code::Denied);
    // A session's grants add nothing to its tenant's.
    tenant.grants().set(Grants::everything().deny("tools").unwrap());
    let mut rich = tenant.session().grants(Grants::everything());
    let run = rich.run("tools.test.echo(x=1)").await.unwrap();
    assert_eq!(run.value().unwrap_err().code, Code::Denied);
}

/// The first call is made; then the operator revokes, and the next is refused.
#[tokio::test]
async fn revoking_takes_effect_while_a_run_is_under_way() {
    let bench = bench().await;
    let live = LiveGrants::default();
    let mut session = bench.tenant.session().grants(live.clone());
    let code = "
first = tools.test.echo(x=1)
tools.test.sleep(ms=400)
try:
    second = tools.test.echo(x=2)
except PermissionError as error:
    second = error.code
[first, second]";
    let run = async { session.run(code).await.unwrap() };
    let revoke = async {
        // `echo` has answered before: the second call is `sleep`.
        bench.seen.until_started(2).await;
        live.set(Grants::everything().deny("tools.test.echo").unwrap());
    };
    let (run, ()) = tokio::join!(run, revoke);
    assert_eq!(of(&run), json!([{"x": 1}, "denied"]));
}

#[tokio::test]
async fn artifacts_are_granted_by_prefix() {
    let bench = granted(rules(&["artifacts.reports/*"])).await;
    bench.tenant.save_artifact("secret", &content("s"), "").await.unwrap();
    let code = "
from repertoire import DeniedError
def attempt(call):
    try:
        return call()
    except DeniedError as error:
        return error.code
artifacts.save('reports/a', 1)
[
    artifacts.load('reports/a'), [a.name for a in artifacts.list()],
    attempt(lambda: artifacts.load('secret')), attempt(lambda: artifacts.get('secret')),
    attempt(lambda: artifacts.versions('secret')), attempt(lambda: artifacts.delete('secret')),
    attempt(lambda: artifacts.open('secret')), attempt(lambda: artifacts.save('other', 1)),
    attempt(lambda: artifacts.save('other', b'x' * (3 << 20))),
]";
    let denied = "denied";
    assert_eq!(
        value(&bench.tenant, code).await,
        json!([1, ["reports/a"], denied, denied, denied, denied, denied, denied, denied])
    );
}

fn content(text: &str) -> repertoire::artifacts::Content {
    repertoire::artifacts::Content::Text(text.into())
}

#[tokio::test]
async fn a_manifest_is_composed_and_says_what_is_missing() {
    let bench = bench().await;
    let tenant = &bench.tenant;
    for (name, source) in [
        ("inner", "def run(n): return [tools.test.echo(x=n), artifacts.load('seen')]"),
        ("outer", "def run(n):\n workflows.inner(n=n)\n return getattr(tools, n)()"),
        ("round", "def run(): return [workflows.round(), workflows.outer(n=1), workflows.gone()]"),
        ("old", "def run(): return tools.test.renamed(x=1)"),
        ("older", "def run(): return workflows.old()"),
    ] {
        tenant.add_workflow(name, source, "").await.unwrap();
    }
    let manifest = tenant.capabilities("round").await.unwrap();
    let names = |named: &repertoire::capabilities::Named| named.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&manifest.tools), ["test.echo"]);
    assert_eq!(names(&manifest.workflows), ["gone", "inner", "outer", "round"]);
    assert_eq!(names(&manifest.artifacts), ["seen"]);
    assert_eq!(names(&manifest.computed), ["tools"]);
    assert!(manifest.tools["test.echo"].contains("inner"));
    assert_eq!(manifest.missing.iter().collect::<Vec<_>>(), ["gone"]);
    let broken = tenant.broken().await.unwrap();
    let shown: Vec<_> = broken
        .iter()
        .map(|found| {
            let list = |names: &std::collections::BTreeSet<String>| {
                names.iter().cloned().collect::<Vec<_>>().join(" ")
            };
            format!("{}: {} | {}", found.name, list(&found.by), list(&found.through))
        })
        .collect();
    assert_eq!(shown, ["tools.test.renamed: old | older", "workflows.gone: round | "]);
    assert_eq!(tenant.capabilities("nothing").await.unwrap_err().code(), Code::NotFound);
}
