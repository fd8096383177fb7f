//! Sessions of browsers. They are kept in memory: a restart ends them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::rand;
use axum::http::HeaderMap;
use axum::http::header;
use jiff::{SignedDuration, Timestamp};

use crate::domain::clock::Clock;
use crate::domain::digest::Digest;
use crate::domain::reader::{Reader, Token};

/// The name of the cookie.
pub(in crate::http) const COOKIE: &str = "conversationd_session";

/// How long a session lasts: a working day.
pub(in crate::http) const LIFE: SignedDuration = SignedDuration::from_hours(12);

/// Sessions at one time. Whoever signs in beyond ends the oldest.
const MOST_SESSIONS: usize = 1000;

/// Who is signed in.
#[derive(Debug)]
pub(super) struct Sessions {
    clock: Arc<dyn Clock>,
    /// By the digest of their secret: a copy of the memory opens nothing.
    open: Mutex<HashMap<Digest, Session>>,
}

#[derive(Debug)]
struct Session {
    reader: Arc<Reader>,
    ends_at: Timestamp,
}

impl Sessions {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, open: Mutex::default() }
    }

    /// Begins a session, and returns its secret.
    pub(super) fn begin(&self, reader: Arc<Reader>) -> Token {
        let mut bytes = [0; 32];
        rand::fill(&mut bytes).expect("the system always gives random bytes");
        let (secret, now) = (Token::from_random(bytes), self.clock.now());
        let mut open = self.open();
        open.retain(|_, session| session.ends_at > now);
        if open.len() >= MOST_SESSIONS {
            let oldest = open.iter().min_by_key(|(_, session)| session.ends_at).map(|(digest, _)| *digest);
            oldest.map(|digest| open.remove(&digest));
        }
        open.insert(secret.digest(), Session { reader, ends_at: now + LIFE });
        secret
    }

    /// Ends the sessions of readers who are not to be kept.
    pub(super) fn keep(&self, is_kept: impl Fn(&Reader) -> bool) {
        self.open().retain(|_, session| is_kept(&session.reader));
    }

    /// The session that a request belongs to, by its digest.
    pub(super) fn named(headers: &HeaderMap) -> Option<Digest> {
        digest(headers)
    }

    /// Whether a session is open.
    pub(super) fn lasts(&self, session: &Digest) -> bool {
        let now = self.clock.now();
        self.open().get(session).is_some_and(|session| session.ends_at > now)
    }

    /// Whose session a request belongs to.
    pub(super) fn holder(&self, headers: &HeaderMap) -> Option<Arc<Reader>> {
        let digest = digest(headers)?;
        let now = self.clock.now();
        let open = self.open();
        open.get(&digest).filter(|session| session.ends_at > now).map(|session| Arc::clone(&session.reader))
    }

    /// Ends the session that a request belongs to.
    pub(super) fn end(&self, headers: &HeaderMap) {
        if let Some(digest) = digest(headers) {
            self.open().remove(&digest);
        }
    }

    /// Each change of the map is one call, so that a panic elsewhere leaves it whole.
    fn open(&self) -> MutexGuard<'_, HashMap<Digest, Session>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The digest of the secret that a request's cookie holds.
fn digest(headers: &HeaderMap) -> Option<Digest> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|header| header.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.split_once('='));
    let (_, secret) = pairs.find(|(name, _)| name.trim() == COOKIE)?;
    Some(Digest::of(secret.trim().as_bytes()))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;
    use crate::domain::clock::ManualClock;

    fn headers(secret: &Token) -> HeaderMap {
        let cookie = format!("{COOKIE}={}", secret.expose_secret());
        HeaderMap::from_iter([(header::COOKIE, cookie.parse().unwrap())])
    }

    #[test]
    fn who_signs_in_beyond_the_bound_ends_the_oldest_session() {
        let clock = Arc::new(ManualClock::starting_at(Timestamp::UNIX_EPOCH));
        let sessions = Sessions::new(Arc::<ManualClock>::clone(&clock));
        let digest = Digest::of(b"token");
        let reader = Arc::new(Reader { name: "a".to_owned(), digest, scopes: Vec::new() });
        let secrets: Vec<Token> = std::iter::repeat_with(|| {
            clock.advance(SignedDuration::from_secs(1));
            sessions.begin(Arc::clone(&reader))
        })
        .take(MOST_SESSIONS + 1)
        .collect();
        assert!(sessions.holder(&headers(&secrets[0])).is_none());
        assert!(sessions.holder(&headers(&secrets[1])).is_some());
        assert_eq!(sessions.open().len(), MOST_SESSIONS);
    }
}
