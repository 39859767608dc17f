//! The story, step by step.

use std::path::Path;
use std::process::Stdio;

use serde::Deserialize;

use super::server::Server;
use super::stage::Stage;
use super::{Place, hostile};
use crate::cli::app::App;
use crate::cli::{runs, text};
use crate::clock::Stopwatch;
use crate::error::{Error, Result};
use crate::exchange::ImportAction;
use crate::id::TenantId;
use crate::json::Json;
use crate::run::Run;
use crate::tools::Registry;
use crate::{Engine, Session, Tenant};

/// How many lines of the library and of the records are shown.
const SHOWN: usize = 10;

const SEARCH: &str = r#"for intent in ("grab JSON from a web address", "which of these projects is the most popular", "turn rows into a table"):
    hits = workflows.search(intent, limit=3)
    print(f"{intent:46}", *(f"{hit.score:.2f} {hit.name}" for hit in hits), sep="  ")
hits[0].name
"#;

const ANALYZE: &str = r#"repos = ["python/cpython", "bytecodealliance/wasmtime", "lancedb/lancedb", "pallets/flask"]
report = workflows.analyze_multiple_repos(repos=repos, base_url=server)
{key: report[key] for key in ("total_repos", "total_stars", "languages", "most_popular")}
"#;

const SAVE: &str = r#"workflows.create(
    name="rank_repos_by_stars",
    description="Rank GitHub repositories by their stars, as a Markdown table",
    source='''async def run(repos: list[str], base_url: str = "https://api.github.com") -> str:
    """Rank GitHub repositories by their stars."""
    report = workflows.analyze_multiple_repos(repos=repos, base_url=base_url)
    ranked = sorted(report["repos"], key=lambda repo: -repo["stars"])
    return workflows.render_markdown_table(records=ranked, columns=["name", "stars", "language"])
''').name
"#;

const QUESTION: &str = "ranking of projects by popularity";

pub(super) async fn tell(app: &App, place: &Place, stage: &mut Stage<'_>) -> Result<()> {
    let server = Server::start().await?;
    let tools = Registry::from_folder(&place.tools(), &app.tool_options()?)?;
    let engine = Engine::builder()
        .runtime(app.runtime().await?)
        .data(place.data())
        .embedder(app.embedder())
        .tools(tools)
        .build();
    let tenant = engine.await?.create_tenant("demo").await?;
    stage.line("Repertoire: workflows that agents write, find by intent and run again, each in a sandbox of its own.")?;

    stage.act("The workflows that ship with it go into the library")?;
    import(&tenant, &place.workflows(), stage).await?;

    stage.act("An agent looks for what it needs, by meaning")?;
    let mut session = tenant.session();
    let run = cell(&mut session, SEARCH, stage).await?;
    stage.check_value(&run, "render_markdown_table to be found first", |value| {
        value == "\"render_markdown_table\""
    });
    for (rank, name) in ["fetch_json", "analyze_multiple_repos"].into_iter().enumerate() {
        let line = run.stdout.lines().nth(rank).unwrap_or_default();
        let first = line.split_whitespace().find(|word| word.contains('_')).unwrap_or_default();
        stage.check(first == name, &format!("{name} to be found first"), line);
    }

    stage.act(
        "It runs what it found: three levels deep, an instance for each, HTTP by the real curl",
    )?;
    session.run(&format!("server = {:?}", server.url())).await?;
    let run = cell(&mut session, ANALYZE, stage).await?;
    stage.check_value(&run, "169,380 stars in all", |value| value.contains("169380"));
    report_nested(&tenant, &run, &server, stage).await?;

    stage.act("What it has worked out, it saves")?;
    let run = cell(&mut session, SAVE, stage).await?;
    stage.check_value(&run, "rank_repos_by_stars to be saved", |value| {
        value == "\"rank_repos_by_stars\""
    });
    drop(session);
    tenant.flush().await?;

    stage.act("Another process finds it and runs it")?;
    second_process(app, place, &server, tenant.id(), stage).await?;

    stage.act("Programs that mean no good, each in a sandbox of its own")?;
    hostile::run_all(&tenant, stage).await?;

    stage.act("Every run has left a record")?;
    let runs = tenant.runs(1000).await?;
    // Those of the second process are there, too.
    let is_there =
        runs.iter().any(|run| run.invocation.workflow.as_deref() == Some("rank_repos_by_stars"));
    stage.check(
        is_there,
        "a record of the second process's run",
        &format!("{} others", runs.len()),
    );
    let shown = runs.get(..SHOWN.min(runs.len())).unwrap_or_default();
    stage.line(text::indented(&runs::table(shown), 3).trim_end())?;
    let more = runs.len().saturating_sub(shown.len());
    stage.line(&stage.faint(&format!("   and {more} more")))?;
    // Or the directory could not be removed while they are written.
    tenant.flush().await
}

