//! Playing a call's script.

use std::time::Duration;

use super::Simulator;
use super::call::Action;
use super::call::Call;
use super::delivery::Delivery;
use super::documents::Family;
use super::member::MemberState;
use super::server::Shared;
use super::world::World;
use crate::domain::ids::ConversationId;

/// How long the script waits for a look that may never come.
const LOOK_PATIENCE: Duration = Duration::from_secs(2);

/// How fast a script goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Without a pause.
    AtOnce,
    /// No faster than the application looks: when a webhook has gone out since the conversation changed, the
    /// next change (or the end of a leg) waits until the API was asked for the conversation, and for each
    /// member where they are listed. It waits for two seconds at most.
    AfterEachLook,
}

/// What came of playing a call.
#[derive(Debug, Clone)]
pub struct Played {
    /// The webhooks, in the order they were sent.
    pub deliveries: Vec<Delivery>,
    /// How often nobody looked in time.
    pub missed_looks: usize,
}

/// The conversation as it was left by a change that nobody has looked at.
struct Unseen {
    /// How many requests came before the change.
    requests: usize,
    /// The conversation's number after it.
    sequence_number: u64,
    /// Whether a webhook has gone out since.
    told: bool,
}

// === impl Simulator ===

impl Simulator {
    /// Plays `call`: lets its changes happen and sends its webhooks, one after the other.
    pub async fn play(&self, call: &Call, pace: Pace) -> Played {
        let mut played = Played { deliveries: Vec::new(), missed_looks: 0 };
        let mut unseen: Option<Unseen> = None;
        for step in &call.steps {
            match &step.action {
                Action::Webhook(webhook) => {
                    played.deliveries.push(self.send(webhook.clone()).await);
                    unseen = unseen.map(|unseen| Unseen { told: true, ..unseen });
                }
                Action::Change(change) => {
                    let is_told = unseen.as_ref().is_some_and(|unseen| unseen.told);
                    if pace == Pace::AfterEachLook && is_told && change.may_hide_something() {
                        let looked = self.wait_for_look(&call.conversation, unseen.as_ref()).await;
                        played.missed_looks += usize::from(!looked);
                        unseen = None;
                    }
                    let left = self.shared.change(|world| {
                        world.apply(&call.conversation, step.at, change.clone());
                        Unseen::of(world, &call.conversation)
                    });
                    if change.is_visible() {
                        unseen = left;
                    }
                }
            }
        }
        played
    }

    async fn wait_for_look(&self, conversation: &ConversationId, unseen: Option<&Unseen>) -> bool {
        let Some(unseen) = unseen else { return true };
        let look = self.shared.wait_until(|world| unseen.is_seen(&self.shared, world, conversation));
        tokio::time::timeout(LOOK_PATIENCE, look).await.is_ok()
    }
}

// === impl Played ===

impl Played {
    /// Whether the application took every webhook.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.deliveries.iter().all(Delivery::is_accepted)
    }
}

// === impl Unseen ===

impl Unseen {
    fn of(world: &World, conversation: &ConversationId) -> Option<Self> {
        let sequence_number = world.conversation(conversation)?.sequence_number;
        Some(Self { requests: world.requests.len(), sequence_number, told: false })
    }

    /// Whether everything that can be seen of the conversation has been asked for since. A member that left
    /// earlier need not be asked for again.
    fn is_seen(&self, shared: &Shared, world: &World, id: &ConversationId) -> bool {
        let Some(conversation) = world.conversation(id) else {
            return true;
        };
        let asked = |path: &str| {
            let mut since = world.requests.iter().skip(self.requests);
            since.any(|request| request.status == Some(200) && request.bare_path() == path)
        };
        if asked(&format!("/beta/conversations/{id}")) {
            return true;
        }
        let document = format!("/v0.3/conversations/{id}");
        let mut members = conversation
            .members
            .iter()
            .filter(|member| member.state != MemberState::Left || member.changed >= self.sequence_number);
        asked(&document)
            && (shared.api.embeds(Family::V03)
                || members
                    .all(|member| asked(&format!("{document}/members/{}", member.participant.member_id))))
    }
}
