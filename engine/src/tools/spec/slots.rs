//! `schema:` to the slots of the command line and the parameters that fill them.

use serde_json::{Value, json};
use serde_saphyr::{Location, Spanned};

use super::authored::{OptionSpec, Param, Positional, Schema};
use super::parse::{Source, hint};
use super::resolve::shown;
use super::{Form, Place, Shape, Slot};
use crate::error::Result;
use crate::id::{MAX_NAME, quoted};
use crate::json::Json;
use crate::workflow::Parameter;

/// The names of types: JSON Schema's, and Python's as py-code-mode has them.
const TYPES: [(&str, Kind); 10] = [
    ("string", Kind::String),
    ("str", Kind::String),
    ("integer", Kind::Integer),
    ("int", Kind::Integer),
    ("number", Kind::Number),
    ("float", Kind::Number),
    ("boolean", Kind::Boolean),
    ("bool", Kind::Boolean),
    ("array", Kind::Array),
    ("list", Kind::Array),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    String,
    Integer,
    Number,
    Boolean,
    Array,
}

impl Kind {
    const fn shape(self) -> Shape {
        match self {
            Self::Boolean => Shape::Flag,
            Self::Array => Shape::Many,
            Self::String | Self::Integer | Self::Number => Shape::One,
        }
    }

    pub(super) const fn schema_type(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Array => "array",
        }
    }
}

/// A slot, and the parameter that fills it when a caller may.
pub(super) struct Declared {
    pub(super) slot: Slot,
    pub(super) required: bool,
    pub(super) default: Option<Json>,
    description: String,
    schema: Value,
}

/// Options, then positionals.
pub(super) fn resolve(source: &Source<'_>, schema: Schema) -> Result<Vec<Declared>> {
    let mut declared: Vec<Declared> = Vec::new();
    let mut add = |at: Location, new: Declared| {
        if declared.iter().any(|other| other.slot.name == new.slot.name) {
            return Err(source.refuse(at, format!("two parameters are called {}", new.slot.name)));
        }
        let second = new.slot.place == Place::Stdin
            && declared.iter().any(|other| other.slot.place == Place::Stdin);
        if second {
            return Err(source.refuse(at, "one parameter at most goes to standard input"));
        }
        declared.push(new);
        Ok(())
    };
    for (key, spec) in schema.options.map(|entries| entries.0).unwrap_or_default() {
        add(key.referenced, option(source, &key, spec.unwrap_or_default())?)?;
    }
    for spec in schema.positional.unwrap_or_default() {
        add(spec.name.referenced, positional(source, spec)?)?;
    }
    Ok(declared)
}

fn option(source: &Source<'_>, key: &Spanned<String>, spec: OptionSpec) -> Result<Declared> {
    let name = parameter_name(source, key)?;
    let stdin = spec.stdin.as_ref().is_some_and(|stdin| stdin.value);
    let place = if stdin {
        if let Some(flag) = spec.short.as_ref().or(spec.flag.as_ref()).or(spec.form.as_ref()) {
            let problem = "what goes to standard input has no option: leave out stdin, or short, flag and form";
            return Err(source.refuse(flag.referenced, problem));
        }
        Place::Stdin
    } else {
        let flag = flag(source, key, spec.short.as_ref(), spec.flag.as_ref())?;
        let form = form(source, &flag, spec.form.as_ref(), spec.allow_dash.as_ref())?;
        Place::Option { flag, form }
    };
    let declared = declare(
        source,
        Draft {
            at: key.referenced,
            slot: |shape| Slot {
                name,
                place,
                shape,
                allow_at: spec.allow_at.unwrap_or(false),
                join: spec.join.as_ref().map(|join| join.value.clone()),
            },
            positional: false,
            kind: spec.kind,
            items: spec.items,
            description: spec.description,
            required: spec.required,
            default: spec.default,
            choices: spec.choices,
            pattern: spec.pattern,
        },
    )?;
    if let Some(join) = spec.join.filter(|_| declared.slot.shape != Shape::Many) {
        return Err(source.refuse(join.referenced, "join is for type: array"));
    }
    if stdin && declared.slot.shape == Shape::Flag {
        return Err(source.refuse(key.referenced, "what goes to standard input cannot be boolean"));
    }
    Ok(declared)
}

fn positional(source: &Source<'_>, spec: Positional) -> Result<Declared> {
    let name = parameter_name(source, &spec.name)?;
    let draft = Draft {
        at: spec.name.referenced,
        slot: |shape| Slot {
            name,
            place: Place::Positional,
            shape,
            allow_at: spec.allow_at.unwrap_or(false),
            join: None,
        },
        positional: true,
        kind: spec.kind,
        items: spec.items,
        description: spec.description,
        required: spec.required,
        default: spec.default,
        choices: spec.choices,
        pattern: spec.pattern,
    };
    declare(source, draft)
}

