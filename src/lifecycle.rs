//! Soft and hard stop, the tasks that run until then, and what systemd is told.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getpriority_process, setpriority_process, setrlimit};
use signal_hook::consts::{SIGALRM, SIGHUP, SIGPROF, SIGUSR1, SIGUSR2, SIGVTALRM};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long draining may take before the hard stop. Shorter than systemd's own 90 s, longer than the
/// slowest request to Vonage.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// By how much most threads stand back behind the one that writes, as `nice` counts: of two that want the same
/// processor the writer has nine tenths.
///
/// A commit waits for the disk several times. After each the writer needs a processor, and Linux gives it one only when
/// a thread of the same priority has had its slice: milliseconds, while every webhook of a burst waits for the commit.
const STANDING_BACK: i32 = 10;

/// Nobody can stand back further than to this.
const LAST: i32 = 19;

/// The priority of this thread, where it is the thread's own: elsewhere than on Linux it is the whole process's.
#[must_use]
pub fn own_priority() -> Option<i32> {
    if cfg!(target_os = "linux") { getpriority_process(None).ok() } else { None }
}

/// Makes this thread stand back behind one with the priority `ahead`. Where that is not allowed, everything works all
/// the same.
pub fn stand_back_behind(ahead: Option<i32>) {
    if let Some(ahead) = ahead {
        let _ = setpriority_process(None, (ahead + STANDING_BACK).min(LAST));
    }
}

/// What is assumed where the system does not tell its limit: most give so many.
const USUAL_DESCRIPTORS: u64 = 1024;

/// How many descriptors (files and connections) this process may have open. The soft limit is raised to the hard one:
/// it is only low for programs that use `select(2)`, which this one does not.
#[must_use]
pub fn raise_descriptor_limit() -> usize {
    // Not by `prlimit64(2)`: `rustix` takes it for infallible, and a system call filter may refuse it.
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let mut values = line.unwrap_or_default().split_whitespace().map(|value| value.parse::<u64>().ok());
    let (soft, hard) = (values.next().flatten(), values.next().flatten());
    let soft = soft.unwrap_or(USUAL_DESCRIPTORS);
    let raised = hard.filter(|hard| *hard > soft).filter(|hard| {
        let raised = Rlimit { current: Some(*hard), maximum: Some(*hard) };
        setrlimit(Resource::Nofile, raised).is_ok()
    });
    usize::try_from(raised.unwrap_or(soft)).unwrap_or(usize::MAX)
}

/// How long what is ended hard may take to end. With [`DRAIN_TIMEOUT`] well within the unit's `TimeoutStopSec`.
const HARD_STOP_TIMEOUT: Duration = Duration::from_secs(1);

/// Owns every task of the daemon. Two stops: the soft one ends taking on work, the hard one ends waiting.
#[derive(Debug, Clone, Default)]
pub struct Lifecycle {
    soft: CancellationToken,
    hard: CancellationToken,
    /// Tasks that work until the soft stop.
    workers: TaskTracker,
    /// Tasks that the workers need to the end.
    servants: TaskTracker,
    died: Arc<AtomicBool>,
    /// Whether something that was begun could not be finished.
    unfinished: Arc<AtomicBool>,
}

/// How the daemon ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was asked to stop and finished what it had begun.
    Drained,
    /// It was asked to stop and had to leave something unfinished.
    CutShort,
    /// A task died that should have run on.
    TaskDied,
}

impl Lifecycle {
    /// Cancelled when no more work should be taken on.
    #[must_use]
    pub fn soft_stop(&self) -> &CancellationToken {
        &self.soft
    }

