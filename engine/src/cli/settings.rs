//! Settings: from flags, else the environment, else the nearest `repertoire.toml`, else defaults.
//!
//! [`KEYS`] is the one list of what can be set; the file, the environment, the
//! flags and `repertoire config` all go by it.

mod file;
mod serve;
mod tenants;
mod value;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Environment;
use super::args::{Global, LimitFlags, Serve};
use crate::artifacts::ArtifactLimits;
use crate::error::{Error, Result};
use crate::grants::{Decision, Grants, Rule};
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

const KEYS: [Key; 31] = [
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

    /// The limits of a run.
    pub(super) fn limits(&self) -> Limits {
        let wall_time = match self.values.get("limits.timeout_seconds") {
            Some((Value::Seconds(time), _)) => *time,
            _ => Limits::default().wall_time,
        };
        Limits {
            fuel: self.count("limits.fuel"),
            memory_bytes: self.count("limits.memory_mib").saturating_mul(MIB),
            wall_time,
            output_bytes: self.count("limits.output_bytes"),
            host_calls: self.count("limits.host_calls"),
            depth: u32::try_from(self.count("limits.depth")).unwrap_or(u32::MAX),
            recording_bytes: self.count("limits.recording_bytes"),
            ..Limits::default()
        }
    }

    /// What a tenant may keep as artifacts.
    pub(super) fn artifacts(&self) -> ArtifactLimits {
        ArtifactLimits {
            quota_bytes: self.count("artifacts.quota_mib").saturating_mul(MIB),
            versions: u32::try_from(self.count("artifacts.versions")).unwrap_or(u32::MAX),
        }
    }

    /// What the tenant may reach.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument), naming where a rule
    /// that is none was written.
    pub(super) fn grants(&self) -> Result<Grants> {
        grants_of(&self.values)
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

/// What values say of grants.
fn grants_of(values: &Values) -> Result<Grants> {
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
