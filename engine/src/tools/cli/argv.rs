//! Arguments of a call to arguments of a command.
//!
//! No shell reads the result, so what is left to prevent is that a value is
//! taken for an option: options and values are one argument wherever the
//! command can take them so, and what cannot be protected is refused.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::error::{Error, Result};
use crate::json::Json;
use crate::tools::spec::{CliSpec, Form, Place, Shape, Slot};

/// The longest single argument that Linux passes on (`MAX_ARG_STRLEN`, less the
/// null byte that ends it).
const MAX_ARGUMENT: usize = 128 * 1024 - 1;

/// The most that all arguments of a call may have. The system's limit is a
/// quarter of the stack's, 2 MiB as a rule, which the environment shares.
const MAX_ARGUMENTS: usize = 1 << 20;

/// What a call gives to its command.
pub(super) struct Input {
    /// The arguments, without the command's name.
    pub(super) argv: Vec<String>,
    /// What goes to standard input, if a parameter does.
    pub(super) stdin: Option<Vec<u8>>,
}

/// What a call gives to its command.
pub(super) fn build(spec: &CliSpec, callable: &str, arguments: &Json) -> Result<Input> {
    let given: BTreeMap<String, &RawValue> = serde_json::from_str(arguments.as_str())
        .map_err(|error| Error::invalid_argument(format!("tool {}: {error}", spec.info.name)))?;
    // The registry has checked this; that a preset holds must not hang on one check.
    let exposed = spec.info.callable(callable).map(|callable| callable.parameters.as_slice());
    let exposed = exposed.unwrap_or_default();
    if let Some(name) = given.keys().find(|name| !exposed.iter().any(|p| p.name == **name)) {
        return Err(Error::invalid_argument(format!(
            "tool {}: there is no parameter {}",
            spec.info.name,
            crate::id::quoted(name)
        )));
    }

    let mut argv = spec.fixed.clone();
    let mut stdin = None;
    let mut positionals_begin = None;
    for slot in &spec.slots {
        let own = || spec.values.get(callable)?.get(&slot.name).map(Json::as_str);
        let (text, by_caller) = match (given.get(&slot.name), own()) {
            (Some(value), _) => (value.get(), true),
            (None, Some(value)) => (value, false),
            (None, None) => continue,
        };
        let writer = Writer { spec, slot, by_caller };
        if slot.place == Place::Positional {
            positionals_begin.get_or_insert(argv.len());
        }
        if slot.place == Place::Stdin {
            stdin = Some(writer.whole(text)?.into_bytes());
        } else {
            writer.put(text, &mut argv)?;
        }
    }
    if let Some(at) = positionals_begin.filter(|at| spec.double_dash && *at < argv.len()) {
        argv.insert(at, "--".to_owned());
    }

    // What the kernel counts: each text, its null byte and a pointer to it.
    let size: usize = argv.iter().map(|argument| argument.len() + 9).sum();
    if size > MAX_ARGUMENTS {
        return Err(Error::invalid_argument(format!(
            "tool {}: the arguments have {size} bytes, and a command takes {MAX_ARGUMENTS}; \
             pass less at once",
            spec.info.name
        )));
    }
    Ok(Input { argv, stdin })
}

/// Writes one slot's value.
struct Writer<'a> {
    spec: &'a CliSpec,
    slot: &'a Slot,
    /// What the file itself says is not guarded against: its author is the host.
    by_caller: bool,
}

