//! Who sent a webhook, as far as its signature tells; and what becomes of those that are not believed.

use jiff::Timestamp;

use super::said::named_conversation;
use super::{ReceiveError, Receiver, Request};
use crate::domain::arrival::{Endpoint, Origin};
use crate::domain::ids::ApplicationId;
use crate::vonage::signature::{ClaimedSubject, Message, Refusal, Verified, Verifier};

/// Which webhooks must be signed, and by whom.
#[derive(Debug)]
pub struct Signatures {
    /// Who may sign.
    pub verifier: Verifier,
    /// Whether answer, event and fallback webhooks must be signed.
    pub of_voice: bool,
    /// Whether events of the Conversation API must be: Vonage signs them by a switch of their own.
    pub of_rtc: bool,
}

/// Who sent a webhook.
pub(super) struct Sender {
    pub(super) origin: Origin,
    /// The application that the signature names.
    pub(super) application_id: Option<ApplicationId>,
    /// As in a [`Delivery`](crate::domain::arrival::Delivery).
    pub(super) covered_query: Option<String>,
}

impl Sender {
    /// The sender where no signature is due. Nothing is rejected then: one that is not right, or is another
    /// application's than the path's, says nothing.
    fn unchecked(verified: Option<Verified>, path: Option<&str>) -> Self {
        let is_of_path = |verified: &Verified| match (&verified.application_id, path) {
            (Some(signed), Some(path)) => signed.as_str() == path,
            _ => true,
        };
        match verified.filter(is_of_path) {
            Some(Verified { application_id, covered_query }) => {
                Self { origin: Origin::Signed, application_id, covered_query }
            }
            None => Self { origin: Origin::Unverified, application_id: None, covered_query: None },
        }
    }
}

impl Signatures {
    fn are_due(&self, endpoint: Endpoint) -> bool {
        match endpoint {
            Endpoint::Answer | Endpoint::Event | Endpoint::Fallback => self.of_voice,
            Endpoint::Rtc => self.of_rtc,
        }
    }
}

impl Receiver {
    /// Who sent a webhook, if it is to be believed. One that is not is a gap where it was plainly ours.
    pub(super) fn sender(&self, request: &Request, received_at: Timestamp) -> Result<Sender, ReceiveError> {
        let Request { delivery, other_forms, authorization, .. } = request;
        let Signatures { verifier, .. } = &self.parts.signatures;
        let authorization = authorization.as_deref();
        let addressed = request.application.as_deref().and_then(|path| self.served(path));
        let message = Message { delivery, other_forms, addressed };
        let verified = verifier.verify(authorization, message, received_at);
        if !self.parts.signatures.are_due(delivery.endpoint) {
            // One that is there all the same tells a webhook of Vonage's from one that anybody could have sent.
            return Ok(Sender::unchecked(verified.ok(), request.application.as_deref()));
        }
        match verified {
            Ok(Verified { application_id, covered_query }) => {
                Ok(Sender { origin: Origin::Signed, application_id, covered_query })
            }
            Err(Refusal::Unsigned) => {
                self.note_unsigned(request, received_at);
                Err(ReceiveError::Unsigned(Refusal::Unsigned))
            }
            Err(why) => {
                if let Some(ClaimedSubject { application_id }) = verifier.claimed_subject(authorization) {
                    self.parts.rejection_gaps.ours(application_id, received_at);
                }
                Err(ReceiveError::Forged(why))
            }
        }
    }

    /// Anybody can send it: whether it is ours depends on the conversation that it names.
    fn note_unsigned(&self, request: &Request, received_at: Timestamp) {
        if let Some(conversation) = named_conversation(&request.delivery) {
            let application = self.addressed(request.application.as_deref()).cloned();
            self.parts.rejection_gaps.unsigned(conversation, application, received_at);
        }
    }

    /// The application that signed, else the one in the path. A signed webhook that came to another's path, as a
    /// wrong setting at Vonage makes it do, is plainly ours.
    pub(super) fn application(
        &self,
        sender: &Sender,
        path: Option<&str>,
        received_at: Timestamp,
    ) -> Result<Option<ApplicationId>, ReceiveError> {
        let named = path.map(|path| self.served(path));
        let application = match (&sender.application_id, named) {
            (_, Some(None)) => None,
            (Some(signed), Some(Some(named))) if signed != named => None,
            (signed, named) => Some(signed.as_ref().or(named.flatten()).cloned()),
        };
        application.ok_or_else(|| {
            if sender.origin == Origin::Signed {
                let application = sender.application_id.as_ref().or(self.only_application());
                self.parts.rejection_gaps.ours(application.cloned(), received_at);
            }
            ReceiveError::UnknownApplication
        })
    }

    /// The application that a request is for by its path; without one, the only one that there is.
    pub(super) fn addressed(&self, path: Option<&str>) -> Option<&ApplicationId> {
        path.map_or_else(|| self.only_application(), |path| self.served(path))
    }

    /// The application that a path names, if it is served.
    fn served(&self, path: &str) -> Option<&ApplicationId> {
        self.parts.applications.iter().find(|id| id.as_str() == path)
    }

    pub(super) fn only_application(&self) -> Option<&ApplicationId> {
        match self.parts.applications.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }
}
