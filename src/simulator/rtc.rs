//! The webhooks by which the Conversation API tells of what happens in a conversation.

use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;

use super::call::Action;
use super::call::Call;
use super::call::Step;
use super::conversation::Conversation;
use super::event::Event;
use super::text::milliseconds;
use super::webhook::Fields;
use super::webhook::Target;
use super::webhook::Webhook;
use super::world::World;
use crate::domain::ids::ApplicationId;

/// What was known of a conversation before a change.
struct Before {
    sequence_number: u64,
    /// The conversation as the webhook of its end would show it.
    body: Value,
}

// === impl Call ===

impl Call {
    /// The same call at an application with the `rtc` capability: after each event of a conversation goes a
    /// webhook with that event, and one after a conversation begins and ends. Events are counted from the
    /// first step, so a call is to be cut up only afterwards.
    #[must_use]
    pub fn told_by_rtc(mut self, application: &ApplicationId) -> Self {
        let mut world = World::default();
        let mut steps = Vec::new();
        for step in self.steps {
            let told = rehearse(&mut world, &step, application);
            let (at, conversation) = (step.at, step.conversation.clone());
            steps.push(step);
            steps.extend(told.into_iter().map(|webhook| Step {
                at,
                conversation: conversation.clone(),
                action: Action::Webhook(webhook),
            }));
        }
        self.steps = steps;
        self
    }
}

/// Lets the step happen in `world`, and gives the webhooks that tell of it.
fn rehearse(world: &mut World, step: &Step, application: &ApplicationId) -> Vec<Webhook> {
    let Action::Change(change) = &step.action else {
        return Vec::new();
    };
    let before = world.conversation(&step.conversation).map(|conversation| Before {
        sequence_number: conversation.sequence_number(),
        body: body_of(conversation, Some(step.at)),
    });
    world.apply(&step.conversation, step.at, change.clone());
    match (before, world.conversation(&step.conversation)) {
        (None, None) => Vec::new(),
        (None, Some(conversation)) => {
            vec![about("conversation:created", application, step.at, body_of(conversation, None))]
        }
        (Some(Before { mut body, .. }), None) => {
            body["reason"] = json!("ttl");
            vec![about("conversation:deleted", application, step.at, body)]
        }
        (Some(before), Some(conversation)) => {
            let new = conversation.events.iter().filter(|event| event.id > before.sequence_number);
            new.map(|event| webhook(application, conversation, event)).collect()
        }
    }
}

/// The webhook that tells of one event.
fn webhook(application: &ApplicationId, conversation: &Conversation, event: &Event) -> Webhook {
    let mut fields = envelope(&event.note.kind, application, event.at, event.note.body.clone());
    fields.push(("id", json!(event.id)));
    fields.push(("conversation_id", json!(conversation.id)));
    fields.push(("from", json!(event.note.from)));
    fields.extend(event.note.to.iter().map(|to| ("to", json!(to))));
    Webhook::of(Target::Rtc, &Fields(fields))
}

/// A webhook about the conversation as a whole: it has no number, and names the conversation in its body only.
fn about(kind: &str, application: &ApplicationId, at: Timestamp, body: Value) -> Webhook {
    Webhook::of(Target::Rtc, &Fields(envelope(kind, application, at, body)))
}

fn envelope(
    kind: &str,
    application: &ApplicationId,
    at: Timestamp,
    body: Value,
) -> Vec<(&'static str, Value)> {
    vec![
        ("type", json!(kind)),
        ("application_id", json!(application)),
        ("timestamp", milliseconds(at)),
        ("params", json!({})),
        ("body", body),
    ]
}

fn body_of(conversation: &Conversation, destroyed: Option<Timestamp>) -> Value {
    let mut body = json!({
        "id": conversation.id,
        "name": conversation.name,
        "timestamp": {"created": milliseconds(conversation.created)},
    });
    if let Some(destroyed) = destroyed {
        body["timestamp"]["destroyed"] = milliseconds(destroyed);
    }
    body
}
