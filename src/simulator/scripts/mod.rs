//! Calls to play: the tutorial's, and as many generated ones as are wanted.
//!
//! A generated call has a number: the same number gives the same call. Its phone numbers are from Ofcom's
//! ranges for drama.

mod cast;
mod conference;
mod connected;
mod in_vain;
mod tutorial;

use jiff::Timestamp;

use self::cast::Cast;
use super::call::Call;

/// What a generated call may be, in the order in which [`Call::varied`] gives them.
const KINDS: [fn(u32, Timestamp) -> Call; 12] = [
    Call::inbound,
    Call::outbound,
    Call::conference,
    Call::moved,
    Call::busy,
    Call::rejected,
    Call::cancelled,
    Call::unanswered,
    Call::failed,
    Call::voicemail,
    Call::from_app,
    Call::to_sip,
];

impl Call {
    /// The `number`-th of calls of every kind in turn, beginning with 1.
    #[must_use]
    pub fn varied(number: u32, starting: Timestamp) -> Self {
        let turn = number.saturating_sub(1) as usize % KINDS.len();
        KINDS[turn](number, starting)
    }
}