impl Writer<'_> {
    fn put(&self, value: &str, argv: &mut Vec<String>) -> Result<()> {
        match self.slot.shape {
            Shape::Flag => match (value.trim(), &self.slot.place) {
                ("true", Place::Option { flag, .. }) => argv.push(flag.clone()),
                ("false", _) => {}
                _ => return Err(self.refuse("is not a boolean")),
            },
            Shape::One => self.put_one(&self.text(value)?, argv)?,
            Shape::Many => {
                let items = self.items(value)?;
                match &self.slot.join {
                    Some(join) if !items.is_empty() => {
                        if let Some(item) = items.iter().find(|item| item.contains(join.as_str())) {
                            return Err(self.refuse(&format!(
                                "has the item {}, which contains {}, what joins them",
                                crate::id::quoted(item),
                                crate::id::quoted(join)
                            )));
                        }
                        self.put_one(&items.join(join), argv)?;
                    }
                    _ => items.iter().try_for_each(|item| self.put_one(item, argv))?,
                }
            }
        }
        Ok(())
    }

    /// A value that is passed on in full: a list as lines, or as the file joins them.
    fn whole(&self, value: &str) -> Result<String> {
        match self.slot.shape {
            Shape::Many => {
                let join = self.slot.join.as_deref().unwrap_or("\n");
                Ok(self.items(value)?.join(join))
            }
            Shape::One | Shape::Flag => self.text(value).map(Cow::into_owned),
        }
    }

    fn items(&self, value: &str) -> Result<Vec<String>> {
        let items: Vec<&RawValue> =
            serde_json::from_str(value).map_err(|_| self.refuse("is not a list"))?;
        items.iter().map(|item| self.text(item.get()).map(Cow::into_owned)).collect()
    }

    fn put_one(&self, value: &str, argv: &mut Vec<String>) -> Result<()> {
        self.guard(value)?;
        match &self.slot.place {
            Place::Positional => {
                if self.by_caller && !self.spec.double_dash && value.starts_with('-') {
                    return Err(self.refuse(&format!(
                        "begins with '-' and could be taken for an option; if {} understands \
                         \"--\", the line `double_dash: true` in {} allows it",
                        self.spec.info.name, self.spec.file
                    )));
                }
                argv.push(value.to_owned());
            }
            // Not on the command line.
            Place::Stdin => {}
            Place::Option { flag, form } => match form {
                Form::Equals => argv.push(format!("{flag}={value}")),
                Form::Attached if !value.is_empty() => argv.push(format!("{flag}{value}")),
                // Nothing to attach; and nothing that could be an option.
                Form::Attached => argv.extend([flag.clone(), String::new()]),
                Form::Separate { allow_dash } => {
                    if self.by_caller && !allow_dash && value.starts_with('-') {
                        return Err(self.refuse(&format!(
                            "begins with '-' and could be taken for an option; if {flag} takes \
                             whatever follows it, the line `allow_dash: true` in {} allows it",
                            self.spec.file
                        )));
                    }
                    argv.extend([flag.clone(), value.to_owned()]);
                }
            },
        }
        Ok(())
    }

    fn guard(&self, value: &str) -> Result<()> {
        if value.contains('\0') {
            return Err(self.refuse("contains a null byte, which no argument can"));
        }
        if value.len() > MAX_ARGUMENT {
            return Err(self.refuse(&format!(
                "has {} bytes, and a command takes {MAX_ARGUMENT}",
                value.len()
            )));
        }
        if self.by_caller && !self.slot.allow_at && value.starts_with('@') {
            return Err(self.refuse(&format!(
                "begins with '@', which to many commands means \"read this file\"; if it does not \
                 here, the line `allow_at: true` in {} allows it",
                self.spec.file
            )));
        }
        Ok(())
    }

    /// A number is passed with the digits that it came with.
    fn text<'a>(&self, value: &'a str) -> Result<Cow<'a, str>> {
        let value = value.trim();
        match value.as_bytes().first() {
            Some(b'"') => serde_json::from_str(value)
                .map(Cow::Owned)
                .map_err(|_| self.refuse("is not a string")),
            Some(b'-' | b'0'..=b'9') => Ok(Cow::Borrowed(value)),
            _ => Err(self.refuse("is neither a string nor a number")),
        }
    }

    fn refuse(&self, problem: &str) -> Error {
        Error::invalid_argument(format!(
            "tool {}: argument {} {problem}",
            self.spec.info.name, self.slot.name
        ))
    }
}
