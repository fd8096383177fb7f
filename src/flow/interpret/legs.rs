//! The legs of a conversation: what webhooks, events and the list of calls tell of them, and which the members
//! name.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use super::first_state_at;
use super::reading::{EventTold, Reading};
use super::statuses::{Entry, Moved, Statuses, Teller, goes_on, sort_key};
use crate::domain::arrival::{Arrival, Endpoint};
use crate::domain::call::ListedCall;
use crate::domain::conversation::{Channel, Ending, Leg, LegStatus, Member};
use crate::domain::ids::{ConversationId, LegId};
use crate::domain::statement::AtSource;
use crate::vonage::event::{LegTold, Says};
use crate::vonage::webhook::Webhook;

/// A leg, and what only the conversation as a whole needs of it.
#[derive(Debug)]
pub(super) struct LegAccount {
    pub(super) leg: Leg,
    /// The first instant that anything tells of it.
    pub(super) began_at: Option<Timestamp>,
    /// When it was answered.
    pub(super) answered_at: Option<Timestamp>,
    /// Vonage's time of its end.
    pub(super) ended_at: Option<Timestamp>,
    pub(super) ending: Ending,
    /// When anything but its end was last heard of it here.
    pub(super) heard_alive_at: Option<Timestamp>,
}

/// One webhook that speaks of a leg.
struct WebhookTold<'a> {
    webhook: Webhook<'a>,
    /// What it is: an answer or an event.
    endpoint: Endpoint,
    number: i64,
    received_at: Timestamp,
    status: Option<LegStatus>,
}

/// Everything that is told of one leg.
#[derive(Default)]
struct Told<'a> {
    webhooks: Vec<WebhookTold<'a>>,
    entries: Vec<Entry>,
    /// By events, in their order.
    directions: Vec<String>,
    channels: Vec<Channel>,
    heard_alive_at: Option<Timestamp>,
    listed: Option<&'a ListedCall>,
}

/// Every leg that anything names, the one that began the call first.
pub(super) fn accounts(reading: &Reading<'_>, members: &[Member]) -> Vec<LegAccount> {
    let mut told: BTreeMap<LegId, Told<'_>> = BTreeMap::new();
    for arrival in &reading.webhooks {
        let Ok(webhook) = Webhook::read(&arrival.event.delivery) else { continue };
        let Some(leg) = webhook.leg_id() else { continue };
        told.entry(leg).or_default().hear_webhook(webhook, arrival, reading.conversation);
    }
    for event in &reading.events {
        hear_event(&mut told, event, reading.conversation);
    }
    for leg in members.iter().flat_map(|member| &member.leg_ids) {
        told.entry(leg.clone()).or_default();
    }
    let mut unannounced: BTreeMap<LegId, &ListedCall> = BTreeMap::new();
    for call in &reading.listed {
        match told.get_mut(&call.leg_id) {
            Some(told) => told.listed = Some(call),
            None => {
                unannounced.insert(call.leg_id.clone(), call);
            }
        }
    }
    let mut holders: HashMap<&LegId, &Member> = HashMap::new();
    for member in members {
        for leg in &member.leg_ids {
            holders.entry(leg).or_insert(member);
        }
    }
    let told = told.into_iter().map(|(id, told)| (holders.get(&id).copied(), id, told));
    let mut accounts: Vec<LegAccount> =
        told.map(|(holder, id, told)| told.account(id, holder, reading.last_heard_at)).collect();
    accounts.extend(unannounced.into_values().map(super::listed::account));
    accounts.sort_by_key(|account| (account.began_at.is_none(), account.began_at, account.leg.id.clone()));
    accounts
}

fn hear_event(told: &mut BTreeMap<LegId, Told<'_>>, event: &EventTold, here: &ConversationId) {
    if let Says::Leg(leg) = event.event.says() {
        told.entry(leg.leg_id.clone()).or_default().hear_leg(leg, event, here);
        return;
    }
    let Some(channel) = event.event.channel() else { return };
    let Some(leg) = channel.id.clone() else { return };
    let status = match event.event.kind() {
        "sip:ringing" | "rtc:ringing" => "ringing",
        "sip:answered" | "rtc:answered" => "answered",
        // That somebody hung up, or what it cost, is not yet the end of the leg.
        "rtc:transfer" => {
            let told = told.entry(leg).or_default();
            let times = (event.event.timestamp(), event.known.at);
            let other = event.event.transferred_from();
            told.channels.push(channel);
            if other.as_ref() != Some(here) {
                told.add(Entry::transfer(Moved::Here, other.as_ref(), times, Teller::Event));
            }
            return;
        }
        _ => return,
    };
    let told = told.entry(leg).or_default();
    told.channels.push(channel);
    told.directions.extend(event.event.direction());
    told.add_event(status, event.event.timestamp(), event);
}

// === impl Told ===

