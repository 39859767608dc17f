//! The tools that there are, by name.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use tokio::sync::OnceCell;

use super::cli::{CliOptions, CliTool};
use super::{CallContext, Tool, ToolInfo, spec};
use crate::embed::{Embedder, Vector};
use crate::error::{Code, Error, Result};
use crate::id::{ToolName, quoted};
use crate::json::Json;
use crate::schema::{Validator, nearest};
use crate::search::{MAX_HITS, MAX_QUERY, similarity};

/// The largest answer of a tool, in bytes of JSON. Escaped, the four MiB that a
/// command may print can become six times as much; a guest has to hold it twice.
pub const MAX_ANSWER: usize = 8 << 20;

/// The most names that a message lists.
const MAX_LISTED: usize = 20;

/// Tools by name, each with its arguments' validators. Cloning is cheap, and
/// what a clone sees does not change.
#[derive(Clone, Default)]
pub struct Registry(Arc<Tools>);

#[derive(Default)]
struct Tools {
    entries: BTreeMap<ToolName, Arc<Entry>>,
    vectors: Mutex<BTreeMap<String, Vectors>>,
}

/// The vectors of one model, in the order of the entries.
type Vectors = Arc<OnceCell<Vec<Vector>>>;

struct Entry {
    tool: Arc<dyn Tool>,
    info: Arc<ToolInfo>,
    validators: BTreeMap<String, Validator>,
}

impl Registry {
    /// No tools.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// The tools of a folder of tool files.
    ///
    /// # Errors
    /// As [`spec::load_folder`].
    pub fn from_folder(folder: &Path, options: &CliOptions) -> Result<Self> {
        let specs = spec::load_folder(folder)?.into_iter();
        Self::empty().with_all(specs.map(|spec| Arc::new(CliTool::new(spec, options.clone())) as _))
    }

    /// These tools and one more.
    ///
    /// # Errors
    /// As [`Registry::with_all`].
    pub fn with(self, tool: impl Tool + 'static) -> Result<Self> {
        self.with_all([Arc::new(tool) as _])
    }

    /// These tools and more.
    ///
    /// # Errors
    /// [`Code::AlreadyExists`] if a name is taken; [`Code::InvalidArgument`] if a
    /// parameter's schema is not one.
    pub fn with_all(self, tools: impl IntoIterator<Item = Arc<dyn Tool>>) -> Result<Self> {
        let mut entries = self.0.entries.clone();
        for tool in tools {
            let info = Arc::new(tool.info().clone());
            if entries.contains_key(&info.name) {
                return Err(Error::already_exists(format!(
                    "there is a tool {} already; rename one of them",
                    info.name
                )));
            }
            let validators = info.callables.iter().map(|callable| {
                let what = format!("tool {}", called(&info.name, &callable.name));
                Ok((callable.name.clone(), Validator::new(what, &callable.parameters, false)?))
            });
            let validators = validators.collect::<Result<_>>()?;
            entries.insert(info.name.clone(), Arc::new(Entry { tool, info, validators }));
        }
        Ok(Self(Arc::new(Tools { entries, vectors: Mutex::default() })))
    }

