//! One webhook as it was received: the first of the two logs.

use jiff::Timestamp;
use serde::Serialize;

use super::digest::Digest;
use super::ids::{ApplicationId, ConversationId, Region};

/// Which of Vonage's webhooks a request was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Endpoint {
    /// A call asks for its NCCO.
    Answer,
    /// Something happened in a call.
    Event,
    /// Either of the two, where the application could not be reached.
    Fallback,
    /// Something happened in a conversation: an event of the Conversation API.
    Rtc,
}

impl Endpoint {
    /// Its name in paths, answers and the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Event => "event",
            Self::Fallback => "fallback",
            Self::Rtc => "rtc",
        }
    }

    /// The endpoint of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|endpoint| endpoint.as_str() == name)
    }

    /// Every webhook.
    pub const ALL: [Self; 4] = [Self::Answer, Self::Event, Self::Fallback, Self::Rtc];
}

/// How a webhook carried its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// In the query string.
    Get,
    /// In a JSON body.
    Post,
}

impl Method {
    /// The HTTP method's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }

    /// The method of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Get, Self::Post].into_iter().find(|method| method.as_str() == name)
    }
}

/// What is known of who sent a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// It was signed with the account's signature secret.
    Signed,
    /// Signatures are not checked here: anybody could have sent it.
    Unverified,
}

impl Origin {
    /// Its name in answers and in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Signed => "signed",
            Self::Unverified => "unverified",
        }
    }

    /// The origin of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Signed, Self::Unverified].into_iter().find(|origin| origin.as_str() == name)
    }
}

/// A request exactly as it came, before anybody asked what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Which webhook.
    pub endpoint: Endpoint,
    /// How it carried its data.
    pub method: Method,
    /// The query string without its `?`, if there was one. A `GET` webhook is all in here.
    pub query: Option<String>,
    /// The query without the repetitions of its parameters that the signature does not cover; `None` where that is
    /// all of it. It is what is read and forwarded: what anybody on the way could have added must not count.
    pub covered_query: Option<String>,
    /// The media type it claimed.
    pub content_type: Option<String>,
    /// The body's bytes.
    pub body: Vec<u8>,
}

/// A delivery that is about to be appended to the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewArrival {
    /// The request.
    pub delivery: Delivery,
    /// The application it is for, as far as one can tell.
    pub application_id: Option<ApplicationId>,
    /// Who sent it, as far as one can tell.
    pub origin: Origin,
    /// What it seems to be about: a status (`answered`), or a kind of its own (`record`, `input`, `unknown` …).
    pub kind: String,
    /// The conversation it speaks of.
    pub conversation_id: Option<ConversationId>,
    /// The conversation that a `transfer` moved a leg to.
    pub transferred_to: Option<ConversationId>,
    /// Vonage's own time for what happened, where the webhook has one.
    pub occurred_at: Option<Timestamp>,
    /// The region that the call is handled in, where an answer webhook names one that is Vonage's.
    pub region: Option<Region>,
    /// Why a fallback webhook was sent, in Vonage's words.
    pub fallback_reason: Option<String>,
    /// When its last byte was read here.
    pub received_at: Timestamp,
}

/// What makes two deliveries one event: a unique key of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Says it alone.
    pub digest: Digest,
    /// Vonage's time, which the deliveries of one event share. Events of one moment are neighbours in an index
    /// that begins with it.
    pub moment: Option<Timestamp>,
}

impl Delivery {
    /// The query as it is to be read.
    #[must_use]
    pub fn query_to_read(&self) -> Option<&str> {
        self.covered_query.as_deref().or(self.query.as_deref())
    }
}

impl NewArrival {
    /// What makes two deliveries one event: Vonage repeats a webhook with the same bytes and a new signature, so
    /// headers do not count. What differs in a byte is another event, whatever number an rtc event gives itself:
    /// anybody can write a number. What is signed is another event than the same bytes from anybody: those must not
    /// take its place.
    #[must_use]
    pub fn identity(&self) -> Identity {
        let application = self.application_id.as_ref().map_or("", ApplicationId::as_str);
        let delivery = &self.delivery;
        let digest = Digest::of_parts(&[
            delivery.endpoint.as_str().as_bytes(),
            delivery.method.as_str().as_bytes(),
            application.as_bytes(),
            delivery.query.as_deref().unwrap_or("").as_bytes(),
            delivery.covered_query.as_deref().unwrap_or("").as_bytes(),
            self.origin.as_str().as_bytes(),
            &delivery.body,
        ]);
        Identity { digest, moment: self.occurred_at }
    }

    /// Every conversation that deserves a look because of this.
    pub fn conversations(&self) -> impl Iterator<Item = &ConversationId> {
        self.conversation_id.iter().chain(&self.transferred_to)
    }
}

/// An event in the log, with how often it was delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// Its number in the log: later is larger.
    pub number: i64,
    /// The event, as it was first delivered.
    pub event: NewArrival,
    /// How many times it came.
    pub deliveries: u32,
    /// When it came last.
    pub last_received_at: Timestamp,
}

/// Kinds after which a leg is over, and perhaps its conversation: the next look may be the last.
pub const ENDS: [&str; 7] = ["completed", "rejected", "busy", "cancelled", "timeout", "unanswered", "failed"];
