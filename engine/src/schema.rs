//! Arguments against the parameters that they are for.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::json::Json;
use crate::workflow::Parameter;

/// Parameters, compiled so that many calls can be checked quickly.
pub(crate) struct Validator {
    what: String,
    parameters: Vec<(Parameter, jsonschema::Validator)>,
    accepts_unknown: bool,
}

impl Validator {
    /// Compiles the schemas of some parameters. `what` is how messages call what they belong to.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if a schema is not one.
    pub(crate) fn new(
        what: impl Into<String>,
        parameters: &[Parameter],
        accepts_unknown: bool,
    ) -> Result<Self> {
        let what = what.into();
        let parameters = parameters
            .iter()
            .map(|parameter| {
                let schema = parameter.schema.to::<Value>()?;
                let validator = jsonschema::validator_for(&schema).map_err(|error| {
                    Error::invalid_argument(format!(
                        "{what}: the schema of parameter {} is not usable: {error}",
                        parameter.name
                    ))
                })?;
                Ok((parameter.clone(), validator))
            })
            .collect::<Result<_>>()?;
        Ok(Self { what, parameters, accepts_unknown })
    }

    /// Checks that `arguments` is an object that fits.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument), naming the parameter.
    pub(crate) fn check(&self, arguments: &Json) -> Result<()> {
        let given = as_object(&self.what, arguments)?;
        for (parameter, validator) in &self.parameters {
            let Some(value) = given.get(&parameter.name) else {
                if parameter.required {
                    return Err(self.refuse(&format!("argument {} is missing", parameter.name)));
                }
                continue;
            };
            if let Some(error) = validator.iter_errors(value).next() {
                let at = error.instance_path().to_string();
                return Err(self.refuse(&format!(
                    "argument {}{}: {}",
                    parameter.name,
                    if at.is_empty() { at } else { format!(" at {at}") },
                    shortened(&error.to_string())
                )));
            }
        }
        if !self.accepts_unknown {
            let known: HashSet<_> =
                self.parameters.iter().map(|(parameter, _)| parameter.name.as_str()).collect();
            if let Some(unknown) = given.keys().find(|name| !known.contains(name.as_str())) {
                let nearest = nearest(unknown, known.iter().copied())
                    .map(|name| format!("; did you mean {name}?"))
                    .unwrap_or_default();
                return Err(self.refuse(&format!(
                    "there is no parameter {}{nearest}",
                    crate::id::quoted(unknown)
                )));
            }
        }
        Ok(())
    }

    fn refuse(&self, problem: &str) -> Error {
        let mut takes: Vec<_> =
            self.parameters.iter().map(|(parameter, _)| parameter.name.as_str()).collect();
        if self.accepts_unknown {
            takes.push("...");
        }
        Error::invalid_argument(format!(
            "{}: {problem} (it takes {})",
            self.what,
            match takes.as_slice() {
                [] => "no arguments".to_owned(),
                names => names.join(", "),
            }
        ))
    }
}

fn as_object(what: &str, arguments: &Json) -> Result<Map<String, Value>> {
    let value = serde_json::from_str(arguments.as_str()).or_else(|error| {
        // A number beyond f64 is legal JSON and reaches the guest whole; for
        // the check against a schema its size does not matter.
        serde_json::from_str(&numbers_clamped(arguments.as_str())).map_err(|_| {
            Error::invalid_argument(format!("{what}: arguments are not JSON: {error}"))
        })
    })?;
    match value {
        Value::Object(map) => Ok(map),
        _ => Err(Error::invalid_argument(format!(
            "{what}: arguments must be a JSON object of keyword arguments, for example {{\"name\": 1}}"
        ))),
    }
}

/// The text with numbers of more than 300 characters replaced by a large one.
fn numbers_clamped(text: &str) -> String {
    let (mut out, mut number, mut in_string, mut escaped) =
        (String::with_capacity(text.len()), String::new(), false, false);
    for c in text.chars() {
        if !in_string && (c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E')) {
            number.push(c);
            continue;
        }
        flush(&mut out, &mut number);
        out.push(c);
        (in_string, escaped) = match (in_string, escaped, c) {
            (true, false, '\\') => (true, true),
            (true, false, '"') => (false, false),
            (false, _, '"') => (true, false),
            (inside, ..) => (inside, false),
        };
    }
    flush(&mut out, &mut number);
    return out;

    fn flush(out: &mut String, number: &mut String) {
        // `true` and `false` contain an `e`; they are short and pass through.
        if number.len() > 300 {
            out.push_str("1e300")
        } else {
            out.push_str(number)
        }
        number.clear();
    }
}

/// The candidate that is spelt most like `name`, if one is close: by its
/// beginning, or by a few slips of the keyboard.
#[must_use]
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let slips = |candidate: &str| {
        let length = name.chars().count().max(candidate.chars().count());
        let distance = strsim::damerau_levenshtein(name, candidate);
        // A third of a name may be wrong: `ulr` is `url`, `ab` is nothing.
        if length >= 3 && distance * 3 <= length { 1.0 / (1 + distance) as f64 } else { 0.0 }
    };
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate) + slips(candidate), candidate))
        .filter(|(score, _)| *score > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// A message that may quote a whole argument, made fit to show.
fn shortened(message: &str) -> String {
    const SHOWN: usize = 200;
    match message.char_indices().nth(SHOWN) {
        None => message.to_owned(),
        Some(_) => {
            let head: String = message.chars().take(SHOWN / 2).collect();
            let skip = message.chars().count().saturating_sub(SHOWN / 2);
            let tail: String = message.chars().skip(skip).collect();
            format!("{head} … {tail}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(name: &str, schema: &str, required: bool) -> Parameter {
        Parameter {
            name: name.into(),
            schema: Json::parse(schema).unwrap(),
            required,
            default: None,
            description: String::new(),
        }
    }

    fn check(arguments: &str) -> Result<()> {
        let parameters = [
            parameter("url", r#"{"type":"string"}"#, true),
            parameter("limit", r#"{"type":"integer"}"#, false),
        ];
        Validator::new("workflow fetch", &parameters, false)
            .unwrap()
            .check(&Json::parse(arguments).unwrap())
    }

    #[test]
    fn names_the_parameter() {
        let message = |arguments| check(arguments).unwrap_err().message().to_owned();
        assert!(message("{}").contains("argument url is missing"));
        assert!(message(r#"{"url":1}"#).contains("argument url: 1 is not of type \"string\""));
        assert!(message(r#"{"ulr":"x","url":"x"}"#).contains("did you mean url?"));
        assert!(message("[]").contains("must be a JSON object"));
        assert!(check(r#"{"url":"x","limit":3}"#).is_ok());
    }

    #[test]
    fn slips_of_the_keyboard() {
        let known = ["url", "get", "limit", "description"];
        for (typed, meant) in
            [("ulr", "url"), ("gte", "get"), ("limt", "limit"), ("descripton", "description")]
        {
            assert_eq!(nearest(typed, known), Some(meant));
        }
        assert_eq!(nearest("xyz", known), None);
    }

    #[test]
    fn numbers_beyond_f64_are_integers_all_the_same() {
        let huge = "9".repeat(5000);
        assert!(check(&format!(r#"{{"url":"x","limit":{huge}}}"#)).is_ok());
        assert!(check(&format!(r#"{{"url":{huge}}}"#)).is_err());
        let text = format!(r#"{{"url":"{huge}","limit":-{huge}}}"#);
        assert!(check(&text).is_ok());
    }
}
