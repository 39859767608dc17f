//! Endpoints and their parameters.

use reqwest::Method;
use serde_json::{Value, json};
use serde_saphyr::{Location, Spanned};

use super::authored::{AuthoredEndpoint, AuthoredParam};
use super::resolve::{OneEndpoint, method};
use super::{Answer, Endpoint, Param, Place};
use crate::error::Result;
use crate::id::{ToolName, quoted};
use crate::json::Json;
use crate::tools::Callable;
use crate::tools::spec::parse::{Source, hint};
use crate::tools::spec::slots;
use crate::workflow::Parameter;

/// `{name}`s of a path.
pub(super) fn placeholders(path: &str) -> Vec<&str> {
    let parts = path.split('{').skip(1);
    parts.filter_map(|part| part.split_once('}').map(|(name, _)| name)).collect()
}

/// Checks and completes an endpoint.
pub(super) fn endpoint_of(
    source: &Source<'_>,
    key: &Spanned<String>,
    authored: AuthoredEndpoint,
    has_base: bool,
) -> Result<OneEndpoint> {
    let name = key.value.replace('-', "_");
    if name != "search" && ToolName::new(&name).is_err() {
        let problem = format!(
            "{} is not an endpoint's name: use letters, digits and '_'",
            quoted(&key.value)
        );
        return Err(source.refuse(key.referenced, problem));
    }
    let method = match &authored.method {
        None => Method::GET,
        Some(name) => method(source, name)?,
    };
    let path = match &authored.path {
        Some(path) if !has_base => {
            return Err(
                source.refuse(path.referenced, "a path is below base_url, which is missing")
            );
        }
        Some(path) if !path.value.starts_with('/') || path.value.contains(['?', '#']) => {
            let problem =
                "a path begins with / and has neither ? nor #; a query is given by params";
            return Err(source.refuse(path.referenced, problem));
        }
        Some(path) => Some(path.value.clone()),
        None if has_base => return Err(source.refuse(key.referenced, "key \"path\" is missing")),
        None => None,
    };
    let (mut parameters, mut params) = (Vec::new(), Vec::new());
    if path.is_none() {
        parameters.push(Parameter {
            name: "url".to_owned(),
            schema: Json::from(json!({ "type": "string" })),
            required: true,
            default: None,
            description: "The whole address".to_owned(),
        });
        params.push(Param {
            name: "url".into(),
            wire: "url".into(),
            place: Place::Url,
            default: None,
        });
    }
    let authored_params = authored.params.map(|entries| entries.0).unwrap_or_default();
    for (name, param) in authored_params {
        let (parameter, param) =
            param_of(source, &name, param.unwrap_or_default(), &method, path.as_deref())?;
        if params.iter().any(|other: &Param| other.name == param.name) {
            return Err(source.refuse(name.referenced, format!("{} is there twice", param.name)));
        }
        parameters.push(parameter);
        params.push(param);
    }
    for placeholder in placeholders(path.as_deref().unwrap_or_default()) {
        if !params.iter().any(|param| param.place == Place::Path && param.wire == placeholder) {
            let problem = format!("path names {{{placeholder}}}, which is not in params");
            return Err(source.refuse(key.referenced, problem));
        }
    }
    check_body(source, key.referenced, &params)?;
    let answer = match authored.answer.as_ref().map(|answer| answer.value.as_str()) {
        None | Some("auto") => Answer::Auto,
        Some("text") => Answer::Text,
        Some("response") => Answer::Response,
        Some(other) => {
            let at = authored.answer.as_ref().map_or(key.referenced, |answer| answer.referenced);
            let known = ["auto", "text", "response"];
            let problem =
                format!("{} is not a form of answer{}", quoted(other), hint(other, &known));
            return Err(source.refuse(at, problem));
        }
    };
    let idempotent = authored.idempotent.unwrap_or_else(|| method.is_idempotent());
    let description = authored.description.unwrap_or_default();
    Ok(OneEndpoint {
        callable: Callable { name, description, parameters },
        endpoint: Endpoint { method, path, params, answer, idempotent },
    })
}

fn check_body(source: &Source<'_>, at: Location, params: &[Param]) -> Result<()> {
    let count = |place| params.iter().filter(|param| param.place == place).count();
    if count(Place::Content) > 1 || (count(Place::Content) > 0 && count(Place::Field) > 0) {
        return Err(source.refuse(at, "one parameter is the content, or several are its fields"));
    }
    Ok(())
}

fn param_of(
    source: &Source<'_>,
    name: &Spanned<String>,
    authored: AuthoredParam,
    method: &Method,
    path: Option<&str>,
) -> Result<(Parameter, Param)> {
    const PLACES: [(&str, Place); 5] = [
        ("path", Place::Path),
        ("query", Place::Query),
        ("header", Place::Header),
        ("field", Place::Field),
        ("content", Place::Content),
    ];
    let own_name = slots::parameter_name(source, name)?;
    let wire = authored.wire.unwrap_or_else(|| name.value.clone());
    let in_path = placeholders(path.unwrap_or_default()).contains(&wire.as_str());
    let place = match &authored.place {
        Some(place) => {
            let found =
                PLACES.iter().find(|(name, _)| *name == place.value).map(|(_, place)| *place);
            found.ok_or_else(|| {
                let known = PLACES.map(|(name, _)| name);
                let problem = format!(
                    "{} is not a place{}",
                    quoted(&place.value),
                    hint(&place.value, &known)
                );
                source.refuse(place.referenced, problem)
            })?
        }
        None if in_path => Place::Path,
        None if matches!(*method, Method::POST | Method::PUT | Method::PATCH) => Place::Field,
        None => Place::Query,
    };
    if (place == Place::Path) != in_path {
        let problem = format!("{wire} is in the path if, and only if, the path says {{{wire}}}");
        return Err(source.refuse(name.referenced, problem));
    }
    let schema = match authored.schema {
        Some(schema) => schema,
        None => {
            let mut schema = match authored.kind.as_ref().map(|kind| kind.value.as_str()) {
                Some("object" | "dict") => json!({ "type": "object" }),
                Some("any") => json!({}),
                None => json!({ "type": "string" }),
                Some(_) => {
                    let kind = authored.kind.as_ref().map(|kind| slots::type_named(source, kind));
                    let kind = kind.transpose()?.map_or("string", slots::Kind::schema_type);
                    json!({ "type": kind })
                }
            };
            if let Value::Object(map) = &mut schema {
                map.extend(
                    authored.choices.map(|choices| ("enum".to_owned(), Value::Array(choices))),
                );
                map.extend(
                    authored.pattern.map(|pattern| ("pattern".to_owned(), Value::from(pattern))),
                );
            }
            schema
        }
    };
    if let Err(error) = jsonschema::validator_for(&schema) {
        return Err(source.refuse(name.referenced, format!("{own_name}: {error}")));
    }
    if let Some(default) = &authored.default {
        slots::fits(source, &own_name, &schema, default)?;
    }
    let default = authored.default.map(|default| Json::from_value(&default.value)).transpose()?;
    // A path with a hole in it is another path.
    let required = default.is_none() && authored.required.unwrap_or(place == Place::Path);
    let parameter = Parameter {
        name: own_name.clone(),
        schema: Json::from(schema),
        required: required || (place == Place::Path && default.is_none()),
        default: default.clone(),
        description: authored.description.unwrap_or_default(),
    };
    Ok((parameter, Param { name: own_name, wire, place, default }))
}
