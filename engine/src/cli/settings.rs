//! Settings: from flags, else the environment, else the nearest `repertoire.toml`, else defaults.
//!
//! [`KEYS`] is the one list of what can be set; the file, the environment, the
//! flags and `repertoire config` all go by it.

mod file;
mod grants;
mod quota;
mod serve;
mod tenants;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Environment;
use super::args::{Global, LimitFlags, Serve};
use crate::artifacts::ArtifactLimits;
use crate::error::{Error, Result};
use crate::id::{ImageName, TenantId, quoted};
use crate::images::DEFAULT_IN_MEMORY;
use crate::limits::Limits;
use crate::schema::nearest;
use crate::serve::http::HttpLimits;
use crate::storage::lance::Durability;
use crate::tools::DEFAULT_PROCESSES;

use tenants::Tenants;
use value::Kind;
pub(super) use value::Value;

const MIB: u64 = 1 << 20;

/// What all environment variables of ours begin with.
const PREFIX: &str = "REPERTOIRE_";

/// What environment variables that hold secrets of tools begin with.
pub(super) const SECRET_PREFIX: &str = "REPERTOIRE_SECRET_";

/// Something that can be set.
struct Key {
    /// As in `repertoire.toml`, and in `repertoire config`.
    name: &'static str,
    /// The environment variable.
    variable: &'static str,
    /// The flag; empty if it has none.
    flag: &'static str,
    kind: Kind,
}

const KEYS: [Key; 40] = [
    key("data", "REPERTOIRE_DATA", "--data", Kind::Path),
    key("tools", "REPERTOIRE_TOOLS", "--tools", Kind::Path),
    key("secrets", "REPERTOIRE_SECRETS", "", Kind::Path),
    key("tenant", "REPERTOIRE_TENANT", "--tenant", Kind::Text),
    key("log", "REPERTOIRE_LOG", "", Kind::Text),
    key("storage.durability", "REPERTOIRE_DURABILITY", "", Kind::Text),
    key("runtime.component", "REPERTOIRE_COMPONENT", "--component", Kind::Path),
    key("runtime.cache", "REPERTOIRE_CACHE", "--cache", Kind::Path),
    key("runtime.image", "REPERTOIRE_IMAGE", "", Kind::Text),
    key("runtime.images_in_memory", "REPERTOIRE_IMAGES_IN_MEMORY", "", Kind::Count),
    key("embedding.model", "REPERTOIRE_MODEL", "--model", Kind::Path),
    key("embedding.onnxruntime", "REPERTOIRE_ONNXRUNTIME", "--onnxruntime", Kind::Path),
    key("limits.fuel", "REPERTOIRE_FUEL", "--fuel", Kind::Count),
    key("limits.memory_mib", "REPERTOIRE_MEMORY_MIB", "--memory", Kind::Count),
    key("limits.timeout_seconds", "REPERTOIRE_TIMEOUT_SECONDS", "--timeout", Kind::Seconds),
    key("limits.output_bytes", "REPERTOIRE_OUTPUT_BYTES", "", Kind::Count),
    key("limits.host_calls", "REPERTOIRE_HOST_CALLS", "", Kind::Count),
    key("limits.depth", "REPERTOIRE_DEPTH", "", Kind::Count),
    key("limits.recording_bytes", "REPERTOIRE_RECORDING_BYTES", "", Kind::CountOrNone),
    key("limits.processes", "REPERTOIRE_PROCESSES", "", Kind::Count),
    key("artifacts.quota_mib", "REPERTOIRE_ARTIFACTS_QUOTA_MIB", "", Kind::Count),
    key("artifacts.versions", "REPERTOIRE_ARTIFACTS_VERSIONS", "", Kind::Count),
    key("quota.concurrent_runs", "REPERTOIRE_QUOTA_CONCURRENT_RUNS", "", Kind::Count),
    key("quota.waiting_runs", "REPERTOIRE_QUOTA_WAITING_RUNS", "", Kind::CountOrNone),
    key("quota.period_seconds", "REPERTOIRE_QUOTA_PERIOD_SECONDS", "", Kind::Seconds),
    key("quota.runs", "REPERTOIRE_QUOTA_RUNS", "", Kind::CountOrNone),
    key("quota.fuel", "REPERTOIRE_QUOTA_FUEL", "", Kind::CountOrNone),
    key("quota.tool_calls", "REPERTOIRE_QUOTA_TOOL_CALLS", "", Kind::CountOrNone),
    key("quota.workflows", "REPERTOIRE_QUOTA_WORKFLOWS", "", Kind::CountOrNone),
    key("quota.artifacts", "REPERTOIRE_QUOTA_ARTIFACTS", "", Kind::CountOrNone),
    key("quota.stored_mib", "REPERTOIRE_QUOTA_STORED_MIB", "", Kind::CountOrNone),
    key("grants.default", "REPERTOIRE_GRANTS_DEFAULT", "", Kind::Text),
    key("grants.allow", "REPERTOIRE_GRANTS_ALLOW", "", Kind::List),
    key("grants.ask", "REPERTOIRE_GRANTS_ASK", "", Kind::List),
    key("grants.deny", "REPERTOIRE_GRANTS_DENY", "", Kind::List),
    key("grants.ask_seconds", "REPERTOIRE_GRANTS_ASK_SECONDS", "", Kind::Count),
    key("serve.listen", "REPERTOIRE_LISTEN", "--listen", Kind::Text),
    key("serve.grace_seconds", "REPERTOIRE_GRACE_SECONDS", "--grace", Kind::Seconds),
    key("serve.connections", "REPERTOIRE_CONNECTIONS", "", Kind::Count),
    key("serve.connections_per_address", "REPERTOIRE_CONNECTIONS_PER_ADDRESS", "", Kind::Count),
];

