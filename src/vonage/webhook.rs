//! What a webhook says, leniently. The kinds and their tells are those of Vonage's webhook reference
//! (developer.vonage.com, Voice API) and of bodies that were seen in the wild.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::de::IgnoredAny;

use super::fields::Fields;
use super::parameters::Parameter;
use super::timestamp::instant_in;
use super::{json, member, region};
use crate::domain::arrival::{Delivery, Endpoint, Method};
use crate::domain::disclosure::shown;
use crate::domain::ids::{ConversationId, LegId, Region};
use crate::domain::visible::visible;

/// A webhook's data as one JSON object, whichever way it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Webhook<'a>(Fields<'a>);

/// Why a delivery has no data to read. Nothing of the delivery is in here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The body is not JSON.
    #[error("the body is not JSON")]
    NotJson,
    /// The body is JSON, but no object.
    #[error("the body is JSON, but not an object")]
    NotAnObject,
    /// A `GET` without parameters.
    #[error("the query string has no parameters")]
    NoParameters,
    /// A parameter is not UTF-8 after percent-decoding.
    #[error("the query string is not UTF-8 after percent-decoding")]
    NotText,
}

impl<'a> Webhook<'a> {
    /// Reads the data of a delivery.
    ///
    /// # Errors
    /// When there is no JSON object in it.
    pub fn read(delivery: &'a Delivery) -> Result<Self, Unreadable> {
        match delivery.method {
            Method::Post => read_body(&delivery.body),
            Method::Get => read_query(delivery.query_to_read().unwrap_or("")),
        }
        .map(Self)
    }

    /// The conversation it speaks of. For a `transfer`, the one that the leg left.
    #[must_use]
    pub fn conversation_id(&self) -> Option<ConversationId> {
        ["conversation_uuid", "conversation_uuid_from", "conversation_id"]
            .iter()
            .find_map(|key| ConversationId::parse(self.0.text(key)?).ok())
    }

    /// The conversation that a `transfer` moved the leg to.
    #[must_use]
    pub fn transferred_to(&self) -> Option<ConversationId> {
        ConversationId::parse(self.0.text("conversation_uuid_to")?).ok()
    }

    /// The leg it speaks of. `human` and `machine` name it `call_uuid`.
    #[must_use]
    pub fn leg_id(&self) -> Option<LegId> {
        ["uuid", "call_uuid"].iter().find_map(|key| LegId::parse(self.0.text(key)?).ok())
    }

    /// What it is about: a leg's status (`answered`), or a kind of its own.
    #[must_use]
    pub fn kind(&self, endpoint: Endpoint) -> String {
        if endpoint == Endpoint::Answer {
            return "answer".to_owned();
        }
        self.kind_without_status()
            .map(str::to_owned)
            .or_else(|| self.status())
            .unwrap_or_else(|| "unknown".to_owned())
    }

    /// Which webhook a fallback webhook stands for: what `original_request.type` says, and without it an answer
    /// webhook if it looks like one.
    #[must_use]
    pub fn stands_for(&self) -> Endpoint {
        match self.original_type().as_deref() {
            Some("answer") => Endpoint::Answer,
            Some("event") => Endpoint::Event,
            _ if self.looks_like_an_answer() => Endpoint::Answer,
            _ => Endpoint::Event,
        }
    }

    /// What the webhook was that a fallback webhook stands for. Nested objects may come as texts that hold JSON.
    fn original_type(&self) -> Option<String> {
        const KEY: &str = "original_request";
        let kind = |original: &Fields<'_>| Some(original.text("type")?.to_ascii_lowercase());
        self.0.object(KEY).as_ref().and_then(kind).or_else(|| {
            let text = self.0.text(KEY)?;
            kind(&serde_json::from_str(&text).ok()?)
        })
    }

    /// Answer webhooks say who calls whom and nothing that happened. The `reason` of a fallback webhook is no
    /// tell of an error event.
    fn looks_like_an_answer(&self) -> bool {
        let told = |key: &str| self.0.text(key).is_some();
        let is_silent = matches!(self.kind_without_status(), None | Some("error"));
        is_silent && !told("status") && told("to") && told("uuid")
    }

