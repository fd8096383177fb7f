//! The values as meant. A value that means nothing becomes a fault, and checking goes on.

mod application;
mod readers;

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use jiff::SignedDuration;
use phonenumber::country;
use toml::{Table, Value};
use url::Url;

use self::application::{applications, signed};
use super::limited_file::{self, MAX_NCCO_BYTES};
use super::{Config, Environment, Faults, Fetch, Reading, SignaturePolicy};
use crate::flow::fetch::Patience;
use crate::http::Ncco;
use crate::upstream::{is_at, is_loopback};
use crate::vonage::family::Family;

/// The values of one section, with the place they are named by in faults.
struct Section<'a> {
    table: &'a Table,
    place: String,
    faults: &'a mut Faults,
}

/// The longest duration: more is surely a slip, and would lead beyond the instants that can be written.
const LONGEST: SignedDuration = SignedDuration::from_hours(24 * 365);

/// The shortest time between two lists of an application's calls. Each list is some requests, which fetches go without.
const SHORTEST_RECONCILE_INTERVAL: SignedDuration = SignedDuration::from_secs(10);

/// A value was there and meant nothing; the fault is noted.
struct Faulty;

/// Checks everything. `None` only together with faults.
pub(super) fn check(
    effective: Table,
    source: Option<PathBuf>,
    environment: &Environment,
    faults: &mut Faults,
) -> Option<Config> {
    let mut webhooks = Section::of(&effective, "webhooks", faults);
    let webhooks_listen = webhooks.address("listen");
    let max_body_bytes = webhooks.whole("max_body_bytes", 1024, 16 * 1024 * 1024);
    let signatures = webhooks.one_of("signatures", &["auto", "required", "off"]);
    let rtc_signatures = webhooks.one_of("rtc_signatures", &["same", "required", "off"]);
    let mut query = Section::of(&effective, "query", faults);
    let query_listen = query.private_address("listen");
    let readers = query.readers("tokens");
    let default_country = query.country("default_country");
    let ncco = Section::of(&effective, "answer", faults).ncco("ncco_file");
    let answer_forward = Section::of(&effective, "answer", faults).forward_url(webhooks_listen);
    let event_forward = Section::of(&effective, "event", faults).forward_url(webhooks_listen);
    let forward_timeout =
        Section::of(&effective, "answer", faults).duration("forward_timeout", SignedDuration::from_millis(1));
    let reconcile_interval =
        Section::of(&effective, "reconcile", faults).interval("interval", SHORTEST_RECONCILE_INTERVAL);
    let store = Section::of(&effective, "store", faults).store("url", environment);
    let fetch = fetch(&mut Section::of(&effective, "fetch", faults));
    refuse_what_is_not_acted_on(&effective, faults);
    let applications = applications(&effective, environment, faults);
    if let (Some(public), Some(private)) = (webhooks_listen, query_listen)
        && clash(public, private)
    {
        faults.add(
            "query.listen",
            "is taken by webhooks.listen: readers and Vonage need a port or an address each",
        );
    }
    let signature_policy = SignaturePolicy::of([signatures.as_deref(), rtc_signatures.as_deref()]);
    let signed = signed(signature_policy, &effective, faults);
    Some(Config {
        source,
        webhooks_listen: webhooks_listen?,
        max_body_bytes: usize::try_from(max_body_bytes?).ok()?,
        signature_policy,
        signed,
        query_listen: query_listen?,
        readers,
        default_country: default_country.ok()?,
        ncco: ncco.ok()?,
        answer_forward: answer_forward.ok()?,
        event_forward: event_forward.ok()?,
        forward_timeout: forward_timeout?,
        store: store?,
        fetch: fetch?,
        reconcile_interval: reconcile_interval.filter(|interval| !interval.is_zero()),
        applications,
        effective,
    })
}

/// Whether a machine can listen at only one of the two: "every address" holds the others. That of IPv6 holds those of
/// IPv4, as Linux has it.
fn clash(one: SocketAddr, other: SocketAddr) -> bool {
    let holds = |all: IpAddr, address: IpAddr| {
        all == address || all.is_unspecified() && (all.is_ipv6() || address.is_ipv4())
    };
    let is_same = holds(one.ip(), other.ip()) || holds(other.ip(), one.ip());
    is_same && one.port() == other.port() && one.port() != 0
}

