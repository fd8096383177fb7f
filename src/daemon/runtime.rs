//! The threads that tasks run on.

use std::io;

use tokio::runtime::{Builder, Runtime};

use crate::lifecycle;

/// A runtime whose threads stand back behind the thread it is built on. A thread inherits its priority from the one
/// that begins it: where a daemon is [started](super::start) in [`Runtime::block_on`] itself, and not in a task, its
/// store's writer goes ahead.
///
/// # Errors
/// When the system gives no threads.
pub fn build() -> io::Result<Runtime> {
    let mut runtime = Builder::new_multi_thread();
    let ahead = lifecycle::own_priority();
    runtime.on_thread_start(move || lifecycle::stand_back_behind(ahead));
    runtime.enable_all().build()
}
