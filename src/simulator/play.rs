//! Playing a call's script.

use std::collections::HashMap;
use std::time::Duration;

use super::Simulator;
use super::api::Members;
use super::call::Action;
use super::call::Call;
use super::delivery::Delivery;
use super::documents::Family;
use super::member::Member;
use super::member::MemberState;
use super::world::World;
use crate::domain::ids::ConversationId;

/// How long the script waits for a look that may never come.
const LOOK_PATIENCE: Duration = Duration::from_secs(2);

/// How long the end of a call waits for its event list to be read.
const EVENTS_PATIENCE: Duration = Duration::from_secs(3);

/// How fast a script goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Without a pause.
    AtOnce,
    /// No faster than the application looks: when a webhook has gone out since the conversation changed, the
    /// next change (or the end of a leg) waits until the API was asked for the conversation, and for each
    /// member where they are listed. It waits for two seconds at most, and at the end of a leg for three more until
    /// the event list is read.
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
        let mut unseen: HashMap<&ConversationId, Unseen> = HashMap::new();
        // How many requests came before the last change of each conversation.
        let mut changed: HashMap<&ConversationId, usize> = HashMap::new();
        for step in &call.steps {
            let here = &step.conversation;
            match &step.action {
                Action::Webhook(webhook) => {
                    played.deliveries.push(self.send(webhook.clone()).await);
                    unseen.entry(here).and_modify(|unseen| unseen.told = true);
                }
                Action::Change(change) => {
                    let is_paced = pace == Pace::AfterEachLook && change.may_hide_something();
                    let is_due = is_paced && unseen.get(here).is_some_and(|unseen| unseen.told);
                    if let Some(due) = is_due.then(|| unseen.remove(here)).flatten() {
                        let looked = self.wait_for_look(here, &due).await;
                        played.missed_looks += usize::from(!looked);
                    }
                    if let Some(since) = changed.get(here).filter(|_| is_paced && change.ends_leg()) {
                        self.wait_for_events(here, *since).await;
                    }
                    let left = self.shared.change(|world| {
                        world.apply(here, step.at, change.clone());
                        Unseen::of(world, here)
                    });
                    if let Some(left) = left.filter(|_| change.is_visible()) {
                        changed.insert(here, left.requests);
                        unseen.insert(here, left);
                    }
                }
            }
        }
        played
    }

    /// Whoever reads event lists reads them after the conversation, as requests allow.
    async fn wait_for_events(&self, conversation: &ConversationId, since: usize) {
        let read = self.shared.wait_until(|world| are_events_read(world, conversation, since));
        // Nobody need read them.
        let _ = tokio::time::timeout(EVENTS_PATIENCE, read).await;
    }

    async fn wait_for_look(&self, conversation: &ConversationId, unseen: &Unseen) -> bool {
        let look = self.shared.wait_until(|world| unseen.is_seen(self.shared.members, world, conversation));
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
        let sequence_number = world.conversation(conversation)?.sequence_number();
        Some(Self { requests: world.requests.len(), sequence_number, told: false })
    }

    /// Whether everything that can be seen of the conversation has been asked for since, in any one family. A
    /// member that left earlier need not be asked for again.
    fn is_seen(&self, members: Members, world: &World, id: &ConversationId) -> bool {
        let Some(conversation) = world.conversation(id) else {
            return true;
        };
        let asked = |path: &str| is_asked(world, path, self.requests);
        let changed =
            |member: &&Member| member.state != MemberState::Left || member.changed >= self.sequence_number;
        Family::ALL.into_iter().any(|family| {
            let document = format!("/{}/conversations/{id}", family.segment());
            let mut listed = conversation.members.iter().filter(changed);
            asked(&document)
                && (members.are_embedded(family)
                    || listed
                        .all(|member| asked(&format!("{document}/members/{}", member.participant.member_id))))
        })
    }
}

/// Whether the event list was read after so many requests, in any family that has one.
fn are_events_read(world: &World, id: &ConversationId, since: usize) -> bool {
    let events = |family: Family| format!("/{}/conversations/{id}/events", family.segment());
    world.conversation(id).is_none()
        || Family::ALL.into_iter().any(|family| is_asked(world, &events(family), since))
}

fn is_asked(world: &World, path: &str, since: usize) -> bool {
    let mut since = world.requests.iter().skip(since);
    since.any(|request| request.status == Some(200) && request.bare_path() == path)
}
