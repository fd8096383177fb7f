//! What a listener bears, so that neither listener takes the descriptors of the other, of the store or of the API
//! client.

use std::time::Duration;

/// What one listener bears.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// How long the head of a request may take. It is waited for from the end of the request before, so that an
    /// idle connection ends with it.
    pub head_timeout: Duration,
    /// How long a client may take nothing of an answer that waits for it. Then its connection is closed.
    pub write_timeout: Duration,
    /// Connections at one time. One more closes the one that has been idle longest, or else the one whose request's body
    /// has been on its way longest, or else the one whose client has read nothing longest; where all are at work, it
    /// waits.
    pub connections: usize,
    /// Whether a request goes on when its client has closed its side: what a webhook brings is kept, and a query is
    /// not worth answering.
    pub half_closed: bool,
}

impl Bounds {
    /// A head comes in one packet or two, and proxies are used to servers that close an idle connection after a
    /// few seconds.
    const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

    /// Longer than any network's hiccup.
    const WRITE_TIMEOUT: Duration = Duration::from_secs(20);

    /// Connections of the public listener: each costs some 10 KiB, and Vonage opens far fewer.
    const MAX_PUBLIC: usize = 4096;

    /// Connections of the private listener.
    const MAX_PRIVATE: usize = 512;

    /// The bounds of the public and of the private listener in a process that may have so many descriptors. A quarter
    /// is for the private one; what the store, the API client and the log need stays free. Where webhooks are
    /// forwarded, each of them takes another one.
    #[must_use]
    pub fn sharing(descriptors: usize, is_forwarding: bool) -> [Self; 2] {
        let reserve = (descriptors / 8).clamp(48, 512);
        let private = (descriptors / 4).clamp(16, Self::MAX_PRIVATE);
        let public = descriptors.saturating_sub(reserve + private) / if is_forwarding { 2 } else { 1 };
        let public = public.clamp(16, Self::MAX_PUBLIC);
        [(public, true), (private, false)].map(|(connections, half_closed)| Self {
            head_timeout: Self::HEAD_TIMEOUT,
            write_timeout: Self::WRITE_TIMEOUT,
            connections,
            half_closed,
        })
    }
}
