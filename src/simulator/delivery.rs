//! Sending a webhook as Vonage does, with its one repetition.

use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use axum::body::Bytes;
use reqwest::header::AUTHORIZATION;
use reqwest::header::CONTENT_TYPE;
use url::Url;

use super::webhook::Method;
use super::webhook::Signer;
use super::webhook::Target;
use super::webhook::Webhook;
use crate::domain::clock::Clock;

/// What Vonage allows for a connection to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// What Vonage allows for the reply to an answer webhook, unless the application says otherwise.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// What Vonage allows for the reply to an event webhook, unless the application says otherwise.
const EVENT_TIMEOUT: Duration = Duration::from_secs(10);
/// The first try and one more.
const MAX_ATTEMPTS: usize = 2;

/// What became of one webhook.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The webhook.
    pub webhook: Webhook,
    /// How often it was sent: once, or twice.
    pub attempts: usize,
    /// The last reply, or why there was none.
    pub reply: Result<WebhookReply, NoReply>,
}

/// What the application replied to a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookReply {
    /// The HTTP status.
    pub status: u16,
    /// The content type, as it was written.
    pub content_type: Option<String>,
    /// The body.
    pub body: Bytes,
}

/// Why there was no reply to a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoReply {
    /// Nobody took the connection.
    #[error("no connection could be made")]
    Unreachable,
    /// It took longer than Vonage waits.
    #[error("no reply came in time")]
    TimedOut,
    /// The connection ended before the reply did.
    #[error("the connection was closed")]
    Closed,
}

/// Sends webhooks to one application.
pub(super) struct Sender {
    client: reqwest::Client,
    signer: Signer,
    destination: Mutex<Destination>,
}

/// Where the application is.
#[derive(Clone)]
struct Destination {
    base: Url,
    /// Whether the application's id is part of the path.
    names_application: bool,
}

// === impl Delivery ===

impl Delivery {
    /// Whether Vonage would take the webhook as received: it was replied to with a status from 200 to 205.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.reply.as_ref().is_ok_and(|reply| (200..=205).contains(&reply.status))
    }

    /// The status of the last reply.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.reply.as_ref().ok().map(|reply| reply.status)
    }
}

// === impl Sender ===

impl Sender {
    /// A sender to the application at `base`.
    pub(super) fn new(signer: Signer, base: Url) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        let destination = Mutex::new(Destination { base, names_application: false });
        Ok(Self { client, signer, destination })
    }

    /// Sends from now on to the application at `base`.
    pub(super) fn send_to(&self, base: Url) {
        self.destination().base = base;
    }

    /// Puts the application's id into the path from now on, or no longer does.
    pub(super) fn name_application(&self, named: bool) {
        self.destination().names_application = named;
    }

    /// Sends `webhook`, and once more when the first try ends in a way that Vonage repeats.
    pub(super) async fn send(&self, webhook: Webhook, clock: &dyn Clock) -> Delivery {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let reply = self.attempt(&webhook, clock).await;
            if attempts == MAX_ATTEMPTS || !is_repeated(&reply) {
                return Delivery { webhook, attempts, reply };
            }
        }
    }

    async fn attempt(&self, webhook: &Webhook, clock: &dyn Clock) -> Result<WebhookReply, NoReply> {
        let Destination { base, names_application } = self.destination().clone();
        let application = names_application.then_some(&self.signer.application_id);
        let (address, body) = webhook.address_and_body(&base, application);
        let mut request = match webhook.method {
            Method::Post => self.client.post(address).header(CONTENT_TYPE, "application/json").body(body),
            Method::Get => self.client.get(address),
        };
        if let Some(authorization) = self.signer.authorization(webhook, clock.now()) {
            request = request.header(AUTHORIZATION, authorization);
        }
        let timeout = match webhook.target {
            Target::Answer | Target::Fallback => ANSWER_TIMEOUT,
            Target::Event | Target::Rtc => EVENT_TIMEOUT,
        };
        let response = request.timeout(timeout).send().await.map_err(|error| no_reply(&error))?;
        let status = response.status().as_u16();
        let content_type = response.headers().get(CONTENT_TYPE);
        let content_type = content_type.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let body = response.bytes().await.map_err(|error| no_reply(&error))?;
        Ok(WebhookReply { status, content_type, body })
    }

    fn destination(&self) -> MutexGuard<'_, Destination> {
        self.destination.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Transport trouble and overload are tried again; any other refusal, 500 among them, is final.
fn is_repeated(reply: &Result<WebhookReply, NoReply>) -> bool {
    reply.as_ref().map_or(true, |reply| matches!(reply.status, 429 | 502 | 503 | 504))
}

fn no_reply(error: &reqwest::Error) -> NoReply {
    if error.is_connect() {
        NoReply::Unreachable
    } else if error.is_timeout() {
        NoReply::TimedOut
    } else {
        NoReply::Closed
    }
}
