//! Which conversations a reader wants, in the words that readers use.

use std::fmt;

use jiff::Timestamp;
use phonenumber::country::Id as Country;

use super::conversation::{CaptureState, State};
use super::ids::ApplicationId;
use super::instant;
use super::number::Pattern;
use super::visible::visible;

/// What every conversation of a list has in common. Each condition that is there holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Either side, or any other party of it.
    pub number: Option<Pattern>,
    /// Who called.
    pub from: Option<Pattern>,
    /// Who was called.
    pub to: Option<Pattern>,
    /// A user who is a member: the id or the name, as Vonage writes it.
    pub user: Option<String>,
    /// Whether it goes on.
    pub state: Option<State>,
    /// Whether it was seen.
    pub capture: Option<CaptureState>,
    /// The latest status of the leg that began the call.
    pub status: Option<String>,
    /// `inbound` or `outbound`.
    pub direction: Option<String>,
    /// Whose it is.
    pub application: Option<ApplicationId>,
    /// It began at this instant or later.
    pub since: Option<Timestamp>,
    /// It began before this instant.
    pub until: Option<Timestamp>,
    /// It lasted so many seconds or longer.
    pub min_duration: Option<i64>,
    /// It lasted so many seconds or less.
    pub max_duration: Option<i64>,
}

/// A condition that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} {message}")]
pub struct Fault {
    /// The condition's name.
    pub name: &'static str,
    /// What its value should be.
    pub message: String,
}

/// What the values of conditions are read with.
#[derive(Debug, Clone, Copy)]
pub struct Context {
    /// What `24h` is counted from.
    pub now: Timestamp,
    /// Whose numbers those without a country's code are.
    pub country: Option<Country>,
}

impl Filter {
    /// The names of all conditions.
    pub const NAMES: [&str; 13] = [
        "number",
        "from",
        "to",
        "user",
        "state",
        "capture",
        "status",
        "direction",
        "application",
        "since",
        "until",
        "min_duration",
        "max_duration",
    ];

    /// Reads the conditions that `value` has for their names.
    ///
    /// # Errors
    /// The first that makes no sense.
    pub fn read(mut value: impl FnMut(&str) -> Option<String>, context: Context) -> Result<Self, Fault> {
        let mut read = |name: &'static str| value(name).map(|text| Condition { name, text });
        let pattern = |condition: Option<Condition>| {
            let parse = |condition: Condition| {
                Pattern::parse(&condition.text, context.country).map_err(|error| condition.fault(error))
            };
            condition.map(parse).transpose()
        };
        let instant = |condition: Option<Condition>| {
            condition.map(|condition| condition.instant(context.now)).transpose()
        };
        let filter = Self {
            number: pattern(read("number"))?,
            from: pattern(read("from"))?,
            to: pattern(read("to"))?,
            user: read("user").map(|condition| visible(&condition.text).into_owned()),
            state: read("state").map(Condition::state).transpose()?,
            capture: read("capture").map(Condition::capture).transpose()?,
            status: read("status").map(|condition| condition.text.to_lowercase()),
            direction: read("direction").map(Condition::direction).transpose()?,
            application: read("application").map(Condition::application).transpose()?,
            since: instant(read("since"))?,
            until: instant(read("until"))?,
            min_duration: read("min_duration").map(Condition::seconds).transpose()?,
            max_duration: read("max_duration").map(Condition::seconds).transpose()?,
        };
        filter.possible()
    }

    fn possible(self) -> Result<Self, Fault> {
        let fault = |name, message: &str| Err(Fault { name, message: message.to_owned() });
        match (self.since, self.until, self.min_duration, self.max_duration) {
            (Some(since), Some(until), ..) if since >= until => {
                fault("until", "must be later than since: nothing begins between them")
            }
            (.., Some(min), Some(max)) if min > max => {
                fault("max_duration", "must not be less than min_duration: nothing lasts so long")
            }
            _ => Ok(self),
        }
    }
}

/// A condition as it was written.
struct Condition {
    name: &'static str,
    text: String,
}

impl Condition {
    fn fault(&self, message: impl fmt::Display) -> Fault {
        Fault { name: self.name, message: message.to_string() }
    }

    fn state(self) -> Result<State, Fault> {
        match self.text.to_lowercase().as_str() {
            "live" => Ok(State::Live),
            "ended" => Ok(State::Ended),
            _ => Err(self.fault("is live or ended")),
        }
    }

    fn capture(self) -> Result<CaptureState, Fault> {
        let known = CaptureState::named(&self.text.to_lowercase());
        known.ok_or_else(|| self.fault("is captured, pending or missed"))
    }

    fn direction(self) -> Result<String, Fault> {
        match self.text.to_lowercase().as_str() {
            known @ ("inbound" | "outbound") => Ok(known.to_owned()),
            _ => Err(self.fault("is inbound or outbound")),
        }
    }

    fn application(self) -> Result<ApplicationId, Fault> {
        ApplicationId::parse(&self.text).map_err(|_| self.fault("is the id of a Vonage application"))
    }

    fn instant(self, now: Timestamp) -> Result<Timestamp, Fault> {
        instant::asked(&self.text, now).ok_or_else(|| self.fault(instant::FORMS))
    }

    fn seconds(self) -> Result<i64, Fault> {
        let text = self.text.trim();
        let seconds = text.parse().ok().or_else(|| Some(instant::duration(text)?.as_secs()));
        let message = "is a number of seconds, or a time such as 90s or 5m";
        seconds.filter(|seconds| *seconds >= 0).ok_or_else(|| self.fault(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-03-10T12:00:00Z".parse().expect("it is an instant")
    }

    fn read(conditions: &[(&str, &str)]) -> Result<Filter, Fault> {
        let value = |name: &str| {
            let found = conditions.iter().find(|(asked, _)| *asked == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Filter::read(value, Context { now: now(), country: None })
    }

    #[test]
    fn every_condition_is_read_under_its_name() {
        let all = Filter::NAMES.map(|name| {
            let value = match name {
                "state" => "LIVE",
                "capture" => "missed",
                "direction" => "Inbound",
                "since" => "7d",
                "until" => "24h",
                "min_duration" => "5",
                "max_duration" => "1h",
                _ => "1",
            };
            (name, value)
        });
        let filter = read(&all).expect("each makes sense");
        assert_eq!(filter.state, Some(State::Live));
        assert_eq!(filter.capture, Some(CaptureState::Missed));
        assert_eq!(filter.direction.as_deref(), Some("inbound"));
        assert_eq!((filter.min_duration, filter.max_duration), (Some(5), Some(3600)));
        for name in Filter::NAMES {
            let without: Vec<_> = all.into_iter().filter(|(other, _)| *other != name).collect();
            assert_ne!(read(&without), Ok(filter.clone()), "{name}");
        }
        assert_eq!(read(&[]), Ok(Filter::default()));
    }

    #[test]
    fn what_makes_no_sense_is_told_with_its_name() {
        for (conditions, name) in [
            (&[("state", "on")][..], "state"),
            (&[("capture", "yes")], "capture"),
            (&[("direction", "up")], "direction"),
            (&[("since", "yesterday")], "since"),
            (&[("number", "*")], "number"),
            (&[("min_duration", "-1")], "min_duration"),
            (&[("min_duration", "10"), ("max_duration", "9")], "max_duration"),
            (&[("since", "1h"), ("until", "2h")], "until"),
        ] {
            assert_eq!(read(conditions).map_err(|fault| fault.name), Err(name), "{conditions:?}");
        }
    }
}
