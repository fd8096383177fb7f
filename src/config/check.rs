//! The values as meant. A value that means nothing becomes a fault, and checking goes on.

mod readers;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::SignedDuration;
use phonenumber::country;
use secrecy::{SecretSlice, SecretString};
use toml::{Table, Value};
use url::Url;

use super::{Application, Config, Environment, Faults, Fetch, Reading};
use crate::domain::ids::ApplicationId;
use crate::flow::fetch::Patience;
use crate::http::Ncco;
use crate::upstream::{is_at, is_loopback};
use crate::vonage::family::Family;
use crate::vonage::token::TokenMint;

/// The values of one section, with the place they are named by in faults.
struct Section<'a> {
    table: &'a Table,
    place: String,
    faults: &'a mut Faults,
}

/// The longest duration: more is surely a slip, and would lead beyond the instants that can be written.
const LONGEST: SignedDuration = SignedDuration::from_hours(24 * 365);

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
        Section::of(&effective, "reconcile", faults).duration("interval", SignedDuration::ZERO);
    let store = Section::of(&effective, "store", faults).store("url", environment);
    let fetch = fetch(&mut Section::of(&effective, "fetch", faults));
    refuse_what_is_not_acted_on(&effective, faults);
    let applications = applications(&effective, environment, faults);
    if let (Some(public), Some(private)) = (webhooks_listen, query_listen)
        && public == private
        && public.port() != 0
    {
        faults.add("query.listen", "is the same as webhooks.listen: readers and Vonage need an address each");
    }
    let signed = signed(signatures.as_deref(), &effective, faults);
    Some(Config {
        source,
        webhooks_listen: webhooks_listen?,
        max_body_bytes: usize::try_from(max_body_bytes?).ok()?,
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

/// Whether webhooks must be signed. Fails closed: where they must be, every application needs a secret.
/// A secret that is named and cannot be read is a fault already, and not one that is missing.
fn signed(signatures: Option<&str>, effective: &Table, faults: &mut Faults) -> bool {
    const KEY: &str = "signature_secret_file";
    let names_secret =
        |block: &Value| block.get(KEY).and_then(Value::as_str).is_some_and(|file| !file.is_empty());
    let applications = application_blocks(effective);
    let signed = match signatures {
        Some("off") => return false,
        Some("required") => true,
        _ => applications.iter().any(names_secret),
    };
    if signed && applications.is_empty() {
        faults.add("webhooks.signatures", format!("\"required\" needs an [[application]] with a {KEY}"));
    }
    for (index, application) in applications.iter().enumerate() {
        if signed && !names_secret(application) {
            faults.add(
                format!("application[{}].{KEY}", index + 1),
                "must be set, since webhooks must be signed: this application's would all be refused",
            );
        }
    }
    signed
}

fn application_blocks(effective: &Table) -> &[Value] {
    effective.get("application").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn applications(effective: &Table, environment: &Environment, faults: &mut Faults) -> Vec<Application> {
    let mut applications: Vec<Application> = Vec::new();
    for (index, block) in application_blocks(effective).iter().enumerate() {
        let Some(table) = block.as_table() else { continue };
        let place = format!("application[{}]", index + 1);
        let mut section = Section { table, place, faults };
        let Some(application) = section.application(environment) else { continue };
        if applications.iter().any(|other| other.id == application.id) {
            section.fault("id", "is there twice");
        }
        applications.push(application);
    }
    applications
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
        let duration = self
            .text(key)
            .parse::<SignedDuration>()
            .ok()
            .filter(|duration| (least..=LONGEST).contains(duration));
        if duration.is_none() {
            self.fault(key, format!("must be a duration of at least {least:#}, such as \"15s\" or \"10m\""));
        }
        duration
    }

    fn ncco(&mut self, key: &str) -> Result<Option<Ncco>, Faulty> {
        let file = self.text(key);
        if file.is_empty() {
            return Ok(None);
        }
        Ncco::read(Path::new(file)).map(Some).map_err(|error| {
            self.fault(key, format!("{file} {error}"));
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

    fn application(&mut self, environment: &Environment) -> Option<Application> {
        let id = ApplicationId::parse(self.text("id")).ok();
        if id.is_none() {
            self.fault("id", "must be the application's id, as the Vonage dashboard shows it");
        }
        let key = self.secret_file("private_key_file", environment);
        let signature_secret = self.signature_secret(environment);
        let api_url = self.api_url("api_url");
        let api_key = Some(self.text("api_key").to_owned()).filter(|key| !key.is_empty());
        let mint = TokenMint::new(id.clone()?, &SecretSlice::from(key?));
        let mint = mint.map_err(|error| self.fault("private_key_file", format!("is {error}"))).ok();
        Some(Application {
            id: id?,
            mint: Arc::new(mint?),
            signature_secret: signature_secret.ok()?,
            api_key,
            api_url: api_url?,
        })
    }

    fn signature_secret(&mut self, environment: &Environment) -> Result<Option<SecretString>, Faulty> {
        const KEY: &str = "signature_secret_file";
        if self.text(KEY).is_empty() {
            return Ok(None);
        }
        let bytes = self.secret_file(KEY, environment).ok_or(Faulty)?;
        let secret = String::from_utf8(bytes).ok().map(|text| text.trim().to_owned());
        let Some(secret) = secret.filter(|text| !text.is_empty()) else {
            let hint =
                "the file is empty or not text: it holds the account's signature secret and nothing else";
            self.fault(KEY, hint);
            return Err(Faulty);
        };
        Ok(Some(secret.into()))
    }

    /// Reads a file that holds a secret: for a relative path the systemd credential of that name comes first.
    fn secret_file(&mut self, key: &str, environment: &Environment) -> Option<Vec<u8>> {
        let file = Path::new(self.text(key));
        let credential =
            environment.get("CREDENTIALS_DIRECTORY").map(|directory| Path::new(directory).join(file));
        let path =
            credential.filter(|path| file.is_relative() && path.exists()).unwrap_or_else(|| file.to_owned());
        match std::fs::read(&path) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                let hint = "name a readable file, or load it as a systemd credential of that name";
                self.fault(key, format!("{} cannot be read ({error}): {hint}", path.display()));
                None
            }
        }
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
