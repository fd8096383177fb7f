//! Text as its reader sees it. Numbers and ids that were copied out of other programs carry characters that nobody
//! sees: direction marks, zero-width spaces, byte order marks, soft hyphens, variation selectors.

use std::borrow::Cow;

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory};
use icu_properties::{CodePointMapData, CodePointSetData};

/// The text without what nobody sees, and without blanks around it.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    let text = text.trim();
    if !text.chars().any(is_invisible) {
        return Cow::Borrowed(text);
    }
    let visible: String = text.chars().filter(|character| !is_invisible(*character)).collect();
    Cow::Owned(visible.trim().to_owned())
}

/// The same in the characters of a keyboard as far as it has any: full-width and other digits as `0` to `9`, every
/// dash as `-`, every space as ` `.
#[must_use]
pub fn typed(text: &str) -> Cow<'_, str> {
    let visible = visible(text);
    if visible.is_ascii() {
        return visible;
    }
    let normalizer = const { ComposingNormalizerBorrowed::new_nfkc() };
    let typed: String = normalizer.normalize(&visible).chars().map(typed_character).collect();
    Cow::Owned(typed.trim().to_owned())
}

/// Whether nobody sees a character.
#[must_use]
pub fn is_invisible(character: char) -> bool {
    // The blank of braille takes up room and is drawn without a dot.
    const BRAILLE_BLANK: char = '\u{2800}';
    if character.is_ascii() {
        return character.is_ascii_control() && !character.is_ascii_whitespace();
    }
    let category = CodePointMapData::<GeneralCategory>::new().get(character);
    let is_control = category == GeneralCategory::Control && !character.is_whitespace();
    let is_ignored = CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(character);
    is_control || is_ignored || category == GeneralCategory::Format || character == BRAILLE_BLANK
}

fn typed_character(character: char) -> char {
    if character.is_ascii() {
        return character;
    }
    match CodePointMapData::<GeneralCategory>::new().get(character) {
        GeneralCategory::DecimalNumber => digit(character),
        GeneralCategory::DashPunctuation => '-',
        GeneralCategory::SpaceSeparator
        | GeneralCategory::LineSeparator
        | GeneralCategory::ParagraphSeparator => ' ',
        _ => match character {
            // Minus signs, hyphen bullet, the katakana length mark and a line that are typed for a dash.
            '\u{2212}' | '\u{2043}' | '\u{2796}' | '\u{30fc}' | '\u{2500}' => '-',
            '\u{b7}' | '\u{2022}' | '\u{2219}' | '\u{30fb}' | '\u{3002}' => '.',
            '\u{2044}' | '\u{2215}' => '/',
            '\u{2795}' => '+',
            '\u{2217}' => '*',
            other => other,
        },
    }
}

/// The digit that a decimal number of any script stands for. Unicode has each script's ten in a row, from 0 on; some
/// rows follow each other.
fn digit(character: char) -> char {
    let is_digit = |character: &char| {
        CodePointMapData::<GeneralCategory>::new().get(*character) == GeneralCategory::DecimalNumber
    };
    let before = (0..u32::from(character)).rev().map_while(char::from_u32).take_while(is_digit).count();
    u32::try_from(before % 10).ok().and_then(|value| char::from_digit(value, 10)).unwrap_or(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_sees_is_left_out() {
        for text in [
            "\u{202a}+44 7700\u{202c}",
            "\u{feff}+44 7700",
            "+44\u{200b} 77\u{ad}00\u{fe0d}",
            "+44 77\u{2060}00\u{200e}\u{a0}",
            "\0+44 7700\u{7f}",
            "+44 7700\u{e0041}\u{3164}",
        ] {
            assert_eq!(visible(text), "+44 7700", "{text:?}");
        }
        assert_eq!(visible("Zoë \u{1f600}"), "Zoë \u{1f600}");
        assert_eq!(visible(" \u{200b} \u{feff}"), "");
    }

    #[test]
    fn a_digit_of_any_script_is_that_digit() {
        let is_digit = |character: &char| {
            CodePointMapData::<GeneralCategory>::new().get(*character) == GeneralCategory::DecimalNumber
        };
        let digits: Vec<char> = ('\u{0}'..=char::MAX).filter(is_digit).collect();
        assert!(digits.len() > 600, "{}", digits.len());
        // Unicode has them in rows of ten.
        for row in digits.chunks(10) {
            let row: String = row.iter().collect();
            assert_eq!(typed(&row), "0123456789", "{row}");
        }
    }

    #[test]
    fn dashes_spaces_and_signs_are_those_of_a_keyboard() {
        assert_eq!(typed("＋４４　７７００–９００−００１"), "+44 7700-900-001");
        assert_eq!(typed("+44\u{2009}7700\u{2011}900\u{2014}001"), "+44 7700-900-001");
        assert_eq!(typed("＊９００"), "*900");
        assert_eq!(typed("Straße"), "Straße");
    }
}
