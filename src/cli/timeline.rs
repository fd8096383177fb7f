//! `timeline`: the story of one conversation.

use clap::Args;
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde_json::Value;

use super::reader::{Shown, ask_about};
use super::{Failure, story};
use crate::config::Reading;

/// Tell the story of one conversation.
#[derive(Debug, Args)]
pub(super) struct Timeline {
    /// CON-…, a leg's id, or MEM-…
    id: String,
    #[command(flatten)]
    shown: Shown,
}

impl Timeline {
    /// Prints what happened, oldest first.
    pub(super) async fn run(self, reading: Reading) -> Result<(), Failure> {
        let mut answer = ask_about(&reading, &self.id, "/timeline?limit=500").await?;
        let mut next = answer["next"].take();
        while let Some(cursor) = next.as_str() {
            let mut more =
                ask_about(&reading, &self.id, &format!("/timeline?limit=500&next={cursor}")).await?;
            if let (Some(items), Some(more)) = (answer["items"].as_array_mut(), more["items"].as_array_mut())
            {
                items.append(more);
            }
            next = more["next"].take();
        }
        self.shown.print(&answer, table)
    }
}

fn table(answer: &Value) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(["TIME", "WHAT", "", "WHO", "TOLD BY", "LEARNT"]);
    for entry in story::items(&answer["items"]) {
        let told = |keys: &[&str]| {
            let known = keys.iter().map(|key| &entry[*key]).find(|value| !value.is_null());
            known.map(story::text).unwrap_or_default()
        };
        table.add_row([
            told(&["at"]),
            told(&["kind"]),
            told(&["about", "state", "status", "outcome", "upstream_status"]),
            told(&["name", "member_id", "leg_id"]),
            told(&["source"]),
            told(&["learnt_at"]),
        ]);
    }
    format!("{}\n{}", table.trim_fmt(), story::blind(&answer["blind"]))
}
