//! How the API can misbehave.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::reply::Reply;

/// What the API does instead of answering as it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// 429. With `retry_after` it has that header, in whole seconds, and a JSON body; otherwise no body.
    TooManyRequests {
        /// How long to wait before the next request.
        retry_after: Option<Duration>,
    },
    /// This status, from 200 to 999: 500 with the API's JSON, 502, 503 and 504 with a gateway's HTML page.
    Status(u16),
    /// 401, as for a token that is not valid.
    Unauthorized,
    /// No answer until the client goes away.
    Hang,
    /// The connection is closed without an answer.
    Close,
}

/// What comes of one request.
#[derive(Debug)]
pub(super) enum Outcome {
    Reply(Reply),
    Hang,
    Close,
}

/// The faults that are still to happen.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// In order, each with how often.
    due: VecDeque<(usize, Fault)>,
    /// To every request for a path, whatever its query.
    lasting: HashMap<String, Fault>,
}

// === impl Fault ===

impl From<Fault> for Outcome {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::TooManyRequests { retry_after } => Self::Reply(Reply::throttled(retry_after)),
            Fault::Status(status) => Self::Reply(Reply::failure(status)),
            Fault::Unauthorized => Self::Reply(Reply::invalid_token()),
            Fault::Hang => Self::Hang,
            Fault::Close => Self::Close,
        }
    }
}

// === impl Outcome ===

impl Outcome {
    /// The status that goes out, when anything does.
    pub(super) fn status(&self) -> Option<u16> {
        match self {
            Self::Reply(reply) => Some(reply.status),
            Self::Hang | Self::Close => None,
        }
    }
}

// === impl Faults ===

impl Faults {
    /// Lets `fault` happen `count` times, after those already due.
    pub(super) fn add(&mut self, count: usize, fault: Fault) {
        self.due.push_back((count, fault));
    }

    /// Lets `fault` happen to every request for `path`.
    pub(super) fn last_at(&mut self, path: &str, fault: Fault) {
        self.lasting.insert(path.to_owned(), fault);
    }

    /// Lets no more faults happen.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The fault that happens to a request for `path`.
    pub(super) fn next(&mut self, path: &str) -> Option<Fault> {
        while let Some((left, fault)) = self.due.front_mut() {
            if *left > 0 {
                *left -= 1;
                return Some(*fault);
            }
            self.due.pop_front();
        }
        self.lasting.get(path).copied()
    }
}
