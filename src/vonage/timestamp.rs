//! Instants in every spelling that senders use: RFC 3339 and its relatives, seconds since 1970 and their fractions, and
//! what mail and JavaScript write.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::{rfc2822, strtime};
use jiff::tz::Offset;

use crate::domain::visible::typed;

/// Longer than any spelling.
const MAX_BYTES: usize = 80;

/// Before it there was no Vonage: what is stamped earlier is a zero, and no time.
const EARLIEST: Timestamp = Timestamp::constant(1_262_304_000, 0);

/// A number of another kind that is read as seconds or their fractions is mostly far off.
const LATEST_NUMBER: Timestamp = Timestamp::constant(4_102_444_800, 0);

/// What JavaScript's `Date` and C's `ctime` write.
const WITH_DAY_NAMES: [&str; 2] = ["%a %b %d %Y %H:%M:%S GMT%z", "%a %b %d %H:%M:%S %Y"];

/// The instant that a text tells, to the microsecond; `None` for what is no instant. A time without a zone is UTC. A
/// day alone is no instant.
#[must_use]
pub fn instant_in(text: &str) -> Option<Timestamp> {
    let text = typed(text);
    if text.len() > MAX_BYTES {
        return None;
    }
    let at = since_1970(&text).or_else(|| spelled(&text)).or_else(|| with_day_name(&text))?;
    Timestamp::from_microsecond(at.as_microsecond()).ok().filter(|at| *at >= EARLIEST)
}

/// Seconds, milliseconds, microseconds or nanoseconds: which, the number of digits tells.
fn since_1970(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) {
        return of_float(text);
    }
    let unit: i128 = match whole.len() {
        ..=8 => return None,
        9..=11 => 1_000_000_000,
        12..=13 => 1_000_000,
        // The digits of a date and a time.
        14 => return spelled(text),
        15..=17 => 1_000,
        _ => 1,
    };
    let nanoseconds = whole.parse::<i128>().ok()?.checked_mul(unit)?;
    let parts = fraction.bytes().take(9).fold((0_i128, unit), |(sum, place), digit| {
        let place = place / 10;
        (sum + i128::from(digit - b'0') * place, place)
    });
    Timestamp::from_nanosecond(nanoseconds.checked_add(parts.0)?).ok().filter(|at| *at < LATEST_NUMBER)
}

/// A number with an exponent, as some JSON writers have it: `1.773051341902e12`.
fn of_float(text: &str) -> Option<Timestamp> {
    let is_float = text.starts_with(|first: char| first.is_ascii_digit()) && text.contains(['e', 'E']);
    let number: f64 = text.parse().ok().filter(|_| is_float)?;
    let is_sane = (1e8..1e20).contains(&number);
    is_sane.then(|| format!("{number:.0}")).and_then(|number| since_1970(&number))
}

/// A date, a time, and perhaps a zone, in the order and mostly with the marks of ISO 8601.
fn spelled(text: &str) -> Option<Timestamp> {
    let date_length = if text.bytes().take(8).all(|byte| byte.is_ascii_digit()) { 8 } else { 10 };
    let (date, rest) = text.split_at_checked(date_length)?;
    let rest = rest.trim_start_matches(['T', 't', ' ', '_']);
    let is_of_time = |character: char| character.is_ascii_digit() || matches!(character, ':' | '.' | ',');
    let time_length = rest.find(|character| !is_of_time(character)).unwrap_or(rest.len());
    let (time, zone) = rest.split_at(time_length);
    let date = date.replace(['/', '.'], "-");
    let time = time.replace(',', ".");
    if time.len() < 4 {
        return None;
    }
    let zone = offset(zone.split('[').next().unwrap_or_default())?;
    let separated = time.contains(':') == date.contains('-');
    let local: DateTime = format!("{date}T{time}").parse().ok().filter(|_| separated)?;
    zone.to_timestamp(local).ok()
}

/// How far from UTC: `Z`, `+01:00`, `+0100`, `+01`. A plus that came through a query is a blank.
fn offset(zone: &str) -> Option<Offset> {
    let is_apart = zone.starts_with(' ');
    let zone = zone.trim();
    if ["", "z", "utc", "gmt", "utc+0"].iter().any(|name| zone.eq_ignore_ascii_case(name)) {
        return Some(Offset::UTC);
    }
    let zone = zone.trim_start_matches(|character: char| character.is_ascii_alphabetic());
    let (is_east, digits) = match zone.as_bytes().first()? {
        b'+' => (true, &zone[1..]),
        b'-' => (false, &zone[1..]),
        _ if is_apart => (true, zone),
        _ => return None,
    };
    let digits = digits.replace(':', "");
    if !matches!(digits.len(), 2 | 4 | 6) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = |start: usize| digits.get(start..start + 2).map_or(Some(0), |part| part.parse::<i32>().ok());
    let seconds = part(0)? * 3600 + part(2)? * 60 + part(4)?;
    Offset::from_seconds(if is_east { seconds } else { -seconds }).ok()
}

