//! A conversation in words for a terminal, from the JSON that readers get.

use std::fmt::Write;

use serde_json::Value;

/// Who took part, in which states, and what became of the legs.
pub(super) fn tell(conversation: &Value) -> String {
    let mut story = String::new();
    let capture = &conversation["capture"];
    line(&mut story, format_args!("{}  {}", text(&conversation["id"]), text(&conversation["state"])));
    line(&mut story, format_args!("  {}", parties(conversation)));
    line(
        &mut story,
        format_args!(
            "  started {}, answered {}, ended {}, {} s, {} EUR",
            text(&conversation["started_at"]),
            text(&conversation["answered_at"]),
            text(&conversation["ended_at"]),
            text(&conversation["duration"]),
            text(&conversation["price"]),
        ),
    );
    line(
        &mut story,
        format_args!("  {}, {} snapshots", text(&capture["state"]), text(&capture["snapshots"])),
    );
    if let Some(reason) = capture["reason"].as_str() {
        line(&mut story, format_args!("  {reason}"));
    }
    line(&mut story, format_args!("\nmembers"));
    for member in items(&conversation["members"]) {
        line(&mut story, format_args!("  {}  {}", text(&member["id"]), text(&member["name"])));
        line(
            &mut story,
            format_args!("    {}  {}", text(&member["channel"]["type"]), parties(&member["channel"])),
        );
        for state in items(&member["states"]) {
            let (at, source) = (text(&state["at"]), text(&state["source"]));
            line(&mut story, format_args!("    {at}  {:<9} {source}", text(&state["state"])));
        }
    }
    line(&mut story, format_args!("\nlegs"));
    for leg in items(&conversation["legs"]) {
        line(&mut story, format_args!("  {}  {}", text(&leg["id"]), parties(leg)));
        for status in items(&leg["statuses"]) {
            line(&mut story, format_args!("    {}  {}", text(&status["at"]), text(&status["status"])));
        }
    }
    story
}

/// A line for each conversation.
pub(super) fn summary(conversations: &[Value]) -> String {
    let mut summary = String::new();
    for one in conversations {
        let capture = &one["capture"];
        line(
            &mut summary,
            format_args!(
                "{}  {}  {:<6} {:<9} {} snapshots  {} members",
                text(&one["id"]),
                text(&one["started_at"]),
                text(&one["state"]),
                text(&capture["state"]),
                text(&capture["snapshots"]),
                items(&one["members"]).len(),
            ),
        );
    }
    summary
}

/// The times that could not be seen; nothing where there were none.
pub(super) fn blind(gaps: &Value) -> String {
    let mut story = String::new();
    for gap in items(gaps) {
        let (from, to) = (text(&gap["began_at"]), text(&gap["ended_at"]));
        line(&mut story, format_args!("not seen: {from} to {to}, {}", text(&gap["reason"])));
    }
    story
}

fn parties(value: &Value) -> String {
    let direction = value["direction"].as_str().map(|direction| format!("  {direction}")).unwrap_or_default();
    format!("{} → {}{direction}", text(&value["from"]), text(&value["to"]))
}

pub(super) fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "–".to_owned(),
        other => other.to_string(),
    }
}

fn line(story: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(story, "{line}").expect("writing to a text does not fail");
}
