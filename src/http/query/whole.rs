//! A list that is short enough to be made at once.

use serde::Serialize;

use super::super::problem::Problem;
use super::blind::Blind;
use super::list::{List, json_bytes};

/// Something that has a line in a table.
pub(super) trait Columns: Serialize + Clone + Send + Sync + 'static {
    /// The columns: a name, and the place of the value in the item's JSON (RFC 6901).
    const COLUMNS: &'static [(&'static str, &'static str)];
}

/// All items of a list.
pub(in crate::http) struct Whole<T> {
    /// In their order.
    pub(in crate::http) items: Vec<T>,
    /// The times near them that could not be seen.
    pub(in crate::http) blind: Vec<Blind>,
}

impl<T: Columns> List for Whole<T> {
    type Item = (u32, T);
    type Told = T;
    /// How many items come before.
    type Place = u32;

    const COLUMNS: &'static [(&'static str, &'static str)] = T::COLUMNS;

    async fn items(&self, after: Option<&u32>, limit: u32) -> Result<Vec<(u32, T)>, Problem> {
        let numbered = (1..).zip(self.items.iter().cloned());
        Ok(numbered.skip(after.copied().unwrap_or(0) as usize).take(limit as usize).collect())
    }

    fn bytes((_, item): &(u32, T)) -> usize {
        json_bytes(item)
    }

    fn place((number, _): &(u32, T)) -> u32 {
        *number
    }

    async fn tell(&self, items: Vec<(u32, T)>, _: Option<&u32>) -> Result<(Vec<T>, Vec<Blind>), Problem> {
        Ok((items.into_iter().map(|(_, item)| item).collect(), self.blind.clone()))
    }
}
