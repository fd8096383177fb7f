//! One page of a list, whatever is listed.

use axum::extract::Query as Parameters;
use axum::extract::rejection::QueryRejection;
use axum::http::header::LINK;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::super::problem::Problem;
use super::blind::Blind;
use super::json;

/// Items on a page when none are asked for.
const DEFAULT_LIMIT: u32 = 50;

/// The most items on a page.
const MAX_LIMIT: u32 = 500;

/// The parameters of a list. Unknown ones are refused: a misspelt filter must not look like an answer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListParameters {
    limit: Option<u32>,
    next: Option<String>,
}

/// What is asked of a list.
#[derive(Debug)]
pub(super) struct Page {
    /// At most so many items.
    pub(super) limit: u32,
    /// The `next` of the page before.
    pub(super) after: Option<String>,
}

#[derive(Serialize)]
struct List<T> {
    items: Vec<T>,
    next: Option<String>,
    blind: Vec<Blind>,
}

impl Page {
    /// The page that the parameters ask for.
    pub(super) fn asked(
        parameters: Result<Parameters<ListParameters>, QueryRejection>,
    ) -> Result<Self, Problem> {
        let unknown = "the parameters of this list are limit, a number, and next, from the answer before";
        let Parameters(parameters) = parameters.map_err(|_| Problem::bad_request(unknown))?;
        let limit = parameters.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(Problem::bad_request(format!("limit is a number from 1 to {MAX_LIMIT}")));
        }
        Ok(Self { limit, after: parameters.next })
    }

    /// What `read` makes of the `next` of the page before.
    pub(super) fn after<T>(&self, read: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, Problem> {
        let foreign = "next is not a cursor of this list: take it as it is from the answer before";
        let read = |text: &String| read(text).ok_or_else(|| Problem::bad_request(foreign));
        self.after.as_ref().map(read).transpose()
    }

    /// Those of `items` that are on the page.
    pub(super) fn shown<'a, T>(&self, items: &'a [T]) -> &'a [T] {
        &items[..items.len().min(self.limit as usize)]
    }

    /// The answer. `items` holds one more than the page where there is more, and `cursor` is the place of an
    /// item; `path` is where the list was asked for. `blind` belongs to the items on the page.
    pub(super) fn answer<T, A: Serialize>(
        &self,
        path: &str,
        mut items: Vec<T>,
        cursor: impl Fn(&T) -> String,
        shown: impl FnMut(T) -> A,
        blind: Vec<Blind>,
    ) -> Response {
        let more = items.len() > self.limit as usize;
        items.truncate(self.limit as usize);
        let next = items.last().filter(|_| more).map(cursor);
        let link =
            next.as_ref().map(|next| format!("<{path}?limit={}&next={next}>; rel=\"next\"", self.limit));
        let answer = json(&List { items: items.into_iter().map(shown).collect(), next, blind });
        match link {
            Some(link) => ([(LINK, link)], answer).into_response(),
            None => answer,
        }
    }
}
