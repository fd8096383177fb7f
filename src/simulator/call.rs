//! A call as a script: what happens, and when.

use jiff::Timestamp;
use serde_json::Value;

use super::leg;
use super::leg::Leg;
use super::leg::Status;
use super::member::Participant;
use super::webhook::Webhook;
use super::world::Change;
use super::world::Lifetime;
use crate::domain::ids::ConversationId;
use crate::domain::ids::LegId;
use crate::domain::ids::MemberId;

/// The script of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The call's conversation.
    pub conversation: ConversationId,
    /// What happens, in the order in which Vonage does it.
    pub steps: Vec<Step>,
}

/// One thing that happens in a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// When, by Vonage's clock.
    pub at: Timestamp,
    /// What.
    pub action: Action,
}

/// What happens in a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The conversation changes.
    Change(Change),
    /// Vonage tells the application something.
    Webhook(Webhook),
}

// === impl Call ===

impl Call {
    /// A call in which nothing happens yet.
    #[must_use]
    pub fn new(conversation: ConversationId) -> Self {
        Self { conversation, steps: Vec::new() }
    }

    /// Its conversation comes into being, until the call is over.
    #[must_use]
    pub fn created(self, at: Timestamp, name: impl Into<String>) -> Self {
        self.change(at, Change::Created { name: name.into(), lifetime: Lifetime::Transient })
    }

    /// Somebody is invited.
    #[must_use]
    pub fn invited(self, at: Timestamp, participant: &Participant) -> Self {
        self.change(at, Change::invited(participant))
    }

    /// Somebody joins.
    #[must_use]
    pub fn joined(self, at: Timestamp, participant: &Participant) -> Self {
        self.change(at, Change::joined(participant))
    }

    /// A member leaves.
    #[must_use]
    pub fn left(self, at: Timestamp, member: &MemberId) -> Self {
        self.change(at, Change::Left(member.clone()))
    }

    /// Some other event raises the conversation's sequence number.
    #[must_use]
    pub fn noted(self, at: Timestamp) -> Self {
        self.change(at, Change::Noted)
    }

    /// A leg gets a status: the leg is counted as live or over, and the event webhook goes out.
    #[must_use]
    pub fn leg(self, at: Timestamp, leg: &Leg, status: &Status) -> Self {
        let call = if status.is_end() {
            self.leg_ended(at, &leg.id)
        } else {
            self.change(at, Change::LegStarted(leg.id.clone()))
        };
        let webhook = leg.event(&call.conversation, status, at);
        call.webhook(at, webhook)
    }

    /// A leg is over, and no webhook says so.
    #[must_use]
    pub fn leg_ended(self, at: Timestamp, leg: &LegId) -> Self {
        self.change(at, Change::LegEnded(leg.clone()))
    }

    /// Vonage asks for the NCCO of this leg.
    #[must_use]
    pub fn asked_for_ncco(self, at: Timestamp, leg: &Leg) -> Self {
        let webhook = leg.answer(&self.conversation);
        self.webhook(at, webhook)
    }

    /// An NCCO's `notify` action tells the application something.
    #[must_use]
    pub fn notified(self, at: Timestamp, payload: Value) -> Self {
        let webhook = leg::notify(&self.conversation, payload, at);
        self.webhook(at, webhook)
    }

    /// The conversation changes.
    #[must_use]
    pub fn change(mut self, at: Timestamp, change: Change) -> Self {
        self.steps.push(Step { at, action: Action::Change(change) });
        self
    }

    /// Vonage sends any webhook.
    #[must_use]
    pub fn webhook(mut self, at: Timestamp, webhook: Webhook) -> Self {
        self.steps.push(Step { at, action: Action::Webhook(webhook) });
        self
    }

    /// Cuts the call in two: what happens before `at`, and the rest.
    #[must_use]
    pub fn split_at(self, at: Timestamp) -> (Self, Self) {
        let (before, after) = self.steps.into_iter().partition(|step| step.at < at);
        let rest = Self { conversation: self.conversation.clone(), steps: after };
        (Self { conversation: self.conversation, steps: before }, rest)
    }

    /// The webhooks of the call, in order.
    pub fn webhooks(&self) -> impl Iterator<Item = &Webhook> {
        self.steps.iter().filter_map(|step| match &step.action {
            Action::Webhook(webhook) => Some(webhook),
            Action::Change(_) => None,
        })
    }

    /// The same call with every webhook sent twice.
    #[must_use]
    pub fn repeated(mut self) -> Self {
        let twice = |step: Step| {
            let times = if matches!(step.action, Action::Webhook(_)) { 2 } else { 1 };
            std::iter::repeat_n(step, times)
        };
        self.steps = self.steps.into_iter().flat_map(twice).collect();
        self
    }

    /// The same call as seen by a late and confused network: everything has happened when the first webhook
    /// goes out, the last one comes first, and the legs are over only after all of them.
    #[must_use]
    pub fn reversed(mut self) -> Self {
        let ends = |step: &Step| matches!(step.action, Action::Change(Change::LegEnded(_)));
        let (endings, rest): (Vec<Step>, Vec<Step>) = self.steps.into_iter().partition(ends);
        let is_change = |step: &Step| matches!(step.action, Action::Change(_));
        let (changes, webhooks): (Vec<Step>, Vec<Step>) = rest.into_iter().partition(is_change);
        self.steps = changes.into_iter().chain(webhooks.into_iter().rev()).chain(endings).collect();
        self
    }

    /// The same call at an application whose webhooks come by GET.
    #[must_use]
    pub fn by_get(mut self) -> Self {
        for step in &mut self.steps {
            if let Action::Webhook(webhook) = &mut step.action {
                *webhook = webhook.clone().by_get();
            }
        }
        self
    }
}
