//! Which webhooks must be signed: decided by the settings and by the secrets that there are.

use super::Application;
use crate::domain::ids::ApplicationId;

/// `webhooks.signatures` and `webhooks.rtc_signatures`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignaturePolicy {
    /// Of answer, event and fallback webhooks; `None` is "auto": as soon as there is a secret.
    pub(super) voice: Option<bool>,
    /// Of events of the Conversation API; `None` is "same".
    pub(super) rtc: Option<bool>,
}

/// Which webhooks must be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signed {
    /// Answer, event and fallback webhooks.
    pub voice: bool,
    /// Events of the Conversation API, which have a switch of their own at Vonage.
    pub rtc: bool,
}

/// Webhooks would have to be signed that nobody's secret could have signed: all of them would be rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsignable {
    /// There is no application.
    #[error("webhooks must be signed, but the daemon runs without an [[application]]: restart it")]
    NoApplication,
    /// The application has no secret.
    #[error(
        "webhooks must be signed, but application {0}, which is served until a restart, has no \
         signature_secret_files: restart the daemon, or give the application a secret"
    )]
    NoSecret(ApplicationId),
}

impl SignaturePolicy {
    /// The policy of the two settings as they are written.
    pub(super) fn of([signatures, rtc_signatures]: [Option<&str>; 2]) -> Self {
        let [voice, rtc] = [signatures, rtc_signatures].map(|setting| match setting {
            Some("off") => Some(false),
            Some("required") => Some(true),
            _ => None,
        });
        Self { voice, rtc }
    }

    /// What must be signed where at least one application has a secret, or none has.
    pub(super) fn decide(self, has_secret: bool) -> Signed {
        let voice = self.voice.unwrap_or(has_secret);
        Signed { voice, rtc: self.rtc.unwrap_or(voice) }
    }

    /// What must be signed where these applications are served.
    ///
    /// # Errors
    /// When that could not be signed by one of them.
    pub fn over(self, applications: &[Application]) -> Result<Signed, Unsignable> {
        let has_secret = |application: &Application| !application.signature_secrets.is_empty();
        let signed = self.decide(applications.iter().any(has_secret));
        if signed.voice || signed.rtc {
            if applications.is_empty() {
                return Err(Unsignable::NoApplication);
            }
            if let Some(application) = applications.iter().find(|application| !has_secret(application)) {
                return Err(Unsignable::NoSecret(application.id.clone()));
            }
        }
        Ok(signed)
    }
}
