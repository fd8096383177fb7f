//! The threads that tasks run on.

use std::io;

use rustix::process::{getpriority_process, setpriority_process};
use tokio::runtime::{Builder, Runtime};

/// By how much the runtime's threads stand back behind the one that writes, as `nice` counts: of two that want the
/// same processor the writer has nine tenths.
///
/// A commit waits for the disk several times. After each the writer needs a processor, and Linux gives it one only when
/// a thread of the same priority has had its slice: milliseconds, while every webhook of a burst waits for the commit.
const STANDING_BACK: i32 = 10;

/// Nobody can stand back further than to this.
const LAST: i32 = 19;

/// A runtime whose threads stand back behind the thread it is built on. A thread inherits its priority from the one
/// that begins it: where a daemon is [started](super::start) in [`Runtime::block_on`] itself, and not in a task, its
/// store's writer goes ahead.
///
/// # Errors
/// When the system gives no threads.
pub fn build() -> io::Result<Runtime> {
    let mut runtime = Builder::new_multi_thread();
    // Elsewhere than on Linux it is the whole process that would stand back.
    if cfg!(target_os = "linux")
        && let Ok(ahead) = getpriority_process(None)
    {
        runtime.on_thread_start(move || {
            // Where it is not allowed, everything works all the same.
            let _ = setpriority_process(None, (ahead + STANDING_BACK).min(LAST));
        });
    }
    runtime.enable_all().build()
}
