//! A store without a daemon, and the least of what can be kept in it.

use std::sync::Arc;

use conversationd::domain::arrival::{Delivery, Endpoint, Method, NewArrival, Origin};
use conversationd::domain::conversation::{Capture, CaptureState, Ending, Interpretation};
use conversationd::domain::fetch::Finding;
use conversationd::domain::history::Revision;
use conversationd::domain::ids::{ApplicationId, ConversationId};
use conversationd::domain::snapshot::{Document, DocumentName, Sighting};
use conversationd::store::{self, Store};
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::keys;

/// A store that writes.
pub struct TestStore {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Where its file `store.db` is.
    pub directory: TempDir,
    _writer: JoinSet<()>,
    saved: i64,
}

impl TestStore {
    /// An empty one.
    pub async fn open() -> Self {
        let directory = TempDir::new().expect("a directory can be made");
        let (store, writer) =
            store::open(&directory.path().join("store.db")).await.expect("the store is well");
        let mut tasks = JoinSet::new();
        tasks.spawn(writer.run());
        Self { store, directory, _writer: tasks, saved: 0 }
    }

    /// Saves interpretations, each time as made from more than before.
    pub async fn save(&mut self, interpretations: impl IntoIterator<Item = Interpretation>) {
        self.saved += 1;
        let revision = Revision { newest_arrival: self.saved, looks: 0 };
        let revised = interpretations.into_iter().map(|one| (one, revision)).collect();
        self.store.save(revised, None).await.expect("the store is well");
    }

    /// Appends an `answered` of a conversation that came in at a second.
    pub async fn append(&self, id: &str, second: i64) {
        self.store.append(arrival(id, second)).await.expect("the store is well");
    }

    /// Keeps a version of a conversation that was taken at a second.
    pub async fn keep(&self, id: &str, second: i64) {
        let sighting = Sighting {
            taken_at: at(second),
            family: "v0.3".to_owned(),
            sequence_number: None,
            documents: vec![Document::new(DocumentName::Conversation, format!("[{second}]").into_bytes())],
            region: None,
        };
        self.store
            .keep(&conversation(id), &application(), Finding::Seen(sighting))
            .await
            .expect("the store is well");
    }
}

/// An `answered` of a conversation.
pub fn arrival(id: &str, second: i64) -> NewArrival {
    NewArrival {
        delivery: Delivery {
            endpoint: Endpoint::Event,
            method: Method::Post,
            query: None,
            covered_query: None,
            content_type: Some("application/json".to_owned()),
            body: format!("{id} {second}").into_bytes(),
        },
        application_id: Some(application()),
        origin: Origin::Signed,
        kind: "answered".to_owned(),
        conversation_id: Some(conversation(id)),
        transferred_to: None,
        occurred_at: None,
        region: None,
        fallback_reason: None,
        received_at: at(second),
    }
}

/// A conversation that began at a second, of which nothing more is known.
pub fn bare(id: &str, second: i64) -> Interpretation {
    let capture =
        Capture { state: CaptureState::Pending, reason: None, snapshots: 0, first_at: None, last_at: None };
    Interpretation {
        id: conversation(id),
        name: None,
        application_id: None,
        capture,
        direction: None,
        from: None,
        to: None,
        other_parties: Vec::new(),
        first_heard_at: None,
        started_at: Some(at(second)),
        answered_at: None,
        ended_at: None,
        ending: Ending::Open,
        duration: None,
        price: None,
        status: None,
        members: Vec::new(),
        legs: Vec::new(),
        latest_snapshot: None,
    }
}

/// So many seconds after the beginning, 2026-03-09T10:15:00Z.
pub fn at(second: i64) -> Timestamp {
    let start: Timestamp = "2026-03-09T10:15:00Z".parse().expect("it is an instant");
    start + SignedDuration::from_secs(second)
}

/// The conversation of this id.
pub fn conversation(id: &str) -> ConversationId {
    ConversationId::parse(id).expect("it is an id")
}

fn application() -> ApplicationId {
    ApplicationId::parse(keys::APPLICATION).expect("it is an id")
}
