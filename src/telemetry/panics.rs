//! A panic as one event of the log, like everything else that is logged.

use std::panic::{self, PanicHookInfo};
use std::thread;

/// The most that is told of a panic's message.
const MAX_MESSAGE_CHARS: usize = 200;

/// Makes every panic an event. The standard hook writes several lines of plain text, and panics itself where standard
/// error cannot be written.
pub fn log_panics() {
    panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string);
        let thread = thread::current();
        tracing::error!(
            location = location.as_deref(),
            cause = message(panic),
            thread = thread.name(),
            "the program panicked: this is a fault of conversationd, please report it"
        );
    }));
}

fn message<'a>(panic: &'a PanicHookInfo<'_>) -> &'a str {
    without_data(panic.payload_as_str().unwrap_or("not a text"))
}

/// What was panicked with, without the values in it, which may be a caller's: Rust's own messages put them behind a
/// colon or a semicolon, or in quotes behind `of`.
fn without_data(message: &str) -> &str {
    let end = [message.find(": "), message.find([';', '\n', '"']), message.find(" of `")]
        .into_iter()
        .flatten()
        .min();
    let told = &message[..end.unwrap_or(message.len())];
    told.char_indices().nth(MAX_MESSAGE_CHARS).map_or(told, |(end, _)| &told[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_without_the_values_that_it_was_about() {
        for (message, told) in [
            (
                "adding signed duration to timestamp overflowed",
                "adding signed duration to timestamp overflowed",
            ),
            (
                "called `Result::unwrap()` on an `Err` value: Bad(\"447700900001\")",
                "called `Result::unwrap()` on an `Err` value",
            ),
            ("byte index 3 is out of bounds of `447700900001`", "byte index 3 is out of bounds"),
            (
                "end byte index 1 is not a char boundary; it is inside 'é'",
                "end byte index 1 is not a char boundary",
            ),
            ("assertion `left == right` failed\n  left: 447700900001", "assertion `left == right` failed"),
        ] {
            assert_eq!(without_data(message), told);
        }
        assert_eq!(without_data(&"ü".repeat(1000)).chars().count(), MAX_MESSAGE_CHARS);
    }
}
