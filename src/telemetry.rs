//! Logs and metrics. Neither ever holds a phone number, a body, a token or a key.

use std::io::{IsTerminal, stderr};
use std::sync::OnceLock;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use crate::domain::stats::Backlog;

/// One recorder for the process: the facade has no other kind, and daemons in one test process share it.
static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();

/// Begins to write logs to standard error: readable lines on a terminal, else one JSON object a line.
/// `filter` is in the syntax of `RUST_LOG`.
///
/// # Errors
/// When the filter cannot be read.
pub fn start_logs(filter: &str) -> Result<(), ParseError> {
    let logs = tracing_subscriber::fmt().with_env_filter(EnvFilter::try_new(filter)?).with_writer(stderr);
    // Only the first of a process is heard: tests start several daemons.
    let _ = if stderr().is_terminal() {
        logs.with_target(false).compact().try_init()
    } else {
        logs.json().flatten_event(true).try_init()
    };
    Ok(())
}

/// Begins to count.
pub fn start_metrics() {
    METRICS.get_or_init(|| {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        // Only fails where another recorder is set, and this is the one place that sets one.
        let _ = metrics::set_global_recorder(recorder);
        handle
    });
}

/// Everything counted so far, and the backlog of the moment, in Prometheus' text format.
#[must_use]
pub fn metrics_text(backlog: &Backlog) -> String {
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