/// What options and positionals have in common.
struct Draft<F> {
    at: Location,
    slot: F,
    positional: bool,
    kind: Option<Spanned<String>>,
    items: Option<Spanned<String>>,
    description: Option<String>,
    required: Option<bool>,
    default: Option<Spanned<Value>>,
    choices: Option<Spanned<Vec<Value>>>,
    pattern: Option<Spanned<String>>,
}

fn declare<F: FnOnce(Shape) -> Slot>(source: &Source<'_>, draft: Draft<F>) -> Result<Declared> {
    let kind = kind(source, draft.kind.as_ref())?;
    if kind == Kind::Boolean && draft.positional {
        let at = draft.kind.map_or(draft.at, |kind| kind.referenced);
        return Err(source.refuse(at, "a positional cannot be boolean; make it an option"));
    }
    let mut schema = json!({ "type": kind.schema_type() });
    if kind == Kind::Array {
        // As in py-code-mode, whatever has an obvious text form may be in a list.
        let items = match &draft.items {
            None => json!({ "type": ["string", "number"] }),
            Some(items) => match type_named(source, items)? {
                Kind::Array | Kind::Boolean => {
                    return Err(source.refuse(items.referenced, "items are strings or numbers"));
                }
                kind => json!({ "type": kind.schema_type() }),
            },
        };
        insert(&mut schema, "items", items);
    } else if let Some(items) = &draft.items {
        return Err(source.refuse(items.referenced, "items is for type: array"));
    }
    narrow(source, &mut schema, draft.choices, draft.pattern)?;
    let mut declared = Declared {
        slot: (draft.slot)(kind.shape()),
        required: draft.required.unwrap_or(false) && draft.default.is_none(),
        default: None,
        description: draft.description.unwrap_or_default(),
        schema,
    };
    if let Some(default) = draft.default {
        declared.check(source, &default)?;
        declared.default = Some(Json::from_value(&default.value)?);
    }
    Ok(declared)
}

impl Declared {
    pub(super) fn name(&self) -> &str {
        &self.slot.name
    }

    /// The parameter as the schema has it.
    pub(super) fn parameter(&self) -> Parameter {
        Parameter {
            name: self.slot.name.clone(),
            schema: Json::from(self.schema.clone()),
            required: self.required,
            default: self.default.clone(),
            description: self.description.clone(),
        }
    }

    /// The parameter as a recipe exposes it.
    pub(super) fn narrowed(&self, source: &Source<'_>, param: Param) -> Result<Parameter> {
        let mut schema = self.schema.clone();
        if let Some(named) = &param.kind {
            let kind = type_named(source, named)?;
            if kind.shape() != self.slot.shape {
                return Err(source.refuse(
                    named.referenced,
                    format!(
                        "{} is {} in the schema and cannot become {} here",
                        self.name(),
                        schema.get("type").map(shown).unwrap_or_default(),
                        named.value
                    ),
                ));
            }
            insert(&mut schema, "type", json!(kind.schema_type()));
        }
        narrow(source, &mut schema, param.choices, param.pattern)?;
        if let Some(default) = &param.default {
            fits(source, self.name(), &schema, default)?;
        }
        Ok(Parameter {
            name: self.slot.name.clone(),
            schema: Json::from(schema),
            required: param.required.unwrap_or(self.required) || self.required,
            default: None,
            description: param.description.unwrap_or_else(|| self.description.clone()),
        })
    }

    /// Whether a value that the file gives fits.
    pub(super) fn check(&self, source: &Source<'_>, value: &Spanned<Value>) -> Result<()> {
        fits(source, self.name(), &self.schema, value)
    }
}

pub(super) fn fits(
    source: &Source<'_>,
    name: &str,
    schema: &Value,
    value: &Spanned<Value>,
) -> Result<()> {
    let validator = jsonschema::validator_for(schema)
        .map_err(|error| source.refuse(value.referenced, format!("{name}: {error}")))?;
    match validator.iter_errors(&value.value).next() {
        None => Ok(()),
        Some(error) => Err(source.refuse(
            value.referenced,
            format!("{} does not fit {name}: {error}", shown(&value.value)),
        )),
    }
}

