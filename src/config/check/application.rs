//! `[[application]]`: whose conversations are remembered, with the files that hold their secrets.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::{SecretSlice, SecretString};
use toml::{Table, Value};

use super::Section;
use crate::config::limited_file::{self, MAX_SECRET_BYTES};
use crate::config::{Application, Environment, Faults, SignaturePolicy, Signed};
use crate::domain::ids::ApplicationId;
use crate::domain::visible::visible;
use crate::vonage::token::TokenMint;

/// The key of the signature secrets' files.
const SECRETS: &str = "signature_secret_files";

/// The key of the private key's file.
const PRIVATE_KEY: &str = "private_key_file";

/// Which webhooks must be signed. Fails closed: where they must be, every application needs a secret.
/// A secret that is named and cannot be read is a fault already, and not one that is missing.
pub(super) fn signed(policy: SignaturePolicy, effective: &Table, faults: &mut Faults) -> Signed {
    let names_secret =
        |block: &Value| block.get(SECRETS).and_then(Value::as_array).is_some_and(|files| !files.is_empty());
    let applications = blocks(effective);
    let signed = policy.decide(applications.iter().any(names_secret));
    let Signed { voice, rtc } = signed;
    if (voice || rtc) && applications.is_empty() {
        let key = if voice { "webhooks.signatures" } else { "webhooks.rtc_signatures" };
        faults.add(key, format!("\"required\" needs an [[application]] with {SECRETS}"));
    }
    for (index, application) in applications.iter().enumerate() {
        if (voice || rtc) && !names_secret(application) {
            faults.add(
                format!("application[{}].{SECRETS}", index + 1),
                "must be set, since webhooks must be signed: this application's would all be refused",
            );
        }
    }
    signed
}

fn blocks(effective: &Table) -> &[Value] {
    effective.get("application").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Every application; those with faults are left out.
pub(super) fn applications(
    effective: &Table,
    environment: &Environment,
    faults: &mut Faults,
) -> Vec<Application> {
    let mut applications: Vec<Application> = Vec::new();
    for (index, block) in blocks(effective).iter().enumerate() {
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

/// A file that holds a secret.
struct SecretFile {
    path: PathBuf,
    bytes: Vec<u8>,
    is_public: bool,
}

impl Section<'_> {
    fn application(&mut self, environment: &Environment) -> Option<Application> {
        let id = ApplicationId::parse(self.text("id")).ok();
        if id.is_none() {
            self.fault("id", "must be the application's id, as the Vonage dashboard shows it");
        }
        let mut public_files = Vec::new();
        let key = self.secret_file(PRIVATE_KEY, self.text(PRIVATE_KEY), environment);
        let key = key.map(|file| file.taken(&mut public_files));
        let signature_secrets = self.signature_secrets(environment, &mut public_files);
        let api_url = self.api_url("api_url");
        let api_key = Some(self.text("api_key").to_owned()).filter(|key| !key.is_empty());
        let mint = TokenMint::new(id.clone()?, &SecretSlice::from(key?));
        let mint = mint.map_err(|error| self.fault(PRIVATE_KEY, format!("is {error}"))).ok();
        Some(Application {
            id: id?,
            mint: Arc::new(mint?),
            signature_secrets: signature_secrets?,
            api_key,
            api_url: api_url?,
            public_files,
        })
    }

    /// The secrets in the files of the list. `None` where one of them is none; each is told.
    fn signature_secrets(
        &mut self,
        environment: &Environment,
        public_files: &mut Vec<PathBuf>,
    ) -> Option<Vec<SecretString>> {
        let files = self.table.get(SECRETS).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let mut secrets = Some(Vec::new());
        for file in files {
            let secret = self.signature_secret(file, environment, public_files);
            secrets = secrets.zip(secret).map(|(mut secrets, secret)| {
                secrets.push(secret);
                secrets
            });
        }
        secrets
    }

    fn signature_secret(
        &mut self,
        file: &Value,
        environment: &Environment,
        public_files: &mut Vec<PathBuf>,
    ) -> Option<SecretString> {
        let Some(file) = file.as_str().filter(|file| !file.is_empty()) else {
            self.fault(SECRETS, "must be a list of files, such as [\"signature.secret\"]");
            return None;
        };
        let file = self.secret_file(SECRETS, file, environment)?;
        let path = file.path.display().to_string();
        secret_in(file.taken(public_files)).map_err(|why| self.fault(SECRETS, format!("{path} {why}"))).ok()
    }

    /// Reads a file that holds a secret: for a relative path the systemd credential of that name comes first.
    fn secret_file(&mut self, key: &str, file: &str, environment: &Environment) -> Option<SecretFile> {
        let file = Path::new(file);
        let credential =
            environment.get("CREDENTIALS_DIRECTORY").map(|directory| Path::new(directory).join(file));
        let path =
            credential.filter(|path| file.is_relative() && path.exists()).unwrap_or_else(|| file.to_owned());
        match limited_file::read(&path, MAX_SECRET_BYTES) {
            Ok(content) => Some(SecretFile { path, bytes: content.bytes, is_public: content.is_public }),
            Err(error) => {
                let hint = "name a readable file, or load it as a systemd credential of that name";
                self.fault(key, format!("{} cannot be read ({error}): {hint}", path.display()));
                None
            }
        }
    }
}

impl SecretFile {
    fn taken(self, public_files: &mut Vec<PathBuf>) -> Vec<u8> {
        if self.is_public {
            public_files.push(self.path);
        }
        self.bytes
    }
}

/// The signature secret that a file holds, without the blanks around it. What editors and shells put there besides
/// would be a part of the secret, and every signature wrong.
fn secret_in(bytes: Vec<u8>) -> Result<SecretString, &'static str> {
    let text = String::from_utf8(bytes).map_err(|_| {
        "is not text in UTF-8: it must hold the account's signature secret, as the dashboard shows it, and nothing else"
    })?;
    if text.starts_with('\u{feff}') {
        return Err("begins with a byte order mark: save it as UTF-8 without one");
    }
    let secret = text.trim();
    let mut ends = [secret.chars().next(), secret.chars().next_back()].into_iter().flatten();
    if secret.is_empty() {
        Err(
            "is empty: it must hold the account's signature secret, as the dashboard shows it, and nothing else",
        )
    } else if secret.lines().count() > 1 || secret.contains(char::is_control) {
        Err(
            "holds more than one line: it must hold one signature secret alone; name two files while the secret is \
             being changed",
        )
    } else if secret.chars().count() > 1 && ends.all(|end| QUOTES.contains(&end)) {
        Err("stands in quotes, which would be a part of the secret: remove them")
    } else if is_assignment(secret) {
        Err("holds NAME=value: it must hold the signature secret alone, without a name before it")
    } else if visible(secret) != secret {
        Err("holds a character that nobody sees: type the secret anew")
    } else {
        Ok(secret.to_owned().into())
    }
}

/// As in a file of environment variables.
fn is_assignment(text: &str) -> bool {
    text.split_once('=').is_some_and(|(name, value)| {
        let is_of_name = |character: char| character.is_ascii_alphabetic() || character == '_';
        // A secret may end in the signs that fill up Base64.
        !value.trim_matches('=').is_empty() && !name.is_empty() && name.trim_end().chars().all(is_of_name)
    })
}

/// What people put around a text.
const QUOTES: [char; 7] = ['"', '\'', '`', '\u{201c}', '\u{201d}', '\u{2018}', '\u{2019}'];