fn with_day_name(text: &str) -> Option<Timestamp> {
    if let Ok(zoned) = rfc2822::parse(text) {
        return Some(zoned.timestamp());
    }
    let text = text.split(" (").next().unwrap_or(text);
    WITH_DAY_NAMES.iter().find_map(|format| {
        let told = strtime::parse(format, text).ok()?;
        told.to_timestamp().ok().or_else(|| Offset::UTC.to_timestamp(told.to_datetime().ok()?).ok())
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_spelling_is_that_instant() {
        for (text, expected) in [
            ("2026-03-09T10:15:41Z", "2026-03-09T10:15:41Z"),
            ("2026-03-09T10:15:41.902337Z", "2026-03-09T10:15:41.902337Z"),
            ("2026-03-09T10:15:41.902337123Z", "2026-03-09T10:15:41.902337Z"),
            ("2026-03-09T10:15:41.902", "2026-03-09T10:15:41.902Z"),
            ("2026-03-09 10:15:41", "2026-03-09T10:15:41Z"),
            ("2026-03-09 10:15", "2026-03-09T10:15:00Z"),
            ("2026-03-09 10:15:41 +0000", "2026-03-09T10:15:41Z"),
            ("2026-03-09T10:15:41.902+0000", "2026-03-09T10:15:41.902Z"),
            ("2026-03-09T11:15:41.902+01:00", "2026-03-09T10:15:41.902Z"),
            ("2026-03-09T11:15:41.902+01", "2026-03-09T10:15:41.902Z"),
            ("2026-03-09T11:15:41.902 01:00", "2026-03-09T10:15:41.902Z"),
            ("2026-03-09 10:15:41 UTC", "2026-03-09T10:15:41Z"),
            ("2026-03-09t10:15:41z", "2026-03-09T10:15:41Z"),
            ("2026-03-09T10:15:41,902Z", "2026-03-09T10:15:41.902Z"),
            ("2026/03/09 10:15:41", "2026-03-09T10:15:41Z"),
            ("2026-03-09T11:15:41+01:00[Europe/Berlin]", "2026-03-09T10:15:41Z"),
            ("20260309T101541Z", "2026-03-09T10:15:41Z"),
            ("20260309101541", "2026-03-09T10:15:41Z"),
            ("\u{feff} 2026-03-09T10:15:41Z\u{200b}", "2026-03-09T10:15:41Z"),
            ("\u{ff12}026-03\u{2011}09T10:15:41Z", "2026-03-09T10:15:41Z"),
            ("Mon, 09 Mar 2026 10:15:41 GMT", "2026-03-09T10:15:41Z"),
            ("Mon Mar 09 2026 11:15:41 GMT+0100 (Central European Standard Time)", "2026-03-09T10:15:41Z"),
            ("Mon Mar 09 10:15:41 2026", "2026-03-09T10:15:41Z"),
            ("1773051341", "2026-03-09T10:15:41Z"),
            ("1773051341.902", "2026-03-09T10:15:41.902Z"),
            ("1773051341902", "2026-03-09T10:15:41.902Z"),
            ("1773051341902.0", "2026-03-09T10:15:41.902Z"),
            ("1773051341902337", "2026-03-09T10:15:41.902337Z"),
            ("1773051341902337000", "2026-03-09T10:15:41.902337Z"),
            ("1.773051341902e12", "2026-03-09T10:15:41.902Z"),
            ("2036-03-09T10:15:41.902Z", "2036-03-09T10:15:41.902Z"),
            ("9999-12-30T21:59:59Z", "9999-12-30T21:59:59Z"),
        ] {
            assert_eq!(instant_in(text).map(|at| at.to_string()).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_instant_is_none() {
        for text in [
            "",
            " ",
            "null",
            "yesterday",
            "2026-02-30T10:15:41Z",
            "2026-03-09T25:15:41Z",
            "0001-01-01T00:00:00Z",
            "1970-01-01T00:00:00Z",
            "0000-00-00 00:00:00",
            "2026-03-09",
            "20260309",
            "0",
            "-1",
            "307",
            "41902",
            "99999999999999999999999999",
            "99999999999",
            "1e400",
            "NaN",
            "true",
        ] {
            assert_eq!(instant_in(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[-0-9TZ:.,+/ ewa\u{664}\u{2011}ü\\[]{0,30}") {
            let at = instant_in(&text);
            prop_assert!(at.is_none_or(|at| at >= EARLIEST));
        }

        #[test]
        fn an_instant_is_read_back(second in 1_262_304_000_i64..4_102_444_800, milli in 0..1000_i32) {
            let at = Timestamp::new(second, milli * 1_000_000).expect("it is in range");
            prop_assert_eq!(instant_in(&at.to_string()), Some(at));
            prop_assert_eq!(instant_in(&at.as_millisecond().to_string()), Some(at).filter(|_| second > 100_000_000));
        }
    }
}
