//! Standard error behind a bounded buffer and a thread of its own: no caller that logs ever waits, fails or panics.
//!
//! A reader of standard error may stall, disappear, or have a full disk. Lines then stay in the buffer; what the
//! buffer cannot hold, and what the system refuses to write, is dropped and counted. `tracing-appender` has a thread
//! like this one, but bounds its queue by lines and not by bytes, does not count what a failed write loses, and gives
//! a slow reader no time at the end.

use std::io::{Write, stderr};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::lifecycle;

/// The most bytes that wait to be written: about a thousand lines, a few seconds of a busy daemon.
const MAX_PENDING_BYTES: usize = 256 * 1024;

/// The longest line. No line of the daemon's own comes near it.
const MAX_LINE_BYTES: usize = 32 * 1024;

/// What one write takes at most, unless one line is longer: Linux's `PIPE_BUF`, so that
/// no other writer's lines come in between on a pipe.
const MAX_WRITE_BYTES: usize = 4096;

/// Between two attempts where standard error is a non-blocking descriptor that is full.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// How long a flush waits for a reader that takes nothing.
const FLUSH_STALL: Duration = Duration::from_secs(1);

/// How long a flush takes at most: with the drain before it, less than systemd's `TimeoutStopSec`.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// Between two log lines that tell of dropped ones.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// The process has one standard error, so it has one of these.
static SINK: OnceLock<LogSink> = OnceLock::new();

/// A writer for each log line. It never fails and never blocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct LogLine;

/// Queues a text, line by line.
pub(super) fn queue_text(text: &str) {
    let sink = LogSink::get();
    for line in text.lines() {
        sink.queue(format!("{line}\n").as_bytes());
    }
}

/// Waits until everything queued is written, or the reader of standard error takes nothing more.
pub(super) fn flush() {
    if let Some(sink) = SINK.get() {
        sink.flush();
    }
}

/// Lines that were dropped since the start.
pub(super) fn dropped_lines() -> u64 {
    SINK.get().map_or(0, |sink| sink.dropped.load(Ordering::Relaxed))
}

