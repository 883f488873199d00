//! Texts of others, made fit to be shown: in a terminal, in a line of a log.
//!
//! Clients choose ids; programs in a container choose names of processes and messages. Without escapes, such a text
//! could control a terminal, begin a new line, or reverse the order of the text beside it.

use std::borrow::Cow;

/// Characters of one text that are shown.
const MOST: usize = 4096;

/// Returns `text` in one line of characters that only show themselves. A character that controls a terminal, breaks a
/// line, is invisible or changes the direction of writing is escaped as in Rust (`\n`, `\u{202e}`). A text of more than
/// 4096 characters is cut.
#[must_use]
pub fn shown(text: &str) -> Cow<'_, str> {
    let long = text.char_indices().nth(MOST);
    if long.is_none() && !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let end = long.map_or(text.len(), |(end, _)| end);
    let mut clean = String::with_capacity(end);
    for character in text[..end].chars() {
        if is_hidden(character) {
            clean.extend(character.escape_debug());
        } else {
            clean.push(character);
        }
    }
    if long.is_some() {
        clean.push('…');
    }
    Cow::Owned(clean)
}

/// Whether a character does anything but show itself.
#[must_use]
pub fn is_hidden(character: char) -> bool {
    match character {
        ' '..='~' => false,
        '\u{0}'..='\u{9f}' => true,
        // Marks that join the character before, and would be shown without one here; emoji are made of some.
        '\u{300}'..='\u{36f}' | '\u{fe00}'..='\u{fe0f}' => false,
        _ => character.escape_debug().len() > 1,
    }
}

/// JSON whose texts are escaped where [`shown`] would: the same document for every reader.
#[must_use]
pub fn shown_json(json: &str) -> Cow<'_, str> {
    // White space between the values is as it is; within texts the writer has escaped it.
    let is_kept = |character: char| character == '\n' || !is_hidden(character);
    if json.chars().all(is_kept) {
        return Cow::Borrowed(json);
    }
    let mut clean = String::with_capacity(json.len());
    for character in json.chars() {
        if is_kept(character) {
            clean.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                clean.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    Cow::Owned(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_drives_a_terminal_or_turns_the_text_around_is_escaped() {
        for (text, expected) in [
            ("plain b\u{e4}r \u{4e2d}\\", "plain b\u{e4}r \u{4e2d}\\"),
            ("e\u{301}", "e\u{301}"),
            ("a\nb\r\t", "a\\nb\\r\\t"),
            ("\u{1b}[2J\u{7f}\u{9b}31m", "\\u{1b}[2J\\u{7f}\\u{9b}31m"),
            (
                "a\u{202e}b\u{2066}\u{200f}",
                "a\\u{202e}b\\u{2066}\\u{200f}",
            ),
            (
                "\u{200b}\u{feff}\u{2028}\u{ad}",
                "\\u{200b}\\u{feff}\\u{2028}\\u{ad}",
            ),
            ("\0", "\\0"),
        ] {
            assert_eq!(shown(text), expected);
        }
        let long = "x".repeat(MOST + 1);
        assert_eq!(shown(&long).chars().count(), MOST + 1);
        assert!(shown(&long).ends_with('…'));
    }

    #[test]
    fn json_stays_the_same_document() {
        let value = serde_json::json!({ "a\u{202e}": "\u{1b}[2J\u{9b}\u{7f}\u{e0001}\n\u{e4}" });
        let text = serde_json::to_string_pretty(&value).unwrap_or_default();
        let safe = shown_json(&text);
        assert!(!safe.chars().any(|c| c != '\n' && is_hidden(c)), "{safe}");
        assert!(safe.contains('\u{e4}'));
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&safe).ok(),
            Some(value)
        );
    }
}
