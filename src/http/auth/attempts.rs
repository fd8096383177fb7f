//! Wrong tokens, counted by where they come from.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::Clock as _;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use super::Refusal;
use crate::domain::clock::Clock;

/// Wrong tokens that an address may send in a minute: more than a person mistypes, far from a guess of 256 bits.
const A_MINUTE: NonZeroU32 = NonZeroU32::new(10).expect("10 is not 0");

/// Addresses that are counted apart. Beyond, the rest is counted together.
const MOST_ADDRESSES: usize = 10_000;

/// What has come lately.
#[derive(Debug)]
pub(super) struct Attempts {
    clock: Hands,
    wrong: RateLimiter<IpAddr, HashMapStateStore<IpAddr>, Hands, NoOpMiddleware<Duration>>,
}

impl Attempts {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let clock = Hands(clock);
        let wrong =
            RateLimiter::new(Quota::per_minute(A_MINUTE), HashMapStateStore::default(), clock.clone());
        Self { clock, wrong }
    }

    /// Counts a wrong token. Returns what is to be told.
    pub(super) fn wrong(&self, peer: IpAddr) -> Refusal {
        match self.wrong.check_key(&self.key(peer)) {
            Ok(()) => Refusal::WrongToken,
            Err(until) => Refusal::SlowedDown(until.wait_time_from(self.clock.now())),
        }
    }

    fn key(&self, peer: IpAddr) -> IpAddr {
        if self.wrong.len() >= MOST_ADDRESSES {
            self.wrong.retain_recent();
        }
        if self.wrong.len() >= MOST_ADDRESSES { Ipv6Addr::UNSPECIFIED.into() } else { network(peer) }
    }
}

/// What one sender has to itself: an IPv4 address, or an IPv6 network of 64 bits.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

/// The daemon's clock, as the limiter reads it.
#[derive(Debug, Clone)]
struct Hands(Arc<dyn Clock>);

impl governor::clock::Clock for Hands {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.now().as_duration().unsigned_abs()
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::domain::clock::ManualClock;

    fn attempts() -> Attempts {
        Attempts::new(Arc::new(ManualClock::starting_at(Timestamp::UNIX_EPOCH)))
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_ipv6_network_is_one_sender_and_a_mapped_address_is_ipv4() {
        let attempts = attempts();
        for host in 0..10 {
            assert_eq!(attempts.wrong(address(&format!("2001:db8::{host}"))), Refusal::WrongToken);
            assert_eq!(attempts.wrong(address("::ffff:192.0.2.1")), Refusal::WrongToken);
        }
        for slowed in ["2001:db8::ffff:1", "192.0.2.1"] {
            assert!(matches!(attempts.wrong(address(slowed)), Refusal::SlowedDown(_)), "{slowed}");
        }
        for other in ["2001:db8:0:1::1", "192.0.2.2"] {
            assert_eq!(attempts.wrong(address(other)), Refusal::WrongToken, "{other}");
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let attempts = attempts();
        for number in 0..12_000_u32 {
            attempts.wrong(IpAddr::V4(number.into()));
        }
        assert_eq!(attempts.wrong.len(), MOST_ADDRESSES + 1);
        assert!(matches!(attempts.wrong(address("192.0.2.1")), Refusal::SlowedDown(_)));
    }
}
