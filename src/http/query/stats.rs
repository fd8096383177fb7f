//! `/v1/stats`: how much there was, and how well it was seen.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::problem::Problem;
use super::openapi::Problems;
use super::parameters::Parameters;
use super::{Query, json};
use crate::domain::instant;
use crate::domain::stats::{Span, Stats};

/// The window where none is asked for.
const DEFAULT_WINDOW: SignedDuration = SignedDuration::from_hours(24);

/// How long counting may take: as long as somebody looks at an empty page.
const PATIENCE: Duration = Duration::from_secs(2);

/// What was counted, and in which time.
#[derive(Serialize, ToSchema)]
#[schema(as = Stats)]
struct Answer {
    /// The time that conversations, arrivals, lag and blind time are of.
    window: Window,
    /// Whether everything was counted. Counting stops after two seconds.
    complete: bool,
    /// What was not counted in that time, and is `null`.
    not_counted: Vec<&'static str>,
    /// What was counted.
    #[serde(flatten)]
    stats: Stats,
}

/// A time that was counted in.
#[derive(Serialize, ToSchema)]
struct Window {
    /// Its first instant.
    #[serde(serialize_with = "instant::serialize")]
    since: Timestamp,
    /// The first instant after it.
    #[serde(serialize_with = "instant::serialize")]
    until: Timestamp,
    /// Whether nobody asked for it.
    default: bool,
}

impl Window {
    /// Without an end it ends now, and without a beginning it begins a day before its end.
    fn of(parameters: &mut Parameters, now: Timestamp) -> Result<Self, Problem> {
        let since = instant_of(parameters, "since", now)?;
        let until = instant_of(parameters, "until", now)?;
        let end = until.unwrap_or(now);
        let begin = match since {
            Some(since) => since,
            None => end.checked_sub(DEFAULT_WINDOW).unwrap_or(Timestamp::MIN),
        };
        if begin >= end {
            return Err(Problem::bad_request("until, or the present, must be later than since"));
        }
        Ok(Self { since: begin, until: end, default: since.is_none() && until.is_none() })
    }
}

fn instant_of(
    parameters: &mut Parameters,
    name: &'static str,
    now: Timestamp,
) -> Result<Option<Timestamp>, Problem> {
    let read = |text: String| {
        instant::asked(&text, now).ok_or_else(|| Problem::bad_request(format!("{name} {}", instant::FORMS)))
    };
    parameters.take(name).map(read).transpose()
}

/// `GET /v1/stats`.
#[utoipa::path(
    get,
    path = "/v1/stats",
    tag = "stats",
    params(
        ("since" = Option<String>, Query, description = "From then on; without it, a day before `until`."),
        ("until" = Option<String>, Query, description = "Until then; without it, now."),
    ),
    responses((status = 200, description = "Totals.", body = Answer), Problems),
)]
pub(super) async fn count(
    State(query): State<Query>,
    mut parameters: Parameters,
) -> Result<Response, Problem> {
    let now = query.clock.now();
    let window = Window::of(&mut parameters, now)?;
    parameters.finish()?;
    let span = Span { since: window.since, until: window.until };
    let stats = query.store.stats(span, now, PATIENCE).await?;
    let not_counted = stats.not_counted();
    Ok(json(&Answer { window, complete: not_counted.is_empty(), not_counted, stats }))
}
