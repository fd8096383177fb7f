//! What is logged once for each thing it is about, and counted otherwise.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

/// The things that are remembered: beyond it something may be told again, which is better than memory without a bound.
const MAX_REMEMBERED: usize = 10_000;

/// Remembers what was told.
#[derive(Debug)]
pub(super) struct ToldOnce<T>(Mutex<HashSet<T>>);

impl<T> Default for ToldOnce<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Eq + Hash> ToldOnce<T> {
    /// Whether this is to be told: nobody has asked it of `thing` before.
    pub(super) fn is_first(&self, thing: T) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= MAX_REMEMBERED {
            told.clear();
        }
        told.insert(thing)
    }
}