const fn key(name: &'static str, variable: &'static str, flag: &'static str, kind: Kind) -> Key {
    Key { name, variable, flag, kind }
}

/// What one command's flags say beside those that all have.
#[derive(Clone, Copy, Default)]
pub(super) struct CommandFlags<'a> {
    pub(super) limits: Option<&'a LimitFlags>,
    pub(super) serve: Option<&'a Serve>,
}

/// Values by the names of their settings.
type Values = BTreeMap<&'static str, (Value, Origin)>;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// A flag.
    Flag(&'static str),
    /// An environment variable.
    Variable(&'static str),
    /// A line of a `repertoire.toml`.
    File(PathBuf, usize),
    /// Files beside the program, as `make install` puts them.
    Installation,
    /// Nobody set it.
    Default,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag(flag) => f.write_str(flag),
            Self::Variable(variable) => f.write_str(variable),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Installation => f.write_str("installation"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// All settings, each with where it comes from.
#[derive(Debug)]
pub(super) struct Settings {
    values: Values,
    tenants: Tenants,
    /// Environment variables that look like settings and are none, each with the nearest.
    pub(super) unknown_variables: Vec<String>,
    search_path: Option<OsString>,
    temp_dir: PathBuf,
}

impl Settings {
    /// Puts the settings together.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if a value is not of its
    /// kind or a file has a key that there is not, naming the place.
    pub(super) fn read(
        environment: &Environment,
        flags: &Global,
        command: CommandFlags<'_>,
    ) -> Result<Self> {
        let (mut values, mut tenants) = (defaults(environment), Tenants::new());
        if let Some(path) = file::find(&environment.current_dir) {
            let found = file::read(&path)?;
            for (name, value, line) in found.settings {
                values.insert(name, (value, Origin::File(path.clone(), line)));
            }
            for (tenant, name, value, line) in found.tenants {
                let own = tenants.entry(tenant).or_default();
                own.insert(name, (value, Origin::File(path.clone(), line)));
            }
        }
        for key in &KEYS {
            // An empty variable is how one unsets a variable for one command.
            let variable = environment.variable(key.variable).filter(|text| !text.is_empty());
            if let Some(text) = variable {
                let value = key.kind.parse(text, &environment.current_dir).map_err(|problem| {
                    Error::invalid_argument(format!(
                        "environment variable {}: {problem}",
                        key.variable
                    ))
                })?;
                values.insert(key.name, (value, Origin::Variable(key.variable)));
            }
            if let Some(text) = flag(key.name, flags, command) {
                let value = key.kind.parse(text, &environment.current_dir).map_err(|problem| {
                    Error::invalid_argument(format!("{}: {problem}", key.flag))
                })?;
                values.insert(key.name, (value, Origin::Flag(key.flag)));
            }
        }
        let settings = Self {
            values,
            tenants,
            unknown_variables: unknown_variables(environment),
            search_path: environment.variable("PATH").map(ToOwned::to_owned),
            temp_dir: environment.temp_dir.clone(),
        };
        settings.tenant()?;
        settings.grants()?;
        settings.durability()?;
        settings.image()?;
        settings.tenant_images()?;
        settings.tenant_grants()?;
        Ok(settings)
    }

    /// The file that they are read from, if there is one.
    pub(super) fn file(environment: &Environment) -> Option<PathBuf> {
        file::find(&environment.current_dir)
    }

    /// Reads them once more, without what flags say: they have no word in what can change while a
    /// server runs.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(super) fn again(environment: &Environment) -> Result<Self> {
        Self::read(environment, &Global::default(), CommandFlags::default())
    }

    /// The settings that differ in `new`, and that hold from the start of a process to its end.
    pub(super) fn fixed_that_differ(&self, new: &Self) -> Vec<String> {
        let is_fixed = |name: &str| {
            let of_tenant = name.strip_prefix("tenants.").and_then(|name| name.split_once('.'));
            let name = of_tenant.map_or(name, |(_, name)| name);
            name.split_once('.').is_none_or(|(section, _)| !file::OWN.contains(&section))
        };
        let of = |settings: &Self| -> BTreeMap<String, (Value, Origin)> {
            let all = settings.all().filter_map(|(name, value)| Some((name, value?.clone())));
            all.filter(|(name, _)| is_fixed(name)).collect()
        };
        let (old, new) = (of(self), of(new));
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        let differs = |name: &&&String| {
            let old = old.get(**name);
            let is_flag = old.is_some_and(|(_, origin)| matches!(origin, Origin::Flag(_)));
            !is_flag && old.map(|(value, _)| value) != new.get(**name).map(|(value, _)| value)
        };
        names.iter().filter(differs).map(|name| (*name).clone()).collect()
    }

    /// Every setting by name, and if it has a value, that and where it comes from.
    pub(super) fn all(&self) -> impl Iterator<Item = (String, Option<&(Value, Origin)>)> {
        let usual = KEYS.iter().map(|key| (key.name.to_owned(), self.values.get(key.name)));
        usual.chain(self.of_tenants().map(|(name, value)| (name, Some(value))))
    }

    /// The path that a setting names.
    pub(super) fn path(&self, name: &str) -> Option<&Path> {
        match self.values.get(name) {
            Some((Value::Path(path), _)) => Some(path),
            _ => None,
        }
    }

    fn required(&self, name: &'static str) -> Result<&Path> {
        self.path(name).ok_or_else(|| {
            let key = KEYS.iter().find(|key| key.name == name);
            let (flag, variable) = key.map_or(("", ""), |key| (key.flag, key.variable));
            Error::unavailable(format!(
                "the setting {name} has no value: run `make setup` in a checkout and stay in it, or \
                 say where it is with {flag}, {variable} or a repertoire.toml"
            ))
        })
    }

    /// Where everything is kept.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) if there is neither a setting nor
    /// a home directory.
    pub(super) fn data(&self) -> Result<&Path> {
        self.required("data")
    }

    /// The Python component.
    ///
    /// # Errors
    /// As [`data`](Self::data).
    pub(super) fn component(&self) -> Result<&Path> {
        self.required("runtime.component")
    }

    /// Where runtime images are kept.
    ///
    /// # Errors
    /// As [`data`](Self::data).
    pub(super) fn images(&self) -> Result<PathBuf> {
        Ok(self.data()?.join("images"))
    }

    /// The runtime image of what names none.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if it is no image's name.
    pub(super) fn image(&self) -> Result<Option<ImageName>> {
        self.text("runtime.image").map(ImageName::new).transpose()
    }

    /// How many runtime images stay in memory.
    pub(super) fn images_in_memory(&self) -> usize {
        usize::try_from(self.count("runtime.images_in_memory")).unwrap_or(usize::MAX)
    }

    /// How many commands run at once.
    pub(super) fn processes(&self) -> usize {
        usize::try_from(self.count("limits.processes")).unwrap_or(usize::MAX)
    }

    /// Checks that everything is there that a library with search needs.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable), saying what is missing.
    pub(super) fn check_complete(&self) -> Result<()> {
        for name in ["runtime.component", "embedding.model", "embedding.onnxruntime"] {
            let path = self.required(name)?;
            if !path.exists() {
                return Err(Error::unavailable(format!(
                    "there is no {}, which the setting {name} names: run `make setup`, or name another",
                    path.display()
                )));
            }
        }
        Ok(())
    }

    /// The embedding model's directory; if nobody said, one that cannot be read, so that the
    /// complaint comes from whoever needs the model.
    pub(super) fn model(&self) -> &Path {
        self.path("embedding.model").unwrap_or_else(|| Path::new("build/model"))
    }

    /// Whose view.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if it is no tenant's name.
    pub(super) fn tenant(&self) -> Result<TenantId> {
        TenantId::new(self.text("tenant").unwrap_or("default"))
    }

    /// Whether what was saved is on disk before it is said to be saved.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if it is neither of the two.
    pub(super) fn durability(&self) -> Result<Durability> {
        match self.text("storage.durability") {
            None | Some("sync") => Ok(Durability::Sync),
            Some("none") => Ok(Durability::None),
            Some(other) => Err(Error::invalid_argument(format!(
                "the setting storage.durability is {}: write sync or none",
                quoted(other)
            ))),
        }
    }

    /// A setting that is text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.values.get(name) {
            Some((Value::Text(text), _)) => Some(text),
            _ => None,
        }
    }

    fn count(&self, name: &str) -> u64 {
        match self.values.get(name) {
            Some((Value::Count(count), _)) => *count,
            _ => 0,
        }
    }

    /// Where tools' commands are looked for.
    pub(super) fn search_path(&self) -> Option<OsString> {
        self.search_path.clone()
    }

    /// Where temporary files go.
    pub(super) fn temp_dir(&self) -> &Path {
        &self.temp_dir
    }
}