    /// Every tool, by name.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<ToolInfo>> {
        self.0.entries.values().map(|entry| entry.info.clone()).collect()
    }

    /// One tool.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<ToolInfo>> {
        self.entry(name).map(|entry| entry.info.clone())
    }

    /// Calls a tool, `callable` empty, or one of its recipes.
    ///
    /// # Errors
    /// [`Code::NotFound`] if there is no such tool or recipe; [`Code::InvalidArgument`]
    /// if the arguments do not fit, in which case nothing was started;
    /// [`Code::ToolFailed`], [`Code::TimedOut`] or what else the tool says.
    pub async fn call(
        &self,
        tool: &str,
        callable: &str,
        arguments: &Json,
        context: &CallContext,
    ) -> Result<Json> {
        let entry = self.entry(tool).ok_or_else(|| self.no_tool(tool))?;
        let validator =
            entry.validators.get(callable).ok_or_else(|| no_callable(&entry.info, callable))?;
        validator.check(arguments)?;
        let name = called(&entry.info.name, callable);
        refuse_duplicates(&name, arguments)?;
        let answer = entry.tool.call(callable, arguments, context).await?;
        if answer.len() > MAX_ANSWER {
            return Err(Error::new(
                Code::ToolFailed,
                format!(
                    "tool {name}: its answer has {} bytes of JSON, and may have {MAX_ANSWER}; ask it for less",
                    answer.len()
                ),
            ));
        }
        Ok(answer)
    }

    /// The tools that come nearest in meaning to a question, best first. An
    /// empty question is answered with all, by name.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`] if the question is too long; what the embedder says.
    pub async fn search(
        &self,
        query: &str,
        limit: usize,
        embedder: &dyn Embedder,
    ) -> Result<Vec<Arc<ToolInfo>>> {
        let limit = limit.min(MAX_HITS);
        if query.len() > MAX_QUERY {
            return Err(Error::invalid_argument(format!(
                "the question has {} bytes; use at most {MAX_QUERY}",
                query.len()
            )));
        }
        if query.trim().is_empty() || self.0.entries.is_empty() || limit == 0 {
            return Ok(self.list().into_iter().take(limit).collect());
        }
        let vectors = self.vectors_of(embedder.model());
        let texts = || self.0.entries.values().map(|entry| text(&entry.info)).collect();
        let vectors = vectors.get_or_try_init(|| embedder.embed(texts())).await?;
        let question = embedder.embed(vec![query.to_owned()]).await?;
        let Some(question) = question.first() else {
            return Err(Error::internal("the embedder answered no vector for the question"));
        };
        let mut found: Vec<_> = vectors
            .iter()
            .map(|vector| similarity(question, vector))
            .zip(self.0.entries.values())
            .collect();
        // Stable, so equals stay in the order of their names.
        found.sort_by(|a, b| b.0.total_cmp(&a.0));
        Ok(found.into_iter().take(limit).map(|(_, entry)| entry.info.clone()).collect())
    }

    fn vectors_of(&self, model: &str) -> Vectors {
        // Nothing is done under the lock that could leave the map half changed.
        let mut models = self.0.vectors.lock().unwrap_or_else(PoisonError::into_inner);
        models.entry(model.to_owned()).or_default().clone()
    }

    fn entry(&self, name: &str) -> Option<&Arc<Entry>> {
        self.0.entries.get(&ToolName::new(name).ok()?)
    }

    fn no_tool(&self, name: &str) -> Error {
        let known: Vec<_> = self.0.entries.keys().map(ToolName::as_str).collect();
        let hint = if known.is_empty() {
            "; there are no tools here".to_owned()
        } else {
            hint(name, &known, "there are")
        };
        Error::not_found(format!("there is no tool {}{hint}", quoted(name)))
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.entries.keys().map(ToolName::as_str)).finish()
    }
}

fn no_callable(info: &ToolInfo, callable: &str) -> Error {
    let recipes: Vec<_> = info
        .callables
        .iter()
        .map(|known| known.name.as_str())
        .filter(|name| !name.is_empty())
        .collect();
    Error::not_found(if callable.is_empty() {
        format!("tool {} has only recipes{}", info.name, hint("", &recipes, "call"))
    } else if recipes.is_empty() {
        format!("tool {} has no recipes; call it as tools.{0}(...)", info.name)
    } else {
        format!(
            "tool {} has no recipe {}{}",
            info.name,
            quoted(callable),
            hint(callable, &recipes, "it has")
        )
    })
}

fn hint(name: &str, known: &[&str], verb: &str) -> String {
    if let Some(known) = nearest(name, known.iter().copied()) {
        return format!("; did you mean {known}?");
    }
    let listed: Vec<_> = known.iter().copied().take(MAX_LISTED).collect();
    let more = if known.len() > MAX_LISTED { ", ..." } else { "" };
    format!("; {verb} {}{more}", listed.join(", "))
}

/// `curl.get`, or `curl` for the tool itself.
fn called(tool: &ToolName, callable: &str) -> String {
    if callable.is_empty() { tool.to_string() } else { format!("{tool}.{callable}") }
}

/// What a tool is found by.
fn text(info: &ToolInfo) -> String {
    let mut parts = vec![info.name.as_str().replace('_', " "), info.description.clone()];
    parts.push(info.tags.join(", "));
    parts.extend(info.callables.iter().map(|callable| callable.description.clone()));
    // A recipe is often described in the words of its tool.
    let mut seen = HashSet::new();
    parts.retain(|part| !part.is_empty() && seen.insert(part.clone()));
    parts.join(". ")
}

/// Of two arguments of one name a check could see one and a tool the other.
fn refuse_duplicates(what: &str, arguments: &Json) -> Result<()> {
    struct Names;

    impl<'de> Visitor<'de> for Names {
        type Value = Option<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let (mut names, mut twice) = (HashSet::new(), None);
            while let Some((name, _)) = map.next_entry::<String, IgnoredAny>()? {
                if let Some(name) = names.replace(name) {
                    twice = Some(name);
                }
            }
            Ok(twice)
        }
    }

    let twice = serde_json::Deserializer::from_str(arguments.as_str())
        .deserialize_map(Names)
        .map_err(|error| Error::invalid_argument(format!("tool {what}: {error}")))?;
    match twice {
        None => Ok(()),
        Some(name) => Err(Error::invalid_argument(format!(
            "tool {what}: argument {} is there twice",
            quoted(&name)
        ))),
    }
}

#[cfg(test)]
mod tests;
