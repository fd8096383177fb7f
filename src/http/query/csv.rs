//! Tables for spreadsheets (RFC 4180).
//!
//! A spreadsheet takes digits for a number and a leading `=`, `+`, `-` or `@` for a formula. A phone number as
//! Vonage writes it survives as a number, digit by digit: it has no leading zero and at most 15 digits. Any text
//! that would be run, or would lose digits, gets an apostrophe in front.

use std::collections::BTreeMap;

use axum::body::Bytes;
use csv::{Terminator, Writer, WriterBuilder};
use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::domain::json::text_in;

/// More digits than a spreadsheet's numbers have would be rounded.
const MOST_DIGITS: usize = 15;

/// The line with the columns' names.
pub(super) fn header(columns: &[(&str, &str)]) -> Bytes {
    let mut table = table();
    write(&mut table, columns.iter().map(|(name, _)| (*name).to_owned()).collect());
    finished(table)
}

/// A line for each item.
pub(super) fn rows<T: Serialize>(columns: &[(&str, &str)], items: &[T]) -> Bytes {
    let mut table = table();
    for item in items {
        let item = serde_json::to_string(item).expect("texts, numbers and JSON are always JSON");
        let parts: Parts<'_> = serde_json::from_str(&item).expect("an item is an object");
        write(&mut table, columns.iter().map(|(_, place)| cell(part(&parts, place))).collect());
    }
    finished(table)
}

/// The parts of an object as they are written: a stored body may hold what no table of values can.
type Parts<'a> = BTreeMap<String, &'a RawValue>;

/// The part at `place`, a JSON pointer.
fn part<'a>(parts: &Parts<'a>, place: &str) -> Option<&'a RawValue> {
    let mut names = place.split('/').skip(1);
    let first = *parts.get(names.next()?)?;
    names.try_fold(first, |part, name| serde_json::from_str::<Parts<'a>>(part.get()).ok()?.get(name).copied())
}

fn table() -> Writer<Vec<u8>> {
    WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new())
}

fn write(table: &mut Writer<Vec<u8>>, cells: Vec<String>) {
    table.write_record(cells).expect("writing to memory does not fail, and each line has every column");
}

fn finished(table: Writer<Vec<u8>>) -> Bytes {
    table.into_inner().expect("writing to memory does not fail").into()
}

/// A part as a cell: a list is told by its length, an object as it is written.
fn cell(part: Option<&RawValue>) -> String {
    let json = part.map_or("null", RawValue::get);
    if json == "null" {
        return String::new();
    }
    if let Ok(items) = serde_json::from_str::<Vec<IgnoredAny>>(json) {
        return items.len().to_string();
    }
    text_in(json).map_or_else(|| json.to_owned(), |text| harmless(&text))
}

fn harmless(text: &str) -> String {
    let runs = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let loses_digits = is_number && (text.len() > MOST_DIGITS || (text.len() > 1 && text.starts_with('0')));
    if runs || loses_digits { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cell_is_neither_run_nor_rounded() {
        for (text, expected) in [
            ("447700900001", "447700900001"),
            ("07700900001", "'07700900001"),
            ("+447700900001", "'+447700900001"),
            ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("-1", "'-1"),
            ("\t=1", "'\t=1"),
            ("1234567890123456", "'1234567890123456"),
            ("0", "0"),
            ("0.00240000", "0.00240000"),
            ("", ""),
            ("Alice", "Alice"),
        ] {
            assert_eq!(harmless(text), expected, "{text}");
        }
    }

    #[test]
    fn a_line_has_each_column_whatever_is_in_it() {
        let columns =
            [("id", "/id"), ("reason", "/capture/reason"), ("members", "/members"), ("s", "/duration")];
        let item =
            json!({"id": "a,\"b\"\nc", "capture": {"reason": null}, "members": [1, 2], "duration": 61});
        assert_eq!(header(&columns), "id,reason,members,s\r\n");
        assert_eq!(rows(&columns, &[item, json!({})]), "\"a,\"\"b\"\"\nc\",,2,61\r\n,,,\r\n");
    }
}
