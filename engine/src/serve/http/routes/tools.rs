//! `/v1/tools`

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::super::answer::{Answer, Answered};
use super::super::auth::{Caller, Read};
use super::super::openapi::Route;
use super::super::query::{Asked, page};
use super::super::tokens::Scope;
use super::super::wire;
use super::workflows::SearchQuery;
use crate::tools::ToolInfo;

pub(super) fn routes() -> [Route; 2] {
    [
        Route::get("/v1/tools", list, "listTools", "All tools, each way to call them")
            .scope(Scope::Read)
            .answers::<Tools<'_>>(),
        Route::get("/v1/tools/search", search, "searchTools", "Find tools by what they do")
            .scope(Scope::Read)
            .query::<SearchQuery>()
            .answers::<Tools<'_>>(),
    ]
}

#[derive(Serialize, JsonSchema)]
struct Tools<'a> {
    tools: Vec<wire::Tool<'a>>,
}

pub(super) async fn list(caller: Caller<Read>) -> Answered {
    callables(&caller.tenant.tools_now().await)
}

pub(super) async fn search(caller: Caller<Read>, Asked(asked): Asked<SearchQuery>) -> Answered {
    callables(&caller.tenant.search_tools(&asked.query, page(asked.limit)?).await?)
}

fn callables(tools: &[Arc<ToolInfo>]) -> Answered {
    Ok(Answer::of(&Tools { tools: tools.iter().flat_map(|tool| wire::callables(tool)).collect() })?)
}
