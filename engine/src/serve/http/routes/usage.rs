//! `/v1/usage`

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::answer::{Answer, Answered};
use super::super::auth::{Caller, Read};
use super::super::openapi::Route;
use super::super::query::Asked;
use super::super::tokens::Scope;
use crate::error::Error;
use crate::serve::usage::Usage;

/// How many hours are looked back if nobody says.
const USUAL_HOURS: u64 = 24;

/// A year of them.
const MAX_HOURS: u64 = 366 * 24;

pub(super) fn routes() -> [Route; 1] {
    [Route::get(
        "/v1/usage",
        show,
        "getUsage",
        "What the tenant's runs have used, by workflow, and how much of its quota",
    )
    .scope(Scope::Read)
    .query::<UsageQuery>()
    .answers::<Usage>()]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UsageQuery {
    /// Of runs that started in the last so many hours; 24 if not given.
    #[schemars(range(min = 1, max = MAX_HOURS))]
    hours: Option<u64>,
}

pub(super) async fn show(caller: Caller<Read>, Asked(query): Asked<UsageQuery>) -> Answered {
    let hours = match query.hours.unwrap_or(USUAL_HOURS) {
        hours @ 1..=MAX_HOURS => hours,
        _ => {
            let message = format!("hours is between 1 and {MAX_HOURS}");
            return Err(Error::invalid_argument(message).into());
        }
    };
    Ok(Answer::of(&Usage::of(&caller.tenant, Duration::from_secs(hours * 3600)).await?)?)
}