impl Write for LogLine {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        LogSink::get().queue(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[derive(Debug, Default)]
struct LogSink {
    pending: Mutex<PendingLines>,
    /// Something is pending.
    filled: Condvar,
    /// A batch was written or dropped.
    drained: Condvar,
    dropped: AtomicU64,
    written_bytes: AtomicU64,
}

#[derive(Debug, Default)]
struct PendingLines {
    bytes: Vec<u8>,
    /// Whether the thread holds a batch that is not written yet.
    is_writing: bool,
}

impl LogSink {
    fn get() -> &'static Self {
        SINK.get_or_init(|| {
            let writer = || {
                lifecycle::stand_back_behind(lifecycle::own_priority());
                LogSink::get().write_until_exit();
            };
            // Without a thread nothing is written, and the buffer's bound turns that into dropped lines.
            let _ = thread::Builder::new().name("log-writer".to_owned()).spawn(writer);
            Self::default()
        })
    }

    fn queue(&self, line: &[u8]) {
        let mut pending = self.pending();
        if line.len() > MAX_LINE_BYTES || pending.bytes.len() + line.len() > MAX_PENDING_BYTES {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        pending.bytes.extend_from_slice(line);
        drop(pending);
        self.filled.notify_one();
    }

    fn write_until_exit(&self) {
        let (mut batch, mut is_torn, mut report) = (Vec::new(), false, DropReport::default());
        loop {
            let mut pending = self.pending();
            while pending.bytes.is_empty() {
                pending = self.filled.wait(pending).unwrap_or_else(PoisonError::into_inner);
            }
            std::mem::swap(&mut pending.bytes, &mut batch);
            pending.is_writing = true;
            drop(pending);
            let lost = self.write_batch(&batch, &mut is_torn);
            batch.clear();
            self.dropped.fetch_add(lost, Ordering::Relaxed);
            self.pending().is_writing = false;
            self.drained.notify_all();
            if lost == 0 {
                report.tell(self.dropped.load(Ordering::Relaxed));
            }
        }
    }

    /// Writes whole lines. Returns how many were lost to an error, which may leave one torn.
    fn write_batch(&self, batch: &[u8], is_torn: &mut bool) -> u64 {
        let mut written = 0;
        while written < batch.len() {
            let lines = if *is_torn { b"\n" } else { first_lines(&batch[written..]) };
            match rustix::io::write(stderr().as_fd(), lines) {
                Ok(_) if *is_torn => *is_torn = false,
                Ok(bytes) if bytes > 0 => {
                    self.written_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
                    written += bytes;
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => thread::sleep(RETRY_INTERVAL),
                Ok(_) | Err(_) => {
                    *is_torn |= batch[..written].last().is_some_and(|byte| *byte != b'\n');
                    // Each line ends in a break, behind the last of which is one more piece.
                    return batch[written..].split(|byte| *byte == b'\n').count() as u64 - 1;
                }
            }
        }
        0
    }

    fn flush(&self) {
        let began = Instant::now();
        let (mut seen, mut progressed) = (self.written_bytes.load(Ordering::Relaxed), began);
        let mut pending = self.pending();
        while pending.is_writing || !pending.bytes.is_empty() {
            let waited = self.drained.wait_timeout(pending, RETRY_INTERVAL);
            (pending, _) = waited.unwrap_or_else(PoisonError::into_inner);
            let written = self.written_bytes.load(Ordering::Relaxed);
            if written != seen {
                (seen, progressed) = (written, Instant::now());
            }
            if progressed.elapsed() > FLUSH_STALL || began.elapsed() > FLUSH_TIMEOUT {
                return;
            }
        }
    }

    /// Each change of the buffer is one call, so that a panic elsewhere leaves it whole.
    fn pending(&self) -> MutexGuard<'_, PendingLines> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As many whole lines as one write may hold, or the first line.
fn first_lines(bytes: &[u8]) -> &[u8] {
    let is_break = |byte: &u8| *byte == b'\n';
    let head = &bytes[..bytes.len().min(MAX_WRITE_BYTES)];
    let end = head.iter().rposition(is_break).or_else(|| bytes.iter().position(is_break));
    end.map_or(bytes, |end| &bytes[..=end])
}

/// Tells the log, once it is written again, how many lines it lacks.
#[derive(Debug, Default)]
struct DropReport {
    told: u64,
    told_at: Option<Instant>,
}

impl DropReport {
    fn tell(&mut self, dropped: u64) {
        if dropped == self.told || self.told_at.is_some_and(|at| at.elapsed() < REPORT_INTERVAL) {
            return;
        }
        tracing::warn!(
            lines = dropped - self.told,
            "log lines were dropped: standard error did not take them"
        );
        *self = Self { told: dropped, told_at: Some(Instant::now()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_holds_whole_lines() {
        assert_eq!(first_lines(b"one\ntwo\n"), b"one\ntwo\n");
        let long = [vec![b'x'; MAX_WRITE_BYTES], b"\nnext\n".to_vec()].concat();
        assert_eq!(first_lines(&long).len(), MAX_WRITE_BYTES + 1);
        let many = b"0123456789\n".repeat(1000);
        let first = first_lines(&many);
        assert!(first.len() <= MAX_WRITE_BYTES && first.ends_with(b"\n") && first.len() > 4000);
        assert_eq!(first_lines(b"no break"), b"no break");
    }

    #[test]
    fn what_the_buffer_cannot_hold_is_counted() {
        // Nobody writes this one's lines.
        let sink = LogSink::default();
        sink.queue(&vec![b'x'; MAX_LINE_BYTES + 1]);
        assert_eq!(sink.dropped.load(Ordering::Relaxed), 1);
        for _ in 0..10_000 {
            sink.queue(&[b'x'; 100]);
        }
        let held = sink.pending().bytes.len();
        assert!(held <= MAX_PENDING_BYTES && held > MAX_PENDING_BYTES - 100);
        assert_eq!(sink.dropped.load(Ordering::Relaxed), 1 + 10_000 - (held as u64) / 100);
    }
}
