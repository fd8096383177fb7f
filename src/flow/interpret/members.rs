//! Who took part: every version's members and every event's, put together.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use jiff::Timestamp;

use super::identity::Identities;
use super::reading::{EventSource, EventTold, Known, Reading};
use super::states::{self, EARMUFFED, MUTED, Manner, UNEARMUFFED, UNMUTED, Word};
use crate::domain::conversation::{Channel, Member};
use crate::domain::digest::Digest;
use crate::domain::ids::{LegId, MemberId};
use crate::domain::snapshot::{Document, DocumentName, Snapshot};
use crate::vonage::document::{ConversationDocument, MemberDocument, MembersPage};
use crate::vonage::event::{MemberTold, Says, Switch};

/// What is told of one member.
#[derive(Debug, Default)]
struct Account {
    user_id: Option<String>,
    name: Option<String>,
    channel: Option<Channel>,
    leg_ids: Vec<LegId>,
    /// The same: one event may name thousands.
    known_legs: HashSet<LegId>,
    words: Vec<Word>,
}

/// What a document says of a member.
struct Told {
    document: MemberDocument,
    id: Option<MemberId>,
    user_id: Option<String>,
    name: Option<String>,
    channel: Option<Channel>,
    leg_ids: Vec<LegId>,
    /// The present state, where its time is not told.
    untimed: Option<String>,
    timed: Vec<(String, Timestamp)>,
}

/// A member in a version.
struct InVersion {
    told: Rc<Told>,
    known: Known,
    source: EventSource,
}

/// Every member that a version or an event names, by the time of their first state.
pub(super) fn members(reading: &Reading<'_>) -> Vec<Member> {
    let documents = member_documents(reading);
    let identities = Identities::of(documents.iter().map(|one| &one.told.document), &reading.events);
    let mut accounts: BTreeMap<MemberId, Account> = BTreeMap::new();
    for one in &documents {
        if let Some(id) = &one.told.id {
            accounts.entry(id.clone()).or_default().see(one);
        }
    }
    for told in &reading.events {
        hear(&mut accounts, told, &identities);
    }
    let mut members: Vec<Member> = accounts.into_iter().map(|(id, account)| account.member(id)).collect();
    members.sort_by_key(|member| {
        let first = member.states.first().and_then(|state| state.at);
        (first.is_none(), first, member.id.clone())
    });
    members
}

/// The members in every version. What several versions hold is read once: a long conference has thousands of
/// documents, and few that differ.
fn member_documents(reading: &Reading<'_>) -> Vec<InVersion> {
    let mut read: HashMap<(&DocumentName, Digest), Vec<Rc<Told>>> = HashMap::new();
    let mut members_in = |document| {
        let members = || read_members(reading, document).into_iter().map(Told::by).map(Rc::new).collect();
        read.entry((&document.name, document.digest)).or_insert_with(members).clone()
    };
    reading.snapshots.iter().flat_map(|snapshot| in_version(snapshot, &mut members_in)).collect()
}

/// Embedded members, then short forms, then single members: the fullest last.
fn in_version<'a>(
    snapshot: &'a Snapshot,
    members_in: &mut impl FnMut(&'a Document) -> Vec<Rc<Told>>,
) -> Vec<InVersion> {
    let mut short = Vec::new();
    let mut full = Vec::new();
    for (place, document) in snapshot.sighting.documents.iter().enumerate() {
        let versions = members_in(document).into_iter().map(|told| InVersion {
            told,
            known: Known::from_snapshot(snapshot, place),
            source: EventSource::Snapshot(snapshot.number),
        });
        if matches!(document.name, DocumentName::Member(_)) {
            full.extend(versions);
        } else {
            short.extend(versions);
        }
    }
    short.extend(full);
    short
}

fn read_members(reading: &Reading<'_>, document: &Document) -> Vec<MemberDocument> {
    let body = &document.body;
    match &document.name {
        DocumentName::Conversation => {
            reading.own(document).and_then(ConversationDocument::members).unwrap_or_default()
        }
        DocumentName::Members(_) => MembersPage::read(body).map(|page| page.members).unwrap_or_default(),
        DocumentName::Member(_) => MemberDocument::read(body).into_iter().collect(),
        DocumentName::Events { .. } => Vec::new(),
    }
}

