//! What a run may reach, whatever its source says of itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use repertoire::id::ToolName;
use repertoire::run::Run;
use repertoire::tools::{CallContext, Callable, Registry, Tool, ToolInfo};
use repertoire::{Code, Grants, Json, LiveGrants, Tenant};
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

/// A tool that is a server's: it is started when somebody asks what it has.
struct Lazy {
    info: ToolInfo,
    started: Arc<AtomicUsize>,
}

impl Lazy {
    fn new(name: &str, started: &Arc<AtomicUsize>) -> Self {
        let info = ToolInfo {
            name: ToolName::new(name).unwrap(),
            description: format!("Does what {name} does"),
            tags: Vec::new(),
            callables: Vec::new(),
        };
        Self { info, started: Arc::clone(started) }
    }
}

#[async_trait]
impl Tool for Lazy {
    fn info(&self) -> &ToolInfo {
        &self.info
    }

    async fn describe(&self, _: &CallContext) -> repertoire::Result<Option<Arc<ToolInfo>>> {
        self.started.fetch_add(1, Ordering::SeqCst);
        let callable = |name: &str| Callable {
            name: name.to_owned(),
            description: String::new(),
            parameters: Vec::new(),
        };
        let callables = ["read", "write"].map(callable).into();
        Ok(Some(Arc::new(ToolInfo { callables, ..self.info.clone() })))
    }

    async fn call(&self, callable: &str, _: &Json, _: &CallContext) -> repertoire::Result<Json> {
        Json::from_value(&callable)
    }
}

/// What may not be called is not started to find out what it has, and no message names it.
#[tokio::test]
async fn what_is_hidden_is_not_started() {
    let (shown, hidden) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let tools = Registry::empty()
        .with(Lazy::new("shown", &shown))
        .unwrap()
        .with(Lazy::new("hidden", &hidden))
        .unwrap();
    let bench = bench_with(|builder| builder.tools(tools)).await;
    let tenant = &bench.tenant;
    let code = "
def refusal(call):
    try:
        return call()
    except Exception as error:
        return f'{type(error).__name__}: {error}'
[
    [[t.name, [c.name for c in t.callables]] for t in tools.list()],
    sorted(t.name for t in tools.search('hidden')),
    refusal(lambda: [c.name for c in tools.hidden.list()]),
    refusal(lambda: tools.hiden.read()),
    refusal(lambda: tools.shown.read()),
]";
    let everything = value(tenant, code).await;
    assert_eq!(everything[0].as_array().unwrap().len(), 2, "the control: {everything}");
    assert!(hidden.load(Ordering::SeqCst) > 0, "the control");
    hidden.store(0, Ordering::SeqCst);
    for grants in [
        Grants::everything().deny("tools.hidden").unwrap(),
        Grants::everything().deny("tools.h*").unwrap(),
        rules(&["tools.shown.read", "tools.hiden"]),
    ] {
        tenant.grants().set(grants);
        let seen = value(tenant, code).await;
        let names = [&seen[0][0][0], &seen[1][0]];
        assert_eq!(names, [&json!("shown"), &json!("shown")], "{seen}");
        assert_eq!((seen[0].as_array().unwrap().len(), seen[1].as_array().unwrap().len()), (1, 1));
        let text = seen.to_string();
        assert!(!text.contains("did you mean hidden"), "{seen}");
        assert_eq!(seen[4], json!("read"));
        assert_eq!(tenant.tools_now().await.len(), 1);
        assert_eq!(tenant.search_tools("hidden", 5).await.unwrap().len(), 1);
        assert_eq!(hidden.load(Ordering::SeqCst), 0, "a tool was started that may not be called");
    }
    // Part of a tool is granted: the rest of it is hidden.
    tenant.grants().set(rules(&["tools.hidden.write"]));
    let seen = value(tenant, code).await;
    assert_eq!(seen[0], json!([["hidden", ["write"]]]));
    assert!(seen[4].as_str().unwrap().starts_with("DeniedError"), "{seen}");
}

