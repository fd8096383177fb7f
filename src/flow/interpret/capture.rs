//! Was the conversation seen; and if not, why.

use jiff::Timestamp;

use crate::domain::conversation::{Capture, CaptureState};
use crate::domain::fetch::{FetchState, Trouble};
use crate::domain::history::History;
use crate::domain::instant;
use crate::domain::snapshot::Snapshot;

/// Why nothing is fetched where no application is known.
const NO_APPLICATION: &str = "no configured application is known for it, so it cannot be fetched";

/// What became of the looks. `snapshots` are by number.
pub(super) fn capture(history: &History, snapshots: &[&Snapshot]) -> Capture {
    let fetch = &history.fetch;
    let first_heard = history.arrivals.iter().map(|arrival| arrival.event.received_at).min();
    let (state, reason) = if !snapshots.is_empty() {
        (CaptureState::Captured, None)
    } else if fetch.due_at.is_some() {
        let reason = match &fetch.trouble {
            Some(trouble) => Some(described(trouble)),
            None if fetch.application_id.is_none() => Some(NO_APPLICATION),
            None => None,
        };
        (CaptureState::Pending, reason.map(str::to_owned))
    } else {
        (CaptureState::Missed, Some(lost(fetch, first_heard)))
    };
    Capture {
        state,
        reason,
        snapshots: u32::try_from(snapshots.len()).unwrap_or(u32::MAX),
        first_at: snapshots.first().map(|snapshot| snapshot.sighting.taken_at),
        last_at: snapshots.iter().map(|snapshot| snapshot.confirmed_at).max(),
    }
}

fn lost(fetch: &FetchState, first_heard: Option<Timestamp>) -> String {
    if let Some(gone_at) = fetch.gone_at {
        let since = first_heard.map_or(String::new(), |heard| {
            let seconds = gone_at.duration_since(heard).as_secs_f64();
            format!(", {seconds:.1} s after the first webhook")
        });
        return format!(
            "gone before the first look: Vonage answered 404 at {}{since}",
            instant::text(gone_at)
        );
    }
    let why = fetch.trouble.as_ref().map_or("no look succeeded", described);
    match fetch.gave_up_at {
        Some(gave_up_at) => format!("given up at {}: {why}", instant::text(gave_up_at)),
        None => why.to_owned(),
    }
}

fn described(trouble: &Trouble) -> &'static str {
    match trouble {
        Trouble::NotYet => "Vonage answers 404: it does not know the conversation, or not in this region",
        Trouble::Refused => "Vonage refuses the token",
        Trouble::NoApplication => NO_APPLICATION,
        Trouble::Unreachable => "Vonage could not be reached, or gave no useful answer",
    }
}
