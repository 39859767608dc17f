//! What a file says to what it means: names, types, recipes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::Value;
use serde_saphyr::{Location, Spanned};

use super::authored::{Entries, ExitCode as AuthoredExitCode, Param, Recipe, ToolFile};
use super::parse::{Source, hint};
use super::slots::{self, Declared};
use super::{CliSpec, ExitCode, Meaning, common};
use crate::error::Result;
use crate::id::{ToolName, quoted};
use crate::json::Json;
use crate::tools::{Callable, ToolInfo};
use crate::workflow::Parameter;

/// Checks and completes a tool.
pub(super) fn tool(source: &Source<'_>, file: ToolFile) -> Result<CliSpec> {
    let name = common::name(source, &file.name)?;
    let description = file.description.unwrap_or_default();
    let slots = slots::resolve(source, file.schema.unwrap_or_default())?;

    let mut callables = Vec::new();
    let mut values = BTreeMap::new();
    let mut add = |name: &str, made: Made, description: String| {
        values.insert(name.to_owned(), made.values);
        callables.push(Callable {
            name: name.to_owned(),
            description,
            parameters: made.parameters,
        });
    };

    let mut recipes = BTreeMap::new();
    for (key, recipe) in file.recipes.map(|entries| entries.0).unwrap_or_default() {
        let recipe_name = recipe_name(source, &key)?;
        let mut recipe = recipe.unwrap_or_default();
        let described = recipe.description.take().unwrap_or_default();
        let made = make_recipe(source, &slots, &key, recipe)?;
        if recipes.insert(recipe_name.clone(), (described.clone(), made.clone())).is_some() {
            return Err(
                source.refuse(key.referenced, format!("two recipes are called {recipe_name}"))
            );
        }
        add(&recipe_name, made, described);
    }

    let raw = file.raw.as_ref().is_none_or(|raw| raw.value);
    if raw {
        // As in py-code-mode: a recipe with the tool's own name is the tool.
        match recipes.remove(name.as_str()) {
            Some((described, made)) => add("", made, described),
            None => add("", whole(&slots), description.clone()),
        }
    } else if callables.is_empty() {
        let at = file.raw.map_or(Location::UNKNOWN, |raw| raw.referenced);
        return Err(source.refuse(at, "with raw: false and no recipes there is nothing to call"));
    }
    callables.sort_by_key(|callable| !callable.name.is_empty());

    let folder = source.path.parent().map(PathBuf::from).unwrap_or_default();
    Ok(CliSpec {
        program: common::program(source, file.command.as_ref(), &file.name, &folder)?,
        file: common::file_name(source),
        fixed: common::fixed(source, file.args.unwrap_or_default())?,
        slots: slots.into_iter().map(|declared| declared.slot).collect(),
        double_dash: file.double_dash.unwrap_or(false),
        values,
        timeout: common::timeout(source, file.timeout)?,
        max_output: common::max_output(source, file.max_output)?,
        env: common::env(source, file.env)?,
        pass_env: common::pass_env(source, file.pass_env)?,
        exit_codes: exit_codes(source, file.exit_codes)?,
        cwd: file.cwd.map(|cwd| folder.join(cwd.value)),
        info: ToolInfo { name, description, tags: file.tags.unwrap_or_default(), callables },
    })
}

/// One callable's parameters, and the values that hold unless a caller who may says otherwise.
#[derive(Clone)]
struct Made {
    parameters: Vec<Parameter>,
    values: BTreeMap<String, Json>,
}

/// The tool itself: everything that the schema has.
fn whole(slots: &[Declared]) -> Made {
    let defaults =
        slots.iter().filter_map(|declared| Some((declared.name(), declared.default.clone()?)));
    Made {
        values: defaults.map(|(name, default)| (name.to_owned(), default)).collect(),
        parameters: slots.iter().map(Declared::parameter).collect(),
    }
}