    /// Runs a task that should end only after the soft stop. If it ends before, by a panic or by itself,
    /// the whole daemon stops: a daemon that has lost a part must be seen to fail, and be restarted.
    pub fn run<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.workers.spawn(self.guarded(name, task));
    }

    /// Runs a task that the others need until they have ended: the store's writer.
    pub fn run_to_the_end<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.servants.spawn(self.guarded(name, task));
    }

    fn guarded<F>(&self, name: &'static str, task: F) -> impl Future<Output = ()> + Send + 'static + use<F>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let guard = Guard { name, lifecycle: self.clone() };
        async move {
            let guard = guard;
            tokio::select! {
                () = task => {}
                () = guard.lifecycle.hard.cancelled() => {}
            }
        }
    }

    /// Runs a short piece of work that the drain waits for.
    pub fn finish<F>(&self, work: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.workers.spawn(work)
    }

    /// Runs a task that may end before the stop, which it has to heed.
    pub fn run_until_done<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let hard = self.hard.clone();
        self.workers.spawn(async move {
            hard.run_until_cancelled(task).await;
        });
    }

    /// Begins the soft stop.
    pub fn stop(&self) {
        self.soft.cancel();
    }

    /// Notes that something was begun and cannot be finished any more: the end has to tell.
    pub fn leave_unfinished(&self) {
        self.unfinished.store(true, Ordering::SeqCst);
    }

    /// Begins the soft stop because something failed: the daemon has to be seen to fail.
    pub fn fail(&self) {
        self.died.store(true, Ordering::SeqCst);
        self.stop();
    }

    /// Completes when every worker has ended after a soft stop.
    pub async fn workers_done(&self) {
        self.soft.cancelled().await;
        self.workers.close();
        self.workers.wait().await;
    }

    /// Waits until every task has ended after a soft stop; after some time, or when `impatient` completes,
    /// the hard stop ends them.
    pub async fn drained(&self, impatient: impl Future<Output = ()>) -> End {
        self.workers_done_or(impatient).await;
        let cut_short = self.hard.is_cancelled() || self.unfinished.load(Ordering::SeqCst);
        match (self.died.load(Ordering::SeqCst), cut_short) {
            (true, _) => End::TaskDied,
            (false, true) => End::CutShort,
            (false, false) => End::Drained,
        }
    }

    async fn workers_done_or(&self, impatient: impl Future<Output = ()>) {
        let ended = async {
            self.workers_done().await;
            self.servants.close();
            self.servants.wait().await;
        };
        tokio::pin!(ended);
        tokio::select! {
            () = &mut ended => return,
            () = tokio::time::sleep(DRAIN_TIMEOUT) => {}
            () = impatient => {}
        }
        tracing::warn!("not everything finished in time; stopping hard");
        self.hard.cancel();
        // What waits for a lock of the store's cannot be ended, and need not be: it is a transaction or nothing.
        if tokio::time::timeout(HARD_STOP_TIMEOUT, ended).await.is_err() {
            tracing::warn!("something does not end; leaving it");
        }
    }
}

/// Notices that a task has ended, also when it ended by a panic.
struct Guard {
    name: &'static str,
    lifecycle: Lifecycle,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.lifecycle.soft.is_cancelled() || std::thread::panicking() {
            tracing::error!(task = self.name, "a task that should run on has died; the daemon stops");
            self.lifecycle.fail();
        }
    }
}

/// Completes at the next SIGTERM or SIGINT.
///
/// # Errors
/// When the signals cannot be listened to.
pub fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Signals that ask for nothing, or for a reload, and end a process that does not expect them: systemd takes death by
/// SIGHUP for a clean end, after which it does not restart the daemon.
const SURVIVED: [i32; 6] = [SIGHUP, SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF];

/// Keeps those signals from ending the process, from now on and before there is a runtime.
///
/// # Errors
/// When they cannot be listened to.
pub fn survive_signals() -> std::io::Result<()> {
    for signal in SURVIVED {
        // Nobody asks for the flag: a handler that does something else than the default is all it takes.
        signal_hook::flag::register(signal, Arc::default())?;
    }
    Ok(())
}

/// Hears of each SIGHUP. Several that come at once are one.
#[derive(Debug)]
pub struct ReloadSignal(tokio::signal::unix::Signal);

impl ReloadSignal {
    /// Listens from now on.
    ///
    /// # Errors
    /// When the signal cannot be listened to.
    pub fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        signal(SignalKind::hangup()).map(Self)
    }

    /// Completes at the next one.
    pub async fn received(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

/// What systemd is told of the daemon (`sd_notify(3)`). Without systemd nothing happens.
#[derive(Debug, Clone, Copy)]
pub enum Status {
    /// Both listeners answer. The store is open and its schema migrated, or it is still waited for.
    Ready,
    /// The configuration is read again. [`Status::Ready`] follows.
    Reloading,
    /// The soft stop has begun.
    Stopping,
    /// It is alive.
    Alive,
}

/// Tells systemd.
pub fn tell(status: Status) {
    use sd_notify::NotifyState;
    let messages = match status {
        Status::Ready => Ok(vec![NotifyState::Ready]),
        // systemd tells by the time which reload it was that began.
        Status::Reloading => NotifyState::monotonic_usec_now().map(|now| vec![NotifyState::Reloading, now]),
        Status::Stopping => Ok(vec![NotifyState::Stopping]),
        Status::Alive => Ok(vec![NotifyState::Watchdog]),
    };
    if let Err(error) = messages.and_then(|messages| sd_notify::notify(&messages)) {
        tracing::warn!(%error, "systemd could not be told of the daemon's state");
    }
}

/// Tells systemd in words what the daemon does (`systemctl status` shows it).
pub fn describe(status: &str) {
    if let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Status(status)]) {
        tracing::warn!(%error, "systemd could not be told what the daemon does");
    }
}

/// How often systemd wants to hear [`Status::Alive`], at the latest.
#[must_use]
pub fn watchdog_period() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}
