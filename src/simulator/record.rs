//! What the Voice API remembers of a leg, also after its conversation is gone.

use jiff::Timestamp;

use super::leg::Bill;
use super::leg::Leg;
use super::leg::Status;
use crate::domain::ids::ConversationId;

/// A leg as the Voice API knows it.
#[derive(Debug)]
pub(super) struct LegRecord {
    pub(super) leg: Leg,
    /// The conversation it is in, or was in last.
    pub(super) conversation: ConversationId,
    /// When it was first told of.
    pub(super) since: Timestamp,
    status: Status,
}

impl LegRecord {
    /// A leg that nothing was known of before.
    pub(super) fn new(leg: Leg, conversation: ConversationId, since: Timestamp, status: Status) -> Self {
        Self { leg, conversation, since, status }
    }

    /// The leg gets another status. Of one that came to nothing, `completed` does not hide why.
    pub(super) fn proceed(&mut self, status: Status) {
        if !self.status.is_in_vain() {
            self.status = status;
        }
    }

    /// Its latest status.
    pub(super) fn status(&self) -> &'static str {
        self.status.word()
    }

    /// What it came to, once it is completed.
    pub(super) fn bill(&self) -> Option<&Bill> {
        match &self.status {
            Status::Completed(bill) => Some(bill),
            _ => None,
        }
    }
}
