//! A call as a script: what happens, and when.

use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;

use super::event::Note;
use super::leg;
use super::leg::Detection;
use super::leg::Leg;
use super::leg::Status;
use super::member::Participant;
use super::region::Region;
use super::webhook::Target;
use super::webhook::Webhook;
use super::world::Change;
use super::world::Lifetime;
use crate::domain::ids::ConversationId;
use crate::domain::ids::LegId;
use crate::domain::ids::MemberId;

/// The script of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The call's first conversation.
    pub conversation: ConversationId,
    /// What happens, in the order in which Vonage does it.
    pub steps: Vec<Step>,
    /// The conversation in which the next step happens.
    here: ConversationId,
}

/// One thing that happens in a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// When, by Vonage's clock.
    pub at: Timestamp,
    /// In which conversation.
    pub conversation: ConversationId,
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
        Self { here: conversation.clone(), conversation, steps: Vec::new() }
    }

    /// What follows happens in another conversation.
    #[must_use]
    pub fn elsewhere(self, conversation: &ConversationId) -> Self {
        Self { here: conversation.clone(), ..self }
    }

    /// Its conversation comes into being, until the call is over.
    #[must_use]
    pub fn created(self, at: Timestamp, name: impl Into<String>) -> Self {
        self.change(at, Change::Created { name: name.into(), lifetime: Lifetime::Transient })
    }

    /// Its conversation comes into being under a name that an NCCO gave it, unless there is one of that name,
    /// and can be read also when the call is over.
    #[must_use]
    pub fn named(self, at: Timestamp, name: impl Into<String>) -> Self {
        self.change(at, Change::Created { name: name.into(), lifetime: Lifetime::Persistent })
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

    /// Some other event happens in the conversation.
    #[must_use]
    pub fn noted(self, at: Timestamp, note: Note) -> Self {
        self.change(at, Change::Noted(note))
    }

    /// A leg gets a status: the Voice API knows it, and the event webhook goes out.
    #[must_use]
    pub fn leg(self, at: Timestamp, leg: &Leg, status: &Status) -> Self {
        let webhook = leg.event(&self.here, status, at);
        self.change(at, Change::Leg(Box::new(leg.clone()), status.clone())).webhook(at, webhook)
    }

    /// Machine detection has an opinion of who answered the leg.
    #[must_use]
    pub fn detected(self, at: Timestamp, leg: &Leg, detection: Detection) -> Self {
        let webhook = leg.detected(&self.here, detection, at);
        self.webhook(at, webhook)
    }

    /// The leg of `before` goes over to conversation `to`, which exists, and is `after` there: a member of
    /// one conversation leaves, a member of another one joins. What follows happens there.
    #[must_use]
    pub fn transferred(
        self,
        at: Timestamp,
        (before, after): (&Participant, &Participant),
        to: &ConversationId,
    ) -> Self {
        let from = self.here.clone();
        let leg = &before.channel.id;
        self.elsewhere(to)
            .change(at, Change::LegStarted(leg.clone()))
            .joined(at, after)
            .noted(at, Note::transferred(after, &from, &before.member_id))
            .elsewhere(&from)
            .left(at, &before.member_id)
            .leg_ended(at, leg)
            .webhook(at, leg::transfer(&from, to, leg, at))
            .elsewhere(to)
    }

    /// A leg is over, and no webhook says so.
    #[must_use]
    pub fn leg_ended(self, at: Timestamp, leg: &LegId) -> Self {
        self.change(at, Change::LegEnded(leg.clone()))
    }

    /// Vonage asks for the NCCO of this leg.
    #[must_use]
    pub fn asked_for_ncco(self, at: Timestamp, leg: &Leg) -> Self {
        let webhook = leg.answer(&self.here);
        self.webhook(at, webhook)
    }

    /// An NCCO's `notify` action tells the application something.
    #[must_use]
    pub fn notified(self, at: Timestamp, payload: Value) -> Self {
        let webhook = leg::notify(&self.here, payload, at);
        self.webhook(at, webhook)
    }

    /// The conversation changes.
    #[must_use]
    pub fn change(mut self, at: Timestamp, change: Change) -> Self {
        self.steps.push(Step { at, conversation: self.here.clone(), action: Action::Change(change) });
        self
    }

    /// Vonage sends any webhook.
    #[must_use]
    pub fn webhook(mut self, at: Timestamp, webhook: Webhook) -> Self {
        self.steps.push(Step { at, conversation: self.here.clone(), action: Action::Webhook(webhook) });
        self
    }

    /// The conversations of the call, the first one first.
    #[must_use]
    pub fn conversations(&self) -> Vec<ConversationId> {
        let mut conversations = vec![self.conversation.clone()];
        for step in &self.steps {
            if !conversations.contains(&step.conversation) {
                conversations.push(step.conversation.clone());
            }
        }
        conversations
    }

    /// Cuts the call in two: what happens before `at`, and the rest.
    #[must_use]
    pub fn split_at(self, at: Timestamp) -> (Self, Self) {
        let (before, after) = self.steps.iter().cloned().partition(|step| step.at < at);
        let rest = Self { steps: after, ..self.empty() };
        (Self { steps: before, ..self.empty() }, rest)
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
        let ends = |step: &Step| matches!(&step.action, Action::Change(change) if change.ends_leg());
        let (endings, rest): (Vec<Step>, Vec<Step>) = self.steps.into_iter().partition(ends);
        let is_change = |step: &Step| matches!(step.action, Action::Change(_));
        let (changes, webhooks): (Vec<Step>, Vec<Step>) = rest.into_iter().partition(is_change);
        self.steps = changes.into_iter().chain(webhooks.into_iter().rev()).chain(endings).collect();
        self
    }

    /// The same call, handled in this region: its host alone knows the conversations, and answer webhooks name
    /// it.
    #[must_use]
    pub fn in_region(mut self, region: Region) -> Self {
        let mut steps = Vec::new();
        for mut step in self.steps {
            match &mut step.action {
                Action::Change(Change::Created { .. }) => {
                    steps.push(Step { action: Action::Change(Change::Placed(region)), ..step.clone() });
                }
                Action::Webhook(webhook) if webhook.target == Target::Answer => {
                    *webhook = webhook.clone().with([("region_url", json!(region.url()))]);
                }
                _ => {}
            }
            steps.push(step);
        }
        self.steps = steps;
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

    /// The same call in which nothing happens.
    fn empty(&self) -> Self {
        let (conversation, here) = (self.conversation.clone(), self.here.clone());
        Self { conversation, steps: Vec::new(), here }
    }
}
