//! One member's states: everything that was told of them, put together.

use std::collections::{BTreeSet, HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use super::reading::{EventSource, Known};
use crate::domain::conversation::MemberState;
use crate::domain::instant::{self, credible};
use crate::domain::statement::LeftSource;

/// How much later than what it tells of an event may be made.
const MADE_LATER: SignedDuration = SignedDuration::from_secs(1);

/// A state that something told.
#[derive(Debug, Clone)]
pub(super) struct Word {
    pub(super) state: String,
    pub(super) at: Option<Timestamp>,
    pub(super) known: Known,
    pub(super) source: EventSource,
    pub(super) manner: Manner,
}

/// How a state was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Manner {
    /// With its time, or with none.
    Exact,
    /// With the time at which the event was made: some milliseconds later.
    Nearly,
    /// The member's sound was switched.
    Switched,
    /// The member's sound is set so, whatever it was before.
    Set,
}

impl Word {
    fn is_sound(&self) -> bool {
        matches!(self.manner, Manner::Switched | Manner::Set)
    }

    fn left_source(&self) -> LeftSource {
        match self.source {
            EventSource::Rtc => LeftSource::Rtc { number: self.known.number() },
            EventSource::List(number) => LeftSource::Event { number },
            EventSource::Snapshot(number) => LeftSource::Snapshot { number },
        }
    }
}

/// The states that are told, by time, each once and from whoever told first.
pub(super) fn states(told: &[Word]) -> Vec<MemberState> {
    // Who told it first may have been less exact than another.
    let times = Times::of(told);
    let mut words: Vec<&Word> = told.iter().collect();
    words.sort_by_key(|word| {
        // What was switched is told as such, though its setting may have been told before.
        let switched = (word.manner == Manner::Set, word.known);
        (word.at.is_none(), word.at, rank(&word.state), &word.state, switched, word.source)
    });
    words.dedup_by(|later, first| later.state == first.state && later.at == first.at);
    let (sounds, mut words): (Vec<&Word>, Vec<&Word>) = words.into_iter().partition(|word| word.is_sound());
    words.retain(|word| times.is_exact(word) || !times.say_better(word));
    words.extend(changes(&sounds));
    words.sort_by_key(|word| (word.at.is_none(), word.at, rank(&word.state), &word.state));
    words
        .into_iter()
        .map(|word| MemberState {
            state: word.state.clone(),
            at: word.at,
            source: word.source.to_string(),
            learnt_at: word.known.at,
        })
        .collect()
}

/// When each state was, as far as it is told. Looked up and not searched: a long call has thousands of words.
struct Times<'a> {
    timed: HashSet<&'a str>,
    /// The times that are the state's own and not its event's.
    exact: HashMap<&'a str, BTreeSet<Timestamp>>,
}

impl<'a> Times<'a> {
    fn of(told: &'a [Word]) -> Self {
        let mut times = Self { timed: HashSet::new(), exact: HashMap::new() };
        for (word, at) in told.iter().filter_map(|word| Some((word, word.at?))) {
            times.timed.insert(&word.state);
            if word.manner == Manner::Exact {
                times.exact.entry(&word.state).or_default().insert(at);
            }
        }
        times
    }

    fn is_exact(&self, word: &Word) -> bool {
        word.at.is_some_and(|at| self.exact.get(&*word.state).is_some_and(|exact| exact.contains(&at)))
    }

    /// A state without a time says nothing that the same state with a time does not say better, and one with the
    /// time of its event nothing that the same state with its own does not.
    fn say_better(&self, word: &Word) -> bool {
        let Some(at) = word.at else { return self.timed.contains(&*word.state) };
        let mut near = self.exact.get(&*word.state).into_iter();
        word.manner == Manner::Nearly
            && near.any(|exact| exact.range(instant::earlier(at, MADE_LATER)..at).next().is_some())
    }
}

/// The words, in order, that change how the sound is set. At first it is not known to be switched off.
fn changes<'a>(sounds: &[&'a Word]) -> Vec<&'a Word> {
    let (mut muted, mut earmuffed) = (None, None);
    let mut changes = Vec::new();
    for word in sounds {
        let (setting, is_on) = match word.state.as_str() {
            MUTED => (&mut muted, true),
            UNMUTED => (&mut muted, false),
            EARMUFFED => (&mut earmuffed, true),
            _ => (&mut earmuffed, false),
        };
        let says_nothing =
            *setting == Some(is_on) || (setting.is_none() && !is_on && word.manner == Manner::Set);
        *setting = Some(is_on);
        if !says_nothing {
            changes.push(*word);
        }
    }
    changes
}

pub(super) const MUTED: &str = "MUTED";
pub(super) const UNMUTED: &str = "UNMUTED";
pub(super) const EARMUFFED: &str = "EARMUFFED";
pub(super) const UNEARMUFFED: &str = "UNEARMUFFED";

/// The state that the member is in: the latest. What has no time of its own was so when it was known.
pub(super) fn latest(words: &[Word]) -> Option<String> {
    let states = words.iter().filter(|word| !word.is_sound());
    let latest = states.max_by_key(|word| {
        let tie = if word.at.is_some() { None } else { Some(word.known) };
        (word.at.map_or(word.known.at, |at| credible(at, word.known.at)), rank(&word.state), tie, &word.state)
    });
    latest.map(|word| word.state.clone())
}

/// When the member joined first.
pub(super) fn joined_at(words: &[Word]) -> Option<Timestamp> {
    let joined = words.iter().filter(|word| word.state == "JOINED");
    joined.filter_map(|word| Some(credible(word.at?, word.known.at))).min()
}

/// When the member left, if it is not told to have come back, and what says so first. Where nothing tells when, it was
/// before it was told.
pub(super) fn left(words: &[Word]) -> Option<(Timestamp, LeftSource)> {
    if latest(words).as_deref() != Some("LEFT") {
        return None;
    }
    let left = || words.iter().filter(|word| word.state == "LEFT");
    let at = |word: &Word| word.at.map(|at| credible(at, word.known.at));
    let exact = left().filter(|word| word.manner == Manner::Exact).filter_map(at).max();
    match exact.or_else(|| left().filter_map(at).max()) {
        Some(left_at) => {
            let told = left().filter(|word| at(word) == Some(left_at));
            told.min_by_key(|word| word.known).map(|word| (left_at, word.left_source()))
        }
        None => left().min_by_key(|word| word.known).map(|word| (word.known.at, word.left_source())),
    }
}

/// The order of states that have the same time.
fn rank(state: &str) -> u8 {
    match state {
        "INVITED" => 0,
        "JOINED" => 1,
        "LEFT" => 3,
        _ => 2,
    }
}
