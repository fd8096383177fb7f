//! The command line: one file for each command.

mod config;
mod demo;
mod export;
mod fetch;
mod jwt;
mod list;
mod reader;
mod serve;
mod show;
mod story;
mod timeline;
mod token;

use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};

use crate::config::{Config, Environment, Faults};
use crate::daemon::{DaemonError, runtime};
use crate::domain::clock::{Clock, SystemClock};
use crate::telemetry;

/// The exit code for a wrong configuration (`EX_CONFIG` of sysexits.h).
const EXIT_CONFIGURATION: u8 = 78;

/// The exit code for arguments that make no sense, as clap has it.
const EXIT_USAGE: u8 = 2;

/// Remembers Vonage conversations: who was invited, joined and left, and when.
#[derive(Debug, Parser)]
#[command(version, about, arg_required_else_help = true)]
pub struct Arguments {
    /// The configuration file. Without it: `$CONVERSATIOND_CONFIG`, ./conversationd.toml,
    /// /etc/conversationd/conversationd.toml, and else the defaults.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon.
    Serve,
    /// Run the daemon with a simulated Vonage beside it, and play calls.
    Demo(demo::Demo),
    /// Look at the configuration.
    Config(config::Command),
    /// List conversations, newest first.
    List(list::List),
    /// Show one conversation: by its id, or a leg's or member's.
    Show(show::Show),
    /// Tell the story of one conversation.
    Timeline(timeline::Timeline),
    /// Write all conversations that a filter lets through as a table or as lines of JSON.
    Export(export::Export),
    /// Print a token (JWT) for the application.
    Jwt(jwt::Jwt),
    /// Look at one conversation at Vonage now, and print it.
    Fetch(fetch::Fetch),
    /// Make tokens for readers.
    Token(token::Command),
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The configuration is wrong.
    #[error(transparent)]
    Configuration(#[from] Faults),
    /// The daemon could not do it.
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    /// The system refused something.
    #[error("{0}")]
    System(#[from] std::io::Error),
    /// What was asked did not come about.
    #[error("{0}")]
    Failed(String),
    /// The daemon ended otherwise than it should, and its log says how.
    #[error("see the log")]
    Logged,
    /// What was asked makes no sense.
    #[error("{0}")]
    Usage(String),
}

impl Arguments {
    /// The command that runs until it is stopped, as it is written.
    pub const DAEMON: &str = "serve";

    /// Runs the command. Exit codes: 0 done, 1 failed, 2 usage, 78 configuration.
    #[must_use]
    pub fn run(self, environment: &Environment) -> ExitCode {
        // Also where the command panics.
        let _flushed = FlushLogs;
        match self.attempt(environment) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                if !matches!(failure, Failure::Logged) {
                    telemetry::print_error(&format!("conversationd: {failure}"));
                }
                match failure {
                    Failure::Configuration(_) | Failure::Daemon(DaemonError::NoApplication) => {
                        ExitCode::from(EXIT_CONFIGURATION)
                    }
                    Failure::Usage(_) => ExitCode::from(EXIT_USAGE),
                    _ => ExitCode::FAILURE,
                }
            }
        }
    }

    fn attempt(self, environment: &Environment) -> Result<(), Failure> {
        let config = || Config::load(self.config.as_deref(), environment);
        let reading = || Config::load_reading(self.config.as_deref(), environment);
        let quiet = matches!(
            self.command,
            Command::Demo(_)
                | Command::List(_)
                | Command::Show(_)
                | Command::Timeline(_)
                | Command::Export(_)
        );
        let filter = environment.get("RUST_LOG").unwrap_or(if quiet { "error" } else { "info" });
        telemetry::start_logs(filter)
            .map_err(|error| Failure::Failed(format!("RUST_LOG cannot be read: {error}")))?;
        telemetry::log_panics();
        match self.command {
            Command::Serve => block_on(serve::serve(self.config.as_deref(), environment)),
            Command::Demo(demo) => block_on(demo.run()),
            Command::Config(command) => command.run(config),
            Command::List(list) => block_on(list.run(reading()?)),
            Command::Show(show) => block_on(show.run(reading()?)),
            Command::Timeline(timeline) => block_on(timeline.run(reading()?)),
            Command::Export(export) => block_on(export.run(reading()?)),
            Command::Jwt(jwt) => jwt.run(&config()?),
            Command::Fetch(fetch) => block_on(fetch.run(config()?)),
            Command::Token(command) => command.run(),
        }
    }
}

/// Has the logs written before the process ends.
struct FlushLogs;

impl Drop for FlushLogs {
    fn drop(&mut self) {
        telemetry::flush_logs();
    }
}

fn block_on<F: Future<Output = Result<(), Failure>>>(work: F) -> Result<(), Failure> {
    runtime::build()?.block_on(work)
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

/// Writes to the terminal, or to whoever reads; one who has read enough is no failure.
fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        outcome => Ok(outcome?),
    }
}
