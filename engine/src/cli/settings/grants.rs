//! What tenants may reach: the section `[grants]`, of all or of one.

use super::{Settings, Value, Values};
use crate::error::{Error, Result};
use crate::grants::{Decision, Grants, Rule};

impl Settings {
    /// What the tenant may reach.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument), naming where a rule
    /// that is none was written.
    pub(in super::super) fn grants(&self) -> Result<Grants> {
        grants_of(&self.values)
    }
}

/// What values say of grants.
pub(super) fn grants_of(values: &Values) -> Result<Grants> {
    let refuse = |name: &str, problem: &str| {
        let origin = values.get(name).map(|(_, origin)| origin.to_string());
        let origin = origin.unwrap_or_default();
        Error::invalid_argument(format!("{origin}: {name}: {problem}"))
    };
    let rules = |name| match values.get(name) {
        Some((Value::List(rules), _)) => rules
            .iter()
            .map(|rule| Rule::new(rule).map_err(|error| refuse(name, error.message())))
            .collect(),
        _ => Ok(Vec::new()),
    };
    let default = match values.get("grants.default").map(|(value, _)| value.to_string()).as_deref()
    {
        None => None,
        Some("allow") => Some(Decision::Allow),
        Some("ask") => Some(Decision::Ask),
        Some("deny") => Some(Decision::Deny),
        Some(_) => {
            return Err(refuse("grants.default", "write \"allow\", \"ask\" or \"deny\""));
        }
    };
    let (allow, ask) = (rules("grants.allow")?, rules("grants.ask")?);
    let ask_seconds = match values.get("grants.ask_seconds") {
        Some((Value::Count(seconds), _)) => Some(*seconds),
        _ => None,
    };
    Ok(Grants { default, allow, ask, deny: rules("grants.deny")?, ask_seconds })
}
