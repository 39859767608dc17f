//! What something can be found by.

use std::collections::{BTreeSet, HashSet};

use super::words::words;
use crate::json::Json;
use crate::workflow::{Parameter, Workflow};

/// The most words of a document that are indexed: more than a page of text has. What follows
/// is not found by its words.
const MAX_WORDS: usize = 1000;

/// The longest text whose meaning is asked for, in bytes: a model reads some 256 tokens of it.
const MAX_TEXT: usize = 4096;

/// What something can be found by: its name and what it says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Document {
    /// In words, not as an identifier.
    pub name: String,
    /// What it does: the most important first.
    pub descriptions: Vec<String>,
    /// Names of its parameters, each with what it means.
    pub parameters: Vec<(String, String)>,
    /// What else is said of it; found by its words only.
    pub details: String,
}

impl Document {
    /// Adds what it does, unless that was said before.
    #[must_use]
    pub fn described(mut self, description: &str) -> Self {
        let description = description.trim();
        if !description.is_empty() && self.descriptions.iter().all(|known| known != description) {
            self.descriptions.push(description.to_owned());
        }
        self
    }

    /// Adds parameters, with the values that they may have, if those are few.
    #[must_use]
    pub fn with_parameters(mut self, parameters: &[Parameter]) -> Self {
        let parameter = |parameter: &Parameter| {
            let mut meaning = parameter.description.trim().to_owned();
            for value in values(&parameter.schema) {
                meaning.push(' ');
                meaning.push_str(&value);
            }
            (spoken(&parameter.name), meaning)
        };
        self.parameters.extend(parameters.iter().map(parameter));
        self
    }

    /// The texts whose meanings, taken together, are the document's: as a whole without and
    /// with what its parameters mean, and what it does alone.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        let mut whole = vec![self.name.clone()];
        whole.extend(self.descriptions.iter().cloned());
        let (mut brief, mut long) = (whole.clone(), whole);
        let names: Vec<_> = self.parameters.iter().map(|(name, _)| name.as_str()).collect();
        brief.push(names.join(", "));
        long.extend(self.parameters.iter().map(|(name, meaning)| match meaning.as_str() {
            "" => name.clone(),
            meaning => format!("{name}: {meaning}"),
        }));
        let joined = |mut parts: Vec<String>| {
            parts.retain(|part| !part.is_empty());
            let mut text = parts.join(". ");
            text.truncate(text.floor_char_boundary(MAX_TEXT));
            text
        };
        let mut texts: Vec<String> = Vec::new();
        for text in [joined(brief), joined(long), joined(self.descriptions.clone())] {
            if !text.is_empty() && !texts.contains(&text) {
                texts.push(text);
            }
        }
        texts
    }

    /// The words that it is found by, each as often as it is there. The details, which say much
    /// of it once more, add what is new.
    pub(super) fn words(&self) -> Vec<String> {
        let parameters =
            self.parameters.iter().flat_map(|(name, meaning)| [name.as_str(), meaning.as_str()]);
        let parts = std::iter::once(self.name.as_str())
            .chain(self.descriptions.iter().map(String::as_str))
            .chain(parameters);
        let mut found: Vec<_> = parts.flat_map(words).take(MAX_WORDS).collect();
        let known: HashSet<_> = found.iter().cloned().collect();
        let new = words(&self.details).filter(|word| !known.contains(word));
        found.extend(new.take(MAX_WORDS - found.len()));
        found
    }
}

impl From<&Workflow> for Document {
    fn from(workflow: &Workflow) -> Self {
        let analysis = &workflow.analysis;
        let document = Self {
            name: spoken(workflow.name.as_str()),
            details: analysis.docstring.clone(),
            ..Self::default()
        };
        document
            .described(&workflow.description)
            .described(&analysis.description)
            .with_parameters(&analysis.signature.parameters)
    }
}

/// An identifier as one says it.
#[must_use]
pub fn spoken(name: &str) -> String {
    name.replace(['_', '.', '-'], " ").trim().to_owned()
}

/// The values that a schema lists, as far as they are texts.
fn values(schema: &Json) -> BTreeSet<String> {
    #[derive(serde::Deserialize)]
    struct Listed {
        #[serde(default, rename = "enum")]
        values: Vec<serde_json::Value>,
    }
    // A schema may be anything; what it does not list is not found by its values.
    let Ok(listed) = serde_json::from_str::<Listed>(schema.as_str()) else {
        return BTreeSet::new();
    };
    listed.values.into_iter().filter_map(|value| value.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(name: &str, schema: &str, description: &str) -> Parameter {
        Parameter {
            name: name.to_owned(),
            schema: Json::parse(schema).unwrap(),
            required: true,
            default: None,
            description: description.to_owned(),
        }
    }

    #[test]
    fn says_each_thing_once() {
        let document = Document { name: spoken("fetch_json"), ..Document::default() }
            .described("Fetch JSON from a URL")
            .described(" Fetch JSON from a URL ")
            .described("");
        assert_eq!(
            document.texts(),
            ["fetch json. Fetch JSON from a URL", "Fetch JSON from a URL"]
        );
        let document = document.with_parameters(&[
            parameter("time_limit", "{}", "In seconds"),
            parameter("method", r#"{"enum": ["PUT", "GET", 3]}"#, ""),
        ]);
        assert_eq!(
            document.texts(),
            [
                "fetch json. Fetch JSON from a URL. time limit, method",
                "fetch json. Fetch JSON from a URL. time limit: In seconds. method:  GET PUT",
                "Fetch JSON from a URL",
            ]
        );
        let document = Document { details: "Fetch JSON, raising".to_owned(), ..document };
        assert_eq!(
            document.words().join(" "),
            "fetch json fetch json from a url time limit in seconds method get put raising"
        );
    }

    #[test]
    fn is_bounded() {
        let document = Document { details: "word ".repeat(1 << 20), ..Document::default() };
        assert_eq!(document.words().len(), MAX_WORDS);
        let document = document.described(&"ä".repeat(1 << 20));
        assert!(document.texts().iter().all(|text| text.len() <= MAX_TEXT));
        assert!(Document::default().texts().is_empty());
    }
}
