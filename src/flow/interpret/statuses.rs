//! One leg's statuses: everything that was told of them, put together; and whether they end the leg.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use crate::domain::conversation::{Ending, LegStatus};
use crate::domain::ids::ConversationId;
use crate::domain::instant::{self, credible};
use crate::domain::statement::AtSource;

/// How long after `busy` and its like something may follow before the leg counts as over.
const SETTLING: SignedDuration = SignedDuration::from_secs(60);

/// The Voice API and the Conversation API have clocks and thoughts of their own: one status has two times that
/// differ by less than this.
const SAME: SignedDuration = SignedDuration::from_secs(2);

/// The status of a leg that came from or went to another conversation.
const TRANSFERRED: &str = "transferred";

/// A status that something told.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) status: LegStatus,
    pub(super) teller: Teller,
    pub(super) moved: Option<Moved>,
    /// When it was known here.
    pub(super) known_at: Timestamp,
}

/// Who told a status; the most trusted first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Teller {
    Webhook,
    /// It repeats what may have been told before.
    Fallback,
    Event,
}

/// Which way a leg was transferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Moved {
    /// To another conversation.
    Away,
    /// From another conversation.
    Here,
}

/// Whether a status ends its leg.
#[derive(PartialEq, Eq, Clone, Copy)]
enum Finality {
    /// It does not.
    None,
    /// Usually followed by `completed`, and then over.
    Usual,
    /// Nothing follows.
    Certain,
}

/// The statuses of a leg in the order of a call, each once.
#[derive(Debug, Default)]
pub(super) struct Statuses(Vec<Entry>);

// === impl Entry ===

impl Entry {
    /// The leg went to or came from `other`.
    pub(super) fn transfer(
        moved: Moved,
        other: Option<&ConversationId>,
        (at, known_at): (Option<Timestamp>, Timestamp),
        teller: Teller,
    ) -> Self {
        let status = LegStatus {
            status: TRANSFERRED.to_owned(),
            at: at.unwrap_or(known_at),
            at_source: AtSource::of(at),
            detail: other.map(ToString::to_string),
        };
        Self { status, teller, moved: Some(moved), known_at }
    }

    /// When it was so, as far as that can be right.
    pub(super) fn credible_at(&self) -> Timestamp {
        credible(self.status.at, self.known_at)
    }

    /// Whether it shows that the leg goes on.
    pub(super) fn is_alive(&self) -> bool {
        self.moved != Some(Moved::Away) && self.finality() == Finality::None
    }

    fn finality(&self) -> Finality {
        finality(&self.status.status)
    }

    /// What it says, whenever that was; with the other conversation of a transfer.
    fn what(&self) -> What {
        (self.status.status.clone(), self.moved, self.status.detail.clone().filter(|_| self.moved.is_some()))
    }
}

/// A status, which way it moved the leg, and the conversation at the other end of that.
type What = (String, Option<Moved>, Option<String>);

/// With which words something was told, by Vonage's time.
type ByTime = BTreeMap<Timestamp, HashSet<(AtSource, Option<String>)>>;

/// What was kept so far. Looked up and not searched: one event may list thousands of statuses.
#[derive(Default)]
struct Heard {
    times: HashMap<What, ByTime>,
    details: HashSet<(What, Option<String>)>,
}

impl Heard {
    /// Keeps an entry if it says something that nothing which is trusted more, or came first, says.
    fn is_news(&mut self, entry: &Entry) -> bool {
        let (what, detail) = (entry.what(), entry.status.detail.clone());
        let at = entry.status.at;
        let times = self.times.entry(what.clone()).or_default();
        let told_so = (entry.status.at_source, detail.clone());
        let is_known = times.get(&at).is_some_and(|told| told.contains(&told_so));
        let is_repeated = match entry.teller {
            Teller::Webhook => false,
            Teller::Fallback => {
                entry.status.at_source == AtSource::Receipt
                    && self.details.contains(&(what.clone(), detail.clone()))
            }
            // Without a time of its own it is the same each time it is told.
            Teller::Event => {
                let is_untimed = entry.status.at_source == AtSource::Receipt;
                let mut near = times.range(instant::earlier(at, SAME)..=instant::later(at, SAME));
                let mut is_near = || near.any(|(other, _)| at.duration_since(*other).abs() < SAME);
                if is_untimed { !times.is_empty() } else { is_near() }
            }
        };
        if is_known || is_repeated {
            return false;
        }
        times.entry(at).or_default().insert(told_so);
        self.details.insert((what, detail));
        true
    }
}

