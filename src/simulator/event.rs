//! What happens in a conversation, as its list of events and the rtc webhooks tell it.

use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;

use super::member::Audio;
use super::member::Channel;
use super::member::Member;
use super::member::Participant;
use super::text::milliseconds;
use crate::domain::ids::ConversationId;
use crate::domain::ids::MemberId;

/// An event that is not about the coming and going of members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Its type, such as `sip:ringing`.
    pub kind: String,
    /// The member it comes from; none when the API made it.
    pub from: Option<MemberId>,
    /// The member it is for, which few events tell.
    pub to: Option<MemberId>,
    /// What it says.
    pub body: Value,
}

/// An event of a conversation, by its number.
#[derive(Debug, Clone)]
pub(super) struct Event {
    /// Counts from 1 inside the conversation.
    pub(super) id: u64,
    pub(super) at: Timestamp,
    pub(super) note: Note,
}

// === impl Note ===

impl Note {
    /// An event of any type that no member made, such as `custom:case_opened`.
    pub fn of_kind(kind: impl Into<String>, body: Value) -> Self {
        Self { kind: kind.into(), from: None, to: None, body }
    }

    /// The participant's leg rings: `sip:ringing`, or `rtc:ringing` in an app.
    #[must_use]
    pub fn ringing(participant: &Participant) -> Self {
        let channel = &participant.channel;
        let body = json!({"direction": direction(channel), "channel": channel});
        Self::by(participant, format!("{}:ringing", technology(channel)), body)
    }

    /// The participant's leg is answered: `sip:answered`, or `rtc:answered` in an app.
    #[must_use]
    pub fn answered(participant: &Participant) -> Self {
        let channel = &participant.channel;
        let body = json!({"channel": channel, "direction": direction(channel)});
        Self::by(participant, format!("{}:answered", technology(channel)), body)
    }

    /// The participant's leg is hung up: `sip:hangup`, or `rtc:hangup` in an app.
    #[must_use]
    pub fn hung_up(participant: &Participant) -> Self {
        let channel = &participant.channel;
        let body = json!({
            "direction": direction(channel),
            "quality": {
                "mos_score": 4.37, "quality_percentage": 97, "jitter_min_var": 1, "jitter_max_var": 9.5,
                "jitter_loss_rate": 0, "jitter_burst_rate": 0, "flaw_total": 0, "packet_cnt": 15302,
                "packet_loss_perc": 0.1,
            },
            "bandwidth": {"bytes_in": 2_631_944, "bytes_out": 2_630_912},
            "channel": channel,
            "reason": {"text": "NORMAL_CLEARING", "code": "16", "sip_code": 200},
        });
        Self::by(participant, format!("{}:hangup", technology(channel)), body)
    }

    /// A machine seems to have answered the participant's leg.
    #[must_use]
    pub fn machine(participant: &Participant) -> Self {
        let body = json!({"type": "machine", "confidence": 87, "channel": participant.channel});
        Self::by(participant, "sip:machine", body)
    }

    /// The participant can be heard and hears.
    #[must_use]
    pub fn media(participant: &Participant) -> Self {
        let media = Audio { enabled: true, ..Audio::default() }.media();
        Self::by(
            participant,
            "member:media",
            json!({"audio": true, "media": media, "channel": participant.channel}),
        )
    }

    /// The participant can no longer be heard.
    #[must_use]
    pub fn muted(participant: &Participant) -> Self {
        Self::to_oneself(participant, "audio:mute:on")
    }

    /// The participant can be heard again.
    #[must_use]
    pub fn unmuted(participant: &Participant) -> Self {
        Self::to_oneself(participant, "audio:mute:off")
    }

    /// The participant no longer hears, or does again.
    #[must_use]
    pub fn earmuffed(participant: &Participant, on: bool) -> Self {
        let kind = if on { "audio:earmuff:on" } else { "audio:earmuff:off" };
        Self::by(participant, kind, json!({"rtc_id": participant.channel.id}))
    }

    /// The participant's leg has got to the last of these statuses, one after the other.
    #[must_use]
    pub fn leg_status(
        conversation: &ConversationId,
        participant: &Participant,
        history: &[(&str, Timestamp)],
    ) -> Self {
        let past = |(status, at): &(&str, Timestamp)| {
            json!({
                "conversation_id": conversation,
                "member_id": participant.member_id,
                "status": status,
                "date": milliseconds(*at),
            })
        };
        let channel = &participant.channel;
        let mut body = json!({
            "leg_id": channel.id,
            "type": channel.kind,
            "status": history.last().map(|(status, _)| status),
            "statusHistory": history.iter().map(past).collect::<Vec<_>>(),
        });
        // An app's leg has no direction here.
        if channel.kind != "app" {
            body["direction"] = json!(direction(channel));
        }
        Self::by(participant, "leg:status:update", body)
    }