/// Checks what it takes to read the store.
pub(super) fn reading(effective: &Table, environment: &Environment, faults: &mut Faults) -> Option<Reading> {
    let store = Section::of(effective, "store", faults).store("url", environment);
    let default_country = Section::of(effective, "query", faults).country("default_country");
    Some(Reading { store: store?, default_country: default_country.ok()? })
}

fn fetch(section: &mut Section<'_>) -> Option<Fetch> {
    let family = section.family("api_version");
    let requests_per_second = section.whole("requests_per_second", 1, 1000);
    let concurrency = section.whole("concurrency", 1, 1000);
    let poll_interval = section.duration("poll_interval", SignedDuration::from_secs(1));
    let give_up_after = section.duration("give_up_after", SignedDuration::from_secs(1));
    Some(Fetch {
        family: family?,
        events: section.switch("events"),
        requests_per_second: NonZeroU32::new(requests_per_second?)?,
        concurrency: concurrency?,
        patience: Patience { poll_interval: poll_interval?, give_up_after: give_up_after? },
    })
}

/// Settings that promise something this version does not do: better refused than silently not done.
fn refuse_what_is_not_acted_on(effective: &Table, faults: &mut Faults) {
    let mut retention = Section::of(effective, "retention", faults);
    for key in ["snapshots", "webhooks"] {
        if retention.text(key) != "forever" {
            retention.fault(key, "is not supported by this version; leave it at its default");
        }
    }
}

impl<'a> Section<'a> {
    fn of(effective: &'a Table, name: &'static str, faults: &'a mut Faults) -> Self {
        let table =
            effective.get(name).and_then(Value::as_table).expect("the shipped file has every section");
        Self { table, place: name.to_owned(), faults }
    }

    fn fault(&mut self, key: &str, message: impl Into<String>) {
        self.faults.add(format!("{}.{key}", self.place), message);
    }

