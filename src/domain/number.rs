//! Parties of a call in any spelling: what is searched for, and what it is compared with.
//!
//! Vonage writes numbers as digits with the country's code and without a `+` (`447700900001`), and names a party
//! that has none by an address or a user's name. Every party that is told of has a [`key`] in the store; a
//! [`Pattern`] is the keys that a reader means.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::percent_decode_str;
use phonenumber::Mode;
use phonenumber::country::Id as Country;

use super::disclosure::shown;
use super::placeholder::says_nothing;
use super::visible::typed;

/// What stands between a number's digits for the eye, as it is [typed].
const SEPARATORS: [char; 9] = [' ', '\t', '\r', '\n', '-', '.', '(', ')', '/'];

/// How a number is written that is dialled with its country's code or, within the country, with a zero.
const TRUNK_ZERO: &str = "(0)";

/// The prefix of international calls in most of the world.
const INTERNATIONAL_PREFIX: &str = "00";

/// Schemes of addresses that may hold a number.
const SCHEMES: [&str; 4] = ["sip:", "sips:", "tel:", "callto:"];

/// The parameter of a telephone's address that says what its number is to be read after.
const CONTEXT: &str = "phone-context=";

/// What a party is found by: the digits of a number with its country's code, also where they are the user of an
/// address (`sip:+447700900001@example.com`); anything else in lower case. What nobody sees counts for nothing, a
/// digit of any script is that digit, and what is not [shown] is not found either. `None` for a text that tells
/// nothing.
#[must_use]
pub fn key(party: &str) -> Option<String> {
    let shown = shown(party);
    let party = typed(&shown);
    if says_nothing(&party) {
        return None;
    }
    Some(number_in(&party).unwrap_or_else(|| party.to_lowercase()))
}

/// The digits of the number that a party's text is or holds.
fn number_in(party: &str) -> Option<String> {
    // `"Bob" <sip:+447700900001@example.com>`
    let party = party.rsplit_once('<').map_or(party, |(_, address)| address.trim_end_matches('>'));
    let scheme = SCHEMES
        .iter()
        .find(|scheme| party.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
    let Some(scheme) = scheme else {
        return digits(party.split(['@', ';']).next().unwrap_or(party));
    };
    let address = percent_decode_str(party[scheme.len()..].trim_start_matches('/')).decode_utf8_lossy();
    let number = digits(address.split(['@', ';']).next().unwrap_or(&address))?;
    let context = address.split(';').find_map(|parameter| parameter.strip_prefix(CONTEXT));
    let code = context.filter(|context| context.starts_with('+') && !address.starts_with('+'));
    Some(code.and_then(digits).unwrap_or_default() + &number)
}

fn without_trunk_zero(text: &str) -> Cow<'_, str> {
    let text = text.trim();
    let has_code = text.starts_with('+') || text.starts_with(INTERNATIONAL_PREFIX);
    if has_code { Cow::Owned(text.replacen(TRUNK_ZERO, "", 1)) } else { Cow::Borrowed(text) }
}

/// The digits of a text that is a number, from the country's code on where it is marked as having one.
fn digits(text: &str) -> Option<String> {
    let plain: String = without_trunk_zero(text).chars().filter(|char| !SEPARATORS.contains(char)).collect();
    let (plain, is_marked) = match plain.strip_prefix('+') {
        Some(rest) => (rest, true),
        None => (plain.as_str(), false),
    };
    if plain.is_empty() || !plain.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let international =
        plain.strip_prefix(INTERNATIONAL_PREFIX).filter(|rest| !is_marked && !rest.is_empty());
    Some(international.unwrap_or(plain).to_owned())
}

/// The parties that a reader asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    /// One of these keys: the same number in more than one spelling.
    Whole(Vec<String>),
    /// Keys that begin with one of these.
    Beginning(Vec<String>),
    /// Keys that end with this.
    Ending(String),
}

/// A text that asks for no party.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoPattern;

