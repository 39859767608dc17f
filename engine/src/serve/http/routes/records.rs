//! `/v1/runs`

use serde::Deserialize;
use serde_json::json;

use super::super::answer::{Answer, Answered};
use super::super::auth::{Admin, Caller, Read};
use super::super::body::JsonBody;
use super::super::query::{Asked, Named, page};
use super::forms::{BriefRun, Decide, Record, Waiting};
use crate::id::RunId;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    limit: Option<usize>,
}

pub(super) async fn list(caller: Caller<Read>, Asked(query): Asked<ListQuery>) -> Answered {
    let runs = caller.tenant.runs(page(query.limit)?).await?;
    let waiting = caller.tenant.waiting()?;
    let runs: Vec<BriefRun<'_>> = runs.iter().map(Into::into).collect();
    let waiting: Vec<Waiting<'_>> = waiting.iter().map(Into::into).collect();
    Ok(Answer::of(&json!({"runs": runs, "waiting": waiting}))?)
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
    let calls: Vec<Waiting<'_>> = decided.iter().map(Into::into).collect();
    Ok(Answer::of(&json!({"agreed": agreed, "calls": calls}))?)
}
