//! Arguments → command → exit code.

use std::process::ExitCode;

use clap::Parser;
use conversationd::cli::Arguments;
use conversationd::config::Environment;
use conversationd::lifecycle;
use mimalloc::MiMalloc;

/// A webhook is allocated on the thread that receives it and freed on the one that writes it. The system's allocator
/// makes these two wait for each other, thousands of times a second.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn main() -> ExitCode {
    // First of all: what comes while the arguments are read must not end it either. It only fails without memory.
    if std::env::args_os().any(|argument| argument == Arguments::DAEMON) {
        let _ = lifecycle::survive_signals();
    }
    // A variable that is not text is none of ours.
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let environment = Environment::new(variables.collect());
    Arguments::parse().run(&environment)
}
