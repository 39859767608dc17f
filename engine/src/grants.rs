//! What a caller may reach: tools, workflows and artifacts.
//!
//! A [`Rule`] names what it is about as Python would: `tools.curl.get`,
//! `workflows.fetch_json`, `artifacts.reports/*`. `deny` beats `ask`, which beats
//! `allow`, which beats the default; the order within a list means nothing. Where
//! several grants hold (a tenant's, a session's), the strictest decides.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Code, Error, Result};
use crate::id::quoted;
use crate::live::Live;

/// How long a run waits for answers, unless its grants say otherwise: ten
/// minutes, in which somebody sees a message and reads what is asked.
const ASK_SECONDS: u64 = 600;

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// It is done.
    Allow,
    /// Somebody is asked first; the run pauses until they have answered.
    Ask,
    /// It is refused.
    Deny,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allow",
            Self::Ask => "ask",
            Self::Deny => "deny",
        })
    }
}

/// What a rule is about; a `*` at its end stands for anything.
///
/// | rule | is about |
/// |---|---|
/// | `tools` | every tool |
/// | `tools.curl` | the tool and all its recipes |
/// | `tools.curl.get` | that recipe |
/// | `tools.curl()` | the tool itself and none of its recipes |
/// | `workflows` | every workflow, and creating and deleting them |
/// | `workflows.fetch_json` | that workflow |
/// | `workflows.create`, `workflows.delete` | creating, deleting |
/// | `artifacts` | every artifact |
/// | `artifacts.reports/*` | those whose names begin so |
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule(String);

impl Rule {
    /// Reads a rule.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`] if it is about nothing that there is.
    pub fn new(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        let (root, rest) = text.split_once('.').unwrap_or((&text, "*"));
        let fits = |most: usize| {
            let parts: Vec<_> = rest.trim_end_matches('*').split('.').collect();
            let word = |part: &str| part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            let last = parts.last().is_some_and(|part| word(part.trim_end_matches("()")));
            parts.len() <= most && parts.iter().rev().skip(1).all(|part| word(part)) && last
        };
        let is_rule = !rest.is_empty()
            && match root {
                "tools" => fits(2),
                "workflows" => fits(1) && !rest.contains('('),
                "artifacts" => rest.bytes().all(|b| matches!(b, b' '..=b'~')),
                _ => false,
            };
        if !is_rule {
            return Err(Error::invalid_argument(format!(
                "{} is no rule; rules are like tools.curl.get, workflows.fetch_json or artifacts.reports/*",
                quoted(&text)
            )));
        }
        Ok(Self(text))
    }

    /// The rule as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is about all of a tool, or about something of it.
    fn is_about_tool(&self, tool: &str) -> (bool, bool) {
        let (root, rest) = self.0.split_once('.').unwrap_or((&self.0, "*"));
        let all = match rest.strip_suffix('*') {
            Some(prefix) => tool.starts_with(prefix),
            None => tool == rest,
        };
        let some = rest.strip_prefix(tool).is_some_and(|rest| rest.starts_with(['.', '(']));
        (root == "tools" && all, root == "tools" && (all || some))
    }

    fn is_about(&self, target: &Target<'_>) -> bool {
        let (root, rest) = self.0.split_once('.').unwrap_or((&self.0, "*"));
        let matches = |name: &str| match rest.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == rest,
        };
        match *target {
            Target::Tool { tool, callable: "" } => {
                root == "tools" && (matches(tool) || matches(&format!("{tool}()")))
            }
            Target::Tool { tool, callable } => {
                root == "tools" && (matches(tool) || matches(&format!("{tool}.{callable}")))
            }
            Target::Workflow(name) => root == "workflows" && matches(name),
            Target::Create => root == "workflows" && matches("create"),
            Target::Delete => root == "workflows" && matches("delete"),
            Target::Artifact(name) => root == "artifacts" && matches(name),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// What a call is about.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target<'a> {
    Tool { tool: &'a str, callable: &'a str },
    Workflow(&'a str),
    Create,
    Delete,
    Artifact(&'a str),
}

impl fmt::Display for Target<'_> {
    /// The rule that is about this and nothing else.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tool { tool, callable: "" } => write!(f, "tools.{tool}()"),
            Self::Tool { tool, callable } => write!(f, "tools.{tool}.{callable}"),
            Self::Workflow(name) => write!(f, "workflows.{name}"),
            Self::Create => f.write_str("workflows.create"),
            Self::Delete => f.write_str("workflows.delete"),
            Self::Artifact(name) => write!(f, "artifacts.{name}"),
        }
    }
}

