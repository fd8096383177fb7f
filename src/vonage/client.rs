//! One look at a conversation: as many requests to the Conversation API as it takes, and what came of them.

use std::sync::Arc;
use std::time::Duration;

use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue, RETRY_AFTER};
use reqwest::{Response, StatusCode, redirect};
use secrecy::ExposeSecret;
use serde_json::value::RawValue;
use url::Url;

use super::document::{ConversationDocument, MemberDocument, MembersPage};
use super::family::Family;
use super::pace::Pace;
use super::secrets::without_secrets;
use super::token::TokenMint;
use crate::domain::clock::Clock;
use crate::domain::fetch::{Known, Urgency};
use crate::domain::ids::{ConversationId, MemberId};
use crate::domain::snapshot::{Document, DocumentName, Sighting};

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long an answer may take, whole. A call of ordinary length outlives a few of these.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// The largest answer that is taken. A conversation of 200 members, the limit for voice, is well below 1 MiB.
const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;

/// Members asked for on one page: the most that Vonage gives.
const PAGE_SIZE: u32 = 100;

/// Pages followed at most: documented pages have a `next` link even when nothing comes after.
const MAX_PAGES: u32 = 50;

/// The pause after a 429 that does not say how long to wait.
const DEFAULT_HOLD: SignedDuration = SignedDuration::from_secs(1);

/// The longest `Retry-After` that is believed.
const LONGEST_HOLD: SignedDuration = SignedDuration::from_mins(10);

/// What one look found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// The conversation as it is now.
    Seen(Sighting),
    /// Vonage has counted no event since the known snapshot.
    Unchanged(Timestamp),
    /// A conversation that was known here is known no more there.
    Gone(Timestamp),
    /// Vonage does not know the conversation, and it was never seen here.
    NotYet(Timestamp),
    /// The conversation, but not all of its members: a later request failed.
    Interrupted(Sighting, Failure),
    /// The token was refused with this status.
    Refused(u16),
    /// Nobody has a token for it: its application is not configured.
    NoApplication,
    /// No useful answer came.
    Unreachable(Failure),
}

/// Why no useful answer came. Holds nothing of what was sent or received.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// 429: asked too much, to be asked again after so long.
    #[error("Vonage asked for a pause of {} s (429)", .0.as_secs_f64())]
    Throttled(SignedDuration),
    /// A status that is none of the expected.
    #[error("Vonage answered with status {0}")]
    Status(u16),
    /// No connection, or it broke.
    #[error("Vonage could not be reached: {0}")]
    Transport(&'static str),
    /// The answer is not what the API answers.
    #[error("Vonage's answer could not be read: {0}")]
    Unreadable(&'static str),
    /// No token could be made.
    #[error("no token could be signed")]
    Token,
}

/// What is needed to ask for one application's conversations.
#[derive(Debug)]
pub struct Settings {
    /// The API's address: scheme and host, perhaps a path before the family.
    pub api_url: Url,
    /// Which shape to ask for.
    pub family: Family,
    /// The application's tokens.
    pub mint: Arc<TokenMint>,
    /// The rate that everybody who asks keeps together.
    pub pace: Arc<Pace>,
}

/// Asks for one application's conversations.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    settings: Settings,
    clock: Arc<dyn Clock>,
}

/// Whether every member that was listed could be read.
enum Completeness {
    Whole,
    /// Some member was gone when it was asked for.
    Partial,
}

/// Why a request brought no document.
enum Miss {
    NotFound,
    Refused(u16),
    Failed(Failure),
}