/// The key that statuses of one leg are sorted by. `started` and `ringing` carry the same millisecond, and a
/// `completed` may be stamped before what preceded it: the order of a call decides before the time does.
pub(super) fn sort_key(status: &LegStatus) -> (u8, Timestamp, String, Option<String>) {
    (rank(&status.status), status.at, status.status.clone(), status.detail.clone())
}

fn rank(status: &str) -> u8 {
    match status {
        "started" => 1,
        "ringing" => 2,
        "answered" => 3,
        "busy" | "cancelled" | "timeout" | "unanswered" | "failed" | "rejected" => 5,
        "completed" => 6,
        _ => 4,
    }
}

/// Whether a leg goes on after a status.
pub(super) fn goes_on(status: &str) -> bool {
    finality(status) == Finality::None
}

fn finality(status: &str) -> Finality {
    match status {
        "completed" | "rejected" => Finality::Certain,
        "busy" | "cancelled" | "timeout" | "unanswered" | "failed" => Finality::Usual,
        _ => Finality::None,
    }
}

// === impl Statuses ===

impl Statuses {
    /// Puts together what was told.
    pub(super) fn of(mut told: Vec<Entry>) -> Self {
        told.sort_by_cached_key(|entry| {
            let is_untimed = entry.status.at_source == AtSource::Receipt;
            (entry.teller, is_untimed, sort_key(&entry.status), entry.moved, entry.known_at)
        });
        let mut kept: Vec<Entry> = Vec::new();
        let mut heard = Heard::default();
        for entry in told {
            if heard.is_news(&entry) {
                kept.push(entry);
            }
        }
        // What came from elsewhere begins here with the transfer; one that comes back has been here before.
        let first_move = kept.iter().filter(|entry| entry.moved.is_some()).min_by_key(|entry| place(entry));
        let arrival = first_move.filter(|entry| entry.moved == Some(Moved::Here)).map(place);
        kept.sort_by_cached_key(|entry| {
            let (rank, at, status, detail) = sort_key(&entry.status);
            let rank = if entry.moved.is_some() && Some(place(entry)) == arrival { 0 } else { rank };
            (rank, at, status, entry.moved, detail)
        });
        Self(kept)
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.0
    }

    pub(super) fn into_statuses(self) -> Vec<LegStatus> {
        self.0.into_iter().map(|entry| entry.status).collect()
    }

    /// Whether something says for certain that the leg is over; with `usual`, or that it seems to be.
    pub(super) fn has_end(&self, usual: bool) -> bool {
        self.is_away()
            || self.0.iter().any(|entry| match entry.finality() {
                Finality::Certain => true,
                Finality::Usual => usual,
                Finality::None => false,
            })
    }

    /// Vonage's time of the leg's end here.
    pub(super) fn ended_at(&self) -> Option<Timestamp> {
        let away = self.is_away();
        let ends = self
            .0
            .iter()
            .filter(|entry| entry.finality() != Finality::None || (away && entry.moved == Some(Moved::Away)));
        ends.map(Entry::credible_at).max()
    }

    /// The first time that anything was told of the leg.
    pub(super) fn began_at(&self) -> Option<Timestamp> {
        self.0.iter().map(Entry::credible_at).min()
    }

    /// When the leg was answered.
    pub(super) fn answered_at(&self) -> Option<Timestamp> {
        self.0.iter().find(|entry| entry.status.status == "answered").map(Entry::credible_at)
    }

    /// Whether the leg is over here.
    pub(super) fn ending(&self) -> Ending {
        if self.has_end(false) {
            return Ending::Over;
        }
        let with = |finality| self.0.iter().filter(move |entry| entry.finality() == finality);
        let Some(usual) = with(Finality::Usual).map(Entry::credible_at).max() else {
            return Ending::Open;
        };
        let goes_on = with(Finality::None).any(|entry| entry.credible_at() > usual);
        let heard = with(Finality::Usual).map(|entry| entry.known_at).max();
        match heard {
            Some(heard) if !goes_on => Ending::Settling(instant::later(heard, SETTLING)),
            _ => Ending::Open,
        }
    }

    /// Whether the leg is in another conversation now.
    fn is_away(&self) -> bool {
        let last = self.0.iter().filter(|entry| entry.moved.is_some()).max_by_key(|entry| place(entry));
        last.is_some_and(|entry| entry.moved == Some(Moved::Away))
    }
}

/// Orders transfers.
fn place(entry: &Entry) -> (Timestamp, Option<Moved>, Option<String>) {
    (entry.credible_at(), entry.moved, entry.status.detail.clone())
}