/// What a tenant or a session may reach. The default is everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Grants {
    /// What becomes of that which no rule is about; if it is not said, it is
    /// refused where something is allowed by name, else allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Decision>,
    /// What is done.
    pub allow: Vec<Rule>,
    /// What is done once somebody has agreed.
    pub ask: Vec<Rule>,
    /// What is refused, whatever else is said.
    pub deny: Vec<Rule>,
    /// How many seconds a run waits for answers, all its calls together; then the answer is no. Ten minutes if it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ask_seconds: Option<u64>,
}

impl Grants {
    /// Everything is allowed.
    #[must_use]
    pub fn everything() -> Self {
        Self::default()
    }

    /// Nothing is allowed.
    #[must_use]
    pub fn nothing() -> Self {
        Self { default: Some(Decision::Deny), ..Self::default() }
    }

    /// Allows what a rule is about.
    ///
    /// # Errors
    /// As [`Rule::new`].
    pub fn allow(mut self, rule: &str) -> Result<Self> {
        self.allow.push(Rule::new(rule)?);
        Ok(self)
    }

    /// Has somebody asked before what a rule is about is done.
    ///
    /// # Errors
    /// As [`Rule::new`].
    pub fn ask(mut self, rule: &str) -> Result<Self> {
        self.ask.push(Rule::new(rule)?);
        Ok(self)
    }

    /// Refuses what a rule is about.
    ///
    /// # Errors
    /// As [`Rule::new`].
    pub fn deny(mut self, rule: &str) -> Result<Self> {
        self.deny.push(Rule::new(rule)?);
        Ok(self)
    }

    /// Whether nothing is refused or asked about.
    fn is_everything(&self) -> bool {
        self.otherwise() == Decision::Allow && self.ask.is_empty() && self.deny.is_empty()
    }

    fn otherwise(&self) -> Decision {
        let unsaid = if self.allow.is_empty() { Decision::Allow } else { Decision::Deny };
        self.default.unwrap_or(unsaid)
    }

    /// Whether there may be something of a tool that is not refused.
    fn may_reach_tool(&self, tool: &str) -> bool {
        let mut permitting = self.allow.iter().chain(&self.ask);
        let is_denied = self.deny.iter().any(|rule| rule.is_about_tool(tool).0);
        !is_denied
            && (self.otherwise() < Decision::Deny
                || permitting.any(|rule| rule.is_about_tool(tool).1))
    }

    /// What becomes of a call, and the rule that says so, if one does.
    fn decide(&self, target: &Target<'_>) -> (Decision, Option<&Rule>) {
        let lists = [
            (&self.deny, Decision::Deny),
            (&self.ask, Decision::Ask),
            (&self.allow, Decision::Allow),
        ];
        for (rules, decision) in lists {
            if let Some(rule) = rules.iter().find(|rule| rule.is_about(target)) {
                return (decision, Some(rule));
            }
        }
        (self.otherwise(), None)
    }
}

/// Grants that can be changed while runs are under way: the next call of each
/// goes by the new ones. Clones are the same grants.
pub type LiveGrants = Live<Grants>;

/// All grants that hold for a run: its tenant's, its session's. A nested run has its caller's.
#[derive(Debug, Clone, Default)]
pub(crate) struct Granted(Vec<LiveGrants>);

impl Granted {
    /// Nothing beyond these.
    pub(crate) fn only(grants: &LiveGrants) -> Self {
        Self(vec![grants.clone()])
    }

    /// What these allow, and those as well.
    #[must_use]
    pub(crate) fn and(mut self, grants: LiveGrants) -> Self {
        self.0.push(grants);
        self
    }

