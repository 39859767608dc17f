//! Takes secrets out of what comes back.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use super::{Secret, SecretName};
use crate::error::{Error, Result};
use crate::json::Json;

/// Takes secrets out of texts, whether they stand there as they are, URL-encoded,
/// as JSON escapes them, in hexadecimal, or in base64 at any offset of what was
/// encoded. In their place is `[secret NAME]`.
///
/// It is there for tools that echo what they were sent. A tool that means to
/// betray a secret can (reversed, in pieces): give secrets to tools that you trust.
#[derive(Default)]
pub struct Scrubber {
    patterns: BTreeMap<SecretName, Vec<Pattern>>,
    /// Which bytes a secret's text can begin with.
    begins: Option<Box<[bool; 256]>>,
}

/// The shortest line of a secret that is taken out by itself: shorter ones are other texts, too.
const MIN_LINE: usize = 16;

struct Pattern {
    bytes: Vec<u8>,
    /// Hexadecimal digits have two cases.
    any_case: bool,
}

impl std::fmt::Debug for Scrubber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.patterns.keys()).finish()
    }
}

impl Scrubber {
    /// Takes this one out from here on.
    pub fn add(&mut self, name: &SecretName, secret: &Secret) {
        let text = secret.reveal();
        let mut patterns = vec![Pattern { bytes: text.into(), any_case: false }];
        let mut add = |bytes: Vec<u8>, any_case| {
            if !patterns.iter().any(|known| known.bytes == bytes) {
                patterns.push(Pattern { bytes, any_case });
            }
        };
        // JSON within JSON, as a string that holds a document; some writers escape more than others.
        let escaped = serde_json::Value::from(text).to_string();
        let escaped = escaped.get(1..escaped.len() - 1).unwrap_or_default();
        for escaped in [escaped.to_owned(), escaped.replace('/', "\\/")] {
            let ascii = ascii_only(&escaped).into_bytes();
            add(escaped.into_bytes(), false);
            add(ascii, true);
        }
        // A key of several lines is shown, and logged, line by line; what frames it is no secret.
        if text.contains('\n') {
            let lines = text.lines().map(str::trim).filter(|line| line.len() >= MIN_LINE);
            for line in lines.filter(|line| !line.starts_with("-----")) {
                add(line.into(), false);
            }
        }
        add(text.bytes().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect(), true);
        // By itself, and within something longer, with which it shares its first and last sign.
        let alone = [STANDARD.encode(text), STANDARD_NO_PAD.encode(text)];
        let within = (0..3).map(|offset| base64_within(text.as_bytes(), offset));
        for encoded in alone.into_iter().chain(within) {
            add(encoded.replace('+', "-").replace('/', "_").into_bytes(), false);
            add(encoded.into_bytes(), false);
        }
        let begins = self.begins.get_or_insert_with(|| Box::new([false; 256]));
        for pattern in &patterns {
            let Some(&first) = pattern.bytes.first() else { continue };
            let also = [first, b'%', if first == b' ' { b'+' } else { first }];
            let cases = [first.to_ascii_lowercase(), first.to_ascii_uppercase()];
            for byte in also.iter().chain(cases.iter().filter(|_| pattern.any_case)) {
                if let Some(flag) = begins.get_mut(usize::from(*byte)) {
                    *flag = true;
                }
            }
        }
        self.patterns.insert(name.clone(), patterns);
    }

    /// How many bytes a secret has at most, in the longest of its forms. A text that
    /// is cut has to be scrubbed first, with so many bytes more than are kept: half
    /// a secret is not found.
    #[must_use]
    pub fn longest(&self) -> usize {
        let lengths = self.patterns.values().flatten().map(|pattern| 3 * pattern.bytes.len());
        lengths.max().unwrap_or(0)
    }

