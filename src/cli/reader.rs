//! What the reading commands share: the store is asked as it is over HTTP, and what it answers is shown.

use axum::body::{Body, to_bytes};
use axum::http::StatusCode;
use axum::response::Response;
use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;
use url::form_urlencoded;

use super::{Failure, clock, print};
use crate::config::Reading;
use crate::daemon;

/// More than the longest page of JSON.
const LONGEST_ANSWER: usize = 256 * 1024 * 1024;

/// Which conversations are wanted, in the words of the HTTP interface.
#[derive(Debug, Args)]
pub(super) struct Filters {
    /// A party in any spelling, also a beginning (447700*) or an ending (*900001).
    #[arg(long)]
    number: Option<String>,
    /// Who called.
    #[arg(long)]
    from: Option<String>,
    /// Who was called.
    #[arg(long)]
    to: Option<String>,
    /// A member's user: id or name.
    #[arg(long)]
    user: Option<String>,
    /// live or ended.
    #[arg(long)]
    state: Option<String>,
    /// captured, pending or missed.
    #[arg(long)]
    capture: Option<String>,
    /// The latest status of the leg that began the call: completed, busy …
    #[arg(long)]
    status: Option<String>,
    /// inbound or outbound.
    #[arg(long)]
    direction: Option<String>,
    /// A Vonage application.
    #[arg(long)]
    application: Option<String>,
    /// From then on: 2026-03-09T10:15:30Z, 2026-03-09 or so long ago (24h, 7d).
    #[arg(long)]
    since: Option<String>,
    /// Until then.
    #[arg(long)]
    until: Option<String>,
    /// Seconds, or 90s, 5m.
    #[arg(long)]
    min_duration: Option<String>,
    /// Seconds, or 90s, 5m.
    #[arg(long)]
    max_duration: Option<String>,
    /// newest or oldest first.
    #[arg(long)]
    order: Option<String>,
}

impl Filters {
    /// As the parameters of a URL, together with `more`.
    pub(super) fn query(&self, more: &[(&str, &str)]) -> String {
        let own = [
            ("number", &self.number),
            ("from", &self.from),
            ("to", &self.to),
            ("user", &self.user),
            ("state", &self.state),
            ("capture", &self.capture),
            ("status", &self.status),
            ("direction", &self.direction),
            ("application", &self.application),
            ("since", &self.since),
            ("until", &self.until),
            ("min_duration", &self.min_duration),
            ("max_duration", &self.max_duration),
            ("order", &self.order),
        ];
        let given = own.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)));
        form_urlencoded::Serializer::new(String::new()).extend_pairs(given).extend_pairs(more).finish()
    }
}

/// How what is read is shown.
#[derive(Debug, Args)]
pub(super) struct Shown {
    /// As JSON, as the HTTP interface answers it.
    #[arg(long)]
    json: bool,
    /// Times in UTC instead of the local zone.
    #[arg(long)]
    utc: bool,
}

impl Shown {
    /// Prints an answer: as it is, or what `tell` makes of it.
    pub(super) fn print(&self, answer: &Value, tell: impl FnOnce(&Value) -> String) -> Result<(), Failure> {
        if self.json {
            return print(&format!("{answer}\n"));
        }
        let zone = if self.utc { TimeZone::UTC } else { TimeZone::system() };
        print(&tell(&in_zone(answer, &zone)))
    }
}

/// The answer to a question, before its body is read.
pub(super) async fn ask(reading: &Reading, path_and_query: &str) -> Result<Body, Failure> {
    let query = daemon::reader(reading, clock()).await?;
    let response: Response = query.ask(path_and_query).await;
    let (head, body) = response.into_parts();
    if head.status == StatusCode::OK {
        return Ok(body);
    }
    let problem = json(body).await?;
    let detail = problem["detail"].as_str().unwrap_or("the store did not answer").to_owned();
    Err(match head.status {
        StatusCode::BAD_REQUEST => Failure::Usage(detail),
        _ => Failure::Failed(detail),
    })
}

/// The answer to a question about one conversation: `rest` follows its id.
pub(super) async fn ask_about(reading: &Reading, id: &str, rest: &str) -> Result<Value, Failure> {
    let id: String = form_urlencoded::byte_serialize(id.as_bytes()).collect();
    json(ask(reading, &format!("/v1/conversations/{id}{rest}")).await?).await
}

/// The whole of a body that is JSON.
pub(super) async fn json(body: Body) -> Result<Value, Failure> {
    let bytes = to_bytes(body, LONGEST_ANSWER).await;
    let bytes = bytes.map_err(|error| Failure::Failed(format!("the answer broke off: {error}")))?;
    serde_json::from_slice(&bytes).map_err(|error| Failure::Failed(format!("the answer is no JSON: {error}")))
}

/// The same with each instant in a zone, for people.
fn in_zone(value: &Value, zone: &TimeZone) -> Value {
    match value {
        Value::String(text) => Value::String(local(text, zone).unwrap_or_else(|| text.clone())),
        Value::Array(items) => items.iter().map(|item| in_zone(item, zone)).collect(),
        Value::Object(map) => {
            Value::Object(map.iter().map(|(key, item)| (key.clone(), in_zone(item, zone))).collect())
        }
        other => other.clone(),
    }
}

/// `2018-10-25 10:26:18.991 BST` for an instant; `None` for any other text.
fn local(text: &str, zone: &TimeZone) -> Option<String> {
    let is_instant = text.len() == "2018-10-25T09:26:18.991Z".len() && text.ends_with('Z');
    let instant: Timestamp = is_instant.then(|| text.parse().ok())??;
    Some(instant.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S%.3f %Z").to_string())
}
