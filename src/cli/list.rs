//! `list`: conversations, a line each.

use clap::Args;
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde_json::Value;

use super::reader::{Filters, Shown, ask, json};
use super::{Failure, story};
use crate::config::Reading;

/// List conversations, newest first.
#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    filters: Filters,
    /// At most so many.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: u32,
    /// Go on where a list ended: its next.
    #[arg(long)]
    next: Option<String>,
    #[command(flatten)]
    shown: Shown,
}

impl List {
    /// Prints a page of the list.
    pub(super) async fn run(self, reading: Reading) -> Result<(), Failure> {
        let limit = self.limit.to_string();
        let next = self.next.as_deref().unwrap_or_default();
        let query = self.filters.query(&[("limit", &limit), ("next", next)]);
        let answer = json(ask(&reading, &format!("/v1/conversations?{query}")).await?).await?;
        self.shown.print(&answer, table)
    }
}

fn table(answer: &Value) -> String {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_header(["STARTED", "FROM", "TO", "STATUS", "SECONDS", "STATE", "SEEN", "ID"]);
    let items = story::items(&answer["items"]);
    for one in items {
        let cells =
            ["started_at", "from", "to", "status", "duration", "state"].map(|key| story::text(&one[key]));
        let seen = story::text(&one["capture"]["state"]);
        table.add_row(cells.into_iter().chain([seen, story::text(&one["id"])]));
    }
    let found = if items.is_empty() { "no conversation found".to_owned() } else { table.trim_fmt() };
    let more = answer["next"].as_str().map(|next| format!("there are more: --next {next}\n"));
    format!("{found}\n{}{}", more.unwrap_or_default(), story::blind(&answer["blind"]))
}
