//! What the server offers, as an OpenAPI 3.1 document.

use serde_json::{Value, json};

use super::answer::{Answer, Answered};
use super::auth::{Caller, Nothing};

/// The document.
#[must_use]
pub fn document() -> Value {
    json!({})
}

pub(super) async fn serve(_: Caller<Nothing>) -> Answered {
    Ok(Answer::of(&document())?)
}
