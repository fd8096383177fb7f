//! Words that programs write where they have nothing to write: the answer webhook of an app-to-phone call has
//! `uuid=NONE`.

use super::visible::{is_invisible, visible};

/// What various languages make of nothing, in lower case.
const NOTHING: [&str; 11] = [
    "none",
    "null",
    "nil",
    "undefined",
    "nan",
    "n/a",
    "(none)",
    "(null)",
    "<none>",
    "<null>",
    "[object object]",
];

/// What stands for an unknown id, and is a word like any other elsewhere: a caller may be `Unknown`.
const NO_ID: [&str; 4] = ["unknown", "false", "0", "-"];

/// Prefixes of Vonage's ids, before the part that tells one from another.
const PREFIXES: [&str; 5] = ["con-", "mem-", "usr-", "nam-", "knk-"];

/// The zeros of a UUID that nobody has.
const UUID_DIGITS: usize = 32;

/// No word for nothing has more characters, and neither has a UUID.
const MAX_CHARACTERS: usize = 36;

/// Whether a text says nothing: it is blank, a word for nothing, or a UUID of zeros.
#[must_use]
pub fn says_nothing(text: &str) -> bool {
    // A text can be as long as a body: its beginning decides.
    let is_word = |character: &char| !character.is_whitespace() && !is_invisible(*character);
    if text.chars().filter(is_word).nth(MAX_CHARACTERS).is_some() {
        return false;
    }
    let text = visible(text);
    text.is_empty() || NOTHING.iter().any(|word| text.eq_ignore_ascii_case(word)) || is_zero_uuid(&text)
}

fn is_zero_uuid(text: &str) -> bool {
    let zeros = text.bytes().filter(|byte| *byte == b'0').count();
    zeros == UUID_DIGITS && text.bytes().all(|byte| matches!(byte, b'0' | b'-'))
}

/// Whether a text in the place of an id is nobody's.
#[must_use]
pub fn is_nobodys_id(text: &str) -> bool {
    let text = visible(text).to_ascii_lowercase();
    let bare = PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix));
    // Behind a prefix a short word may be somebody's own way to count.
    bare.map_or_else(|| says_nothing(&text) || NO_ID.contains(&&*text), says_nothing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_nobodys_id() {
        for text in [
            "",
            " \t",
            "\u{200b}",
            "NONE",
            "None",
            " none ",
            "null",
            "undefined",
            "UNKNOWN",
            "nil",
            "NaN",
            "N/A",
            "0",
            "-",
            "false",
            "[object Object]",
            "00000000-0000-0000-0000-000000000000",
            "00000000000000000000000000000000",
            "CON-00000000-0000-0000-0000-000000000000",
            "CON-",
            "CON-null",
            "MEM-undefined",
            "con-NONE",
        ] {
            assert!(is_nobodys_id(text), "{text:?}");
        }
        for text in [
            "CON-1",
            "CON-unknown",
            "MEM-0",
            "leg-0",
            "10000000-0000-0000-0000-000000000000",
            "0A0000000123ABCD1",
            "0c203000-1111-4000-8000-000000000001",
            "nonesuch",
        ] {
            assert!(!is_nobodys_id(text), "{text:?}");
        }
    }

    #[test]
    fn who_is_unknown_or_anonymous_is_still_told_of_so() {
        for text in ["Unknown", "anonymous", "0", "alice", "unavailable"] {
            assert!(!says_nothing(text), "{text:?}");
        }
        assert!(says_nothing("NONE") && says_nothing("\u{feff} ") && says_nothing("Undefined"));
    }
}
