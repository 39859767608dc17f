//! A text's words, as an index has them.

/// The longest word, in bytes: of longer ones, which nobody types, the beginning counts.
const MAX_WORD: usize = 64;

/// The words of a text, in order and in lower case. What changes from small to capital letters
/// in the middle is two (`fetchJson`), and of scripts that write no spaces, each sign is one.
///
/// Not reduced to stems: on `make search-quality` that finds less.
pub(super) fn words(text: &str) -> impl Iterator<Item = String> {
    let mut signs = text.chars().peekable();
    std::iter::from_fn(move || {
        let mut word = String::new();
        while let Some(sign) = signs.peek().copied() {
            let ends = !sign.is_alphanumeric()
                || !word.is_empty() && (is_word_alone(sign) || word.chars().all(is_word_alone));
            if ends && !word.is_empty() {
                break;
            }
            signs.next();
            if ends {
                continue;
            }
            if word.len() < MAX_WORD {
                word.extend(sign.to_lowercase());
            }
            if sign.is_lowercase() && signs.peek().is_some_and(|next| next.is_uppercase()) {
                break;
            }
        }
        (!word.is_empty()).then_some(word)
    })
}

/// Han, Hiragana, Katakana and their like, of which a word has no visible end.
fn is_word_alone(sign: char) -> bool {
    matches!(sign, '\u{2E80}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_what_one_would_say() {
        let said = |text| words(text).collect::<Vec<_>>().join("|");
        assert_eq!(said("Fetch the JSON, please!"), "fetch|the|json|please");
        assert_eq!(said("fetch_json v2 getHTTPPage"), "fetch|json|v2|get|httppage");
        assert_eq!(said("Größe Δx 東京 の天気abc"), "größe|δx|東|京|の|天|気|abc");
        assert_eq!(said(" \u{202e}\n--- "), "");
        assert_eq!(words(&"x".repeat(1 << 20)).map(|word| word.len()).collect::<Vec<_>>(), [64]);
    }
}