/// Whoever asks over MCP has the tenant's grants, in code and beside it.
#[cfg(feature = "full")]
#[tokio::test]
async fn an_mcp_client_reaches_what_is_granted() {
    use crate::mcp::{attempt, call, serve};

    let bench = bench().await;
    let tenant = &bench.tenant;
    tenant.add_workflow("public", "def run(): return 1", "").await.unwrap();
    tenant.add_workflow("private", "def run(): return 2", "").await.unwrap();
    tenant.save_artifact("private/a", &content("s"), "").await.unwrap();
    tenant.save_artifact("public/a", &content("p"), "").await.unwrap();
    let client = serve(tenant.clone(), &["private"]).await;
    let load = |name: &str| json!({"action": "load", "name": name});
    let tries = [
        ("get_workflow", json!({"name": "private"})),
        ("invoke_workflow", json!({"name": "private"})),
        ("artifacts", load("private/a")),
        ("artifacts", json!({"action": "save", "name": "private/b", "value": 1})),
        ("create_workflow", json!({"name": "new", "source": "def run(): return 1"})),
        ("delete_workflow", json!({"name": "new"})),
        ("artifacts", json!({"action": "delete", "name": "private/b"})),
    ];
    for (tool, given) in &tries {
        call(&client, tool, given.clone()).await;
    }
    let tools = client.list_all_tools().await.unwrap();
    assert!(tools.iter().any(|tool| tool.name == "private"), "the control");
    tenant.grants().set(rules(&["workflows.public", "artifacts.public/*"]));
    for (tool, given) in &tries {
        let refused = attempt(&client, tool, given.clone()).await;
        assert_eq!(refused.is_error, Some(true), "{tool} {given}");
    }
    assert_eq!(call(&client, "artifacts", load("public/a")).await["value"], json!("p"));
    let listed = call(&client, "artifacts", json!({"action": "list"})).await;
    assert_eq!(listed["artifacts"].as_array().unwrap().len(), 1, "{listed}");
    assert!(!client.list_all_tools().await.unwrap().iter().any(|tool| tool.name == "private"));
    let resources = client.list_all_resources().await.unwrap();
    assert_eq!(resources.len(), 1);
    assert!(tenant.artifact("private/a", None).await.is_ok(), "it was deleted");
}

/// `repertoire tools` shows and calls what is granted, and `tools check` says what a change breaks.
#[cfg(feature = "full")]
#[test]
fn the_command_line_goes_by_the_grants() {
    use std::process::Command;

    use crate::examples::commands::surround;

    let dir = tempfile::tempdir().unwrap();
    let tools = dir.path().join("tools");
    std::fs::create_dir(&tools).unwrap();
    let tool = |name: &str, recipe: &str| {
        let text = format!(
            "name: {name}\ndescription: Says it\ncommand: echo\nschema:\n  positional:\n    \
             - {{name: text, type: string, required: true}}\nrecipes:\n  {recipe}: {{preset: {{text: hello}}}}\n"
        );
        std::fs::write(tools.join(format!("{name}.yaml")), text).unwrap();
    };
    tool("say", "hello");
    tool("shout", "hello");
    let run = |arguments: &[&str], grants: &[(&str, &str)]| {
        let mut command = Command::new(repertoire_tests::cli());
        surround(&mut command, dir.path()).env("REPERTOIRE_TOOLS", &tools).args(arguments);
        let output = command.envs(grants.iter().copied()).output().unwrap();
        let (stdout, stderr) = (output.stdout, output.stderr);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&stdout), text(&stderr))
    };
    let granted = [("REPERTOIRE_GRANTS_ALLOW", "tools.say.hello,workflows")];
    let (_, all, _) = run(&["tools", "list"], &[]);
    assert!(all.contains("shout") && all.contains("say(text)"), "the control: {all}");
    let (_, some, _) = run(&["tools", "list"], &granted);
    assert!(some.contains("say.hello") && !some.contains("shout"), "{some}");
    assert!(!some.contains("say(text)"), "{some}");
    let (_, found, _) = run(&["tools", "search", "shout"], &granted);
    assert!(found.contains("say.hello") && !found.contains("shout"), "{found}");
    assert_eq!(run(&["tools", "call", "say.hello"], &granted).0, Some(0));
    let (status, _, why) = run(&["tools", "call", "shout.hello"], &granted);
    assert_ne!(status, Some(0));
    assert!(why.contains(r#"allow = ["tools.shout.hello"]"#), "{why}");

    let source = "def run():\n    \"\"\"Greets.\"\"\"\n    return tools.shout.hello()\n";
    std::fs::write(dir.path().join("greet.py"), source).unwrap();
    std::fs::write(dir.path().join("twice.py"), "def run():\n    return workflows.greet() * 2\n")
        .unwrap();
    for name in ["greet", "twice"] {
        let (status, _, why) =
            run(&["workflows", "create", name, "--source", &format!("{name}.py")], &[]);
        assert_eq!(status, Some(0), "{why}");
    }
    let (_, manifest, _) = run(&["workflows", "capabilities", "twice", "--json"], &granted);
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    let expected = json!([{"name": "shout.hello", "grant": "deny", "named_by": ["greet"]}]);
    assert_eq!(manifest["tools"], expected, "{manifest}");
    let (_, listed, _) = run(&["workflows", "list"], &granted);
    assert!(!listed.contains("greet") && !listed.contains("twice"), "{listed}");
    assert_eq!(run(&["tools", "check"], &[]).0, Some(0));
    tool("shout", "goodbye");
    let (status, broken, _) = run(&["tools", "check", "--json"], &[]);
    let broken: Value = serde_json::from_str(&broken).unwrap();
    let expected =
        json!([{"name": "tools.shout.hello", "named_by": ["greet"], "invoked_by": ["twice"]}]);
    assert_eq!((status, &broken["missing"]), (Some(1), &expected));
}
