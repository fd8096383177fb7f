//! Mints the application's token (JWT, RS256) for Vonage's API.
//! Source: developer.vonage.com, "Authentication: JSON web tokens".

use std::sync::{Mutex, PoisonError};

use arc_swap::ArcSwap;
use aws_lc_rs::rsa::KeyPair;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde::Serialize;
use uuid::Uuid;

use crate::domain::digest::Digest;
use crate::domain::ids::ApplicationId;

/// How long a token is good for: what Vonage takes when a token says nothing, and far below its limit of 24 h.
pub const DEFAULT_LIFE: SignedDuration = SignedDuration::from_mins(15);

/// A token is replaced this long before it expires: longer than the slowest request and any likely
/// difference between the clocks.
const RENEWED_BEFORE_END: SignedDuration = SignedDuration::from_mins(2);

/// Why a file is no key that tokens can be signed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is something else, or damaged.
    #[error("not an RSA private key in PEM form (as downloaded from the Vonage dashboard)")]
    NotRsa,
    /// A passphrase opens it, which the daemon does not have.
    #[error(
        "an encrypted key, which cannot be used: write it without its passphrase, with `openssl pkey -in OLD -out NEW`"
    )]
    Encrypted,
    /// It is the half that Vonage has.
    #[error("a public key: the private key is the file that the Vonage dashboard offers for download once")]
    Public,
    /// Its signatures could be forged, and no library makes them.
    #[error(
        "an RSA key of less than 2048 bits, which is too short: have the Vonage dashboard generate a new one"
    )]
    TooShort,
}

impl KeyError {
    /// What is the matter with a text that is no key to sign with.
    fn of(text: &[u8]) -> Self {
        let has = |part: &str| text.windows(part.len()).any(|window| window == part.as_bytes());
        if has("BEGIN ENCRYPTED PRIVATE KEY") || has("Proc-Type: 4,ENCRYPTED") {
            return Self::Encrypted;
        }
        let Ok(pem) = pem::parse(text) else { return Self::NotRsa };
        let rejected = match pem.tag() {
            tag if tag.ends_with("PUBLIC KEY") => return Self::Public,
            "RSA PRIVATE KEY" => KeyPair::from_der(pem.contents()).err(),
            _ => KeyPair::from_pkcs8(pem.contents()).err(),
        };
        // The library has no other way to tell.
        if rejected.is_some_and(|why| why.to_string() == "TooSmall") { Self::TooShort } else { Self::NotRsa }
    }
}

/// The key could not sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the private key could not sign a token")]
pub struct MintError;

/// Makes tokens for one application, and makes each last.
pub struct TokenMint {
    application_id: ApplicationId,
    key: ArcSwap<SigningKey>,
    /// A std mutex: held for the time of a comparison, or once in a quarter of an hour of a signature.
    current: Mutex<Option<Minted>>,
}

/// A private key, and what tells it from others without being one.
struct SigningKey {
    key: EncodingKey,
    digest: Digest,
}

struct Minted {
    token: SecretString,
    renew_at: Timestamp,
}

#[derive(Serialize)]
struct Claims<'a> {
    application_id: &'a str,
    iat: i64,
    exp: i64,
    jti: Uuid,
}

impl TokenMint {
    /// A mint for the application with this private key.
    ///
    /// # Errors
    /// When the key is no RSA private key in PEM form.
    pub fn new(application_id: ApplicationId, private_key_pem: &SecretSlice<u8>) -> Result<Self, KeyError> {
        let text = private_key_pem.expose_secret();
        let key = EncodingKey::from_rsa_pem(text).map_err(|_| KeyError::of(text))?;
        let key = ArcSwap::from_pointee(SigningKey { key, digest: Digest::of(text) });
        let mint = Self { application_id, key, current: Mutex::new(None) };
        // A key that parses may still not be one for RS256: find out now and not at the first call.
        mint.mint(Timestamp::UNIX_EPOCH, DEFAULT_LIFE).map_err(|MintError| KeyError::of(text))?;
        Ok(mint)
    }

    /// A token that is good for some time after `now`: the same one until shortly before it expires.
    ///
    /// # Errors
    /// When the key cannot sign.
    pub fn token(&self, now: Timestamp) -> Result<SecretString, MintError> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(minted) = current.as_ref().filter(|minted| now < minted.renew_at) {
            return Ok(minted.token.clone());
        }
        let token = self.mint(now, DEFAULT_LIFE)?;
        *current = Some(Minted { token: token.clone(), renew_at: now + (DEFAULT_LIFE - RENEWED_BEFORE_END) });
        Ok(token)
    }

    /// Whether both sign with the same key.
    #[must_use]
    pub fn has_key_of(&self, other: &Self) -> bool {
        self.key.load().digest == other.key.load().digest
    }

    /// Signs with the key of `other` from now on.
    pub fn take_key_of(&self, other: &Self) {
        self.key.store(other.key.load_full());
        self.discard();
    }

    /// Forgets the present token: Vonage did not take it.
    pub fn discard(&self) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// A new token that lives for `life` from `now` on.
    ///
    /// # Errors
    /// When the key cannot sign.
    pub fn mint(&self, now: Timestamp, life: SignedDuration) -> Result<SecretString, MintError> {
        let claims = Claims {
            application_id: self.application_id.as_str(),
            iat: now.as_second(),
            exp: now.as_second() + life.as_secs(),
            jti: Uuid::new_v4(),
        };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &self.key.load().key);
        token.map(SecretString::from).map_err(|_| MintError)
    }
}

impl std::fmt::Debug for TokenMint {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("TokenMint")
            .field("application_id", &self.application_id)
            .finish_non_exhaustive()
    }
}