    /// Whether nothing is refused or asked about.
    pub(crate) fn is_everything(&self) -> bool {
        self.0.iter().all(|grants| grants.get().is_everything())
    }

    /// How long a run waits for answers, all its calls together.
    pub(crate) fn patience(&self) -> Duration {
        let seconds = self.0.iter().filter_map(|grants| grants.get().ask_seconds).min();
        Duration::from_secs(seconds.unwrap_or(ASK_SECONDS))
    }

    /// Whether a call could be made, if need be after somebody has agreed.
    pub(crate) fn permits(&self, target: &Target<'_>) -> bool {
        self.decide(target) < Decision::Deny
    }

    /// Whether there may be something of a tool that could be called, whatever its
    /// recipes are: of the others nobody need ask what they have.
    pub(crate) fn may_reach_tool(&self, tool: &str) -> bool {
        self.0.iter().all(|grants| grants.get().may_reach_tool(tool))
    }

    /// What becomes of a call.
    pub(crate) fn decide(&self, target: &Target<'_>) -> Decision {
        let decisions = self.0.iter().map(|grants| grants.get().decide(target).0);
        decisions.max().unwrap_or(Decision::Allow)
    }

    /// What becomes of a call that is not refused.
    ///
    /// # Errors
    /// [`Code::Denied`], with the line that would allow it.
    pub(crate) fn check(&self, target: &Target<'_>) -> Result<Decision> {
        let decision = self.decide(target);
        if decision < Decision::Deny {
            return Ok(decision);
        }
        let text = target.to_string();
        let shown = quoted(&text);
        let layers: Vec<_> = self.0.iter().map(LiveGrants::get).collect();
        let denied = layers.iter().find_map(|grants| match grants.decide(target) {
            (Decision::Deny, Some(rule)) => Some(rule.clone()),
            _ => None,
        });
        let message = match denied {
            Some(rule) => format!(
                "{shown} is denied by the rule {}: to allow it, take that out of deny in [grants]",
                quoted(rule.as_str())
            ),
            None => format!(
                "{shown} is not granted; the line in [grants] that allows it: allow = [{shown}]"
            ),
        };
        let details = serde_json::json!({ "target": text.get(..text.floor_char_boundary(300)) });
        Err(Error::new(Code::Denied, message).with_details(details.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool<'a>(tool: &'a str, callable: &'a str) -> Target<'a> {
        Target::Tool { tool, callable }
    }

    #[test]
    fn rules_are_about_what_they_name() {
        let about = |rule: &str, target: Target<'_>| Rule::new(rule).unwrap().is_about(&target);
        for (rule, target, expected) in [
            ("tools", tool("curl", "get"), true),
            ("tools.*", tool("curl", ""), true),
            ("tools.curl", tool("curl", "get"), true),
            ("tools.curl", tool("curl", ""), true),
            ("tools.curl", tool("curly", ""), false),
            ("tools.curl.get", tool("curl", "get"), true),
            ("tools.curl.get", tool("curl", "post"), false),
            ("tools.curl.get", tool("curl", ""), false),
            ("tools.curl.*", tool("curl", "post"), true),
            ("tools.curl()", tool("curl", ""), true),
            ("tools.curl()", tool("curl", "get"), false),
            ("tools.cu*", tool("curl", "get"), true),
            ("workflows.a", Target::Workflow("a"), true),
            ("workflows.a", Target::Workflow("ab"), false),
            ("workflows.a*", Target::Workflow("ab"), true),
            ("workflows.a", Target::Create, false),
            ("workflows.create", Target::Create, true),
            ("workflows", Target::Delete, true),
            ("artifacts.r/*", Target::Artifact("r/x"), true),
            ("artifacts.r/*", Target::Artifact("s/r/x"), false),
            ("artifacts.r", Target::Artifact("r/x"), false),
            ("artifacts", Target::Artifact("r/x"), true),
            ("artifacts", tool("artifacts", ""), false),
        ] {
            assert_eq!(about(rule, target), expected, "{rule} {target}");
        }
        for rule in [
            "",
            "*",
            "tool.curl",
            "tools.",
            "tools.a.b.c",
            "tools.a b",
            "workflows.a.b",
            "workflows.x()",
            "artifacts.é",
            "tools.a()b",
            "secrets.x",
        ] {
            assert!(Rule::new(rule).is_err(), "{rule}");
        }
    }

    #[test]
    fn deny_beats_ask_beats_allow_beats_the_default() {
        let decide = |grants: &Grants, target: Target<'_>| grants.decide(&target).0;
        let all = Grants::everything();
        assert_eq!(decide(&all, tool("a", "")), Decision::Allow);
        assert_eq!(decide(&Grants::nothing(), tool("a", "")), Decision::Deny);
        let some = Grants::everything().allow("tools.a").unwrap();
        assert_eq!(decide(&some, tool("a", "")), Decision::Allow);
        assert_eq!(decide(&some, Target::Artifact("x")), Decision::Deny);
        let asks = Grants::everything().ask("tools.a.b").unwrap();
        assert_eq!(decide(&asks, tool("a", "b")), Decision::Ask);
        assert_eq!(decide(&asks, tool("a", "")), Decision::Allow);
        let denies = asks.allow("tools.a").unwrap().deny("tools.a.b").unwrap();
        assert_eq!(decide(&denies, tool("a", "b")), Decision::Deny);
        assert_eq!(decide(&denies, tool("a", "c")), Decision::Allow);
    }

    #[test]
    fn a_tool_of_which_nothing_is_granted_need_not_be_asked() {
        let may = |allow: &[&str], ask: &[&str], deny: &[&str], default| {
            let rules =
                |rules: &[&str]| rules.iter().map(|rule| Rule::new(*rule).unwrap()).collect();
            let (allow, ask, deny) = (rules(allow), rules(ask), rules(deny));
            Grants { default, allow, ask, deny, ask_seconds: None }.may_reach_tool("curl")
        };
        assert!(may(&[], &[], &[], None));
        assert!(may(&["tools"], &[], &["tools.curly", "tools.curl.get", "tools.curl()"], None));
        assert!(may(&["tools.curl.g*"], &[], &[], None));
        assert!(may(&["tools.curl()"], &[], &[], None));
        assert!(may(&["workflows"], &["tools.cu*"], &[], None));
        assert!(may(&[], &[], &["tools.curl.*"], None), "the tool itself is left");
        assert!(!may(&["tools"], &[], &["tools.curl"], None));
        assert!(!may(&["tools"], &[], &["tools.c*"], None));
        assert!(!may(&["tools.curly", "tools.cur"], &[], &[], None));
        assert!(!may(&["workflows.curl"], &[], &[], None));
        assert!(!may(&[], &[], &[], Some(Decision::Deny)));
    }

    #[test]
    fn the_strictest_decides_and_the_message_says_how() {
        let tenant = LiveGrants::new(Grants::everything());
        let session = Grants::everything().allow("tools.a").unwrap();
        let granted = Granted::only(&tenant).and(session.into());
        assert!(!granted.is_everything());
        assert_eq!(granted.check(&tool("a", "b")).unwrap(), Decision::Allow);
        let refused = granted.check(&tool("b", "c")).unwrap_err();
        assert_eq!(refused.code(), Code::Denied);
        assert!(refused.message().ends_with(r#"allow = ["tools.b.c"]"#), "{refused}");
        // Revoked while the run goes on.
        tenant.set(Grants::everything().deny("tools.a").unwrap());
        let refused = granted.check(&tool("a", "b")).unwrap_err();
        assert!(refused.message().contains(r#"the rule "tools.a""#), "{refused}");
    }

    #[test]
    fn a_file_says_it_in_lists() {
        let grants: Grants =
            serde_json::from_str(r#"{"allow": ["tools.curl.get"], "deny": ["artifacts.x"]}"#)
                .unwrap();
        assert_eq!(grants.otherwise(), Decision::Deny);
        assert!(serde_json::from_str::<Grants>(r#"{"alow": []}"#).is_err());
        assert!(serde_json::from_str::<Grants>(r#"{"allow": ["curl"]}"#).is_err());
    }
}
