//! Is this webhook signed by Vonage? A signed webhook carries a JWT (HS256) made with the account's
//! signature secret; its claims bind it to an account, an application, a moment and the body.
//! Source: developer.vonage.com, "Webhooks: validating signed webhooks".

use std::borrow::Cow;

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Number;
use subtle::ConstantTimeEq;

use super::signed_query;
use crate::domain::arrival::{Delivery, Method};
use crate::domain::digest::Digest;
use crate::domain::ids::ApplicationId;

/// How far `iat` may be from this machine's clock. The tokens have no `exp`; five minutes forgive an
/// unsteady clock and keep a captured request from being of use for long.
const TOLERANCE_SECONDS: i64 = 300;

/// Who signs for one application.
#[derive(Debug)]
pub struct Signer {
    application_id: ApplicationId,
    api_key: Option<String>,
    key: DecodingKey,
}

impl Signer {
    /// The account behind `application_id`. Without an `api_key` any that knows the secret will do.
    #[must_use]
    pub fn new(application_id: ApplicationId, api_key: Option<String>, secret: &SecretString) -> Self {
        Self { application_id, api_key, key: DecodingKey::from_secret(secret.expose_secret().as_bytes()) }
    }
}

/// Checks webhooks against every configured signer.
#[derive(Debug)]
pub struct Verifier(Vec<Signer>);

/// Why a webhook is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is not signed at all. Vonage sends such a one in rare trouble and repeats it if asked.
    #[error("the webhook is not signed: no bearer token in its Authorization header")]
    Unsigned,
    /// The token was not made with a configured secret.
    #[error("the signature was not made with the configured signature secret")]
    WrongSecret,
    /// The token speaks for somebody else.
    #[error("the signature is for another issuer, account or application")]
    WrongSubject,
    /// The token is too old, or from the future.
    #[error("the signature's iat is more than {TOLERANCE_SECONDS} s from this machine's clock")]
    WrongTime,
    /// The token is for another body, or other parameters.
    #[error("the signature's payload_hash is not that of the body (POST) or of the parameters (GET)")]
    WrongBody,
}

/// What may be signed.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// The webhook.
    pub delivery: &'a Delivery,
    /// Its body in the other forms that it had on its way.
    pub other_forms: &'a [Vec<u8>],
    /// The application whose path it came to, where that is a configured one.
    pub addressed: Option<&'a ApplicationId>,
}

impl<'a> From<&'a Delivery> for Message<'a> {
    fn from(delivery: &'a Delivery) -> Self {
        Self { delivery, other_forms: &[], addressed: None }
    }
}

/// What a signature says of a webhook that it makes believable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The application that the webhook is from, where the token says so.
    pub application_id: Option<ApplicationId>,
    /// The query of a `GET` without the repetitions of parameters that the signature does not cover; `None` where
    /// that is all of it.
    pub covered_query: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    iat: Moment,
    exp: Option<Moment>,
    iss: String,
    api_key: Option<String>,
    application_id: Option<String>,
    payload_hash: Option<String>,
}

/// Seconds since 1970, as a number or as its text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Moment {
    Number(Number),
    Text(String),
}

impl Verifier {
    /// A verifier that believes these signers and nobody else.
    #[must_use]
    pub fn new(signers: Vec<Signer>) -> Self {
        Self(signers)
    }

    /// What the signature says of a webhook.
    ///
    /// # Errors
    /// When the webhook is not to be believed.
    pub fn verify<'a>(
        &self,
        authorization: Option<&str>,
        message: impl Into<Message<'a>>,
        now: Timestamp,
    ) -> Result<Verified, Refusal> {
        let message = message.into();
        let token = authorization.and_then(bearer).ok_or(Refusal::Unsigned)?;
        let believed: Vec<(&Signer, Claims)> =
            self.0.iter().filter_map(|signer| Some((signer, claims(token, &signer.key)?))).collect();
        if believed.is_empty() {
            return Err(Refusal::WrongSecret);
        }
        let (signer, claims) = believed
            .into_iter()
            .find(|(signer, claims)| {
                signer.speaks_for(claims) && signer.may_address(message.addressed, claims)
            })
            .ok_or(Refusal::WrongSubject)?;
        claims.check_time(now)?;
        let covered_query = claims.check_content(message)?;
        let application_id = claims.application_id().is_some().then(|| signer.application_id.clone());
        Ok(Verified { application_id, covered_query })
    }
}

/// Whom a token that is not believed says it speaks for: the account or an application that is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedSubject {
    /// The application, where it is a configured one, or the only one of the account.
    pub application_id: Option<ApplicationId>,
}