/// `choices` and `pattern`, which hold for each item of an array.
fn narrow(
    source: &Source<'_>,
    schema: &mut Value,
    choices: Option<Spanned<Vec<Value>>>,
    pattern: Option<Spanned<String>>,
) -> Result<()> {
    let target = match schema.get_mut("items") {
        Some(_) => schema.get_mut("items"),
        None => Some(schema),
    };
    let Some(target) = target else { return Ok(()) };
    if let Some(choices) = choices {
        if choices.value.is_empty() || target.get("type") == Some(&json!("boolean")) {
            return Err(
                source.refuse(choices.referenced, "choices needs one at least, and no boolean")
            );
        }
        for choice in &choices.value {
            let choice = Spanned::new(choice.clone(), choices.referenced, choices.defined);
            fits(source, "its type", target, &choice)?;
        }
        insert(target, "enum", Value::Array(choices.value));
    }
    if let Some(pattern) = pattern {
        let candidate = json!({ "pattern": pattern.value });
        if jsonschema::validator_for(&candidate).is_err() {
            return Err(source.refuse(
                pattern.referenced,
                format!("{} is not a regular expression", quoted(&pattern.value)),
            ));
        }
        insert(target, "pattern", json!(pattern.value));
    }
    Ok(())
}

fn insert(schema: &mut Value, key: &str, value: Value) {
    if let Value::Object(map) = schema {
        map.insert(key.to_owned(), value);
    }
}

fn kind(source: &Source<'_>, named: Option<&Spanned<String>>) -> Result<Kind> {
    named.map_or(Ok(Kind::String), |named| type_named(source, named))
}

pub(super) fn type_named(source: &Source<'_>, named: &Spanned<String>) -> Result<Kind> {
    TYPES.iter().find(|(name, _)| *name == named.value).map(|(_, kind)| *kind).ok_or_else(|| {
        let known: Vec<_> = TYPES.iter().map(|(name, _)| *name).collect();
        source.refuse(
            named.referenced,
            format!("{} is not a type{}", quoted(&named.value), hint(&named.value, &known)),
        )
    })
}

/// `dry-run` is `dry_run` to a caller.
pub(super) fn parameter_name(source: &Source<'_>, key: &Spanned<String>) -> Result<String> {
    let name = key.value.replace('-', "_");
    let well_formed = !name.is_empty()
        && name.len() <= MAX_NAME
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.starts_with(|c: char| c.is_ascii_digit());
    if well_formed {
        return Ok(name);
    }
    Err(source.refuse(
        key.referenced,
        format!(
            "{} cannot be a parameter's name in Python; call it something like dry_run and give \
             the option itself as flag: \"--dry-run\"",
            quoted(&key.value)
        ),
    ))
}

fn flag(
    source: &Source<'_>,
    key: &Spanned<String>,
    short: Option<&Spanned<String>>,
    flag: Option<&Spanned<String>>,
) -> Result<String> {
    let (text, at) = match (short, flag) {
        (Some(_), Some(flag)) => {
            return Err(source.refuse(flag.referenced, "give short or flag, not both"));
        }
        (None, Some(flag)) => (flag.value.clone(), flag.referenced),
        (Some(short), None) => {
            (format!("-{}", short.value.trim_start_matches('-')), short.referenced)
        }
        // No command has a long option of one letter.
        (None, None) if key.value.len() == 1 => (format!("-{}", key.value), key.referenced),
        (None, None) => (format!("--{}", key.value), key.referenced),
    };
    if text.trim_matches('-').is_empty() || text.contains(|c: char| c.is_whitespace() || c == '\0')
    {
        return Err(source.refuse(at, format!("{} is not an option", quoted(&text))));
    }
    Ok(text)
}

fn form(
    source: &Source<'_>,
    flag: &str,
    form: Option<&Spanned<String>>,
    allow_dash: Option<&Spanned<bool>>,
) -> Result<Form> {
    const FORMS: [&str; 3] = ["equals", "attached", "separate"];
    let separate = Form::Separate { allow_dash: allow_dash.is_some_and(|allow| allow.value) };
    let form = match form {
        None if flag.starts_with("--") => Form::Equals,
        None if flag.starts_with('-') && flag.chars().count() == 2 => Form::Attached,
        None => separate,
        Some(form) => match form.value.as_str() {
            "equals" => Form::Equals,
            "attached" => Form::Attached,
            "separate" => separate,
            other => {
                return Err(source.refuse(
                    form.referenced,
                    format!("{} is not a form{}", quoted(other), hint(other, &FORMS)),
                ));
            }
        },
    };
    match allow_dash {
        Some(allow) if form != separate => {
            Err(source.refuse(allow.referenced, "allow_dash is for form: separate"))
        }
        _ => Ok(form),
    }
}
