//! `/`: the newest conversations, and the form to look for others.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use url::form_urlencoded;

use super::super::problem::Problem;
use super::super::query::Query;
use super::super::query::conversations::{self, Answer};
use super::super::query::list;
use super::super::query::parameters::Parameters;
use super::{html, written};
use crate::domain::conversation::State as ConversationState;

/// A condition of the list, as it is asked for.
struct Field {
    name: &'static str,
    label: &'static str,
    input: Input,
}

enum Input {
    /// A text, with what may be written there.
    Text(&'static str),
    /// One of these words, or none.
    Choice(&'static [&'static str]),
}

const fn text(name: &'static str, label: &'static str, hint: &'static str) -> Field {
    Field { name, label, input: Input::Text(hint) }
}

const fn choice(name: &'static str, label: &'static str, words: &'static [&'static str]) -> Field {
    Field { name, label, input: Input::Choice(words) }
}

/// What is asked for most.
const FIELDS: [Field; 5] = [
    text("number", "Number", "any party's, in any spelling; *0001 is an ending"),
    text("since", "Since", "2026-03-09, 2026-03-09T10:15:30Z or 24h; UTC"),
    text("until", "Until", "the same"),
    choice("state", "State", &["live", "ended"]),
    choice("capture", "Capture", &["captured", "pending", "missed"]),
];

/// The others, folded in until one of them is used.
const RARER_FIELDS: [Field; 9] = [
    text("from", "From", "who called"),
    text("to", "To", "who was called"),
    text("user", "User", "a member's user, by id or name"),
    text("status", "Status", "completed, busy, failed …"),
    choice("direction", "Direction", &["inbound", "outbound"]),
    text("min_duration", "At least so long", "seconds, or 90s, 5m"),
    text("max_duration", "At most so long", "the same"),
    text("application", "Application", "its id at Vonage"),
    choice("order", "Order", &["newest", "oldest"]),
];

#[derive(Template)]
#[template(path = "search.html")]
struct Page {
    /// The conditions, as they were written.
    own: Vec<(String, String)>,
    /// What was found, or why nothing could be.
    found: Result<list::Page<Answer>, String>,
    signed_in: bool,
}

impl Page {
    /// The value of a condition, to be changed.
    fn value(&self, name: &str) -> &str {
        self.own.iter().find(|(own, _)| own == name).map_or("", |(_, value)| value)
    }

    fn has_rarer(&self) -> bool {
        RARER_FIELDS.iter().any(|field| !self.value(field.name).is_empty())
    }

    /// The conditions as a query string.
    fn own_query(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.own).finish()
    }
}

/// `GET /`. What makes no sense is told above the form, with what was written still in it.
pub(in crate::http) async fn search(
    State(query): State<Query>,
    parameters: Result<Parameters, Problem>,
) -> Response {
    let signed_in = !query.access.is_open();
    let (own, found) = match parameters {
        Ok(parameters) => {
            (conversations::own(&mut parameters.clone()), conversations::page(query, parameters).await)
        }
        Err(problem) => (Vec::new(), Err(problem)),
    };
    match found {
        Ok(found) => html(&Page { own, found: Ok(found), signed_in }),
        Err(problem) => {
            let fault = problem.detail().to_owned();
            problem.shown_as(html(&Page { own, found: Err(fault), signed_in }))
        }
    }
}