fn flag<'a>(name: &str, global: &'a Global, command: CommandFlags<'a>) -> Option<&'a OsString> {
    let CommandFlags { limits, serve } = command;
    match name {
        "data" => global.data.as_ref(),
        "tools" => global.tools.as_ref(),
        "tenant" => global.tenant.as_ref(),
        "runtime.component" => global.component.as_ref(),
        "runtime.cache" => global.cache.as_ref(),
        "embedding.model" => global.model.as_ref(),
        "embedding.onnxruntime" => global.onnxruntime.as_ref(),
        "limits.fuel" => limits?.fuel.as_ref(),
        "limits.memory_mib" => limits?.memory.as_ref(),
        "limits.timeout_seconds" => limits?.timeout.as_ref(),
        "serve.listen" => serve?.listen.as_ref(),
        "serve.grace_seconds" => serve?.grace.as_ref(),
        _ => None,
    }
}

fn defaults(environment: &Environment) -> Values {
    let limits = Limits::default();
    let mut values = BTreeMap::new();
    let mut set = |name, value| {
        values.insert(name, (value, Origin::Default));
    };
    if let Some(data) = &environment.data_dir {
        set("data", Value::Path(data.join("repertoire")));
    }
    if let Some(cache) = &environment.cache_dir {
        set("runtime.cache", Value::Path(cache.join("repertoire/compiled")));
    }
    set("tenant", Value::Text("default".to_owned()));
    set("storage.durability", Value::Text("sync".to_owned()));
    set("log", Value::Text("warn".to_owned()));
    set("limits.fuel", Value::Count(limits.fuel));
    set("limits.memory_mib", Value::Count(limits.memory_bytes / MIB));
    set("limits.timeout_seconds", Value::Seconds(limits.wall_time.max(Duration::from_millis(1))));
    set("limits.output_bytes", Value::Count(limits.output_bytes));
    set("limits.host_calls", Value::Count(limits.host_calls));
    set("limits.depth", Value::Count(u64::from(limits.depth)));
    set("limits.recording_bytes", Value::Count(limits.recording_bytes));
    set("limits.processes", Value::Count(DEFAULT_PROCESSES as u64));
    set("runtime.images_in_memory", Value::Count(DEFAULT_IN_MEMORY as u64));
    let artifacts = ArtifactLimits::default();
    set("artifacts.quota_mib", Value::Count(artifacts.quota_bytes / MIB));
    set("artifacts.versions", Value::Count(u64::from(artifacts.versions)));
    quota::defaults(&mut set);
    let http = HttpLimits::default();
    set("serve.listen", Value::Text(serve::USUAL.to_owned()));
    set("serve.grace_seconds", Value::Seconds(http.grace));
    set("serve.connections", Value::Count(http.connections as u64));
    set("serve.connections_per_address", Value::Count(http.connections_per_address as u64));
    let prefix = environment.executable.parent().and_then(Path::parent);
    if let Some(share) = prefix.map(|prefix| prefix.join("share/repertoire")) {
        for (name, file) in [
            ("runtime.component", "python.wasm"),
            ("embedding.model", "model"),
            ("embedding.onnxruntime", "lib/libonnxruntime.so"),
            ("tools", "tools"),
        ] {
            let path = share.join(file);
            if path.exists() {
                values.insert(name, (Value::Path(path), Origin::Installation));
            }
        }
    }
    values
}

/// Variables that begin as ours do and are none: a typing mistake, most likely.
fn unknown_variables(environment: &Environment) -> Vec<String> {
    let is_unknown = |name: &str| {
        name.starts_with(PREFIX)
            && !name.starts_with(SECRET_PREFIX)
            && !KEYS.iter().any(|key| key.variable == name)
    };
    let names = environment.variables.iter().filter_map(|(name, _)| name.to_str());
    names
        .filter(|name| is_unknown(name))
        .map(|name| {
            // The common beginning would make everything look alike.
            let bare = |name: &'static str| name.trim_start_matches(PREFIX);
            let near = nearest(name.trim_start_matches(PREFIX), KEYS.map(|key| bare(key.variable)));
            let hint =
                near.map(|near| format!("; did you mean {PREFIX}{near}?")).unwrap_or_default();
            format!("environment variable {name} means nothing{hint}")
        })
        .collect()
}

fn hint<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, known).map(|near| format!("; did you mean {near}?")).unwrap_or_default()
}

#[cfg(test)]
mod tests;
