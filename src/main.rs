//! Arguments → command → exit code.

use std::process::ExitCode;

use clap::Parser;
use conversationd::cli::Arguments;
use conversationd::config::Environment;

#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn main() -> ExitCode {
    let environment = Environment::new(std::env::vars().collect());
    Arguments::parse().run(&environment)
}
