//! What a webhook says of itself before it is interpreted.

use jiff::Timestamp;

use crate::domain::arrival::{Delivery, Endpoint};
use crate::domain::disclosure::shown;
use crate::domain::ids::{ApplicationId, ConversationId, LegId, Region};
use crate::vonage::event::ConversationEvent;
use crate::vonage::webhook::{Unreadable, Webhook};

/// The conversation that a webhook names first. Nothing else of it is looked at, since nobody believes it yet.
pub(super) fn named_conversation(delivery: &Delivery) -> Option<ConversationId> {
    let event = || ConversationEvent::from_slice(&delivery.body)?.conversation_id();
    let own = if delivery.endpoint == Endpoint::Rtc { event() } else { None };
    own.or_else(|| {
        let webhook = Webhook::read(delivery).ok()?;
        webhook.conversation_id().or_else(|| webhook.transferred_to())
    })
}

/// As much of it as the log and the reply need.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) stands_for: Endpoint,
    pub(super) kind: String,
    pub(super) conversation_id: Option<ConversationId>,
    pub(super) transferred_to: Option<ConversationId>,
    pub(super) leg_id: Option<LegId>,
    pub(super) occurred_at: Option<Timestamp>,
    pub(super) application_id: Option<ApplicationId>,
    pub(super) region: Option<Region>,
    pub(super) fallback_reason: Option<String>,
}

impl Said {
    pub(super) fn of(delivery: &Delivery) -> Result<Self, Unreadable> {
        let webhook = Webhook::read(delivery)?;
        let is_fallback = delivery.endpoint == Endpoint::Fallback;
        let stands_for = if is_fallback { webhook.stands_for() } else { delivery.endpoint };
        let said = Self {
            stands_for,
            kind: webhook.kind(stands_for),
            conversation_id: webhook.conversation_id(),
            transferred_to: webhook.transferred_to(),
            leg_id: webhook.leg_id(),
            occurred_at: webhook.timestamp(),
            application_id: None,
            region: webhook.region_url(),
            fallback_reason: is_fallback.then(|| webhook.reason()).flatten(),
        };
        Ok(match delivery.endpoint {
            Endpoint::Rtc => said.with_event(&delivery.body),
            _ => said,
        })
    }

    /// What an event of the Conversation API says of itself. One without a type is kept all the same.
    fn with_event(self, body: &[u8]) -> Self {
        let Some(event) = ConversationEvent::from_slice(body) else { return self };
        Self {
            kind: shown(event.kind()).to_ascii_lowercase(),
            conversation_id: event.conversation_id(),
            occurred_at: event.timestamp(),
            application_id: event.application_id(),
            ..self
        }
    }
}
