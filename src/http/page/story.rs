//! The timeline of a conversation, in words.

use jiff::{SignedDuration, Timestamp};

use crate::domain::conversation::Interpretation;
use crate::domain::ids::LegId;
use crate::domain::statement::AtSource;
use crate::domain::timeline::{Entry, Happening, Outcome};

/// How much later something must have been learnt for that to be worth a word.
const WORTH_TELLING: SignedDuration = SignedDuration::from_secs(1);

/// One line of the story.
pub(super) struct Line {
    /// When it happened.
    pub(super) at: Timestamp,
    /// When it was learnt, if that was clearly later.
    pub(super) learnt_at: Option<Timestamp>,
    /// What happened.
    pub(super) what: String,
    /// Whom it happened to.
    pub(super) who: Option<Who>,
    /// What else is known of it.
    pub(super) notes: Vec<String>,
    /// What told.
    pub(super) source: String,
}

/// A member or a leg, which the page tells more of under its id.
pub(super) struct Who {
    /// The id.
    pub(super) id: String,
    /// What people call it.
    pub(super) name: String,
}

impl Line {
    /// The line of an entry of the conversation's timeline.
    pub(super) fn of(entry: Entry, conversation: &Interpretation) -> Self {
        let is_late = entry.learnt_at.duration_since(entry.at) > WORTH_TELLING;
        Self {
            at: entry.at,
            learnt_at: is_late.then_some(entry.learnt_at),
            what: what(&entry.happening),
            who: who(&entry.happening, conversation),
            notes: notes(&entry),
            source: entry.source,
        }
    }
}

fn what(happening: &Happening) -> String {
    match happening {
        Happening::Webhook { endpoint, about, .. } => format!("{endpoint} webhook: {about}"),
        Happening::Reply { endpoint, .. } => format!("{endpoint} webhook replied to"),
        Happening::MemberState { state, .. } => state.clone(),
        Happening::LegStatus { status, .. } => format!("leg {status}"),
        Happening::Look { outcome, .. } => outcome_of_a_look(*outcome).to_owned(),
    }
}

fn outcome_of_a_look(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Seen => "looked: something new was seen",
        Outcome::Unchanged => "looked: nothing had changed",
        Outcome::Gone => "looked: Vonage does not know it any more",
        Outcome::Failing => "looked: Vonage could not be asked",
        Outcome::GivenUp => "looking was given up",
    }
}

fn who(happening: &Happening, conversation: &Interpretation) -> Option<Who> {
    match happening {
        Happening::MemberState { member_id, name, .. } => {
            let name = name.clone().unwrap_or_else(|| member_id.to_string());
            Some(Who { id: member_id.to_string(), name })
        }
        Happening::LegStatus { leg_id, .. } => Some(leg(leg_id, conversation)),
        Happening::Webhook { leg_id, .. } | Happening::Reply { leg_id, .. } => {
            leg_id.as_ref().map(|id| leg(id, conversation))
        }
        Happening::Look { .. } => None,
    }
}

/// A leg is called by its parties, as far as they are known.
fn leg(id: &LegId, conversation: &Interpretation) -> Who {
    let known = conversation.legs.iter().find(|leg| leg.id == *id);
    let parties = known.and_then(|leg| Some(format!("{} → {}", leg.from.as_ref()?, leg.to.as_ref()?)));
    Who { id: id.to_string(), name: parties.unwrap_or_else(|| id.to_string()) }
}

fn notes(entry: &Entry) -> Vec<String> {
    match &entry.happening {
        Happening::Webhook { detail, transferred_to, deliveries, .. } => {
            let untimed = entry.at_source == AtSource::Receipt;
            let untimed = untimed.then(|| "Vonage told no time: this is when it came".to_owned());
            let transferred_to = transferred_to.as_ref().map(|to| format!("the leg went to {to}"));
            let deliveries = (*deliveries > 1).then(|| format!("it came {deliveries} times"));
            [detail.clone(), transferred_to, deliveries, untimed].into_iter().flatten().collect()
        }
        Happening::Reply { upstream_status, upstream_ms, trouble, .. } => {
            let status = upstream_status.map(|status| format!("the application replied with {status}"));
            let elapsed = upstream_ms.map(|elapsed| format!("the application took {elapsed} ms"));
            [status, elapsed, trouble.clone()].into_iter().flatten().collect()
        }
        Happening::Look { snapshot: Some(number), .. } => vec![format!("snapshot {number}")],
        Happening::MemberState { .. } | Happening::LegStatus { .. } | Happening::Look { .. } => Vec::new(),
    }
}