    fn text(&self, key: &str) -> &'a str {
        self.table.get(key).and_then(Value::as_str).expect("the type was compared with the default's")
    }

    fn address(&mut self, key: &str) -> Option<SocketAddr> {
        let address = self.text(key).parse().ok();
        if address.is_none() {
            self.fault(key, "is not an IP address and port, such as \"127.0.0.1:3000\" or \"[::]:3000\"");
        }
        address
    }

    /// Where anybody may read, nobody from elsewhere may come.
    fn private_address(&mut self, key: &str) -> Option<SocketAddr> {
        let address = self.address(key)?;
        let is_open = self.table.get("tokens").and_then(Value::as_array).is_none_or(Vec::is_empty);
        if is_open && !address.ip().is_loopback() {
            self.fault(
                key,
                "must be a loopback address, such as \"127.0.0.1:3001\", while query.tokens is empty: anybody could \
                 read; make a token with `conversationd token new NAME`",
            );
        }
        Some(address)
    }

    fn country(&mut self, key: &str) -> Result<Option<country::Id>, Faulty> {
        let code = self.text(key);
        if code.is_empty() {
            return Ok(None);
        }
        code.parse().map(Some).map_err(|_| {
            self.fault(
                key,
                "must be a country's two letters (ISO 3166) in capitals, such as \"GB\", or empty",
            );
            Faulty
        })
    }

    fn whole(&mut self, key: &str, least: u32, most: u32) -> Option<u32> {
        let number =
            self.table.get(key).and_then(Value::as_integer).and_then(|number| u32::try_from(number).ok());
        let number = number.filter(|number| (least..=most).contains(number));
        if number.is_none() {
            self.fault(key, format!("must be from {least} to {most}"));
        }
        number
    }

    fn one_of(&mut self, key: &str, choices: &[&str]) -> Option<String> {
        let text = self.text(key);
        if choices.contains(&text) {
            return Some(text.to_owned());
        }
        self.fault(key, format!("must be one of \"{}\"", choices.join("\", \"")));
        None
    }

    /// A setting that is on or off; that it is no other value was checked against the defaults.
    fn switch(&self, key: &str) -> bool {
        self.table.get(key).and_then(Value::as_bool).unwrap_or_default()
    }

    fn family(&mut self, key: &str) -> Option<Family> {
        Family::named(&self.one_of(key, &Family::ALL.map(Family::as_str))?)
    }

    fn duration(&mut self, key: &str, least: SignedDuration) -> Option<SignedDuration> {
        let Ok(duration) = self.text(key).parse::<SignedDuration>() else {
            self.fault(key, "must be a duration, such as \"15s\", \"10m\" or \"1h 30m\"");
            return None;
        };
        if duration > LONGEST {
            self.fault(key, format!("must be a duration of at most a year ({LONGEST:#})"));
        } else if duration < least {
            self.fault(key, format!("must be a duration of at least {least:#}"));
        }
        (least..=LONGEST).contains(&duration).then_some(duration)
    }

    /// How often something is repeated, or never.
    fn interval(&mut self, key: &str, least: SignedDuration) -> Option<SignedDuration> {
        let interval = self.duration(key, SignedDuration::ZERO)?;
        if !interval.is_zero() && interval < least {
            self.fault(key, format!("must be at least {least:#}, or \"0s\" for never"));
            return None;
        }
        Some(interval)
    }

    fn ncco(&mut self, key: &str) -> Result<Option<Ncco>, Faulty> {
        let file = self.text(key);
        if file.is_empty() {
            return Ok(None);
        }
        let content = limited_file::read(Path::new(file), MAX_NCCO_BYTES)
            .map_err(|error| format!("{file} cannot be read: {error}"));
        let ncco = content
            .and_then(|content| Ncco::from_bytes(content.bytes).map_err(|error| format!("{file} {error}")));
        ncco.map(Some).map_err(|why| {
            self.fault(key, why);
            Faulty
        })
    }

    fn store(&mut self, key: &str, environment: &Environment) -> Option<PathBuf> {
        let path = self.text(key).strip_prefix("sqlite:").map(|path| path.strip_prefix("//").unwrap_or(path));
        let path = path.map(|path| path.split('?').next().unwrap_or(path));
        // SQLite has names that are no files: what is kept in memory is not kept.
        let path =
            path.filter(|path| !path.is_empty() && !path.starts_with(':') && !path.starts_with("file:"));
        let Some(path) = path else {
            self.fault(key, "must be \"sqlite:\" and a path, such as \"sqlite:conversationd.db\"");
            return None;
        };
        // systemd gives several directories separated by colons; the first is the unit's own.
        let state_directory =
            environment.get("STATE_DIRECTORY").and_then(|directories| directories.split(':').next());
        Some(state_directory.map_or_else(|| PathBuf::from(path), |directory| Path::new(directory).join(path)))
    }

    /// The address of the application behind. `own` is where this daemon takes webhooks: passing them on to
    /// itself would never end.
    fn forward_url(&mut self, own: Option<SocketAddr>) -> Result<Option<Url>, Faulty> {
        const KEY: &str = "forward_url";
        if self.text(KEY).is_empty() {
            return Ok(None);
        }
        let url = Url::parse(self.text(KEY)).ok().filter(|url| {
            let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
            plain && matches!(url.scheme(), "http" | "https") && url.has_host()
        });
        let Some(url) = url else {
            self.fault(KEY, "must be an http:// or https:// address without user, password and fragment");
            return Err(Faulty);
        };
        if own.is_some_and(|own| is_at(&url, own)) && url.path().starts_with("/webhooks/") {
            self.fault(
                KEY,
                "is this daemon's own webhooks.listen: name the address of the application behind it",
            );
            return Err(Faulty);
        }
        Ok(Some(url))
    }

    /// The bearer token goes to this address: it must be the right one, and nobody may listen in.
    fn api_url(&mut self, key: &str) -> Option<Url> {
        let url = Url::parse(self.text(key)).ok().filter(|url| {
            let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
            plain && url.fragment().is_none() && url.has_host()
        });
        let safe = url.filter(|url| url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url)));
        if safe.is_none() {
            self.fault(
                key,
                "must be an https:// address without user, query and fragment (http:// on loopback only)",
            );
        }
        safe
    }
}
