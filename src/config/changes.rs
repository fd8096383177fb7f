//! What differs between two configurations, by the names of the settings.

use std::collections::{BTreeMap, BTreeSet};

use secrecy::ExposeSecret;
use toml::{Table, Value};

use super::{Application, Config};

/// Settings that a reload puts in force; of an `[[application]]`, by their last part.
const RELOADED: [&str; 11] = [
    "webhooks.max_body_bytes",
    "webhooks.signatures",
    "webhooks.rtc_signatures",
    "query.tokens",
    "answer.ncco_file",
    "answer.forward_url",
    "answer.forward_timeout",
    "event.forward_url",
    "fetch.requests_per_second",
    "private_key_file",
    "signature_secret_files",
];

/// The section that is a list.
const APPLICATION: &str = "application";

/// Names of settings, in their order. Values, which may be secrets, are not told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// What is in force now, and was not.
    pub applied: Vec<String>,
    /// What differs from what the daemon was started with and takes a restart.
    pub need_restart: Vec<String>,
}

impl Config {
    /// What changes when `new` replaces this one in a running daemon that began with `started`.
    #[must_use]
    pub fn changes_to(&self, new: &Self, started: &Self) -> Changes {
        let applied = self.differences(new).into_iter().filter(|name| is_reloaded(name));
        let need_restart = started.differences(new).into_iter().filter(|name| !is_reloaded(name));
        Changes { applied: applied.collect(), need_restart: need_restart.collect() }
    }

    fn differences(&self, new: &Self) -> BTreeSet<String> {
        let (old_values, new_values) = (flat(&self.effective), flat(&new.effective));
        let names = old_values.keys().chain(new_values.keys());
        let mut differing: BTreeSet<String> =
            names.filter(|name| old_values.get(*name) != new_values.get(*name)).cloned().collect();
        let ids = |config: &Self| config.applications.iter().map(|one| one.id.clone()).collect::<Vec<_>>();
        if ids(self) != ids(new) {
            // Which block is which is not certain any more.
            differing.retain(|name| !name.starts_with(APPLICATION));
            differing.insert(APPLICATION.to_owned());
        }
        // Files may have other contents under the same names.
        if self.ncco != new.ncco {
            differing.insert("answer.ncco_file".to_owned());
        }
        for (index, application) in new.applications.iter().enumerate() {
            let Some(old) = self.applications.iter().find(|old| old.id == application.id) else { continue };
            let changed = [
                (!old.mint.has_key_of(&application.mint), "private_key_file"),
                (secrets(old) != secrets(application), "signature_secret_files"),
                (old.api_key != application.api_key, "api_key"),
            ];
            for (_, key) in changed.into_iter().filter(|(has_changed, _)| *has_changed) {
                differing.insert(format!("{APPLICATION}[{}].{key}", index + 1));
            }
        }
        differing
    }
}

fn secrets(application: &Application) -> Vec<&str> {
    application.signature_secrets.iter().map(ExposeSecret::expose_secret).collect()
}

fn is_reloaded(name: &str) -> bool {
    let key = match name.split_once('.') {
        Some((section, key)) if section.starts_with(APPLICATION) => key,
        _ => name,
    };
    RELOADED.contains(&key) || (key == "api_key" && key != name)
}

/// Every setting with its value as it is written.
fn flat(effective: &Table) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    let mut add = |section: &str, value: &Value| match value {
        Value::Table(keys) => {
            values.extend(keys.iter().map(|(key, value)| (format!("{section}.{key}"), value.to_string())));
        }
        value => {
            values.insert(section.to_owned(), value.to_string());
        }
    };
    for (section, value) in effective {
        match value {
            Value::Array(blocks) => {
                for (index, block) in blocks.iter().enumerate() {
                    add(&format!("{section}[{}]", index + 1), block);
                }
            }
            value => add(section, value),
        }
    }
    values
}