impl fmt::Display for NoPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(
            "is a number in any spelling (+44 7700 900001), an address or a name, or its beginning (447700*) or \
             its ending (*900001)",
        )
    }
}

impl std::error::Error for NoPattern {}

impl Pattern {
    /// What a reader's text asks for. A number without a country's code is one of `country`, where one is given;
    /// one that may be meant in two ways is looked for in both.
    ///
    /// # Errors
    /// When there is nothing beside the `*`, or the `*` is not at one end.
    pub fn parse(text: &str, country: Option<Country>) -> Result<Self, NoPattern> {
        let text = typed(text);
        match (text.strip_prefix('*'), text.strip_suffix('*')) {
            (None, None) => Ok(Self::Whole(spellings(part(&text)?, country))),
            (Some(ending), None) => {
                let ending = part(ending)?;
                // What would mark a country's code has nothing before it.
                Ok(Self::Ending(without_separators(ending).unwrap_or_else(|| ending.to_lowercase())))
            }
            (None, Some(beginning)) => Ok(Self::Beginning(beginnings(part(beginning)?, country))),
            (Some(_), Some(_)) => Err(NoPattern),
        }
    }
}

/// What is left of a pattern without its `*`.
fn part(text: &str) -> Result<&str, NoPattern> {
    let text = text.trim();
    if text.is_empty() || text.contains('*') { Err(NoPattern) } else { Ok(text) }
}

fn without_separators(text: &str) -> Option<String> {
    let plain: String = text.chars().filter(|char| !SEPARATORS.contains(char)).collect();
    (!plain.is_empty() && plain.bytes().all(|byte| byte.is_ascii_digit())).then_some(plain)
}

/// The keys under which a whole party may be stored.
fn spellings(text: &str, country: Option<Country>) -> Vec<String> {
    let mut keys: Vec<String> = key(text).into_iter().collect();
    if digits(text).is_some()
        && let Ok(number) = phonenumber::parse(country, without_trunk_zero(text))
    {
        let e164 = number.format().mode(Mode::E164).to_string();
        keys.extend(digits(&e164));
    }
    keys.sort();
    keys.dedup();
    keys
}

