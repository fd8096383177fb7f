//! Logs and metrics. Neither ever holds a phone number, a body, a token or a key.

mod log_sink;
mod panics;

use std::io::{IsTerminal, stderr};
use std::sync::OnceLock;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{EnvFilter, ParseError, filter_fn};
use tracing_subscriber::fmt::layer;
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::registry;
use tracing_subscriber::util::SubscriberInitExt as _;

use self::log_sink::LogLine;
pub use self::panics::log_panics;
use crate::domain::rejection::Rejection;
use crate::domain::stats::Backlog;
use crate::flow::count;

/// What is measured: the name and what it says. The README has the same tables for whoever reads them.
const COUNTERS: [(&str, &str); 9] = [
    (
        "conversationd_answers_before_commit_total",
        "Calls that got their NCCO before their webhook was on disk.",
    ),
    ("conversationd_answers_lost_total", "Calls that got their NCCO and whose webhook could not be stored."),
    (
        "conversationd_replies_lost_total",
        "Calls whose NCCO is not in their record, as it could not be stored.",
    ),
    (
        "conversationd_looks_given_up_total",
        "Conversations whose looks were given up after fetch.give_up_after.",
    ),
    ("conversationd_looks_unreadable_total", "Looks that could not be read from the store."),
    (
        "conversationd_conversations_unreadable_total",
        "Times that a conversation could not be interpreted, since its history is damaged or the program failed on it.",
    ),
    (
        "conversationd_unannounced_conversations_total",
        "Conversations that only Vonage's list of calls told of.",
    ),
    ("conversationd_streams_dropped_total", "Readers of /v1/stream that were given up."),
    ("conversationd_log_lines_dropped_total", "Log lines that standard error did not take, or not in time."),
];

/// Counters of each value of a label. Which there will be is not known before they are.
const LABELLED_COUNTERS: [(&str, &str); 4] = [
    ("conversationd_webhooks_total", "Webhooks that were taken."),
    ("conversationd_webhooks_rejected_total", "Webhooks that were not taken."),
    ("conversationd_forwards_total", "Webhooks that were passed on."),
    ("conversationd_looks_total", "Looks at conversations."),
];

const GAUGES: [(&str, &str); 5] = [
    ("conversationd_looks_owed", "Looks that are due and not done."),
    ("conversationd_looks_owed_oldest_age_seconds", "How long the first of these looks has been due."),
    ("conversationd_arrivals_uninterpreted", "Webhooks that are stored and not interpreted yet."),
    ("conversationd_conversations_missed", "Conversations that were not seen, and will not be."),
    ("conversationd_streams", "Readers of /v1/stream."),
];

/// One recorder for the process: the facade has no other kind, and daemons in one test process share it.
static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();

/// Begins to write logs to standard error: readable lines on a terminal, else one JSON object a line. Logging never
/// waits: [`flush_logs`] does. `filter` is in the syntax of `RUST_LOG`.
///
/// # Errors
/// When the filter cannot be read.
pub fn start_logs(filter: &str) -> Result<(), ParseError> {
    let is_terminal = stderr().is_terminal();
    let lines = layer()
        .with_writer(|| LogLine)
        // They would be written with `eprintln!`, which blocks and panics.
        .log_internal_errors(false)
        .with_ansi(is_terminal);
    let lines = if is_terminal {
        lines.with_target(false).compact().boxed()
    } else {
        lines.json().flatten_event(true).boxed()
    };
    let filtered = registry().with(EnvFilter::try_new(filter)?).with(filter_fn(is_clean));
    // Only the first of a process is heard: tests start several daemons.
    let _ = filtered.with(lines).try_init();
    Ok(())
}

/// Whether an event holds no more than this program answers for: at their most talkative, libraries log the paths of
/// requests, and what they send.
fn is_clean(event: &Metadata<'_>) -> bool {
    let is_own = event.target() == "conversationd" || event.target().starts_with("conversationd::");
    is_own || *event.level() <= Level::DEBUG
}

/// Writes text to standard error, behind the log lines so far. Never fails and never waits.
pub fn print_error(text: &str) {
    log_sink::queue_text(text);
}

/// Waits a few seconds at most until everything logged so far is written.
pub fn flush_logs() {
    log_sink::flush();
}

/// Begins to count.
pub fn start_metrics() {
    METRICS.get_or_init(|| {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        // Only fails where another recorder is set, and this is the one place that sets one.
        let _ = metrics::set_global_recorder(recorder);
        describe();
        begin_at_zero();
        handle
    });
}

/// Tells the present recorder what the names mean.
fn describe() {
    for (name, help) in COUNTERS.into_iter().chain(LABELLED_COUNTERS) {
        metrics::describe_counter!(name, help);
    }
    for (name, help) in GAUGES {
        metrics::describe_gauge!(name, help);
    }
}

/// An alarm on what grows has to see what it grew from.
fn begin_at_zero() {
    for (name, _) in COUNTERS {
        metrics::counter!(name).absolute(0);
    }
    for rejection in Rejection::all() {
        count::rejections(rejection).absolute(0);
    }
    metrics::gauge!("conversationd_streams").set(0.0);
}

/// Everything counted so far, and the backlog of the moment, in Prometheus' text format.
#[must_use]
pub fn metrics_text(backlog: &Backlog) -> String {
    metrics::counter!("conversationd_log_lines_dropped_total").absolute(log_sink::dropped_lines());
    METRICS.get().map(PrometheusHandle::render).unwrap_or_default() + &backlog_text(backlog)
}

/// It has a recorder of its own each time: what was not counted is left out, and not told as it was before.
fn backlog_text(backlog: &Backlog) -> String {
    let Backlog { owed, uninterpreted_arrivals, missed_conversations } = *backlog;
    let gauges = [
        ("conversationd_looks_owed", owed.map(|owed| gauge(owed.count))),
        (
            "conversationd_looks_owed_oldest_age_seconds",
            owed.map(|owed| owed.oldest_age_seconds.unwrap_or_default()),
        ),
        ("conversationd_arrivals_uninterpreted", uninterpreted_arrivals.map(gauge)),
        ("conversationd_conversations_missed", missed_conversations.map(gauge)),
    ];
    let recorder = PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, || {
        describe();
        for (name, value) in gauges {
            if let Some(value) = value {
                metrics::gauge!(name).set(value);
            }
        }
    });
    recorder.handle().render()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge is a float, and exact far beyond what can be counted in time"
)]
fn gauge(count: u64) -> f64 {
    count as f64
}
