//! `show`: one conversation.

use clap::Args;

use super::reader::{Shown, ask_about};
use super::{Failure, story};
use crate::config::Reading;

/// Show one conversation: by its id, or a leg's or member's.
#[derive(Debug, Args)]
pub(super) struct Show {
    /// CON-…, a leg's id, or MEM-…
    id: String,
    #[command(flatten)]
    shown: Shown,
}

impl Show {
    /// Prints the conversation with its members and legs.
    pub(super) async fn run(self, reading: Reading) -> Result<(), Failure> {
        let answer = ask_about(&reading, &self.id, "").await?;
        self.shown.print(&answer, |one| format!("{}{}", story::tell(one), story::blind(&one["blind"])))
    }
}