impl Client {
    /// A client with its own connections.
    ///
    /// # Errors
    /// When TLS cannot be set up on this machine.
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, reqwest::Error> {
        let builder = reqwest::Client::builder();
        // A token for a server on this machine must not pass through a proxy on another.
        let builder = if settings.api_url.scheme() == "http" { builder.no_proxy() } else { builder };
        let http = builder
            .user_agent(concat!("conversationd/", env!("CARGO_PKG_VERSION")))
            // The request carries a token, which must not go where a redirect points.
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT)
            .build()?;
        Ok(Self { http, settings, clock })
    }

    /// Looks at a conversation. With what is known of it already, an unchanged one costs one request.
    pub async fn look(&self, id: &ConversationId, known: Option<&Known>) -> Look {
        match self.sight(id, known).await {
            Ok(look) => look,
            Err(Miss::NotFound) if known.is_some() => Look::Gone(self.clock.now()),
            Err(Miss::NotFound) => Look::NotYet(self.clock.now()),
            Err(Miss::Refused(status)) => {
                self.settings.mint.discard();
                Look::Refused(status)
            }
            Err(Miss::Failed(failure)) => Look::Unreachable(failure),
        }
    }

    async fn sight(&self, id: &ConversationId, known: Option<&Known>) -> Result<Look, Miss> {
        let taken_at = self.clock.now();
        let url = self.conversation_url(id);
        let document = Document::new(DocumentName::Conversation, self.get(&url).await?);
        let conversation = ConversationDocument::read(&document.body).filter(ConversationDocument::has_id);
        let conversation = conversation.ok_or(unreadable("it is no conversation"))?;
        let sequence_number = conversation.sequence_number();
        let family = self.settings.family.as_str().to_owned();
        if conversation.members().is_some() {
            return Ok(Look::Seen(Sighting { taken_at, family, sequence_number, documents: vec![document] }));
        }
        if is_unchanged(known, &document, sequence_number) {
            return Ok(Look::Unchanged(self.clock.now()));
        }
        let mut documents = vec![document];
        let outcome = self.read_members(&url, &mut documents).await;
        // Without a number the next look reads the members again, whatever Vonage has counted.
        let sequence_number = sequence_number.filter(|_| matches!(outcome, Ok(Completeness::Whole)));
        let sighting = Sighting { taken_at, family, sequence_number, documents };
        match outcome {
            Ok(_) | Err(Miss::NotFound) => Ok(Look::Seen(sighting)),
            // The call may be over before the next try: what is had is worth keeping.
            Err(Miss::Failed(failure)) => Ok(Look::Interrupted(sighting, failure)),
            Err(refused @ Miss::Refused(_)) => Err(refused),
        }
    }

    /// Lists the members and reads each: the list has them in short form only.
    async fn read_members(
        &self,
        conversation: &Url,
        documents: &mut Vec<Document>,
    ) -> Result<Completeness, Miss> {
        let mut completeness = Completeness::Whole;
        for member in self.list_members(conversation, documents).await? {
            let url = with_segments(conversation, &["members", member.as_str()]);
            match self.get(&url).await {
                Ok(body) => {
                    MemberDocument::read(&body).ok_or(unreadable("a member is not a JSON object"))?;
                    documents.push(Document::new(DocumentName::Member(member), body));
                }
                Err(Miss::NotFound) => completeness = Completeness::Partial,
                Err(miss) => return Err(miss),
            }
        }
        Ok(completeness)
    }

    async fn list_members(
        &self,
        conversation: &Url,
        documents: &mut Vec<Document>,
    ) -> Result<Vec<MemberId>, Miss> {
        let mut first = with_segments(conversation, &["members"]);
        first.query_pairs_mut().append_pair("page_size", &PAGE_SIZE.to_string());
        let mut next = Some(first);
        let mut members: Vec<MemberId> = Vec::new();
        let mut asked: Vec<Url> = Vec::new();
        for page_number in 1..=MAX_PAGES {
            let Some(url) = next.take().filter(|url| !asked.contains(url)) else { break };
            let body = self.get(&url).await?;
            let page = MembersPage::read(&body).ok_or(unreadable("the list of members is not JSON"))?;
            documents.push(Document::new(DocumentName::Members(page_number), body));
            if page.members.is_empty() {
                break;
            }
            members.extend(page.members.iter().filter_map(MemberDocument::id));
            next = page.next.and_then(|link| trusted(&url, &link));
            asked.push(url);
        }
        Ok(members)
    }

    /// One `GET`: the body of a 200 without its secrets.
    async fn get(&self, url: &Url) -> Result<Vec<u8>, Miss> {
        self.settings.pace.turn(Urgency::Changed).await;
        let token = self.settings.mint.token(self.clock.now()).map_err(|_| Miss::Failed(Failure::Token))?;
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()))
            .map_err(|_| Miss::Failed(Failure::Token))?;
        bearer.set_sensitive(true);
        let request =
            self.http.get(url.clone()).header(AUTHORIZATION, bearer).header(ACCEPT, "application/json");
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

    /// Holds everybody up for as long as Vonage asks.
    fn throttled(&self, response: &Response) -> Failure {
        let header = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let pause = header.and_then(|text| retry_after(text, self.clock.now())).unwrap_or(DEFAULT_HOLD);
        let pause = pause.clamp(SignedDuration::ZERO, LONGEST_HOLD);
        self.settings.pace.hold(pause.unsigned_abs());
        Failure::Throttled(pause)
    }

    fn conversation_url(&self, id: &ConversationId) -> Url {
        with_segments(&self.settings.api_url, &[self.settings.family.as_str(), "conversations", id.as_str()])
    }
}

/// The next page's address, if it is on the host that answered: a token goes with the request.
fn trusted(here: &Url, link: &str) -> Option<Url> {
    let next = here.join(link).ok()?;
    if next.origin() == here.origin() {
        return Some(next);
    }
    tracing::warn!(host = next.host_str(), "a list's next page is on another host and was not asked for");
    None
}

/// Equal numbers mean that Vonage has counted no event since. A zero is not trusted: some answers have it
/// where nothing was counted.
fn is_unchanged(known: Option<&Known>, conversation: &Document, sequence_number: Option<i64>) -> bool {
    known.is_some_and(|known| {
        known.conversation == conversation.digest
            && known.sequence_number == sequence_number
            && sequence_number.is_some_and(|number| number > 0)
    })
}

/// `base` with more path segments, and never a slash at the end: Vonage's gateway answers 404 to one.
fn with_segments(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    url.path_segments_mut()
        .expect("an address that was checked to be http or https has a path")
        .pop_if_empty()
        .extend(segments);
    url
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

fn unreadable(why: &'static str) -> Miss {
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
