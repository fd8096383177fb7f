//! What parts of the daemon take of the configuration.

use std::collections::HashMap;
use std::sync::Arc;

use url::Url;

use super::DaemonError;
use crate::config::{Application, Config, Signed};
use crate::domain::clock::Clock;
use crate::domain::ids::ApplicationId;
use crate::flow::forward::Forward;
use crate::flow::receive::Signatures;
use crate::http::{Answers, Ncco};
use crate::upstream::Upstream;
use crate::vonage::client::{self, Client};
use crate::vonage::pace::Pace;
use crate::vonage::region::RegionHosts;
use crate::vonage::signature::{Signer, Verifier};

/// Which webhooks must be signed, and by these applications.
pub(super) fn signatures(applications: &[Application], required: Signed) -> Signatures {
    let signers = applications.iter().flat_map(|application| {
        let signer = |secret| Signer::new(application.id.clone(), application.api_key.clone(), secret);
        application.signature_secrets.iter().map(signer)
    });
    Signatures { verifier: Verifier::new(signers.collect()), of_voice: required.voice, of_rtc: required.rtc }
}

/// What webhooks are replied to with, and who is asked.
pub(super) fn answers(config: &Config) -> Result<Answers, DaemonError> {
    let upstream = |url: &Option<Url>| {
        let timeout = config.forward_timeout.unsigned_abs();
        url.clone().map(|url| Upstream::new(url, timeout)).transpose().map_err(DaemonError::Tls)
    };
    Ok(Answers {
        ncco: config.ncco.clone().unwrap_or_else(Ncco::empty),
        of_calls: upstream(&config.answer_forward)?.map(Forward::of_answers).map(Arc::new),
        to_events: upstream(&config.event_forward)?.map(Forward::of_events).map(Arc::new),
    })
}

/// A client for each application. They keep one pace: Vonage's limits are the account's.
pub(super) fn clients(
    config: &Config,
    pace: &Arc<Pace>,
    clock: &Arc<dyn Clock>,
) -> Result<HashMap<ApplicationId, Client>, DaemonError> {
    let client = |application: &Application| {
        let settings = client::Settings {
            api_url: application.api_url.clone(),
            family: config.fetch.family,
            events: config.fetch.events,
            regions: RegionHosts::beside(&application.api_url),
            mint: Arc::clone(&application.mint),
            pace: Arc::clone(pace),
        };
        let client = Client::new(settings, Arc::clone(clock)).map_err(DaemonError::Tls)?;
        Ok((application.id.clone(), client))
    };
    config.applications.iter().map(client).collect()
}
