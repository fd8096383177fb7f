//! From columns to domain values: a value that cannot be read names its place, not itself.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use sqlx::{Decode, Sqlite, Type};

use super::StoreError;

/// Reads the columns of one table's rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table(pub(super) &'static str);

impl Table {
    /// The value of `column`.
    pub(super) fn get<'r, T: Decode<'r, Sqlite> + Type<Sqlite>>(
        self,
        row: &'r SqliteRow,
        column: &'static str,
    ) -> Result<T, StoreError> {
        row.try_get(column).map_err(|_| self.corrupt(column))
    }

    /// The instant in `column`.
    pub(super) fn instant(self, row: &SqliteRow, column: &'static str) -> Result<Timestamp, StoreError> {
        Timestamp::from_microsecond(self.get(row, column)?).map_err(|_| self.corrupt(column))
    }

    /// The instant in `column`, if there is one.
    pub(super) fn instant_option(
        self,
        row: &SqliteRow,
        column: &'static str,
    ) -> Result<Option<Timestamp>, StoreError> {
        let microseconds: Option<i64> = self.get(row, column)?;
        microseconds.map(|at| Timestamp::from_microsecond(at).map_err(|_| self.corrupt(column))).transpose()
    }

    /// The text of `column` as what `parse` makes of it.
    pub(super) fn parsed<T, F>(self, row: &SqliteRow, column: &'static str, parse: F) -> Result<T, StoreError>
    where
        F: FnOnce(&str) -> Option<T>,
    {
        let text: &str = self.get(row, column)?;
        parse(text).ok_or(self.corrupt(column))
    }

    /// The text of `column`, if there is one, as what `parse` makes of it.
    pub(super) fn parsed_option<T, F>(
        self,
        row: &SqliteRow,
        column: &'static str,
        parse: F,
    ) -> Result<Option<T>, StoreError>
    where
        F: FnOnce(&str) -> Option<T>,
    {
        let text: Option<&str> = self.get(row, column)?;
        text.map(|text| parse(text).ok_or(self.corrupt(column))).transpose()
    }

    /// The value of `column` cannot be what is there.
    pub(super) fn corrupt(self, column: &'static str) -> StoreError {
        StoreError::Corrupt { table: self.0, column }
    }
}

/// `(?, ?, ?), (?, ?, ?)`: places for `rows` rows of `columns` values.
pub(super) fn placeholders(rows: usize, columns: usize) -> String {
    let row = format!("({})", vec!["?"; columns].join(", "));
    vec![row; rows].join(", ")
}
