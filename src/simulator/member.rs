//! Who takes part in a conversation, and over which channel.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;

use crate::domain::ids::LegId;
use crate::domain::ids::MemberId;

/// Somebody who may be invited to a conversation or join it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Participant {
    /// The member's id, `MEM-…`.
    pub member_id: MemberId,
    /// The user behind the member, `USR-…`.
    pub user_id: String,
    /// The user's name. Vonage repeats `user_id` for a caller and invents `vapi-user-…` for a leg it dials.
    pub name: String,
    /// The name to show, which users of the Client SDK have.
    pub display_name: Option<String>,
    /// Who invited: a `USR-…` id in the answers that have been seen.
    pub invited_by: Option<String>,
    /// How this participant is connected.
    pub channel: Channel,
}

/// How a member is connected: a leg and its two ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Channel {
    /// `phone`, `app`, `sip`, `websocket` or `vbc`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The leg.
    pub id: LegId,
    /// The end that calls.
    pub from: Endpoint,
    /// All legs of the member.
    pub leg_ids: Vec<LegId>,
    /// The end that is called.
    pub to: Endpoint,
    /// What only a leg that Vonage dials has.
    #[serde(flatten)]
    pub dialling: Option<Dialling>,
}

/// How Vonage dials a leg.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dialling {
    /// Whether it listens for a machine.
    pub cpa: bool,
    /// Whether audio flows before the answer.
    pub preanswer: bool,
    /// How long it rings, in milliseconds.
    pub ring_timeout: i64,
    /// How long it listens for a machine, in milliseconds.
    pub cpa_time: i64,
    /// The longest the leg may last, in milliseconds.
    pub max_length: i64,
}

/// One end of a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Endpoint {
    /// A phone number: digits, or `Unknown`.
    Phone {
        /// The number.
        number: String,
    },
    /// A user of the Client SDK.
    App {
        /// The user's name.
        user: String,
    },
    /// A SIP address, with the credentials Vonage was given for it.
    Sip {
        /// The address.
        uri: String,
        /// The name to log in with.
        #[serde(skip_serializing_if = "Option::is_none")]
        username: Option<String>,
        /// The password to log in with.
        #[serde(skip_serializing_if = "Option::is_none")]
        password: Option<String>,
        /// Headers for the far side.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        headers: BTreeMap<String, String>,
    },
    /// A WebSocket.
    Websocket {
        /// The address, which may hold a token.
        uri: String,
        /// The encoding of the audio.
        #[serde(rename = "content-type")]
        content_type: String,
        /// Headers for the far side, which may hold a token.
        headers: BTreeMap<String, String>,
    },
    /// An extension of Vonage Business Communications.
    Vbc {
        /// The extension.
        extension: String,
    },
}

/// How far a member has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum MemberState {
    Invited,
    Joined,
    Left,
}

/// A participant inside a conversation.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) participant: Participant,
    pub(super) state: MemberState,
    pub(super) invited: Option<Timestamp>,
    pub(super) joined: Option<Timestamp>,
    pub(super) left: Option<Timestamp>,
    pub(super) audio: Audio,
    /// The conversation's sequence number when this member last changed.
    pub(super) changed: u64,
}

/// Whether a member is heard and hears.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Audio {
    pub(super) enabled: bool,
    pub(super) earmuffed: bool,
    pub(super) muted: bool,
}

// === impl Participant ===

impl Participant {
    /// Whether it comes and goes by itself, as a user of the Client SDK does. Others are led by Vonage.
    pub(super) fn acts_alone(&self) -> bool {
        matches!(self.channel.from, Endpoint::App { .. })
    }
}

// === impl Channel ===

impl Channel {
    /// A leg that somebody started towards Vonage.
    #[must_use]
    pub fn inbound(leg: LegId, from: Endpoint, to: Endpoint) -> Self {
        Self { kind: from.kind().to_owned(), leg_ids: vec![leg.clone()], id: leg, from, to, dialling: None }
    }

    /// A leg that Vonage dialled, with Vonage's usual limits.
    #[must_use]
    pub fn outbound(leg: LegId, from: Endpoint, to: Endpoint) -> Self {
        Self {
            kind: to.kind().to_owned(),
            leg_ids: vec![leg.clone()],
            id: leg,
            from,
            to,
            dialling: Some(Dialling::default()),
        }
    }
}

// === impl Dialling ===

impl Default for Dialling {
    /// The values Vonage's own example shows.
    fn default() -> Self {
        Self { cpa: false, preanswer: false, ring_timeout: 60_000, cpa_time: 5_000, max_length: 7_200_000 }
    }
}

// === impl Endpoint ===

impl Endpoint {
    /// A phone with this number.
    pub fn phone(number: impl Into<String>) -> Self {
        Self::Phone { number: number.into() }
    }

    /// A Client SDK user of this name.
    pub fn app(user: impl Into<String>) -> Self {
        Self::App { user: user.into() }
    }

    /// The SIP address.
    pub fn sip(uri: impl Into<String>) -> Self {
        Self::Sip { uri: uri.into(), username: None, password: None, headers: BTreeMap::new() }
    }

    /// The number, name or address by itself, as the webhooks have it.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Phone { number } => number,
            Self::App { user } => user,
            Self::Sip { uri, .. } | Self::Websocket { uri, .. } => uri,
            Self::Vbc { extension } => extension,
        }
    }

    /// `phone`, `app`, `sip`, `websocket` or `vbc`.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Phone { .. } => "phone",
            Self::App { .. } => "app",
            Self::Sip { .. } => "sip",
            Self::Websocket { .. } => "websocket",
            Self::Vbc { .. } => "vbc",
        }
    }
}

impl From<String> for Endpoint {
    /// A text by itself is a phone number.
    fn from(number: String) -> Self {
        Self::Phone { number }
    }
}

impl From<&str> for Endpoint {
    /// A text by itself is a phone number.
    fn from(number: &str) -> Self {
        Self::phone(number)
    }
}

// === impl Member ===

impl Member {
    /// A member that has done nothing yet.
    pub(super) fn of(participant: Participant) -> Self {
        let (invited, joined, left) = (None, None, None);
        let audio = Audio::default();
        Self { participant, state: MemberState::Invited, invited, joined, left, audio, changed: 0 }
    }
}

// === impl Audio ===

impl Audio {
    /// The `media` of a member, with `audio` as a yes or no.
    pub(super) fn media(self) -> Value {
        json!({"audio": self.enabled, "audio_settings": self})
    }
}
