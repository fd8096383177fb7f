//! Who may read: readers are known by a token, of which only the digest is kept.

use std::fmt::Write as _;

use secrecy::{ExposeSecret, SecretString};

use super::digest::Digest;

/// What tokens begin with, so that a scanner for leaked secrets finds them.
const PREFIX: &str = "cvd_";

/// Somebody with a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reader {
    /// What the log calls them.
    pub name: String,
    /// SHA-256 of the token.
    pub digest: Digest,
    /// What the token opens.
    pub scopes: Vec<Scope>,
}

impl Reader {
    /// Whether the token opens what needs `scope`. No scope contains another.
    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}

/// A part of what can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// What is derived: conversations, members, totals, gaps, the page.
    Read,
    /// What was received: webhooks and Vonage's documents.
    Raw,
    /// What changes the store.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Read, Self::Raw, Self::Admin];

    /// How it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Raw => "raw",
            Self::Admin => "admin",
        }
    }

    /// The scope of that name, if there is one.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name)
    }
}

/// A secret that a reader shows.
#[derive(Debug, Clone)]
pub struct Token(SecretString);

impl Token {
    /// `cvd_` and 64 hex digits. The bytes must come from a generator that nobody can foresee.
    #[must_use]
    pub fn from_random(bytes: [u8; 32]) -> Self {
        let text = bytes.iter().fold(PREFIX.to_owned(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("a text can be written to");
            text
        });
        Self(text.into())
    }

    /// What is kept of it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.0.expose_secret().as_bytes())
    }
}

impl ExposeSecret<str> for Token {
    fn expose_secret(&self) -> &str {
        self.0.expose_secret()
    }
}
