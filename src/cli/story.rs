//! A conversation in words for a terminal, from the JSON that readers get.

use serde_json::Value;

/// Who took part, in which states, and what became of the legs. What is not known is left out.
pub(super) fn tell(conversation: &Value) -> String {
    let mut story = String::new();
    let capture = &conversation["capture"];
    line(&mut story, "", &[known(&conversation["id"]), known(&conversation["state"])]);
    line(&mut story, "  ", &[parties(conversation), known(&conversation["direction"])]);
    line(&mut story, "  ", &[facts(conversation)]);
    let snapshots = counted(capture["snapshots"].as_u64().unwrap_or_default(), "snapshot");
    line(&mut story, "  ", &[known(&capture["state"]).map(|state| format!("{state}, {snapshots}"))]);
    line(&mut story, "  ", &[known(&capture["reason"])]);
    let (members, legs) = (items(&conversation["members"]), items(&conversation["legs"]));
    story.push_str(if members.is_empty() { "\nno members known\n" } else { "\nmembers\n" });
    for member in members {
        line(&mut story, "  ", &[known(&member["id"]), known(&member["name"])]);
        line(&mut story, "    ", &[known(&member["channel"]["type"]), parties(&member["channel"])]);
        for state in items(&member["states"]) {
            let name = known(&state["state"]).map(|name| format!("{name:<8}"));
            line(&mut story, "    ", &[known(&state["at"]), name, known(&state["source"])]);
        }
        if member["left_source"]["type"] == "leg_end" {
            let gone = Some(format!("{:<8}", "(gone)"));
            let leg = known(&member["left_source"]["leg_id"]).map(|leg| format!("end of {leg}"));
            line(&mut story, "    ", &[known(&member["left_at"]), gone, leg]);
        }
    }
    story.push_str(if legs.is_empty() { "\nno legs known\n" } else { "\nlegs\n" });
    for leg in legs {
        line(&mut story, "  ", &[known(&leg["id"]), parties(leg), known(&leg["direction"])]);
        for status in items(&leg["statuses"]) {
            line(&mut story, "    ", &[known(&status["at"]), known(&status["status"])]);
        }
    }
    story
}

/// Times, duration and price.
fn facts(conversation: &Value) -> Option<String> {
    let time = |word: &str, key: &str| known(&conversation[key]).map(|at| format!("{word} {at}"));
    let measure = |key: &str, unit: &str| known(&conversation[key]).map(|number| format!("{number} {unit}"));
    let facts = [
        time("started", "started_at"),
        time("answered", "answered_at"),
        time("ended", "ended_at"),
        measure("duration", "s"),
        measure("price", "EUR"),
    ];
    joined(&facts, ", ")
}

/// A line for each conversation.
pub(super) fn summary(conversations: &[Value]) -> String {
    let mut summary = String::new();
    for one in conversations {
        let capture = &one["capture"];
        let snapshots = counted(capture["snapshots"].as_u64().unwrap_or_default(), "snapshot");
        let members = counted(items(&one["members"]).len() as u64, "member");
        let (state, seen) = (text(&one["state"]), text(&capture["state"]));
        let told = format!("{state:<6} {seen:<9} {snapshots}");
        line(
            &mut summary,
            "",
            &[known(&one["id"]), Some(text(&one["started_at"])), Some(told), Some(members)],
        );
    }
    summary
}

/// The times that could not be seen; nothing where there were none.
pub(super) fn blind(gaps: &Value) -> String {
    let mut story = String::new();
    for gap in items(gaps) {
        let (from, reason) = (text(&gap["began_at"]), text(&gap["reason"]));
        let to = known(&gap["ended_at"]).map_or_else(|| "until now".to_owned(), |at| format!("to {at}"));
        line(&mut story, "", &[Some(format!("not seen: {from} {to}, {reason}"))]);
    }
    story
}

/// Who called whom, as far as either is known.
fn parties(value: &Value) -> Option<String> {
    let (from, to) = (known(&value["from"]), known(&value["to"]));
    if from.is_none() && to.is_none() {
        return None;
    }
    let named = |party: Option<String>| party.unwrap_or_else(|| "unknown".to_owned());
    Some(format!("{} → {}", named(from), named(to)))
}

/// `no snapshots`, `1 snapshot`, `2 snapshots`.
fn counted(count: u64, thing: &str) -> String {
    match count {
        0 => format!("no {thing}s"),
        1 => format!("1 {thing}"),
        _ => format!("{count} {thing}s"),
    }
}

pub(super) fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A value in a table, where each has its place.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "–".to_owned(),
        other => other.to_string(),
    }
}

fn known(value: &Value) -> Option<String> {
    (!value.is_null()).then(|| text(value))
}

/// What is known of `parts`; `None` where nothing is.
fn joined(parts: &[Option<String>], separator: &str) -> Option<String> {
    let parts: Vec<&str> = parts.iter().flatten().map(String::as_str).collect();
    (!parts.is_empty()).then(|| parts.join(separator))
}

/// Writes a line of what is known; none where nothing is.
fn line(story: &mut String, indent: &str, parts: &[Option<String>]) {
    if let Some(parts) = joined(parts, "  ") {
        story.push_str(indent);
        story.push_str(&parts);
        story.push('\n');
    }
}
