//! Text for people: numbers, tables, and JSON that is easy on the eye. Pure.

use std::fmt::Write;
use std::time::Duration;

use crate::run::Usage;

/// `1,234,567`
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `0.4 ms`, `12 ms`, `1.23 s`, `2 min 5 s`
pub(super) fn duration(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1000.0;
    if millis < 9.95 {
        format!("{millis:.1} ms")
    } else if millis < 999.5 {
        format!("{millis:.0} ms")
    } else if millis < 99_995.0 {
        format!("{:.2} s", millis / 1000.0)
    } else {
        let seconds = time.as_secs();
        format!("{} min {} s", seconds / 60, seconds % 60)
    }
}

/// `31 MiB`, `2.5 KiB`, `12 B`
pub(super) fn bytes(count: u64) -> String {
    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    match count {
        0..KIB => format!("{count} B"),
        KIB..MIB => tenths(count, KIB, "KiB"),
        _ => tenths(count, MIB, "MiB"),
    }
}

fn tenths(count: u64, unit: u64, name: &str) -> String {
    let tenths = count.saturating_mul(10).saturating_add(unit / 2) / unit;
    if tenths >= 100 || tenths.is_multiple_of(10) {
        format!("{} {name}", thousands(count.saturating_add(unit / 2) / unit))
    } else {
        format!("{}.{} {name}", tenths / 10, tenths % 10)
    }
}

/// `12 ms, 1,234,567 fuel, 31 MiB`
pub(super) fn usage(usage: &Usage) -> String {
    let mut text = format!(
        "{}, {} fuel, {}",
        duration(usage.wall_time),
        thousands(usage.fuel),
        bytes(usage.peak_memory_bytes)
    );
    match usage.host_calls {
        0 => {}
        1 => text.push_str(", 1 host call"),
        calls => {
            let _ = write!(text, ", {} host calls", thousands(calls));
        }
    }
    text
}

/// Text of unknown origin, fit for a terminal: what could move the cursor,
/// recolour, or reverse the reading direction becomes visible. Line breaks and
/// tabs stay.
pub(super) fn visible(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\n' | '\t' => safe.push(character),
            '\r' if characters.peek() == Some(&'\n') => {}
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                let _ = write!(safe, "\\u{{{:x}}}", u32::from(character));
            }
            character if character.is_control() => {
                let _ = write!(safe, "\\x{:02x}", u32::from(character));
            }
            character => safe.push(character),
        }
    }
    safe
}

