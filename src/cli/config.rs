//! `config check`, `config show`, `config default`.

use clap::{Args, Subcommand};

use super::{Failure, print};
use crate::config::{Config, DEFAULT_FILE, Faults};

/// Look at the configuration.
#[derive(Debug, Args)]
pub(super) struct Command {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Tell everything that is wrong.
    Check,
    /// Print the values in force. Secrets are in files, which are only named.
    Show {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the commented file with every default.
    Default,
}

impl Command {
    /// Prints what was asked for; reads the configuration only where it is asked for.
    pub(super) fn run(self, config: impl FnOnce() -> Result<Config, Faults>) -> Result<(), Failure> {
        match self.what {
            What::Default => print(DEFAULT_FILE),
            What::Show { json: false } => print(&config()?.effective()),
            What::Show { json: true } => print(&format!("{}\n", config()?.effective_json())),
            What::Check => check(&config()?),
        }
    }
}

fn check(config: &Config) -> Result<(), Failure> {
    let source = config.source.as_ref().map(|source| source.display().to_string());
    print(&format!("{}: valid\n", source.as_deref().unwrap_or("no file, built-in defaults")))?;
    config.warnings().iter().try_for_each(|warning| print(&format!("warning: {warning}\n")))
}
