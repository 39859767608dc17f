//! What the files of several adapters have in common.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_saphyr::Spanned;

use super::authored::Entries;
use super::parse::Source;
use super::text::{self, AuthoredText};
use super::{DEFAULT_MAX_OUTPUT, DEFAULT_TIMEOUT, Program};
use crate::error::Result;
use crate::id::ToolName;
use crate::tools::secrets::Text;

/// The longest time limit, a day: beyond it a limit is none.
const MAX_TIMEOUT: f64 = 86_400.0;

/// The largest output cap.
const MAX_OUTPUT: u64 = 64 << 20;

/// A tool's name; `-` in it becomes `_`.
pub(super) fn name(source: &Source<'_>, name: &Spanned<String>) -> Result<ToolName> {
    ToolName::new(name.value.replace('-', "_"))
        .map_err(|error| source.refuse(name.referenced, error))
}

/// The file's name without its folder.
pub(super) fn file_name(source: &Source<'_>) -> String {
    source.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// `command`.
pub(super) fn program(
    source: &Source<'_>,
    command: Option<&Spanned<String>>,
    name: &Spanned<String>,
    folder: &Path,
) -> Result<Program> {
    let command = command.unwrap_or(name);
    let (text, at) = (command.value.as_str(), command.referenced);
    if text.is_empty() || text.contains('\0') {
        return Err(source.refuse(at, "command names no program"));
    }
    if text.contains('/') {
        return Ok(Program::At(folder.join(text)));
    }
    if text.contains(char::is_whitespace) {
        let first = text.split_whitespace().next().unwrap_or_default();
        return Err(source.refuse(
            at,
            format!(
                "command is one program, and no shell reads it; write command: {first} and the \
                 rest as a list under args"
            ),
        ));
    }
    Ok(Program::Named(text.to_owned()))
}

/// `args`.
pub(super) fn fixed(source: &Source<'_>, arguments: Vec<Spanned<String>>) -> Result<Vec<String>> {
    let checked = arguments.into_iter().map(|argument| {
        if argument.value.contains('\0') {
            return Err(
                source.refuse(argument.referenced, "an argument cannot contain a null byte")
            );
        }
        Ok(argument.value)
    });
    checked.collect()
}

/// `timeout`.
pub(super) fn timeout(source: &Source<'_>, seconds: Option<Spanned<f64>>) -> Result<Duration> {
    let Some(seconds) = seconds else { return Ok(DEFAULT_TIMEOUT) };
    if seconds.value > 0.0 && seconds.value <= MAX_TIMEOUT {
        return Ok(Duration::from_secs_f64(seconds.value));
    }
    Err(source.refuse(
        seconds.referenced,
        format!("timeout is {}; use seconds, more than 0 and at most {MAX_TIMEOUT}", seconds.value),
    ))
}

/// `max_output`.
pub(super) fn max_output(source: &Source<'_>, bytes: Option<Spanned<u64>>) -> Result<usize> {
    let Some(bytes) = bytes else { return Ok(DEFAULT_MAX_OUTPUT) };
    match usize::try_from(bytes.value) {
        Ok(cap) if (1..=MAX_OUTPUT).contains(&bytes.value) => Ok(cap),
        _ => Err(source.refuse(
            bytes.referenced,
            format!("max_output is {}; use bytes, 1 to {MAX_OUTPUT}", bytes.value),
        )),
    }
}

/// `env`.
pub(super) fn env(
    source: &Source<'_>,
    entries: Option<Entries<Spanned<AuthoredText>>>,
) -> Result<BTreeMap<String, Text>> {
    let mut env = BTreeMap::new();
    for (name, value) in entries.map(|entries| entries.0).unwrap_or_default() {
        let text = text::resolve(source, value, &name.value)?;
        let plain = match &text {
            Text::Plain(text) | Text::Secret { before: text, .. } => text,
        };
        if !is_variable(&name.value) || plain.contains('\0') {
            return Err(source.refuse(name.referenced, "not an environment variable"));
        }
        env.insert(name.value, text);
    }
    Ok(env)
}

/// `pass_env`.
pub(super) fn pass_env(
    source: &Source<'_>,
    names: Option<Vec<Spanned<String>>>,
) -> Result<Vec<String>> {
    let checked = names.unwrap_or_default().into_iter().map(|name| {
        if is_variable(&name.value) {
            Ok(name.value)
        } else {
            Err(source.refuse(name.referenced, "not the name of an environment variable"))
        }
    });
    checked.collect()
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0'])
}
