//! `repertoire.toml`: found upwards, and refused with the line of what is wrong.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::tenants::{IMAGE, SECTION};
use super::value::{Kind, Value};
use super::{KEYS, Key, hint};
use crate::error::{Error, Result};
use crate::id::TenantId;

const NAME: &str = "repertoire.toml";

/// The largest file that is read. A complete one has less than a KiB.
const MAX_FILE: u64 = 64 << 10;

/// The nearest file in a directory or above it.
pub(super) fn find(from: &Path) -> Option<PathBuf> {
    from.ancestors().map(|directory| directory.join(NAME)).find(|path| path.exists())
}

/// What a file sets, each with its line.
pub(super) struct Found {
    /// By name.
    pub(super) settings: Vec<(&'static str, Value, usize)>,
    /// What tenants have of their own.
    pub(super) tenants: Vec<OfTenant>,
}

/// A tenant's own setting: whose, its name, its value, and its line.
pub(super) type OfTenant = (TenantId, &'static str, Value, usize);

type Toml<'a> = Spanned<DeValue<'a>>;

/// What a file sets.
pub(super) fn read(path: &Path) -> Result<Found> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| {
        let hint = match error.kind() {
            ErrorKind::InvalidData => ": it is not UTF-8",
            ErrorKind::IsADirectory => ": it is a directory",
            _ => "",
        };
        Error::invalid_argument(format!("cannot read {shown}{hint}")).with_source(error)
    };
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > MAX_FILE {
        return Err(Error::invalid_argument(format!(
            "{shown} has {size} bytes, and settings at most {MAX_FILE}"
        )));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let at = |position: usize| {
        let before = text.get(..position).unwrap_or(&text);
        before.matches('\n').count() + 1
    };
    let document = DeTable::parse(&text).map_err(|error| {
        let line = error.span().map_or(1, |span| at(span.start));
        Error::invalid_argument(format!("{shown}:{line}: {}", error.message()))
    })?;
    // An empty base if the file lies in the current directory and was named so.
    let base = path.parent().unwrap_or(Path::new(""));
    let refuse = |position: usize, problem: String| {
        Error::invalid_argument(format!("{shown}:{}: {problem}", at(position)))
    };
    let (mut named, mut of_tenants) = (Vec::new(), Vec::new());
    for (key, value) in document.get_ref() {
        let (name, position) = (key.get_ref().as_ref(), key.span().start);
        match value.get_ref() {
            DeValue::Table(section) if is_section(name) => {
                for (key, value) in section {
                    let name = format!("{name}.{}", key.get_ref());
                    named.push((name, key.span().start, value));
                }
            }
            _ if name == SECTION => {
                of_tenants = tenants(value, position, base)
                    .map_err(|(position, problem)| refuse(position, problem))?;
            }
            _ => named.push((name.to_owned(), position, value)),
        }
    }
    let settings = named.into_iter().map(|(name, position, value)| {
        let key = KEYS.iter().find(|key| key.name == name).ok_or_else(|| {
            let problem = if is_section(&name) {
                format!("{name} is a section: write [{name}] on a line of its own")
            } else {
                format!("there is no setting {name}{}", known(&name))
            };
            refuse(position, problem)
        })?;
        let value = parse(key.kind, value, base)
            .map_err(|problem| refuse(position, format!("{name}: {problem}")))?;
        Ok((key.name, value, at(position)))
    });
    Ok(Found {
        settings: settings.collect::<Result<_>>()?,
        tenants: of_tenants
            .into_iter()
            .map(|(id, name, value, position)| (id, name, value, at(position)))
            .collect(),
    })
}

/// What is wrong, and where.
type Wrong = (usize, String);

/// What the sections `[tenants.NAME]` say, and where.
fn tenants(value: &Toml<'_>, position: usize, base: &Path) -> Result<Vec<OfTenant>, Wrong> {
    let section =
        |name: String| format!("{name} is a section: write [{name}] on a line of its own");
    let DeValue::Table(tenants) = value.get_ref() else {
        return Err((position, section(format!("{SECTION}.NAME"))));
    };
    let mut found = Vec::new();
    for (tenant, value) in tenants {
        let (name, position) = (tenant.get_ref().as_ref(), tenant.span().start);
        let id = TenantId::new(name).map_err(|error| (position, error.message().to_owned()))?;
        let DeValue::Table(keys) = value.get_ref() else {
            return Err((position, section(format!("{SECTION}.{id}"))));
        };
        let mut set = |name: &str, position: usize, value: &Toml<'_>| {
            let (key, kind) = of_tenant(name).ok_or_else(|| {
                let names: Vec<_> = own().map(|key| key.name).chain([IMAGE]).collect();
                let near = hint(name, names.iter().copied());
                let near = if near.is_empty() {
                    format!("; there are {}", names.join(", "))
                } else {
                    near
                };
                (position, format!("there is no setting {SECTION}.{id}.{name}{near}"))
            })?;
            let value = parse(kind, value, base)
                .map_err(|problem| (position, format!("{SECTION}.{id}.{name}: {problem}")))?;
            found.push((id.clone(), key, value, position));
            Ok(())
        };
        for (key, value) in keys {
            match (key.get_ref().as_ref(), value.get_ref()) {
                (section, DeValue::Table(keys)) if OWN.contains(&section) => {
                    for (key, value) in keys {
                        set(&format!("{section}.{}", key.get_ref()), key.span().start, value)?;
                    }
                }
                (name, _) => set(name, key.span().start, value)?,
            }
        }
    }
    Ok(found)
}

/// The sections that a tenant may have of its own.
pub(super) const OWN: [&str; 2] = ["grants", "quota"];

fn own() -> impl Iterator<Item = &'static Key> {
    let is_own = |key: &&Key| key.name.split_once('.').is_some_and(|(at, _)| OWN.contains(&at));
    KEYS.iter().filter(is_own)
}

