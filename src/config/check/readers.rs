//! `query.tokens`: who may read.

use toml::Value;

use super::Section;
use crate::domain::digest::Digest;
use crate::domain::reader::{Reader, Scope};

/// The keys of one token.
const KEYS: [&str; 3] = ["name", "sha256", "scopes"];

impl Section<'_> {
    /// The readers that are listed under `key`; those with faults are left out.
    pub(super) fn readers(&mut self, key: &str) -> Vec<Reader> {
        let written = self.table.get(key).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let mut readers: Vec<Reader> = Vec::new();
        for (index, token) in written.iter().enumerate() {
            let place = format!("{key}[{}]", index + 1);
            let Some(table) = token.as_table() else {
                self.fault(&place, "must be { name = \"…\", sha256 = \"…\", scopes = [\"read\"] }");
                continue;
            };
            let place = format!("{}.{place}", self.place);
            let mut token = Section { table, place, faults: self.faults };
            let Some(reader) = token.reader() else { continue };
            if readers.iter().any(|other| other.name == reader.name) {
                token.fault("name", "is there twice: the log tells readers apart by it");
            }
            if readers.iter().any(|other| other.digest == reader.digest) {
                token.fault("sha256", "is there twice: one token is one reader's");
            }
            readers.push(reader);
        }
        readers
    }

    fn reader(&mut self) -> Option<Reader> {
        for key in self.table.keys().filter(|key| !KEYS.contains(&key.as_str())) {
            self.fault(key, format!("there is no such key; known here are {}", KEYS.join(", ")));
        }
        let name = self.name("name");
        let digest = self.digest("sha256");
        let scopes = self.scopes("scopes");
        Some(Reader { name: name?, digest: digest?, scopes: scopes? })
    }

    fn name(&mut self, key: &str) -> Option<String> {
        let name = self.table.get(key).and_then(Value::as_str).filter(|name| !name.trim().is_empty());
        if name.is_none() {
            self.fault(key, "must be a name for the reader, which the log shows");
        }
        name.map(str::to_owned)
    }

    fn digest(&mut self, key: &str) -> Option<Digest> {
        let digest = self.table.get(key).and_then(Value::as_str).and_then(Digest::from_hex);
        if digest.is_none() {
            self.fault(
                key,
                "must be the token's SHA-256 in 64 hex digits, as `conversationd token new` prints it",
            );
        }
        digest
    }

    fn scopes(&mut self, key: &str) -> Option<Vec<Scope>> {
        let scope = |written: &Value| Scope::named(written.as_str()?);
        let written = self.table.get(key).and_then(Value::as_array);
        let scopes = written.and_then(|list| list.iter().map(scope).collect::<Option<Vec<_>>>());
        let scopes = scopes.filter(|scopes| !scopes.is_empty());
        if scopes.is_none() {
            let known = Scope::ALL.map(Scope::as_str).join("\", \"");
            self.fault(key, format!("must be a list of one or more of \"{known}\""));
        }
        scopes
    }
}
