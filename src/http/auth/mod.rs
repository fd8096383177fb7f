//! Who is let in at the private listener: by a token, or by a session that a token began.

mod attempts;
mod sessions;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::extract::{ConnectInfo, Request};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use subtle::ConstantTimeEq as _;

use self::attempts::Attempts;
use self::sessions::Sessions;
pub(super) use self::sessions::{COOKIE, LIFE};
use crate::domain::clock::Clock;
use crate::domain::digest::Digest;
use crate::domain::reader::{Reader, Scope, Token};

/// Decides who is let in.
#[derive(Debug)]
pub struct Access {
    readers: ArcSwap<Vec<Arc<Reader>>>,
    sessions: Sessions,
    attempts: Attempts,
}

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// No token was shown, or a session that is over.
    #[error("a token is needed: send `Authorization: Bearer` with one of query.tokens")]
    Unknown,
    /// The token is nobody's.
    #[error("the token is not one of query.tokens: make one with `conversationd token new NAME`")]
    WrongToken,
    /// The token is nobody's, and neither were the last ones from there.
    #[error("too many wrong tokens came from this address; wait, or send a right one")]
    SlowedDown(Duration),
    /// The token does not open this.
    #[error("this needs a token with the scope \"{}\"", .0.as_str())]
    Lacking(Scope),
}

impl Access {
    /// Lets these readers in; where there are none, everybody.
    #[must_use]
    pub fn new(readers: Vec<Reader>, clock: &Arc<dyn Clock>) -> Self {
        Self {
            readers: ArcSwap::from_pointee(readers.into_iter().map(Arc::new).collect()),
            sessions: Sessions::new(Arc::clone(clock)),
            attempts: Attempts::new(Arc::clone(clock)),
        }
    }

    /// Lets these readers in from now on, and no others. Sessions of those who are no longer among them end.
    pub fn replace(&self, readers: Vec<Reader>) {
        let readers: Vec<Arc<Reader>> = readers.into_iter().map(Arc::new).collect();
        self.readers.store(Arc::new(readers.clone()));
        self.sessions.keep(|reader| readers.iter().any(|kept| **kept == *reader));
    }

    /// Whether everybody is let in.
    pub(super) fn is_open(&self) -> bool {
        self.readers.load().is_empty()
    }

    /// Who sends this request. A token goes before a session.
    pub(super) fn identify(&self, request: &Request) -> Result<Arc<Reader>, Refusal> {
        match bearer(request.headers()) {
            Some(token) => self.holder(token, peer(request)),
            None => self.sessions.holder(request.headers()).ok_or(Refusal::Unknown),
        }
    }

    /// What lets this request in now, to be asked for again while its answer goes on.
    pub(super) fn admission(self: Arc<Self>, reader: Option<Arc<Reader>>, headers: &HeaderMap) -> Admission {
        let session = if bearer(headers).is_none() { Sessions::named(headers) } else { None };
        Admission { access: self, reader, session }
    }

    /// Begins a session for whoever holds the token. Returns the secret of the session.
    pub(super) fn sign_in(&self, token: &str, peer: IpAddr) -> Result<Token, Refusal> {
        let reader = self.holder(token.trim().as_bytes(), peer)?;
        Ok(self.sessions.begin(reader))
    }

    /// Ends the session that a request belongs to.
    pub(super) fn sign_out(&self, headers: &HeaderMap) {
        self.sessions.end(headers);
    }

    /// Whose token this is. A right one is taken from anywhere: others behind the same address may be guessing.
    fn holder(&self, token: &[u8], peer: IpAddr) -> Result<Arc<Reader>, Refusal> {
        self.reader(&Digest::of(token)).ok_or_else(|| self.attempts.wrong(peer))
    }

    /// The reader with this digest. All are compared, in the same time wherever they differ.
    fn reader(&self, came: &Digest) -> Option<Arc<Reader>> {
        let came = came.as_bytes();
        self.readers.load().iter().fold(None, |found, reader| {
            let is_theirs = bool::from(reader.digest.as_bytes().ct_eq(came));
            if is_theirs { Some(Arc::clone(reader)) } else { found }
        })
    }
}

/// What a request was let in by.
#[derive(Debug)]
pub(super) struct Admission {
    access: Arc<Access>,
    /// Whose token it was; `None` where none was needed.
    reader: Option<Arc<Reader>>,
    /// The session that stood for it.
    session: Option<Digest>,
}

impl Admission {
    /// Whether the same would be let in now: the token is still one, and the session is not over.
    pub(super) fn holds(&self) -> bool {
        let Some(reader) = &self.reader else { return self.access.is_open() };
        self.access.readers.load().contains(reader)
            && self.session.is_none_or(|session| self.access.sessions.lasts(&session))
    }
}

/// The token of a request.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.as_bytes().split_at_checked(b"Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

/// Where a request comes from. What a header says of that is not believed: anybody can write it.
fn peer(request: &Request) -> IpAddr {
    let info = request.extensions().get::<ConnectInfo<SocketAddr>>();
    info.map_or(Ipv6Addr::UNSPECIFIED.into(), |ConnectInfo(peer)| peer.ip())
}