/// The setting of a tenant of that name, and its kind.
fn of_tenant(name: &str) -> Option<(&'static str, Kind)> {
    if name == IMAGE {
        return Some((IMAGE, Kind::Text));
    }
    own().find(|key| key.name == name).map(|key| (key.name, key.kind))
}

fn is_section(name: &str) -> bool {
    KEYS.iter().any(|key| key.name.split_once('.').is_some_and(|(section, _)| section == name))
}

/// The nearest setting, or, where none is near, all of them.
fn known(name: &str) -> String {
    let names = KEYS.map(|key| key.name);
    let near = hint(name, names.into_iter().chain([SECTION]));
    if !near.is_empty() {
        return near;
    }
    // `fuel` outside of its section is not near `limits.fuel` in letters.
    let inside =
        names.iter().find(|known| known.split_once('.').is_some_and(|(_, key)| key == name));
    match inside {
        Some(inside) => format!("; did you mean {inside}?"),
        None => format!("; there are {}", names.join(", ")),
    }
}

fn parse(kind: Kind, value: &Toml<'_>, base: &Path) -> Result<Value, String> {
    let text = match (kind, value.get_ref()) {
        (Kind::List, DeValue::Array(items)) => {
            let text = |item: &Toml<'_>| match item.get_ref() {
                DeValue::String(text) => Ok(text.as_ref().to_owned()),
                other => {
                    Err(format!("expected a list of strings, found {}", article(other.type_str())))
                }
            };
            return items.iter().map(text).collect::<Result<_, _>>().map(Value::List);
        }
        (Kind::List, other) => {
            return Err(format!("expected a list of strings, found {}", article(other.type_str())));
        }
        (Kind::Path | Kind::Text, DeValue::String(text)) => text.as_ref(),
        (Kind::Count | Kind::CountOrNone | Kind::Seconds, DeValue::Integer(number))
            if number.radix() == 10 =>
        {
            number.as_str()
        }
        (Kind::Seconds, DeValue::Float(number)) => number.as_str(),
        (Kind::Path | Kind::Text, other) => {
            return Err(format!("expected a string, found {}", article(other.type_str())));
        }
        (Kind::Count | Kind::CountOrNone | Kind::Seconds, other) => {
            return Err(format!("expected a number, found {}", article(other.type_str())));
        }
    };
    kind.parse(OsStr::new(text), base)
}

fn article(kind: &str) -> String {
    let article = if kind.starts_with(['a', 'i']) { "an" } else { "a" };
    format!("{article} {kind}")
}
