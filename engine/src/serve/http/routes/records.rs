//! `/v1/runs`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::answer::{Answer, Answered};
use super::super::auth::{Admin, Caller, Read};
use super::super::body::JsonBody;
use super::super::limits::MAX_PAGE;
use super::super::openapi::Route;
use super::super::query::{Asked, Named, cut, page};
use super::super::tokens::Scope;
use super::forms::{BriefRun, Decide, Record, Waiting};
use crate::id::RunId;

/// A run's id, a ULID.
const RUN_ID: &str = "^[0-7][0-9A-HJKMNP-TV-Z]{25}$";

pub(super) fn routes() -> [Route; 4] {
    [
        Route::get(
            "/v1/runs",
            list,
            "listRuns",
            "The newest runs, and calls that wait for approval",
        )
        .scope(Scope::Read)
        .query::<ListQuery>()
        .answers::<Runs<'_>>(),
        Route::get("/v1/runs/{id}", show, "getRun", "What is recorded of a run")
            .scope(Scope::Read)
            .named(RUN_ID)
            .answers::<Record<'_>>(),
        Route::post("/v1/runs/{id}/approve", approve, "approveCall", "Let a waiting call go on")
            .scope(Scope::Admin)
            .named(RUN_ID)
            .takes::<Decide>()
            .answers::<Decided<'_>>(),
        Route::post("/v1/runs/{id}/deny", deny, "denyCall", "Refuse a waiting call")
            .scope(Scope::Admin)
            .named(RUN_ID)
            .takes::<Decide>()
            .answers::<Decided<'_>>(),
    ]
}

#[derive(Serialize, JsonSchema)]
struct Runs<'a> {
    /// The newest first.
    runs: Vec<BriefRun<'a>>,
    /// What the next page is before.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    /// Calls that wait for an approval.
    waiting: Vec<Waiting<'a>>,
}

#[derive(Serialize, JsonSchema)]
struct Decided<'a> {
    agreed: bool,
    /// What was decided on.
    calls: Vec<Waiting<'a>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    /// How many; 50 if not given.
    #[schemars(range(min = 1, max = MAX_PAGE))]
    limit: Option<usize>,
    /// The `next` of the page before: runs that are older.
    before: Option<String>,
}

pub(super) async fn list(caller: Caller<Read>, Asked(query): Asked<ListQuery>) -> Answered {
    let limit = page(query.limit)?;
    let before = query.before.as_deref().map(RunId::parse).transpose()?;
    let mut runs = match before {
        None => caller.tenant.runs(limit + 1).await?,
        Some(before) => caller.tenant.runs_before(before, limit + 1).await?,
    };
    let has_more = cut(&mut runs, limit);
    let next = runs.last().filter(|_| has_more).map(|last| last.invocation.id.to_string());
    let waiting = caller.tenant.waiting()?;
    Ok(Answer::of(&Runs {
        runs: runs.iter().map(Into::into).collect(),
        next,
        waiting: waiting.iter().map(Into::into).collect(),
    })?)
}

pub(super) async fn show(caller: Caller<Read>, Named(id): Named) -> Answered {
    let run = caller.tenant.run_record(RunId::parse(&id)?).await?;
    Ok(Answer::of(&Record::from(&run))?)
}

pub(super) async fn approve(
    caller: Caller<Admin>,
    Named(id): Named,
    body: JsonBody<Decide>,
) -> Answered {
    decide(&caller, &id, &body.value, true)
}

pub(super) async fn deny(
    caller: Caller<Admin>,
    Named(id): Named,
    body: JsonBody<Decide>,
) -> Answered {
    decide(&caller, &id, &body.value, false)
}

fn decide(caller: &Caller<Admin>, id: &str, given: &Decide, agreed: bool) -> Answered {
    let decided = caller.tenant.decide(RunId::parse(id)?, given.call, agreed)?;
    Ok(Answer::of(&Decided { agreed, calls: decided.iter().map(Into::into).collect() })?)
}
