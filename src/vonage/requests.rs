//! One request to Vonage's API: its turn, its token, and what came of it.

use std::sync::Arc;
use std::time::Duration;

use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue, RETRY_AFTER};
use reqwest::{Response, StatusCode, redirect};
use secrecy::ExposeSecret;
use serde_json::value::RawValue;
use url::Url;

use super::client::Failure;
use super::family::Family;
use super::hold::{Api, Hold};
use super::pace::{Pace, Turn};
use super::secrets::without_secrets;
use super::token::TokenMint;
use crate::domain::clock::Clock;
use crate::domain::fetch::Urgency;
use crate::domain::ids::ConversationId;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long an answer may take, whole. A call of ordinary length outlives a few of these.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// The largest answer that is taken. A conversation of 200 members, the limit for voice, is well below 1 MiB.
const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;

/// Things asked for on one page of a list: the most that Vonage gives.
pub(super) const PAGE_SIZE: u32 = 100;

/// Pages followed at most: documented pages have a `next` link even when nothing comes after.
pub(super) const MAX_PAGES: u32 = 50;

/// The pause after a 429 that does not say how long to wait.
const DEFAULT_HOLD: SignedDuration = SignedDuration::from_secs(1);

/// Sends the requests of one application.
#[derive(Debug)]
pub(super) struct Requests {
    http: reqwest::Client,
    mint: Arc<TokenMint>,
    pace: Arc<Pace>,
    clock: Arc<dyn Clock>,
    conversations: Hold,
    calls: Hold,
}

/// Why a request brought no document.
#[derive(Debug)]
pub(super) enum Miss {
    NotFound,
    Refused(u16),
    Failed(Failure),
}

impl Requests {
    /// Requests over connections of their own, for an API at `api_url`.
    pub(super) fn new(
        api_url: &Url,
        mint: Arc<TokenMint>,
        pace: Arc<Pace>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, reqwest::Error> {
        let builder = reqwest::Client::builder();
        // A token for a server on this machine must not pass through a proxy on another.
        let builder = if api_url.scheme() == "http" { builder.no_proxy() } else { builder };
        let http = builder
            .user_agent(concat!("conversationd/", env!("CARGO_PKG_VERSION")))
            // The request carries a token, which must not go where a redirect points.
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT)
            .build()?;
        Ok(Self { http, mint, pace, clock, conversations: Hold::default(), calls: Hold::default() })
    }

    /// One `GET` when its turn comes: the body of a 200 without its secrets. Where the API is held back, no request is
    /// made.
    pub(super) async fn get(&self, api: Api, url: &Url, urgency: Urgency) -> Result<Vec<u8>, Miss> {
        let hold = self.hold(api);
        // Whoever is held back takes no turn from those who are not.
        let admission = hold.admit().map_err(held)?;
        let turn = self.pace.turn(urgency).await;
        let outcome = self.send(url, turn).await;
        if let Err(Miss::Failed(Failure::Throttled(retry_after))) = outcome {
            return Err(held(admission.throttled(retry_after.unsigned_abs())));
        }
        if !matches!(outcome, Err(Miss::Failed(Failure::Transport(_) | Failure::Token))) {
            admission.answered();
        }
        outcome
    }

    /// How long requests to an API are still held back, if they are.
    pub(super) fn held_back(&self, api: Api) -> Option<Duration> {
        self.hold(api).held_back()
    }

    fn hold(&self, api: Api) -> &Hold {
        match api {
            Api::Conversations => &self.conversations,
            Api::Calls => &self.calls,
        }
    }

    /// Makes a new token for the next request: the present one was refused.
    pub(super) fn discard_token(&self) {
        self.mint.discard();
    }

    async fn send(&self, url: &Url, turn: Turn<'_>) -> Result<Vec<u8>, Miss> {
        let token = self.mint.token(self.clock.now()).map_err(|_| Miss::Failed(Failure::Token))?;
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()))
            .map_err(|_| Miss::Failed(Failure::Token))?;
        bearer.set_sensitive(true);
        let request =
            self.http.get(url.clone()).header(AUTHORIZATION, bearer).header(ACCEPT, "application/json");
        // The request counts from here: a new token takes its time.
        drop(turn);
        let response = request.send().await.map_err(|error| transport(&error))?;
        match response.status() {
            StatusCode::OK => {
                let body = read_body(response).await?;
                // Only in JSON can secrets be found.
                serde_json::from_slice::<&RawValue>(&body).map_err(|_| unreadable("it is not JSON"))?;
                Ok(without_secrets(body))
            }
            StatusCode::NOT_FOUND => Err(Miss::NotFound),
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                Err(Miss::Refused(status.as_u16()))
            }
            StatusCode::TOO_MANY_REQUESTS => Err(Miss::Failed(self.throttled(&response))),
            status => Err(Miss::Failed(Failure::Status(status.as_u16()))),
        }
    }

    /// For how long Vonage asks to be left alone.
    fn throttled(&self, response: &Response) -> Failure {
        let header = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let pause = header.and_then(|text| retry_after(text, self.clock.now())).unwrap_or(DEFAULT_HOLD);
        Failure::Throttled(pause.max(SignedDuration::ZERO))
    }
}

fn held(pause: Duration) -> Miss {
    Miss::Failed(Failure::Throttled(SignedDuration::try_from(pause).unwrap_or(DEFAULT_HOLD)))
}

/// The next page's address, if it is on the host that answered: a token goes with the request.
pub(super) fn trusted_link(here: &Url, link: &str) -> Option<Url> {
    let next = here.join(link).ok()?;
    if next.origin() == here.origin() {
        return Some(next);
    }
    tracing::warn!(host = next.host_str(), "a list's next page is on another host and was not asked for");
    None
}

/// `base` with more path segments, and never a slash at the end: Vonage's gateway answers 404 to one.
pub(super) fn with_segments(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    url.path_segments_mut()
        .expect("an address that was checked to be http or https has a path")
        .pop_if_empty()
        .extend(segments);
    url
}

/// Where a host has a conversation.
pub(super) fn conversation_address(base: &Url, family: Family, id: &ConversationId) -> Url {
    with_segments(base, &[family.as_str(), "conversations", id.as_str()])
}

async fn read_body(mut response: Response) -> Result<Vec<u8>, Miss> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| transport(&error))? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(unreadable("it is too large"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Seconds, or a date.
fn retry_after(text: &str, now: Timestamp) -> Option<SignedDuration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(SignedDuration::from_secs(i64::from(seconds)));
    }
    Some(rfc2822::parse(text).ok()?.timestamp().duration_since(now))
}

pub(super) fn unreadable(why: &'static str) -> Miss {
    Miss::Failed(Failure::Unreadable(why))
}

/// The kind of trouble, in words of ours: the error's own text may hold the address with an id in it.
fn transport(error: &reqwest::Error) -> Miss {
    let why = if error.is_timeout() {
        "it did not answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection broke"
    };
    Miss::Failed(Failure::Transport(why))
}