async fn import(tenant: &Tenant, folder: &Path, stage: &mut Stage<'_>) -> Result<()> {
    let watch = Stopwatch::start();
    let report = tenant.import(folder, |_, _, _| {}).await?;
    let took = watch.elapsed();
    for imported in &report {
        let (created, problem) = match &imported.action {
            ImportAction::Created(workflow) => {
                (workflow.analysis.warnings.is_empty(), "a warning".to_owned())
            }
            ImportAction::Failed(error) => (false, error.chain()),
            other => (false, format!("{other:?}")),
        };
        let what = format!("{} to be saved without a warning", imported.path.display());
        stage.check(created, &what, &problem);
    }
    let again = Stopwatch::start();
    let unchanged = tenant.import(folder, |_, _, _| {}).await?;
    let all = unchanged.iter().all(|file| matches!(file.action, ImportAction::Unchanged(_)));
    stage.check(all, "nothing to change the second time", "changes");
    for workflow in tenant.workflows().await? {
        let description = stage.faint(&text::visible(&text::shortened(&workflow.description, 64)));
        stage.line(&format!("   {:<24}  {description}", workflow.name.as_str()))?;
    }
    stage.line(&format!(
        "   {} files: analysed in the sandbox, embedded and saved in {}; a second import changes nothing, in {}",
        report.len(),
        text::duration(took),
        text::duration(again.elapsed())
    ))
}

/// Runs a piece of agent code and shows it: the code, what it prints, its value, what it took.
async fn cell(session: &mut Session, code: &str, stage: &Stage<'_>) -> Result<Run> {
    stage.code(code)?;
    let run = session.run(code).await?;
    if !run.stdout.is_empty() {
        stage.quote(&run.stdout)?;
    }
    if let Ok(value) = run.value() {
        stage.quote(&text::compact(value.as_str()))?;
    }
    stage.line(&format!("   {}", stage.usage(&run)))?;
    Ok(run)
}

/// What a run has set off below it.
async fn report_nested(
    tenant: &Tenant,
    run: &Run,
    server: &Server,
    stage: &mut Stage<'_>,
) -> Result<()> {
    let mut family = vec![run.invocation.id];
    let mut nested = tenant.runs(100).await?;
    nested.sort_by_key(|run| run.invocation.depth);
    let mut names = Vec::new();
    for run in nested {
        if run.invocation.parent.is_some_and(|parent| family.contains(&parent)) {
            family.push(run.invocation.id);
            names.push((run.invocation.depth, run.invocation.workflow.unwrap_or_default()));
        }
    }
    let count = |name: &str| names.iter().filter(|(_, found)| found == name).count();
    let (requests, depth) = (server.requests(), names.iter().map(|(depth, _)| *depth).max());
    let counts = (count("analyze_multiple_repos"), count("get_repo_metadata"), count("fetch_json"));
    let found = format!("{counts:?}, {requests} requests, depth {depth:?}");
    let came_out = counts == (1, 4, 4) && requests == 4 && depth == Some(3);
    stage.check(came_out, "1 + 4 + 4 nested runs and 4 requests", &found);
    stage.line(&format!(
        "   analyze_multiple_repos x{} -> get_repo_metadata x{} -> fetch_json x{} -> curl: {requests} requests at {}",
        counts.0,
        counts.1,
        counts.2,
        server.url()
    ))
}

