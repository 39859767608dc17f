//! Whether two JSON texts say the same, to the last digit.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// Whether two JSON texts say the same: numbers digit by digit, objects in any order.
#[must_use]
pub fn same_json(a: &str, b: &str) -> bool {
    match (read(a), read(b)) {
        (Some(a), Some(b)) => a == b,
        _ => false,
    }
}

#[derive(PartialEq)]
enum Exact {
    Object(BTreeMap<String, Exact>),
    Array(Vec<Exact>),
    Text(String),
    /// A number or a literal, as it is written.
    Verbatim(String),
}

fn read(text: &str) -> Option<Exact> {
    let text = text.trim();
    Some(match text.as_bytes().first()? {
        b'{' => {
            let fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(text).ok()?;
            let fields = fields.into_iter().map(|(name, value)| Some((name, read(value.get())?)));
            Exact::Object(fields.collect::<Option<_>>()?)
        }
        b'[' => {
            let items: Vec<Box<RawValue>> = serde_json::from_str(text).ok()?;
            Exact::Array(items.iter().map(|item| read(item.get())).collect::<Option<_>>()?)
        }
        b'"' => Exact::Text(serde_json::from_str(text).ok()?),
        _ => {
            serde_json::from_str::<&RawValue>(text).ok()?;
            Exact::Verbatim(text.to_owned())
        }
    })
}
