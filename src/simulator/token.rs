//! Is a request's token one that Vonage would take?

use jiff::Timestamp;
use jsonwebtoken::Algorithm;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::Validation;
use serde::Deserialize;

use super::reply::Reply;
use crate::domain::ids::ApplicationId;

/// The longest life Vonage grants a token.
const MAX_LIFE_SECONDS: i64 = 24 * 60 * 60;

/// Checks tokens for one application.
pub(super) struct TokenCheck {
    key: DecodingKey,
    application_id: ApplicationId,
    validation: Validation,
}

/// What is wrong with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Missing,
    Invalid,
    Expired,
}

#[derive(Deserialize)]
struct Claims {
    application_id: String,
    iat: i64,
    jti: String,
    exp: Option<i64>,
    nbf: Option<i64>,
}

// === impl TokenCheck ===

impl TokenCheck {
    /// A check with the application's public key.
    ///
    /// # Errors
    /// When the text is not the PEM of an RSA public key.
    pub(super) fn new(
        public_key_pem: &str,
        application_id: ApplicationId,
    ) -> Result<Self, jsonwebtoken::errors::Error> {
        let mut validation = Validation::new(Algorithm::RS256);
        // Times are compared with the simulator's clock, below; the library only knows the machine's.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        Ok(Self { key: DecodingKey::from_rsa_pem(public_key_pem.as_bytes())?, application_id, validation })
    }

    /// The `jti` of the token in this Authorization header, when Vonage would take it at `now`.
    pub(super) fn check(&self, authorization: Option<&str>, now: Timestamp) -> Result<String, Refusal> {
        let authorization = authorization.ok_or(Refusal::Missing)?;
        let token = authorization.strip_prefix("Bearer ").ok_or(Refusal::Invalid)?;
        let claims = jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation)
            .map_err(|_| Refusal::Invalid)?
            .claims;
        let now = now.as_second();
        if claims.application_id != self.application_id.as_str() || claims.jti.is_empty() {
            return Err(Refusal::Invalid);
        }
        if claims.nbf.is_some_and(|not_before| not_before > now) {
            return Err(Refusal::Invalid);
        }
        if let Some(expires) = claims.exp {
            if expires <= now {
                return Err(Refusal::Expired);
            }
            // The limit counts from the moment Vonage sees, so a clock that runs ahead breaks it too.
            if expires - claims.iat.min(now) > MAX_LIFE_SECONDS {
                return Err(Refusal::Invalid);
            }
        }
        Ok(claims.jti)
    }
}

// === impl Refusal ===

impl Refusal {
    /// How Vonage says it.
    pub(super) fn reply(self) -> Reply {
        match self {
            Self::Missing => Reply::missing_token(),
            Self::Invalid => Reply::invalid_token(),
            Self::Expired => Reply::expired_token(),
        }
    }
}
