//! The configuration: as written → as meant, with every fault at once.
//!
//! The commented file that is shipped holds every key with its default, and is the schema: a key that it
//! does not have is unknown, and a value of another type than its default's is wrong.

mod changes;
mod check;
mod file;
mod limited_file;
mod signed;

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::SignedDuration;
use phonenumber::country;
use secrecy::{ExposeSecret, SecretString};
use url::Url;
use uuid::Uuid;

pub use self::changes::Changes;
pub use self::signed::{SignaturePolicy, Signed, Unsignable};
use crate::domain::ids::ApplicationId;
use crate::domain::reader::Reader;
use crate::flow::fetch::Patience;
use crate::http::Ncco;
use crate::vonage::family::Family;
use crate::vonage::token::TokenMint;

/// The commented file with every default.
pub const DEFAULT_FILE: &str = include_str!("../../config/conversationd.toml");

/// Vonage waits 5 s for the reply to an answer webhook, in which it is also stored.
const LONGEST_USEFUL_FORWARD: SignedDuration = SignedDuration::from_secs(4);

/// Bytes of a signature secret that cannot be guessed: as many as an HS256 signature has (RFC 7518, 3.2).
const SHORTEST_GOOD_SECRET: usize = 32;

/// Where a configuration is looked for when nothing names one.
const USUAL_PLACES: [&str; 2] = ["conversationd.toml", "/etc/conversationd/conversationd.toml"];

/// The environment: names and values. Handed in by `main`, so that nothing else reads it.
#[derive(Debug, Clone, Default)]
pub struct Environment(Vec<(String, String)>);

impl Environment {
    /// An environment of these variables.
    #[must_use]
    pub fn new(variables: Vec<(String, String)>) -> Self {
        Self(variables)
    }

    /// The value of a variable that is set to something.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

/// One thing that is wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The key, or the file.
    pub place: String,
    /// What is wrong with it.
    pub message: String,
}