impl Verifier {
    /// Whom the token says it speaks for, whoever made it; `None` where it names nobody who is configured.
    #[must_use]
    pub fn claimed_subject(&self, authorization: Option<&str>) -> Option<ClaimedSubject> {
        #[derive(Deserialize)]
        struct Claimed {
            api_key: Option<String>,
            application_id: Option<String>,
        }
        let token = authorization.and_then(bearer)?;
        let claimed = jsonwebtoken::dangerous::insecure_decode_claims::<Claimed>(token).ok()?;
        let named =
            |signer: &&Signer| claimed.application_id.as_deref() == Some(signer.application_id.as_str());
        if let Some(signer) = self.0.iter().find(named) {
            return Some(ClaimedSubject { application_id: Some(signer.application_id.clone()) });
        }
        let is_of_account = |signer: &&Signer| signer.api_key.is_some() && signer.api_key == claimed.api_key;
        let mut applications = self.0.iter().filter(is_of_account).map(|signer| &signer.application_id);
        let first = applications.next()?;
        let is_only = applications.all(|other| other == first);
        Some(ClaimedSubject { application_id: is_only.then(|| first.clone()) })
    }
}

impl Signer {
    /// Whether a token that names no application may come to this one's path: the secret of another account must not
    /// open it. What a token that names one is for is compared with the path elsewhere.
    fn may_address(&self, addressed: Option<&ApplicationId>, claims: &Claims) -> bool {
        claims.application_id().is_some()
            || addressed.is_none_or(|addressed| *addressed == self.application_id)
    }

    fn speaks_for(&self, claims: &Claims) -> bool {
        let account = match (&self.api_key, &claims.api_key) {
            (None, _) => true,
            (Some(ours), Some(theirs)) => equal(ours.as_bytes(), theirs.as_bytes()),
            (Some(_), None) => false,
        };
        let application = claims
            .application_id()
            .is_none_or(|id| equal(id.as_bytes(), self.application_id.as_str().as_bytes()));
        claims.iss == "Vonage" && account && application
    }
}

impl Claims {
    /// An empty one is none.
    fn application_id(&self) -> Option<&str> {
        self.application_id.as_deref().filter(|id| !id.is_empty())
    }

    fn check_time(&self, now: Timestamp) -> Result<(), Refusal> {
        let issued = self.iat.seconds().ok_or(Refusal::WrongTime)?;
        let distance = now.as_second().checked_sub(issued).ok_or(Refusal::WrongTime)?;
        let expired = self
            .exp
            .as_ref()
            .and_then(Moment::seconds)
            .is_some_and(|exp| exp < now.as_second() - TOLERANCE_SECONDS);
        if expired || distance.unsigned_abs() > TOLERANCE_SECONDS.unsigned_abs() {
            return Err(Refusal::WrongTime);
        }
        Ok(())
    }

    /// A `POST` must be bound to its body. A `GET` must be bound to its parameters if it is bound to anything: tokens
    /// without a `payload_hash` and with that of nothing were seen too, and still bind the sender and the moment.
    /// Returns the covered query as [`Verified`] has it.
    fn check_content(&self, message: Message<'_>) -> Result<Option<String>, Refusal> {
        let Message { delivery, other_forms, .. } = message;
        let is_of_body = |hash: &Digest| {
            let mut forms = other_forms.iter().chain([&delivery.body]);
            forms.any(|body| signed_query::is_hash_of(hash, body))
        };
        let payload_hash = self.payload_hash.as_deref().map(Digest::from_hex);
        match (delivery.method, payload_hash) {
            (Method::Post, Some(Some(hash))) if is_of_body(&hash) => Ok(None),
            (Method::Get, None) => Ok(None),
            (Method::Get, Some(Some(hash))) if signed_query::is_hash_of(&hash, b"") => Ok(None),
            (Method::Get, Some(Some(hash))) => {
                let query = delivery.query.as_deref().unwrap_or("");
                let covered = signed_query::covered(query, &hash).ok_or(Refusal::WrongBody)?;
                Ok(Some(covered).filter(|covered| covered.as_ref() != query).map(Cow::into_owned))
            }
            _ => Err(Refusal::WrongBody),
        }
    }
}

fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.trim().split_once([' ', '\t'])?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// The token's claims, if it was made with `key` and with HS256: the algorithm is pinned here, whatever the
/// token's header says. Times are checked by the caller, against the daemon's clock.
fn claims(token: &str, key: &DecodingKey) -> Option<Claims> {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    jsonwebtoken::decode(token, key, &validation).ok().map(|decoded| decoded.claims)
}

impl Moment {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a float too large for an instant saturates, and is refused"
    )]
    fn seconds(&self) -> Option<i64> {
        match self {
            Self::Number(number) => number.as_i64().or_else(|| number.as_f64().map(|seconds| seconds as i64)),
            Self::Text(text) => text.trim().parse().ok(),
        }
    }
}

fn equal(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}
