//! `/v1/tools`

use std::sync::Arc;

use serde_json::json;

use super::super::answer::{Answer, Answered};
use super::super::auth::{Caller, Read};
use super::super::query::{Asked, page};
use super::super::wire;
use super::workflows::SearchQuery;
use crate::tools::ToolInfo;

pub(super) async fn list(caller: Caller<Read>) -> Answered {
    callables(&caller.tenant.tools_now().await)
}

pub(super) async fn search(caller: Caller<Read>, Asked(asked): Asked<SearchQuery>) -> Answered {
    callables(&caller.tenant.search_tools(&asked.query, page(asked.limit)?).await?)
}

fn callables(tools: &[Arc<ToolInfo>]) -> Answered {
    let callables: Vec<_> = tools.iter().flat_map(|tool| wire::callables(tool)).collect();
    Ok(Answer::of(&json!({"tools": callables}))?)
}
