//! The tools that there are, by name.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::cli::CliTool;
use super::{CallContext, Tool, ToolInfo, ToolOptions, spec};
use crate::error::{Code, Error, Result};
use crate::id::{ToolName, quoted};
use crate::json::Json;
use crate::schema::{Validator, nearest};

mod search;

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
    vectors: Arc<search::Vectors>,
}

struct Entry {
    tool: Arc<dyn Tool>,
    info: Arc<ToolInfo>,
    validators: Arc<Validators>,
    /// Those of what the tool said of itself later, as long as somebody holds that.
    described: Mutex<Vec<(Weak<ToolInfo>, Arc<Validators>)>>,
}

/// By callable.
type Validators = BTreeMap<String, Validator>;

impl Entry {
    fn new(tool: Arc<dyn Tool>) -> Result<Self> {
        let info = Arc::new(tool.info().clone());
        let validators = Arc::new(validators(&info)?);
        Ok(Self { tool, info, validators, described: Mutex::default() })
    }

    /// What the tool is for this caller, now.
    async fn described(&self, context: &CallContext) -> Result<(Arc<ToolInfo>, Arc<Validators>)> {
        let Some(info) = self.tool.describe(context).await? else {
            return Ok((Arc::clone(&self.info), Arc::clone(&self.validators)));
        };
        // Nothing is done under the lock that could leave the list half changed.
        let mut known = self.described.lock().unwrap_or_else(PoisonError::into_inner);
        // While a `Weak` is held no other description can have its address.
        if let Some((_, found)) = known.iter().find(|(of, _)| of.as_ptr() == Arc::as_ptr(&info)) {
            return Ok((info, Arc::clone(found)));
        }
        let made = Arc::new(validators(&info)?);
        known.retain(|(of, _)| of.strong_count() > 0);
        known.push((Arc::downgrade(&info), Arc::clone(&made)));
        Ok((info, made))
    }
}

fn validators(info: &ToolInfo) -> Result<Validators> {
    let validators = info.callables.iter().map(|callable| {
        let what = format!("tool {}", called(&info.name, &callable.name));
        Ok((callable.name.clone(), Validator::new(what, &callable.parameters, false)?))
    });
    validators.collect()
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
    pub fn from_folder(folder: &Path, options: &ToolOptions) -> Result<Self> {
        let specs = spec::load_folder(folder)?.into_iter();
        let tools = specs.map(|spec| -> Result<Arc<dyn Tool>> {
            Ok(match spec {
                spec::ToolSpec::Cli(spec) => Arc::new(CliTool::new(spec, options.clone())),
                #[cfg(feature = "mcp")]
                spec::ToolSpec::Mcp(spec) => Arc::new(super::mcp::McpTool::new(spec, options)?),
                #[cfg(feature = "http")]
                spec::ToolSpec::Http(spec) => Arc::new(super::http::HttpTool::new(spec, options)?),
            })
        });
        Self::empty().with_all(tools.collect::<Result<Vec<_>>>()?)
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
            let entry = Entry::new(tool)?;
            let name = entry.info.name.clone();
            if entries.contains_key(&name) {
                return Err(Error::already_exists(format!(
                    "there is a tool {name} already; rename one of them"
                )));
            }
            entries.insert(name, Arc::new(entry));
        }
        Ok(Self(Arc::new(Tools { entries, vectors: Arc::default() })))
    }

    /// Those of the tools whose names are kept. The others are not there: nothing
    /// starts them, and no message tells of them.
    #[must_use]
    pub(crate) fn only(&self, keep: impl Fn(&str) -> bool) -> Self {
        let kept = self.0.entries.iter().filter(|(name, _)| keep(name.as_str()));
        let entries = kept.map(|(name, entry)| (name.clone(), Arc::clone(entry))).collect();
        Self(Arc::new(Tools { entries, vectors: Arc::clone(&self.0.vectors) }))
    }

    /// Every tool, by name, as far as it is known without starting anything.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<ToolInfo>> {
        self.0.entries.values().map(|entry| entry.info.clone()).collect()
    }

    /// Every tool as it is for this caller, by name. Servers that have not been
    /// started are, all at once; one that cannot be says so in its description,
    /// and has nothing to call.
    pub async fn list_for(&self, context: &CallContext) -> Vec<Arc<ToolInfo>> {
        let describe = |entry: &Arc<Entry>| {
            let entry = Arc::clone(entry);
            async move {
                match entry.described(context).await {
                    Ok((info, _)) => info,
                    Err(error) => Arc::new(ToolInfo {
                        description: format!(
                            "{} (unavailable: {})",
                            entry.info.description,
                            error.message()
                        ),
                        callables: Vec::new(),
                        ..(*entry.info).clone()
                    }),
                }
            }
        };
        futures::future::join_all(self.0.entries.values().map(describe)).await
    }

    /// One tool as it is for this caller.
    ///
    /// # Errors
    /// [`Code::NotFound`] if there is none of that name; [`Code::Unavailable`] if its
    /// server cannot be started.
    pub async fn get_for(&self, name: &str, context: &CallContext) -> Result<Arc<ToolInfo>> {
        let entry = self.entry(name).ok_or_else(|| self.no_tool(name))?;
        Ok(entry.described(context).await?.0)
    }

    /// One tool, as far as it is known without starting anything.
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
        let (info, validators) = entry.described(context).await?;
        let validator = validators.get(callable).ok_or_else(|| no_callable(&info, callable))?;
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