/// The first line, at most `width` characters of it.
pub(super) fn shortened(text: &str, width: usize) -> String {
    let text = text.trim();
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= width && line.len() == text.len() {
        return line.to_owned();
    }
    let kept: String = line.chars().take(width.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// Every line of a text, moved to the right.
pub(super) fn indented(text: &str, by: usize) -> String {
    let margin = " ".repeat(by);
    let mut moved = String::with_capacity(text.len());
    for line in text.lines() {
        if !line.is_empty() {
            moved.push_str(&margin);
            moved.push_str(line);
        }
        moved.push('\n');
    }
    moved
}

/// How a column is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// Rows of cells in aligned columns. The last column is not padded.
pub(super) struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings; all of them empty for one without a heading.
    pub(super) fn new<const N: usize>(columns: [(&'static str, Align); N]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row. Cells come from anywhere, so they are made visible and single-line here.
    pub(super) fn row<const N: usize>(&mut self, cells: [String; N]) {
        let clean = |cell: String| visible(&cell).replace(['\n', '\t'], " ");
        self.rows.push(cells.into_iter().map(clean).collect());
    }

    /// The lines, each with its line break.
    pub(super) fn render(&self) -> String {
        let width = |cell: &str| cell.chars().count();
        let mut widths: Vec<usize> = self.columns.iter().map(|(head, _)| width(head)).collect();
        for row in &self.rows {
            for (widest, cell) in widths.iter_mut().zip(row) {
                *widest = (*widest).max(width(cell));
            }
        }
        let head: Vec<String> = self.columns.iter().map(|(head, _)| (*head).to_owned()).collect();
        let has_head = head.iter().any(|head| !head.is_empty());
        let mut text = String::new();
        for row in has_head.then_some(&head).into_iter().chain(&self.rows) {
            let mut line = String::new();
            for ((cell, (_, align)), widest) in row.iter().zip(&self.columns).zip(&widths) {
                let padding = " ".repeat(widest - width(cell));
                match align {
                    Align::Left => line.extend([cell.as_str(), padding.as_str(), "  "]),
                    Align::Right => line.extend([padding.as_str(), cell.as_str(), "  "]),
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// A JSON text on several lines. Strings and numbers are copied as they are
/// written, so that no digit is lost; what is short stays on one line.
pub(super) fn pretty(json: &str) -> String {
    const WIDTH: usize = 88;
    let compact = compact(json);
    if compact.chars().count() <= WIDTH {
        return compact;
    }
    let mut text = String::with_capacity(compact.len() * 5 / 4);
    // `compact` puts a blank after commas and colons, outside of strings.
    let mut rest = compact.as_str();
    let mut depth = 0_usize;
    while let Some(first) = rest.chars().next() {
        let line_break = |text: &mut String, depth: usize| {
            text.push('\n');
            text.push_str(&"  ".repeat(depth));
        };
        match first {
            '[' | '{' => {
                let whole = bracketed(rest);
                if whole.chars().count() + 2 * depth <= WIDTH {
                    text.push_str(whole);
                    rest = rest.get(whole.len()..).unwrap_or_default();
                    continue;
                }
                depth += 1;
                text.push(first);
                line_break(&mut text, depth);
            }
            ']' | '}' => {
                depth = depth.saturating_sub(1);
                line_break(&mut text, depth);
                text.push(first);
            }
            ',' => {
                text.push(',');
                line_break(&mut text, depth);
                rest = rest.get(2..).unwrap_or_default();
                continue;
            }
            '"' => {
                let string = quoted(rest);
                text.push_str(string);
                rest = rest.get(string.len()..).unwrap_or_default();
                continue;
            }
            other => text.push(other),
        }
        rest = rest.get(first.len_utf8()..).unwrap_or_default();
    }
    text
}

/// A JSON text on one line, with a blank after each comma and colon.
pub(super) fn compact(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(first) = rest.chars().next() {
        if first == '"' {
            let string = quoted(rest);
            text.push_str(string);
            rest = rest.get(string.len()..).unwrap_or_default();
            continue;
        }
        match first {
            ',' | ':' => text.extend([first, ' ']),
            ' ' | '\n' | '\r' | '\t' => {}
            other => text.push(other),
        }
        rest = rest.get(first.len_utf8()..).unwrap_or_default();
    }
    text
}

/// The string that a JSON text begins with, quotes included.
fn quoted(json: &str) -> &str {
    let mut escaped = false;
    for (index, byte) in json.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return json.get(..=index).unwrap_or(json),
            _ => {}
        }
    }
    json
}

/// The array or object that a JSON text begins with, brackets included.
fn bracketed(json: &str) -> &str {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (index, byte) in json.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return json.get(..=index).unwrap_or(json);
                }
            }
            _ => {}
        }
    }
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(duration(Duration::from_micros(412)), "0.4 ms");
        assert_eq!(duration(Duration::from_millis(12)), "12 ms");
        assert_eq!(duration(Duration::from_millis(1234)), "1.23 s");
        assert_eq!(duration(Duration::from_secs(125)), "2 min 5 s");
        assert_eq!(bytes(12), "12 B");
        assert_eq!(bytes(2560), "2.5 KiB");
        assert_eq!(bytes(31 << 20), "31 MiB");
        assert_eq!(bytes(u64::MAX).split(',').count(), 5);
    }

    #[test]
    fn nothing_reaches_the_terminal_unseen() {
        assert_eq!(visible("a\x1b[2Jb\rc\r\nd\te"), "a\\x1b[2Jb\\x0dc\nd\te");
        assert_eq!(visible("\u{9b}31m \u{202e}x äöü 漢"), "\\x9b31m \\u{202e}x äöü 漢");
    }

    #[test]
    fn json_keeps_every_digit_and_escape() {
        let json = r#"{"n":123456789012345678901234567890,"s":"a, \"b\": [","e":{},"f":1.10}"#;
        assert_eq!(
            compact(json),
            r#"{"n": 123456789012345678901234567890, "s": "a, \"b\": [", "e": {}, "f": 1.10}"#
        );
        let long = format!(
            r#"{{"items":[{}],"empty":[],"x":"{}"}}"#,
            "1,".repeat(60) + "2",
            "y".repeat(90)
        );
        let text = pretty(&long);
        assert_eq!(compact(&text), compact(&long));
        assert!(text.lines().count() > 60);
        assert!(text.contains("\n  \"empty\": [],\n"), "{text}");
    }

    #[test]
    fn tables_are_aligned() {
        let mut table = Table::new([("name", Align::Left), ("size", Align::Right)]);
        table.row(["a".into(), "1".into()]);
        table.row(["long\nname".into(), "1,000".into()]);
        assert_eq!(table.render(), "name        size\na              1\nlong name  1,000\n");
    }

    #[test]
    fn one_line_of_many() {
        assert_eq!(shortened("abc", 3), "abc");
        assert_eq!(shortened("abcd", 3), "ab…");
        assert_eq!(shortened("one\ntwo", 20), "one…");
    }
}
