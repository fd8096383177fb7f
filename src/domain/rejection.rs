//! Webhooks that were not taken: which, and why.

use super::arrival::Endpoint;

/// Why a webhook was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RejectionReason {
    /// A signature is due and there is none.
    SignatureMissing,
    /// The signature is not one of those who may sign, or not of this webhook.
    SignatureInvalid,
    /// The path names an application that is not configured, or not the one that signed.
    UnknownApplication,
    /// There is no JSON object in it, or it broke off.
    Unreadable,
    /// It is larger than what is taken.
    TooLarge,
    /// By its own word it is not JSON, or compressed in a way that is not understood.
    ContentType,
    /// The endpoint does not take this HTTP method.
    Method,
    /// It did not arrive in time.
    Timeout,
    /// It could not be stored.
    NotStored,
}

impl RejectionReason {
    /// Every reason.
    pub const ALL: [Self; 9] = [
        Self::SignatureMissing,
        Self::SignatureInvalid,
        Self::UnknownApplication,
        Self::Unreadable,
        Self::TooLarge,
        Self::ContentType,
        Self::Method,
        Self::Timeout,
        Self::NotStored,
    ];

    /// Its name in the log and in the metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignatureMissing => "signature_missing",
            Self::SignatureInvalid => "signature_invalid",
            Self::UnknownApplication => "unknown_application",
            Self::Unreadable => "unreadable",
            Self::TooLarge => "too_large",
            Self::ContentType => "content_type",
            Self::Method => "method",
            Self::Timeout => "timeout",
            Self::NotStored => "not_stored",
        }
    }
}

/// A webhook that was not taken, as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rejection {
    /// Where it came in.
    pub endpoint: Endpoint,
    /// Why it was not taken.
    pub reason: RejectionReason,
}

impl Rejection {
    /// Every rejection that there can be.
    pub fn all() -> impl Iterator<Item = Self> {
        Endpoint::ALL
            .into_iter()
            .flat_map(|endpoint| RejectionReason::ALL.map(|reason| Self { endpoint, reason }))
    }
}