    /// Why a fallback webhook was sent.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        self.owned(&["reason"])
    }

    /// The kind of a webhook that is not a leg's status; the order of the questions matters.
    fn kind_without_status(&self) -> Option<&'static str> {
        let has = |key: &str| self.0.has(key);
        let kind = self.0.text("type");
        match kind.as_deref() {
            _ if has("conversation_uuid_from") => Some("transfer"),
            Some(kind) if kind.contains(':') => Some("rtc"),
            _ if has("transcription_url") => Some("transcribed"),
            _ if has("recording_url") => Some("record"),
            _ if has("speech") || has("dtmf") => Some("input"),
            _ if has("payload") => Some("notify"),
            Some("transfer") => Some("transfer"),
            Some("talk" | "stream") => Some("playback"),
            _ => match self.0.text("status").as_deref() {
                None if has("reason") => Some("error"),
                Some("success" | "failure") => Some("pay"),
                _ => None,
            },
        }
    }

    /// The status of the leg that it tells, if that is what it does.
    #[must_use]
    pub fn leg_status(&self, endpoint: Endpoint) -> Option<String> {
        if endpoint == Endpoint::Answer || self.kind_without_status().is_some() {
            return None;
        }
        self.leg_id()?;
        self.status()
    }

    fn status(&self) -> Option<String> {
        self.0.text("status").map(|status| shown(&visible(&status)).to_ascii_lowercase())
    }

    fn owned(&self, keys: &[&str]) -> Option<String> {
        self.0.first_text(keys).map(Cow::into_owned)
    }

    /// Vonage's time for what happened.
    #[must_use]
    pub fn timestamp(&self) -> Option<Timestamp> {
        instant_in(&self.0.text("timestamp")?)
    }

    /// The calling side.
    #[must_use]
    pub fn from(&self) -> Option<String> {
        ["from", "from_user"].iter().find_map(|key| self.0.party(key))
    }

    /// The called side.
    #[must_use]
    pub fn to(&self) -> Option<String> {
        self.0.party("to")
    }

    /// `inbound` or `outbound`; some real events have none.
    #[must_use]
    pub fn direction(&self) -> Option<String> {
        member::direction(&self.0.text("direction")?)
    }

    /// What a status adds: the cause of a failure, or the part of a machine's greeting.
    #[must_use]
    pub fn detail(&self) -> Option<String> {
        self.owned(&["detail", "sub_state"])
    }

    /// The region that handles the call, which answer webhooks name: `region_url`, if a token may go there.
    #[must_use]
    pub fn region_url(&self) -> Option<Region> {
        region::trusted(&self.0.text("region_url")?)
    }

    /// Billed seconds.
    #[must_use]
    pub fn duration(&self) -> Option<i64> {
        json::parse_integer(&self.0.text("duration")?)
    }

    /// The price as written.
    #[must_use]
    pub fn price(&self) -> Option<String> {
        self.owned(&["price"])
    }
}

fn read_body(body: &[u8]) -> Result<Fields<'_>, Unreadable> {
    let text = std::str::from_utf8(body).map_err(|_| Unreadable::NotJson)?;
    serde_json::from_str(text).map_err(|_| match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => Unreadable::NotAnObject,
        Err(_) => Unreadable::NotJson,
    })
}

/// The parameters of a `GET` webhook. Of two with one name the last counts: Vonage puts its own behind those that a
/// URL was configured with.
fn read_query(query: &str) -> Result<Fields<'_>, Unreadable> {
    let mut fields = Fields::default();
    for parameter in Parameter::all(query).map_err(|_| Unreadable::NotText)? {
        fields.add_parameter(parameter.name().to_owned(), parameter.value().to_owned());
    }
    if fields.is_empty() { Err(Unreadable::NoParameters) } else { Ok(fields) }
}
