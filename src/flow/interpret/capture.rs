//! Was the conversation seen; and if not, why.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::reading::Reading;
use crate::domain::conversation::{Capture, CaptureState};
use crate::domain::fetch::{FetchState, Trouble};
use crate::domain::history::History;

/// Why nothing is fetched where no application is known.
const NO_APPLICATION: &str = "no configured application is known for it, so it cannot be fetched";

/// How a conversation came to be known that no webhook spoke of.
const FOUND_AFTERWARDS: &str = "no webhook told of it: it was found afterwards in Vonage's list of calls";

/// What became of the looks.
pub(super) fn capture(history: &History, reading: &Reading<'_>) -> Capture {
    let (fetch, snapshots) = (&history.fetch, &reading.snapshots);
    let times = Times { first_heard: history.arrivals.iter().map(|arrival| arrival.event.received_at).min() };
    let (state, reason) = if !snapshots.is_empty() {
        (CaptureState::Captured, None)
    } else if fetch.due_at.is_some() {
        (CaptureState::Pending, times.owed(fetch))
    } else {
        let was_listed_only = history.arrivals.is_empty() && !reading.listed.is_empty();
        (CaptureState::Missed, Some(times.lost(fetch, was_listed_only)))
    };
    Capture {
        state,
        reason,
        snapshots: u32::try_from(snapshots.len()).unwrap_or(u32::MAX),
        first_at: snapshots.first().map(|snapshot| snapshot.sighting.taken_at),
        last_at: snapshots.iter().map(|snapshot| snapshot.confirmed_at).max(),
    }
}

/// Writes times for people.
struct Times {
    first_heard: Option<Timestamp>,
}

impl Times {
    /// Why there is no snapshot yet, if anything is the matter.
    fn owed(&self, fetch: &FetchState) -> Option<String> {
        let trouble = match &fetch.trouble {
            Some(Trouble::NoApplication) => return Some(NO_APPLICATION.to_owned()),
            Some(trouble) => trouble,
            None => return fetch.application_id.is_none().then(|| NO_APPLICATION.to_owned()),
        };
        let since = fetch.failing_since.map(|since| format!(" since {}", self.clock(since)));
        let tries = match fetch.failures {
            0 => String::new(),
            1 => ", 1 try".to_owned(),
            failures => format!(", {failures} tries"),
        };
        Some(format!("{}{}{tries}", described(trouble), since.unwrap_or_default()))
    }

    /// Why there will be no snapshot.
    fn lost(&self, fetch: &FetchState, was_listed_only: bool) -> String {
        let gone = fetch.gone_at.map(|at| format!("Vonage answered 404 at {}", self.moment(at)));
        if was_listed_only {
            let gone = gone.map(|gone| format!("; {gone}")).unwrap_or_default();
            return format!("{FOUND_AFTERWARDS}{gone}");
        }
        if let Some(gone) = gone {
            return format!("gone before the first look: {gone}");
        }
        match (fetch.gave_up_at, &fetch.trouble) {
            (Some(at), Some(Trouble::NotYet)) => {
                format!(
                    "never known to Vonage, or not in this region: it answered 404 until {}",
                    self.moment(at)
                )
            }
            (Some(at), trouble) => {
                let why = trouble.as_ref().map_or("no look succeeded", described);
                format!("given up at {}: {why}", self.moment(at))
            }
            (None, Some(trouble)) => described(trouble).to_owned(),
            (None, None) => "no look succeeded".to_owned(),
        }
    }

    /// When, and how long after the first webhook.
    fn moment(&self, at: Timestamp) -> String {
        let after =
            self.first_heard.map(|heard| at.duration_since(heard)).filter(SignedDuration::is_positive);
        let after = after.map(|after| format!(", {} after the first webhook", span(after)));
        format!("{}{}", self.clock(at), after.unwrap_or_default())
    }

    /// The time of day, UTC; the date in front when it is not the day of the first webhook.
    fn clock(&self, at: Timestamp) -> String {
        let date = |at: Timestamp| TimeZone::UTC.to_datetime(at).date();
        let text = format!("{:.3}", TimeZone::UTC.to_datetime(at));
        let (day, time) = text.split_once('T').unwrap_or(("", &text));
        if self.first_heard.map(date) == Some(date(at)) { time.to_owned() } else { format!("{day} {time}") }
    }
}

/// A length of time in the largest unit that is used for one.
#[expect(clippy::cast_precision_loss, reason = "lengths of time far below 2^52 s")]
fn span(length: SignedDuration) -> String {
    const MINUTE: f64 = 60.0;
    let seconds = length.as_millis() as f64 / 1000.0;
    if seconds < 2.0 * MINUTE {
        format!("{seconds:.1} s")
    } else if seconds < 120.0 * MINUTE {
        format!("{:.1} min", seconds / MINUTE)
    } else {
        format!("{:.1} h", seconds / (60.0 * MINUTE))
    }
}

fn described(trouble: &Trouble) -> &'static str {
    match trouble {
        Trouble::NotYet => "Vonage answers 404: it does not know the conversation, or not in this region",
        Trouble::Refused => "Vonage refuses the token",
        Trouble::NoApplication => NO_APPLICATION,
        Trouble::Throttled => "Vonage answers 429: it is asked too often",
        Trouble::Unreachable => "Vonage could not be reached, or gave no useful answer",
    }
}
