//! Accepts connections, and pauses where the system refuses them.

use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until};

/// How long nothing is accepted after the system refused a connection, which it does when it has no descriptors
/// left.
const PAUSE: Duration = Duration::from_secs(1);

/// How often the log tells of refusals that go on.
const REPORT_INTERVAL: Duration = Duration::from_mins(1);

/// A listening socket.
#[derive(Debug)]
pub(super) struct Acceptor {
    name: &'static str,
    listener: TcpListener,
    /// The end of the pause. It is here and not in the future, which is dropped whenever something else happens.
    resume_at: Option<Instant>,
    /// When the log was told of a refusal.
    told_at: Option<Instant>,
    /// Refusals that it was not told of.
    untold: u64,
}

impl Acceptor {
    pub(super) fn new(name: &'static str, listener: TcpListener) -> Self {
        Self { name, listener, resume_at: None, told_at: None, untold: 0 }
    }

    /// The next connection; `None` when the system refused one.
    pub(super) async fn accept(&mut self) -> Option<(TcpStream, SocketAddr)> {
        if let Some(resume_at) = self.resume_at {
            sleep_until(resume_at).await;
            self.resume_at = None;
        }
        loop {
            match self.listener.accept().await {
                Ok(accepted) => return Some(accepted),
                // Only that one connection failed.
                Err(error)
                    if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) => {}
                Err(error) => {
                    self.refused(&error);
                    return None;
                }
            }
        }
    }

    fn refused(&mut self, error: &std::io::Error) {
        let now = Instant::now();
        self.resume_at = Some(now + PAUSE);
        self.untold += 1;
        if self.told_at.is_none_or(|told_at| now.duration_since(told_at) >= REPORT_INTERVAL) {
            let (listener, times) = (self.name, self.untold);
            tracing::error!(%error, listener, times, "connections cannot be accepted; retrying every second");
            (self.told_at, self.untold) = (Some(now), 0);
        }
    }
}