fn hear(accounts: &mut BTreeMap<MemberId, Account>, told: &EventTold, identities: &Identities) {
    match told.event.says() {
        Says::State(state) => {
            if let Some(member) = identities.of_state(&state) {
                accounts.entry(member).or_default().hear_state(&state, told);
            }
        }
        Says::Media(media) => {
            let account = accounts.entry(identities.of_media(&media)).or_default();
            account.connect(media.channel, media.leg_ids);
            if let Some(muted) = media.sound.muted {
                account.hear_sound((Switch::Mute, muted), Manner::Set, told);
            }
            if let Some(earmuffed) = media.sound.earmuffed {
                account.hear_sound((Switch::Earmuff, earmuffed), Manner::Set, told);
            }
        }
        Says::Switch(switched) => {
            let account = accounts.entry(identities.of_switch(&switched)).or_default();
            account.hear_sound((switched.switch, switched.on), Manner::Switched, told);
        }
        Says::Leg(_) | Says::Other => {}
    }
}

// === impl Told ===

impl Told {
    fn by(document: MemberDocument) -> Self {
        let timed = document.timed_states();
        // Its time is in the document, unless the member was in another state after it.
        let last = timed.iter().max_by_key(|(_, at)| *at).map(|(last, _)| last);
        Self {
            id: document.id(),
            user_id: document.user_id(),
            name: document.name(),
            channel: document.channel(),
            leg_ids: document.leg_ids(),
            untimed: document.state().filter(|state| last != Some(state)),
            timed,
            document,
        }
    }
}

// === impl Account ===

impl Account {
    /// Takes what a document says: of two documents, the later one is right.
    fn see(&mut self, one: &InVersion) {
        let told = &*one.told;
        self.user_id = told.user_id.clone().or(self.user_id.take());
        self.name = told.name.clone().or(self.name.take());
        self.channel = told.channel.clone().or(self.channel.take());
        self.add_legs(told.leg_ids.clone());
        let word = |state: &String, at| Word {
            state: state.clone(),
            at,
            known: one.known,
            source: one.source,
            manner: Manner::Exact,
        };
        self.words.extend(told.untimed.iter().map(|state| word(state, None)));
        self.words.extend(told.timed.iter().map(|(state, at)| word(state, Some(*at))));
    }

    /// Takes from an event what no document says.
    fn hear_state(&mut self, state: &MemberTold, told: &EventTold) {
        self.user_id = self.user_id.take().or_else(|| state.user_id.clone());
        self.name = self.name.take().or_else(|| state.name.clone());
        self.connect(state.channel.clone(), state.leg_ids.clone());
        let word = |state: &str, at, manner| Word {
            state: state.to_owned(),
            at,
            known: told.known,
            source: told.source,
            manner,
        };
        let is_events_own = state.at == told.event.timestamp();
        let manner = if is_events_own { Manner::Nearly } else { Manner::Exact };
        self.words.push(word(&state.state, state.at, manner));
        self.words.extend(state.earlier.iter().map(|(state, at)| word(state, Some(*at), Manner::Exact)));
    }

    fn hear_sound(&mut self, (switch, on): (Switch, bool), manner: Manner, told: &EventTold) {
        let state = match (switch, on) {
            (Switch::Mute, true) => MUTED,
            (Switch::Mute, false) => UNMUTED,
            (Switch::Earmuff, true) => EARMUFFED,
            (Switch::Earmuff, false) => UNEARMUFFED,
        };
        self.words.push(Word {
            state: state.to_owned(),
            at: told.event.timestamp(),
            known: told.known,
            source: told.source,
            manner,
        });
    }

    fn connect(&mut self, channel: Option<Channel>, leg_ids: Vec<LegId>) {
        self.channel = self.channel.take().or(channel);
        self.add_legs(leg_ids);
    }

    fn add_legs(&mut self, leg_ids: Vec<LegId>) {
        for leg in leg_ids {
            if self.known_legs.insert(leg.clone()) {
                self.leg_ids.push(leg);
            }
        }
    }

    fn member(self, id: MemberId) -> Member {
        let (left_at, left_source) = states::left(&self.words).unzip();
        Member {
            id,
            user_id: self.user_id,
            name: self.name,
            state: states::latest(&self.words),
            joined_at: states::joined_at(&self.words),
            left_at,
            left_source,
            channel: self.channel,
            leg_ids: self.leg_ids,
            states: states::states(&self.words),
        }
    }
}