impl<'a> Told<'a> {
    fn hear_webhook(&mut self, webhook: Webhook<'a>, arrival: &Arrival, here: &ConversationId) {
        let delivered_to = arrival.event.delivery.endpoint;
        let is_fallback = delivered_to == Endpoint::Fallback;
        let endpoint = if is_fallback { webhook.stands_for() } else { delivered_to };
        let (received_at, at) = (arrival.event.received_at, webhook.timestamp());
        let teller = if is_fallback { Teller::Fallback } else { Teller::Webhook };
        let status = webhook.leg_status(endpoint).map(|status| LegStatus {
            status,
            at: at.unwrap_or(received_at),
            at_source: AtSource::of(at),
            detail: webhook.detail(),
        });
        if let Some(status) = status.clone() {
            self.hear(Entry { status, teller, moved: None, known_at: received_at });
        }
        if let Some(to) = webhook.transferred_to() {
            let from = webhook.conversation_id();
            let (moved, other) = if to == *here { (Moved::Here, from) } else { (Moved::Away, Some(to)) };
            if other.as_ref() != Some(here) {
                self.hear(Entry::transfer(moved, other.as_ref(), (at, received_at), teller));
            }
        }
        self.webhooks.push(WebhookTold { webhook, endpoint, number: arrival.number, received_at, status });
    }

    fn hear_leg(&mut self, leg: LegTold, event: &EventTold, here: &ConversationId) {
        self.directions.extend(leg.direction);
        let listed_last = || leg.statuses.last().map(|last| last.status.clone());
        let Some(latest) = leg.status.or_else(listed_last) else { return };
        if event.known.is_by_webhook() && goes_on(&latest) {
            self.heard_alive_at = self.heard_alive_at.max(Some(event.known.at));
        }
        if leg.statuses.iter().all(|told| told.status != latest) {
            self.add_event(&latest, event.event.timestamp(), event);
        }
        for told in leg.statuses {
            // It may have been in another conversation then, whose history has it.
            if told.conversation_id.is_none_or(|conversation| conversation == *here) {
                self.add_event(&told.status, told.at, event);
            }
        }
    }

    fn add_event(&mut self, status: &str, at: Option<Timestamp>, event: &EventTold) {
        let status = LegStatus {
            status: status.to_ascii_lowercase(),
            at: at.unwrap_or(event.known.at),
            at_source: AtSource::of(at),
            detail: None,
        };
        self.add(Entry { status, teller: Teller::Event, moved: None, known_at: event.known.at });
    }

    /// Adds what was heard at the moment when it was known.
    fn hear(&mut self, entry: Entry) {
        if entry.is_alive() {
            self.heard_alive_at = self.heard_alive_at.max(Some(entry.known_at));
        }
        self.add(entry);
    }

    fn add(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    /// `member` is whose leg it is.
    fn account(mut self, id: LegId, member: Option<&Member>, heard: Option<Timestamp>) -> LegAccount {
        self.sort();
        let own = member.and_then(|member| member.channel.as_ref());
        let channel = own.filter(|channel| channel.id.as_ref() == Some(&id)).or(self.channels.first());
        let listed = self.listed;
        let mut statuses = Statuses::of(self.entries);
        let listed_end = listed.and_then(|call| super::listed::end(call, heard));
        if let Some(end) = listed_end.filter(|end| super::listed::adds(end, &statuses)) {
            let known = statuses.entries().iter().cloned();
            statuses = Statuses::of(known.chain([end]).collect());
        }
        let (ended_at, ending) = (statuses.ended_at(), statuses.ending());
        let (told_at, answered_at) = (statuses.began_at(), statuses.answered_at());
        let statuses = statuses.into_statuses();
        let webhooks = &self.webhooks;
        let first =
            |read: fn(&Webhook<'a>) -> Option<String>| webhooks.iter().find_map(|told| read(&told.webhook));
        let last = webhooks.iter().rev();
        let in_list = |read: fn(&ListedCall) -> Option<String>| listed.and_then(read);
        let leg = Leg {
            id,
            direction: first(Webhook::direction)
                .or_else(|| self.directions.into_iter().next())
                .or_else(|| in_list(|call| call.direction.clone())),
            from: first(Webhook::from)
                .or_else(|| channel.and_then(|channel| channel.from.clone()))
                .or_else(|| in_list(|call| call.from.clone())),
            to: first(Webhook::to)
                .or_else(|| channel.and_then(|channel| channel.to.clone()))
                .or_else(|| in_list(|call| call.to.clone())),
            status: statuses.last().map(|status| status.status.clone()),
            duration: last
                .clone()
                .find_map(|told| told.webhook.duration())
                .or_else(|| listed.and_then(|call| call.duration)),
            price: last
                .clone()
                .find_map(|told| told.webhook.price())
                .or_else(|| in_list(|call| call.price.clone())),
            statuses,
            source: None,
        };
        let member_at = member.and_then(first_state_at);
        let heard_at = webhooks.iter().map(|told| told.received_at).min();
        LegAccount {
            began_at: told_at.or(member_at).or(heard_at),
            answered_at,
            ended_at,
            ending,
            heard_alive_at: self.heard_alive_at,
            leg,
        }
    }

    /// Statuses first, in the order of a call; the rest can only fill in what no status says. Two that say the
    /// same may differ in the rest: the log's own number decides, so that the order of reading does not.
    fn sort(&mut self) {
        self.webhooks.sort_by_cached_key(|told| {
            let status = told.status.as_ref();
            (
                status.is_none(),
                status.map(sort_key),
                told.endpoint == Endpoint::Event,
                told.webhook.timestamp(),
                told.number,
            )
        });
    }
}