/// The keys' beginnings that a number's beginning may mean: as it is, and as one of `country`'s numbers.
fn beginnings(text: &str, country: Option<Country>) -> Vec<String> {
    let Some(plain) = digits(text) else { return vec![text.to_lowercase()] };
    let mut keys = vec![plain.clone()];
    let metadata = country.and_then(|country| phonenumber::metadata::DATABASE.by_id(country.as_ref()));
    if let Some(metadata) = metadata
        && let Some(prefix) = metadata.national_prefix()
        && let Some(national) =
            without_separators(text).and_then(|text| Some(text.strip_prefix(prefix)?.to_owned()))
        && !national.starts_with(prefix)
    {
        keys.push(format!("{}{national}", metadata.country_code()));
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    const GB: Option<Country> = Some(Country::GB);

    fn whole(text: &str, country: Option<Country>) -> Vec<String> {
        match Pattern::parse(text, country) {
            Ok(Pattern::Whole(keys)) => keys,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_party_has_one_key_however_vonage_spells_it() {
        for (party, expected) in [
            ("447700900001", "447700900001"),
            ("+447700900001", "447700900001"),
            ("00447700900001", "447700900001"),
            ("sip:+447700900001@example.com;transport=tls", "447700900001"),
            ("SIP:447700900001@sip.example.com", "447700900001"),
            ("tel:+44-7700-900001", "447700900001"),
            ("447700900001@example.com", "447700900001"),
            ("Unknown", "unknown"),
            ("sip:Alice@example.com", "sip:alice@example.com"),
            ("anonymous", "anonymous"),
            ("12345", "12345"),
            ("00", "00"),
            ("\u{202a}+44 7700 900001\u{202c}", "447700900001"),
            ("44770\u{200b}0900001\u{fe0d}", "447700900001"),
            ("\u{feff}44\u{a0}7700\u{2009}900\u{2011}001", "447700900001"),
            ("+44\u{ad}7700\u{200e}900001", "447700900001"),
            ("\u{ff0b}\u{ff14}\u{ff14}7700\u{2013}900001", "447700900001"),
            ("\u{664}\u{664}7700900001", "447700900001"),
            ("+44 (0)7700 900001", "447700900001"),
            ("tel://+44-7700-900001;ext=5", "447700900001"),
            ("tel:7700900001;phone-context=+44", "447700900001"),
            ("TEL:%2B447700900001", "447700900001"),
            ("\"Alice\" <sip:+447700900001@example.com>", "447700900001"),
            ("sip:447700900001:s3cr3t@example.com;token=s3cr3t", "447700900001"),
            ("\u{200b}Alice", "alice"),
            ("wss://bot:s3cr3t@bot.example.com/stream?s3cr3t", "wss://bot.example.com/stream"),
        ] {
            assert_eq!(key(party).as_deref(), Some(expected), "{party}");
        }
        for nothing in ["", " ", "\u{200b}", "NONE", "undefined"] {
            assert_eq!(key(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn a_number_typed_any_way_means_the_same_key() {
        for text in [
            "+44 7700 900001",
            "+447700900001",
            " 447700900001",
            "0044 7700 900001",
            "44 (7700) 900-001",
            "sip:447700900001@example.com",
            "\u{202d}447700900001\u{202c}",
            "+44\u{ad}7700\u{200e}900001",
            "+44 (0) 7700 900001",
            "\u{ff14}\u{ff14}7700900001",
        ] {
            assert_eq!(whole(text, None), ["447700900001"], "{text}");
            assert!(whole(text, GB).contains(&"447700900001".to_owned()), "{text}");
        }
    }

    #[test]
    fn a_number_without_a_country_code_is_one_of_the_default_country() {
        assert!(whole("07700900001", GB).contains(&"447700900001".to_owned()));
        assert!(whole("07700 900 001", GB).contains(&"447700900001".to_owned()));
        assert!(whole("011 44 7700 900001", Some(Country::US)).contains(&"447700900001".to_owned()));
        assert!(whole("(415) 555-0100", Some(Country::US)).contains(&"14155550100".to_owned()));
        assert_eq!(whole("07700900001", None), ["07700900001"]);
    }

    #[test]
    fn a_beginning_and_an_ending_have_a_star() {
        let beginning = |text| Pattern::parse(text, GB);
        assert_eq!(Pattern::parse("*900001", None), Ok(Pattern::Ending("900001".to_owned())));
        assert_eq!(Pattern::parse("* 900 001", None), Ok(Pattern::Ending("900001".to_owned())));
        assert_eq!(Pattern::parse("*@Example.com", None), Ok(Pattern::Ending("@example.com".to_owned())));
        assert_eq!(Pattern::parse("447700*", None), Ok(Pattern::Beginning(vec!["447700".to_owned()])));
        assert_eq!(Pattern::parse("*900001\u{202c}", None), Ok(Pattern::Ending("900001".to_owned())));
        assert_eq!(beginning("\u{202a}+44 77\u{ff0a}"), Ok(Pattern::Beginning(vec!["4477".to_owned()])));
        assert_eq!(beginning("+44 77*"), Ok(Pattern::Beginning(vec!["4477".to_owned()])));
        assert_eq!(beginning("0044 77*"), Ok(Pattern::Beginning(vec!["4477".to_owned()])));
        assert_eq!(
            beginning("077*"),
            Ok(Pattern::Beginning(vec!["077".to_owned(), "4477".to_owned()])),
            "as it is, and as a number of the country"
        );
        for text in ["", "*", "**", "44*77", "*77*"] {
            assert_eq!(Pattern::parse(text, GB), Err(NoPattern), "{text}");
        }
    }

    #[test]
    fn who_has_no_number_is_asked_for_by_name() {
        assert_eq!(whole("Alice", GB), ["alice"]);
        assert_eq!(whole("sip:alice@example.com", None), ["sip:alice@example.com"]);
    }
}