/// A recipe. What holds, strongest first: the caller where the parameter is
/// exposed, the preset, the parameter's default, the schema's default.
fn make_recipe(
    source: &Source<'_>,
    slots: &[Declared],
    key: &Spanned<String>,
    recipe: Recipe,
) -> Result<Made> {
    let mut values = whole(slots).values;
    let mut preset = BTreeSet::new();
    for (name, value) in recipe.preset.map(|entries| entries.0).unwrap_or_default() {
        let slot = find(source, slots, &name, "preset")?;
        slot.check(source, &value)?;
        values.insert(slot.name().to_owned(), Json::from_value(&value.value)?);
        if !preset.insert(slot.name().to_owned()) {
            return Err(source.refuse(name.referenced, format!("{} is preset twice", slot.name())));
        }
    }

    let params = recipe.params.map(|entries| entries.0).unwrap_or_default();
    let mut parameters = Vec::new();
    if params.is_empty() {
        // As in py-code-mode, no `params` means all; but what is preset is settled.
        let open = slots.iter().filter(|declared| !preset.contains(declared.name()));
        parameters.extend(open.map(Declared::parameter));
    }
    for (name, param) in params {
        let slot = find(source, slots, &name, "params")?;
        let param: Param = param.unwrap_or_default();
        let default = param.default.clone();
        let mut parameter = slot.narrowed(source, param)?;
        if parameters.iter().any(|other: &Parameter| other.name == parameter.name) {
            return Err(
                source.refuse(name.referenced, format!("{} is there twice", parameter.name))
            );
        }
        if let Some(default) = default.filter(|_| !preset.contains(slot.name())) {
            values.insert(slot.name().to_owned(), Json::from_value(&default.value)?);
        }
        parameter.default = values.get(slot.name()).cloned();
        parameter.required = parameter.required && parameter.default.is_none();
        parameters.push(parameter);
    }

    let unreachable = slots.iter().find(|declared| {
        declared.required
            && !values.contains_key(declared.name())
            && !parameters.iter().any(|parameter| parameter.name == declared.name())
    });
    match unreachable {
        Some(declared) => Err(source.refuse(
            key.referenced,
            format!(
                "recipe {} can never be called: {} is required, but neither preset nor in params",
                quoted(&key.value),
                declared.name()
            ),
        )),
        None => Ok(Made { parameters, values }),
    }
}

fn find<'a>(
    source: &Source<'_>,
    slots: &'a [Declared],
    name: &Spanned<String>,
    within: &str,
) -> Result<&'a Declared> {
    let wanted = name.value.replace('-', "_");
    slots.iter().find(|declared| declared.name() == wanted).ok_or_else(|| {
        let known: Vec<_> = slots.iter().map(Declared::name).collect();
        source.refuse(
            name.referenced,
            format!(
                "{within} names {}, which is neither an option nor a positional{}",
                quoted(&name.value),
                hint(&wanted, &known)
            ),
        )
    })
}

fn recipe_name(source: &Source<'_>, key: &Spanned<String>) -> Result<String> {
    let name = key.value.replace('-', "_");
    // The rules are those for a tool's name; only `tools.search` is taken there, not `tools.grep.search`.
    if name == "search" || ToolName::new(&name).is_ok() {
        return Ok(name);
    }
    Err(source.refuse(
        key.referenced,
        format!(
            "{} is not a recipe's name: use letters, digits and '_', for example get; not a Python \
             keyword, list or call_async",
            quoted(&key.value)
        ),
    ))
}

fn exit_codes(
    source: &Source<'_>,
    entries: Option<Entries<AuthoredExitCode>>,
) -> Result<BTreeMap<i32, ExitCode>> {
    const MEANINGS: [&str; 3] = ["answer", "error", "retry"];
    let mut codes = BTreeMap::new();
    for (status, code) in entries.map(|entries| entries.0).unwrap_or_default() {
        let number = status.value.parse().ok().filter(|number| (0..=255).contains(number));
        let number = number.ok_or_else(|| {
            source.refuse(status.referenced, "an exit status is a number from 0 to 255")
        })?;
        let meaning = match code.means.as_ref().map(|means| means.value.as_str()) {
            Some("answer") => Meaning::Answer,
            None | Some("error") => Meaning::Error,
            Some("retry") => Meaning::Retry,
            Some(other) => {
                let at = code.means.as_ref().map_or(status.referenced, |means| means.referenced);
                let problem =
                    format!("{} is not a meaning{}", quoted(other), hint(other, &MEANINGS));
                return Err(source.refuse(at, problem));
            }
        };
        let description = code.description.unwrap_or_default();
        codes.insert(number, ExitCode { meaning, description });
    }
    Ok(codes)
}

/// The JSON text of a value that a file gives, for messages.
pub(super) fn shown(value: &Value) -> String {
    value.to_string().chars().take(80).collect()
}