    /// The text without secrets.
    #[must_use]
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let Some(begins) = &self.begins else { return Cow::Borrowed(text) };
        let bytes = text.as_bytes();
        let (mut clean, mut kept, mut at) = (String::new(), 0, 0);
        while let Some(&byte) = bytes.get(at) {
            let may = begins.get(usize::from(byte)).copied().unwrap_or(false);
            match bytes.get(at..).filter(|_| may).and_then(|rest| self.found(rest)) {
                Some((name, length)) => {
                    clean.push_str(text.get(kept..at).unwrap_or_default());
                    clean.push_str(&format!("[secret {name}]"));
                    at += length;
                    kept = at;
                }
                None => at += 1,
            }
        }
        if kept == 0 {
            return Cow::Borrowed(text);
        }
        clean.push_str(text.get(kept..).unwrap_or_default());
        Cow::Owned(clean)
    }

    /// The longest secret that a text begins with.
    fn found(&self, text: &[u8]) -> Option<(&SecretName, usize)> {
        let all = self.patterns.iter().flat_map(|(name, patterns)| {
            patterns.iter().filter_map(move |pattern| Some((name, pattern.length_in(text)?)))
        });
        all.max_by_key(|(_, length)| *length)
    }

    /// The JSON without secrets, still JSON: within strings they are replaced;
    /// another scalar that holds one becomes a string.
    #[must_use]
    pub fn json(&self, json: Json) -> Json {
        if self.begins.is_none() {
            return json;
        }
        let text = json.as_str();
        let bytes = text.as_bytes();
        let (mut clean, mut kept, mut at) = (String::new(), 0, 0);
        while let Some(&byte) = bytes.get(at) {
            let end = match byte {
                b'"' => string_end(bytes, at),
                b'-' | b'0'..=b'9' => {
                    let more = bytes.iter().skip(at).take_while(|byte| {
                        matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')
                    });
                    at + more.count()
                }
                _ => {
                    at += 1;
                    continue;
                }
            };
            let token = text.get(at..end).unwrap_or_default();
            let value: Cow<'_, str> = if byte != b'"' {
                Cow::Borrowed(token)
            } else if token.contains('\\') {
                Cow::Owned(serde_json::from_str(token).unwrap_or_default())
            } else {
                Cow::Borrowed(token.trim_matches('"'))
            };
            if let Cow::Owned(scrubbed) = self.text(&value) {
                clean.push_str(text.get(kept..at).unwrap_or_default());
                clean.push_str(&serde_json::Value::from(scrubbed).to_string());
                kept = end;
            }
            at = end;
        }
        if kept == 0 {
            return json;
        }
        clean.push_str(text.get(kept..).unwrap_or_default());
        Json::parse(clean).unwrap_or_else(|_| Json::null())
    }

    /// The error without secrets, in its message, causes and details.
    #[must_use]
    pub fn error(&self, error: Error) -> Error {
        if self.begins.is_none() {
            return error;
        }
        let chain = error.chain();
        // Causes are other crates' text: if one has a secret, the text remains and they do not.
        let mut clean = match self.text(&chain) {
            Cow::Borrowed(_) if error.details().is_none() => return error,
            scrubbed => Error::new(error.code(), scrubbed),
        };
        if let Some(details) = error.details() {
            clean = clean.with_details(self.json(details.clone()));
        }
        clean
    }

    /// An answer or an error, without secrets.
    ///
    /// # Errors
    /// The same, scrubbed.
    pub fn outcome(&self, outcome: Result<Json>) -> Result<Json> {
        outcome.map(|json| self.json(json)).map_err(|error| self.error(error))
    }
}

impl Pattern {
    /// How many bytes of the beginning of `text` are this, each byte as it is or
    /// as `%xx`, a blank also as `+`.
    fn length_in(&self, text: &[u8]) -> Option<usize> {
        let mut at = 0;
        for &wanted in &self.bytes {
            let is =
                |byte: u8| byte == wanted || (self.any_case && byte.eq_ignore_ascii_case(&wanted));
            let byte = *text.get(at)?;
            if is(byte) || (byte == b'+' && wanted == b' ') {
                at += 1;
            } else if byte == b'%' && is(percent(text.get(at + 1..at + 3)?)?) {
                at += 3;
            } else {
                return None;
            }
        }
        Some(at)
    }
}

/// As writers do that keep to ASCII: `é` is `\u00e9`.
fn ascii_only(text: &str) -> String {
    let mut ascii = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() {
            ascii.push(c);
        } else {
            let units = &mut [0; 2];
            ascii.extend(c.encode_utf16(units).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    ascii
}

fn percent(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Where the string that begins at `at` ends, behind its quote.
fn string_end(bytes: &[u8], at: usize) -> usize {
    let mut end = at + 1;
    while let Some(&byte) = bytes.get(end) {
        end += 1;
        match byte {
            b'"' => break,
            b'\\' => end += 1,
            _ => {}
        }
    }
    end.min(bytes.len())
}

/// The characters of a base64 text that depend on nothing but `secret`, which
/// begins `offset` bytes after a group of three.
fn base64_within(secret: &[u8], offset: usize) -> String {
    let mut padded = vec![0; offset];
    padded.extend_from_slice(secret);
    let encoded = STANDARD_NO_PAD.encode(&padded);
    let (begin, end) = ((offset * 8).div_ceil(6), padded.len() * 8 / 6);
    encoded.get(begin..end).unwrap_or_default().to_owned()
}