    /// The participant came from another conversation, in which it was `before`.
    #[must_use]
    pub fn transferred(participant: &Participant, from: &ConversationId, before: &MemberId) -> Self {
        let body = json!({
            "was_member": before,
            "user_id": participant.user_id,
            "transferred_from": from,
            "channel": participant.channel,
        });
        Self::by(participant, "rtc:transfer", body)
    }

    /// What it does to how a member hears and is heard.
    pub(super) fn tune(&self, audio: &mut Audio) {
        match self.kind.as_str() {
            "member:media" => audio.enabled = true,
            "audio:mute:on" => audio.muted = true,
            "audio:mute:off" => audio.muted = false,
            "audio:earmuff:on" => audio.earmuffed = true,
            "audio:earmuff:off" => audio.earmuffed = false,
            _ => {}
        }
    }

    /// `member` is invited, by whoever is there already.
    pub(super) fn invited(
        conversation: &ConversationId,
        name: &str,
        inviter: Option<MemberId>,
        member: &Member,
    ) -> Self {
        let participant = &member.participant;
        let media = Audio { enabled: true, ..Audio::default() }.media();
        let mut body = json!({
            "cname": name,
            "conversation": {"conversation_id": conversation, "name": name, "display_name": null},
            "user": {
                "member_id": participant.member_id,
                "user_id": participant.user_id,
                "name": participant.name,
                "display_name": participant.display_name,
                "media": media,
            },
            "channel": participant.channel,
            "media": media,
            "timestamp": {"invited": member.invited.map(milliseconds)},
            "initiator": {"invited": initiator(participant)},
        });
        if let Some(invited_by) = &participant.invited_by {
            body["invited_by"] = json!(invited_by);
        }
        Self { kind: "member:invited".to_owned(), from: inviter, to: None, body }
    }

    /// `member` has joined. Its own id is nowhere but in `from`.
    pub(super) fn joined(member: &Member) -> Self {
        let participant = &member.participant;
        let body = json!({
            "user": {
                "id": participant.user_id,
                "user_id": participant.user_id,
                "name": participant.name,
                "display_name": participant.display_name,
            },
            "channel": participant.channel,
            "timestamp": times(member),
            "initiator": {"joined": initiator(participant)},
        });
        Self::by(participant, "member:joined", body)
    }

    /// `member` has left. Its own id is nowhere but in `from`.
    pub(super) fn left(member: &Member) -> Self {
        let participant = &member.participant;
        let body = json!({
            "timestamp": times(member),
            "user": {"id": participant.user_id, "name": participant.name},
            "channel": participant.channel,
            "initiator": {"joined": initiator(participant), "left": {"isSystem": true}},
            "reason": {"code": "200", "text": "hangup"},
        });
        Self::by(participant, "member:left", body)
    }

    /// The body as the list of events shows it, which says less than a webhook does.
    pub(super) fn listed_body(&self) -> Value {
        match self.kind.as_str() {
            "member:joined" => json!({
                "user": {"id": self.body["user"]["id"]},
                "channel": self.body["channel"],
                "timestamp": self.body["timestamp"],
            }),
            "sip:ringing" | "rtc:ringing" => json!({"channel": self.body["channel"]}),
            _ => self.body.clone(),
        }
    }

    fn by(participant: &Participant, kind: impl Into<String>, body: Value) -> Self {
        Self { from: Some(participant.member_id.clone()), ..Self::of_kind(kind, body) }
    }

    fn to_oneself(participant: &Participant, kind: &str) -> Self {
        let note = Self::by(participant, kind, json!({"rtc_id": participant.channel.id}));
        Self { to: note.from.clone(), ..note }
    }
}

/// How the leg is carried, which is the first half of an event's type.
fn technology(channel: &Channel) -> &'static str {
    if channel.kind == "app" { "rtc" } else { "sip" }
}

fn direction(channel: &Channel) -> &'static str {
    if channel.dialling.is_some() { "outbound" } else { "inbound" }
}

/// Who made a member come or go. Events always spell it `isSystem`.
fn initiator(participant: &Participant) -> Value {
    if participant.acts_alone() {
        json!({"isSystem": false, "user_id": participant.user_id, "member_id": participant.member_id})
    } else {
        json!({"isSystem": true})
    }
}

fn times(member: &Member) -> Value {
    let named = [("invited", member.invited), ("joined", member.joined), ("left", member.left)];
    let known = named.into_iter().filter_map(|(name, at)| Some((name.to_owned(), milliseconds(at?))));
    Value::Object(known.collect())
}
