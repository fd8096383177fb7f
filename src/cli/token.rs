//! `token new`: a bearer token for a reader.

use aws_lc_rs::rand;
use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use secrecy::ExposeSecret;
use serde_json::json;
use toml::Value;

use super::{Failure, print};
use crate::domain::reader::{Scope, Token};

/// Make tokens for readers.
#[derive(Debug, Args)]
pub(super) struct Command {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make a token and print it, once, with its line for the configuration.
    New(New),
}

#[derive(Debug, Args)]
struct New {
    /// Whose token it is; the log shows it.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    name: String,
    /// What it opens. Give it again for another; none contains another.
    #[arg(long = "scope", value_name = "SCOPE", default_value = "read", value_parser = scope())]
    scopes: Vec<Scope>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

fn scope() -> impl TypedValueParser<Value = Scope> {
    let named = |name: String| Scope::named(&name).expect("only names of scopes are accepted");
    PossibleValuesParser::new(Scope::ALL.map(Scope::as_str)).map(named)
}

impl Command {
    /// Prints the token. Nothing keeps it.
    pub(super) fn run(self) -> Result<(), Failure> {
        let What::New(new) = self.what;
        let mut bytes = [0; 32];
        rand::fill(&mut bytes).expect("the system always gives random bytes");
        print(&new.text(&Token::from_random(bytes)))
    }
}

impl New {
    fn text(&self, token: &Token) -> String {
        let scopes: Vec<&str> = self.scopes.iter().map(|scope| scope.as_str()).collect();
        let (secret, sha256) = (token.expose_secret(), token.digest());
        if self.json {
            let new = json!({"name": self.name, "token": secret, "sha256": sha256, "scopes": scopes});
            return format!("{new}\n");
        }
        let (name, scopes) = (Value::from(self.name.as_str()), Value::from(scopes));
        format!(
            "The token, which is not shown again:\n\n{secret}\n\n\
             In the configuration, under [query], as an element of `tokens`:\n\n\
             {{ name = {name}, sha256 = \"{sha256}\", scopes = {scopes} }}\n"
        )
    }
}
