//! A leg in the Voice API's list of calls: what is left to know of a call that nobody announced.

use jiff::Timestamp;

use super::ids::{ApplicationId, ConversationId, LegId};

/// One leg, a "call" of the Voice API, as its list tells it. Vonage keeps legs for some days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedCall {
    /// The leg.
    pub leg_id: LegId,
    /// The conversation that it is or was in.
    pub conversation_id: Option<ConversationId>,
    /// The present status: `started`, `ringing`, `answered`, `completed` …
    pub status: Option<String>,
    /// `inbound` or `outbound`.
    pub direction: Option<String>,
    /// The calling side: a number, an address, a user's name.
    pub from: Option<String>,
    /// The called side.
    pub to: Option<String>,
    /// EUR a minute, as Vonage wrote it. Like the price, the duration and the times, told when the leg is over.
    pub rate: Option<String>,
    /// What it cost, in EUR, as Vonage wrote it.
    pub price: Option<String>,
    /// Whole seconds, as billed.
    pub duration: Option<i64>,
    /// When it was answered; some legs tell it while they last.
    pub start_time: Option<Timestamp>,
    /// When it ended.
    pub end_time: Option<Timestamp>,
    /// The carrier's network: MCC and MNC.
    pub network: Option<String>,
}

impl ListedCall {
    /// Whether nothing more will come of it. Of one in vain the list keeps the reason: `completed` does not
    /// follow there.
    #[must_use]
    pub fn is_over(&self) -> bool {
        const OVER: [&str; 7] =
            ["completed", "rejected", "busy", "cancelled", "timeout", "unanswered", "failed"];
        self.end_time.is_some() || self.status.as_deref().is_some_and(|status| OVER.contains(&status))
    }
}

/// The calls of an application that began in some time, as the Voice API listed them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallList {
    /// Whose calls.
    pub application_id: ApplicationId,
    /// They began from then on.
    pub since: Timestamp,
    /// They began until then: when they were listed, or before, where there were more than one list holds.
    pub until: Timestamp,
    /// The calls.
    pub calls: Vec<ListedCall>,
}
