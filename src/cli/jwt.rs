//! `jwt`: a token for the application, as the tutorial's "Create a JWT".

use clap::Args;
use jiff::SignedDuration;
use secrecy::ExposeSecret;

use super::{Failure, clock, print};
use crate::config::Config;
use crate::daemon::once;

/// The longest life that Vonage accepts.
const LONGEST_LIFE: SignedDuration = SignedDuration::from_hours(24);

/// The shortest life that Vonage accepts.
const SHORTEST_LIFE: SignedDuration = SignedDuration::from_secs(30);

/// Print a token (JWT) for the application.
#[derive(Debug, Args)]
pub(super) struct Jwt {
    /// How long the token is good for, from 30s to 24h.
    #[arg(long, default_value = "15m", value_parser = life)]
    ttl: SignedDuration,
}

fn life(text: &str) -> Result<SignedDuration, String> {
    let life: SignedDuration = text.parse().map_err(|_| "not a duration, such as 15m".to_owned())?;
    if (SHORTEST_LIFE..=LONGEST_LIFE).contains(&life) {
        Ok(life)
    } else {
        Err("Vonage accepts tokens that live from 30s to 24h".to_owned())
    }
}

impl Jwt {
    /// Prints the token and nothing else.
    pub(super) fn run(self, config: &Config) -> Result<(), Failure> {
        let token = once::token(config, &*clock(), self.ttl)?;
        print(&format!("{}\n", token.expose_secret()))
    }
}
