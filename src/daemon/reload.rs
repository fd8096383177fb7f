//! What a running daemon exchanges when its configuration is read again.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::DaemonError;
use super::settings::{answers, signatures};
use crate::config::{Application, Changes, Config};
use crate::domain::ids::ApplicationId;
use crate::http::auth::Access;
use crate::http::webhooks::{LiveWebhooks, Webhooks};
use crate::http::{Answers, Ncco};
use crate::vonage::client::Client;
use crate::vonage::pace::Pace;

/// The setting of the tokens.
const TOKENS: &str = "query.tokens";

/// The parts of a daemon that another configuration reaches.
#[derive(Debug)]
pub(super) struct Reloadable {
    webhooks: LiveWebhooks,
    access: Arc<Access>,
    pace: Arc<Pace>,
    clients: Arc<HashMap<ApplicationId, Client>>,
    /// What the daemon was started with: what takes a restart is still so.
    started: Arc<Config>,
    /// The configuration that was read last.
    current: Arc<Config>,
    /// The applications that are served, with the secrets that are in force.
    applications: Vec<Application>,
}

impl Reloadable {
    pub(super) fn new(
        webhooks: LiveWebhooks,
        access: Arc<Access>,
        (pace, clients): (Arc<Pace>, Arc<HashMap<ApplicationId, Client>>),
        started: Arc<Config>,
    ) -> Self {
        let (current, applications) = (Arc::clone(&started), started.applications.clone());
        Self { webhooks, access, pace, clients, started, current, applications }
    }

    /// Puts `config` in force. `private` is where readers connect.
    pub(super) fn reload(&mut self, mut config: Config, private: SocketAddr) -> Result<Changes, DaemonError> {
        let mut changes = self.current.changes_to(&config, &self.started);
        let applications = self.applications(&config);
        // Not as the file alone would have it: an application that it does not name any more is still served, and what
        // comes in its name is believed only with its signature.
        config.signed = config.signature_policy.over(&applications)?;
        let answers = self.answers(&config)?;
        let signatures = signatures(&applications, config.signed);
        let receiver = self.webhooks.current().receiver.with_signatures(signatures);
        self.webhooks.replace(Webhooks {
            receiver: Arc::new(receiver),
            answers,
            max_body_bytes: config.max_body_bytes,
        });
        for application in &config.applications {
            if let Some(client) = self.clients.get(&application.id) {
                client.take_key_of(&application.mint);
            }
        }
        self.pace.set_limit(config.fetch.requests_per_second);
        if config.readers.is_empty() && !private.ip().is_loopback() {
            // The address that goes with it comes with a restart: until then anybody could read.
            changes.applied.retain(|name| name != TOKENS);
            changes.need_restart.push(TOKENS.to_owned());
        } else {
            self.access.replace(config.readers.clone());
        }
        self.applications = applications;
        self.current = Arc::new(config);
        Ok(changes)
    }

    /// What webhooks are replied to with. Those who are asked stay the same where nothing of theirs has changed: they
    /// know how the application behind has been doing.
    fn answers(&self, config: &Config) -> Result<Answers, DaemonError> {
        let old = &self.current;
        let is_the_same = old.answer_forward == config.answer_forward
            && old.event_forward == config.event_forward
            && old.forward_timeout == config.forward_timeout;
        if !is_the_same {
            return answers(config);
        }
        let ncco = config.ncco.clone().unwrap_or_else(Ncco::empty);
        Ok(Answers { ncco, ..self.webhooks.current().answers.clone() })
    }

    /// The applications that are served, each as `config` has it: which these are changes with a restart. One that
    /// `config` does not have keeps what is in force, and not what the daemon was started with: a secret that was
    /// replaced must not come back.
    fn applications(&self, config: &Config) -> Vec<Application> {
        let as_configured = |served: &Application| {
            config.applications.iter().find(|one| one.id == served.id).unwrap_or(served).clone()
        };
        self.applications.iter().map(as_configured).collect()
    }

    /// The configuration that was read last and taken.
    pub(super) fn config(&self) -> &Config {
        &self.current
    }
}
