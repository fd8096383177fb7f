//! `fetch`: one look, as the tutorial's "Get the Conversation details".

use clap::Args;
use serde_json::value::RawValue;

use super::{Failure, clock, print};
use crate::config::Config;
use crate::daemon::once;
use crate::domain::ids::ConversationId;
use crate::domain::snapshot::{Document, DocumentName};
use crate::store::Kept;
use crate::telemetry;

/// Look at one conversation at Vonage now, and print it.
#[derive(Debug, Args)]
pub(super) struct Fetch {
    /// The conversation: CON-…
    #[arg(value_parser = conversation)]
    id: ConversationId,
    /// Keep what was seen as a snapshot, too. A daemon may be running on the store.
    #[arg(long)]
    keep: bool,
    /// Every document that the look consists of, as one JSON object by name.
    #[arg(long)]
    json: bool,
}

impl Fetch {
    /// Prints the conversation's document, and its members' where they come by themselves.
    pub(super) async fn run(self, config: Config) -> Result<(), Failure> {
        let seen = once::look(&config, clock(), &self.id).await?;
        if self.json {
            print(&format!("{}\n", by_name(seen.documents())))?;
        } else {
            let mut shown = seen.documents().filter(|document| {
                !matches!(document.name, DocumentName::Members(_) | DocumentName::Events { .. })
            });
            shown.try_for_each(|document| print(&format!("{}\n", readable(&document.body))))?;
        }
        for unseen in &seen.unseen {
            telemetry::print_error(&format!("conversationd: {unseen}"));
        }
        if self.keep {
            let kept = match once::keep(&config, &self.id, seen).await? {
                Kept::New(number) => format!("kept as snapshot {number}"),
                Kept::Joined(number) => format!("nothing new since snapshot {number}"),
            };
            telemetry::print_error(&kept);
        }
        Ok(())
    }
}

/// Vonage is not asked for what can be no conversation, such as a leg or a member.
fn conversation(text: &str) -> Result<ConversationId, String> {
    let id = ConversationId::parse(text).map_err(|error| error.to_string())?;
    if id.as_str().strip_prefix("CON-").is_some_and(|rest| !rest.is_empty()) {
        Ok(id)
    } else {
        Err("a conversation's id begins with CON-; `conversationd list` and `conversationd show` tell it"
            .to_owned())
    }
}

fn by_name<'a>(documents: impl Iterator<Item = &'a Document>) -> String {
    let bodies = documents.map(|document| {
        let body = String::from_utf8_lossy(&document.body).into_owned();
        let body = RawValue::from_string(body).expect("a look consists of JSON documents");
        (document.name.to_string(), body)
    });
    let bodies: std::collections::BTreeMap<_, _> = bodies.collect();
    serde_json::to_string(&bodies).expect("JSON in an object is JSON")
}

/// Indented, with Vonage's order of keys.
fn readable(body: &[u8]) -> String {
    serde_json::from_slice::<serde_json::Value>(body)
        .and_then(|value| serde_json::to_string_pretty(&value))
        .unwrap_or_else(|_| String::from_utf8_lossy(body).into_owned())
}
