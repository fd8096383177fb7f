//! Logs and metrics. Neither ever holds a phone number, a body, a token or a key.

use std::io::{IsTerminal, stderr};
use std::sync::OnceLock;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

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

/// Everything counted so far, in Prometheus' text format.
#[must_use]
pub fn metrics_text() -> String {
    METRICS.get().map(PrometheusHandle::render).unwrap_or_default()
}