/// What the second process prints, as far as it matters here.
#[derive(Deserialize)]
struct Printed {
    hits: Option<Vec<Found>>,
    value: Option<String>,
    usage: Option<Used>,
}

#[derive(Deserialize)]
struct Found {
    name: String,
    score: f64,
}

#[derive(Deserialize)]
struct Used {
    fuel: u64,
}

async fn second_process(
    app: &App,
    place: &Place,
    server: &Server,
    tenant: &TenantId,
    stage: &mut Stage<'_>,
) -> Result<()> {
    let process = Process { app, place, tenant };
    stage.line(
        &stage.faint(&format!("   $ repertoire workflows search \"{QUESTION}\" --limit 1")),
    )?;
    let watch = Stopwatch::start();
    let printed = process.run(&["workflows", "search", QUESTION, "--limit", "1"]).await?;
    let took = watch.elapsed();
    let hit = printed.hits.and_then(|hits| hits.into_iter().next());
    let (name, score) = hit.map_or_else(Default::default, |hit| (hit.name, hit.score));
    let mark = stage.check(name == "rank_repos_by_stars", "rank_repos_by_stars to be found", &name);
    stage.quote(&format!("{score:.2} {name}"))?;
    let took = stage.faint(&format!("{}, the whole process", text::duration(took)));
    stage.line(&format!("   {mark} {took}"))?;

    let arguments = serde_json::json!({
        "repos": ["lancedb/lancedb", "bytecodealliance/wasmtime", "python/cpython"],
        "base_url": server.url(),
    });
    let arguments = Json::from(arguments).to_string();
    stage.line(&stage.faint(&format!("   $ repertoire run {name} --args '{arguments}'")))?;
    let watch = Stopwatch::start();
    let printed = process.run(&["run", "rank_repos_by_stars", "--args", &arguments]).await?;
    let took = watch.elapsed();
    let table = printed.value.unwrap_or_default();
    let rows = ["| python/cpython", "| bytecodealliance/wasmtime", "| lancedb/lancedb"];
    let places: Vec<_> = rows.iter().map(|row| table.find(row)).collect();
    let mark = stage.check(
        places.is_sorted() && places.iter().all(Option::is_some),
        "three repositories, the most popular first",
        &table,
    );
    stage.quote(&table)?;
    let fuel = printed.usage.map_or(0, |usage| usage.fuel);
    let used =
        format!("{}, the whole process; {} fuel", text::duration(took), text::thousands(fuel));
    stage.line(&format!("   {mark} {}", stage.faint(&used)))
}

/// This program, once more.
struct Process<'a> {
    app: &'a App,
    place: &'a Place,
    tenant: &'a TenantId,
}

impl Process<'_> {
    async fn run(&self, arguments: &[&str]) -> Result<Printed> {
        let mut command = tokio::process::Command::new(&self.app.environment.executable);
        command.args(["--json", "--quiet", "--tenant", self.tenant.as_str()]);
        command.arg("--data").arg(self.place.data()).arg("--tools").arg(self.place.tools());
        let settings = &self.app.settings;
        for (flag, name) in [
            ("--component", "runtime.component"),
            ("--cache", "runtime.cache"),
            ("--model", "embedding.model"),
            ("--onnxruntime", "embedding.onnxruntime"),
        ] {
            if let Some(path) = settings.path(name) {
                command.arg(flag).arg(path);
            }
        }
        command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
        let answer = command.output().await.map_err(|error| {
            Error::unavailable("cannot start a second process").with_source(error)
        })?;
        let text = String::from_utf8_lossy(&answer.stdout);
        let complaint = String::from_utf8_lossy(&answer.stderr);
        if !answer.status.success() {
            return Err(Error::internal(format!(
                "the second process failed ({}): {}{}",
                answer.status,
                text.trim(),
                complaint.trim()
            )));
        }
        Json::parse(text.trim())?.to()
    }
}