/// Everything that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    fn add(&mut self, place: impl Into<String>, message: impl Into<String>) {
        self.0.push(Fault { place: place.into(), message: message.into() });
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Fault { place, message }) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(formatter, "{separator}{place}: {message}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// What the daemon is to do.
#[derive(Debug)]
pub struct Config {
    /// The file it was read from, if there was one.
    pub source: Option<PathBuf>,
    /// Where Vonage connects.
    pub webhooks_listen: SocketAddr,
    /// The largest webhook body that is taken.
    pub max_body_bytes: usize,
    /// How it is decided which webhooks must be signed.
    pub signature_policy: SignaturePolicy,
    /// Which webhooks must be signed.
    pub signed: Signed,
    /// Where readers connect.
    pub query_listen: SocketAddr,
    /// Who may read; nobody listed is anybody who can connect.
    pub readers: Vec<Reader>,
    /// How a number without a country code is read.
    pub default_country: Option<country::Id>,
    /// What answer webhooks are replied to with; `None` where nothing is configured.
    pub ncco: Option<Ncco>,
    /// Where answer webhooks are passed on to.
    pub answer_forward: Option<Url>,
    /// Where events are passed on to.
    pub event_forward: Option<Url>,
    /// How long whoever they are passed on to may take.
    pub forward_timeout: SignedDuration,
    /// The store's file.
    pub store: PathBuf,
    /// How Vonage is asked.
    pub fetch: Fetch,
    /// How often the applications' calls are listed; `None` is never.
    pub reconcile_interval: Option<SignedDuration>,
    /// Whose conversations are remembered.
    pub applications: Vec<Application>,
    effective: toml::Table,
}

/// What it takes to read the store.
#[derive(Debug)]
pub struct Reading {
    /// The store's file.
    pub store: PathBuf,
    /// How a number without a country code is read.
    pub default_country: Option<country::Id>,
}

/// How Vonage is asked.
#[derive(Debug, Clone)]
pub struct Fetch {
    /// The path family.
    pub family: Family,
    /// Whether event lists are read.
    pub events: bool,
    /// Requests in any second.
    pub requests_per_second: NonZeroU32,
    /// Looks at one time.
    pub concurrency: u32,
    /// When to look again.
    pub patience: Patience,
}

/// A Vonage application, with its secrets.
#[derive(Debug, Clone)]
pub struct Application {
    /// Its id.
    pub id: ApplicationId,
    /// Makes its tokens.
    pub mint: Arc<TokenMint>,
    /// The account's signature secret; two while it is being changed.
    pub signature_secrets: Vec<SecretString>,
    /// The account.
    pub api_key: Option<String>,
    /// Where its API is.
    pub api_url: Url,
    /// Files with its secrets that every user of the machine can read.
    public_files: Vec<PathBuf>,
}

impl Application {
    fn warnings(&self, number: usize) -> Vec<String> {
        let mut warnings = Vec::new();
        if Uuid::try_parse(self.id.as_str()).is_err() {
            warnings.push(format!(
                "application[{number}].id is no UUID, as every Vonage application's is: Vonage will not know it"
            ));
        }
        let is_short = |secret: &SecretString| secret.expose_secret().len() < SHORTEST_GOOD_SECRET;
        if self.signature_secrets.iter().any(is_short) {
            warnings.push(format!(
                "application[{number}].signature_secret_files holds less than {SHORTEST_GOOD_SECRET} bytes: Vonage's \
                 secrets are longer, and whoever sees a signed webhook can find out a short one by trying"
            ));
        }
        warnings.extend(self.public_files.iter().map(|file| {
            let file = file.display();
            format!(
                "application[{number}]: {file} can be read by every user of this machine: chmod o= {file}"
            )
        }));
        warnings
    }
}

/// The file to read, if there is one.
fn source(named: Option<&Path>, environment: &Environment) -> Option<PathBuf> {
    let named = named.map(Path::to_owned).or(environment.get("CONVERSATIOND_CONFIG").map(PathBuf::from));
    named.or_else(|| USUAL_PLACES.iter().map(PathBuf::from).find(|place| place.exists()))
}

impl Config {
    /// Reads the configuration: the file, if there is one, and the environment over it.
    ///
    /// # Errors
    /// Every fault that was found.
    pub fn load(named: Option<&Path>, environment: &Environment) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let source = source(named, environment);
        let effective = file::effective(source.as_deref(), environment, &mut faults);
        let config = check::check(effective, source, environment, &mut faults);
        match config {
            Some(config) if faults.0.is_empty() => Ok(config),
            _ => Err(faults),
        }
    }

    /// Reads the configuration again: from where this one came, whatever there is by now where nothing names one.
    /// While an editor replaces the file there is none for a moment, and the built-in defaults would open everything.
    ///
    /// # Errors
    /// Every fault that was found; a file that is not there any more, or is empty, is one.
    pub fn load_again(&self, named: Option<&Path>, environment: &Environment) -> Result<Self, Faults> {
        let Some(source) = self.source.as_deref() else { return Self::load(named, environment) };
        if std::fs::metadata(source).is_ok_and(|file| file.len() == 0) {
            let message = "is empty: it may be in the middle of being written";
            let place = source.display().to_string();
            return Err(Faults(vec![Fault { place, message: message.to_owned() }]));
        }
        Self::load(Some(source), environment)
    }

    /// Reads only what it takes to read the store: a reader need not be able to read the keys.
    ///
    /// # Errors
    /// Every fault in that, and whatever is no configuration at all.
    pub fn load_reading(named: Option<&Path>, environment: &Environment) -> Result<Reading, Faults> {
        let mut faults = Faults::default();
        let effective = file::effective(source(named, environment).as_deref(), environment, &mut faults);
        match check::reading(&effective, environment, &mut faults) {
            Some(reading) if faults.0.is_empty() => Ok(reading),
            _ => Err(faults),
        }
    }

    /// The values in force, as a configuration file. Secrets are in files of their own, which are only named.
    #[must_use]
    pub fn effective(&self) -> String {
        self.effective.to_string()
    }

    /// The same as one JSON object.
    #[must_use]
    pub fn effective_json(&self) -> String {
        serde_json::to_string(&self.effective).expect("texts, numbers and lists are always JSON")
    }

    /// What is allowed but may not be meant.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let numbered = self.applications.iter().enumerate();
        let mut warnings: Vec<String> =
            numbered.flat_map(|(index, application)| application.warnings(index + 1)).collect();
        if self.applications.is_empty() {
            warnings.push(
                "no [[application]] is configured: webhooks are recorded, but no conversation can be fetched"
                    .to_owned(),
            );
        }
        if !self.signed.voice {
            warnings.push(
                "webhooks are not checked for a signature: anybody who reaches the public listener can write to the \
                 record; set signature_secret_files and webhooks.signatures = \"required\""
                    .to_owned(),
            );
        }
        if self.signed.voice && !self.signed.rtc {
            warnings.push(
                "webhooks.rtc_signatures is \"off\": anybody who reaches the public listener can write RTC events to the \
                 record; sign them too (capabilities.rtc.signed_callbacks in Vonage's Application API)"
                    .to_owned(),
            );
        }
        match (&self.ncco, &self.answer_forward) {
            (None, None) => warnings.push(
                "no answer.ncco_file is configured: a call that asks for its NCCO gets an empty one, and ends"
                    .to_owned(),
            ),
            (None, Some(_)) => warnings.push(
                "no answer.ncco_file is configured: while answer.forward_url fails, a call gets an empty NCCO, and \
                 ends"
                    .to_owned(),
            ),
            _ => {}
        }
        if self.answer_forward.is_some() && self.forward_timeout > LONGEST_USEFUL_FORWARD {
            warnings.push(
                "answer.forward_timeout is longer than 4 s: Vonage gives an answer webhook 5 s, and would hear \
                 nothing in time while answer.forward_url hangs"
                    .to_owned(),
            );
        }
        warnings
    }
}
