//! The values as written: the defaults, the file over them, the environment over both.

use std::path::Path;

use toml::{Table, Value};

use super::limited_file::{self, MAX_CONFIGURATION_BYTES};
use super::{DEFAULT_FILE, Environment, Faults};

/// The prefix of variables that stand for a key.
const PREFIX: &str = "CONVERSATIOND__";

/// The section that is a list.
const APPLICATION: &str = "application";

/// The defaults of one `[[application]]`: in the shipped file they are commented out.
const APPLICATION_DEFAULTS: &str = r#"
id = ""
private_key_file = "private.key"
signature_secret_files = []
api_key = ""
api_url = "https://api.nexmo.com"
"#;

/// Puts the three together. What is wrong becomes a fault, and the default stays.
pub(super) fn effective(source: Option<&Path>, environment: &Environment, faults: &mut Faults) -> Table {
    let mut effective: Table = DEFAULT_FILE.parse().expect("the shipped file is TOML");
    let written = source.map(|source| read(source, faults)).unwrap_or_default();
    let mut applications = Vec::new();
    for (section, value) in written {
        match (section.as_str(), value) {
            (APPLICATION, Value::Array(blocks)) => {
                for (index, block) in blocks.into_iter().enumerate() {
                    applications.push(application(index, block, faults));
                }
            }
            (APPLICATION, _) => {
                faults.add("application", "is a list: write [[application]] with two brackets");
            }
            (_, value) => overlay(&mut effective, &section, value, "", faults),
        }
    }
    let mut variables: Vec<(&str, String, &str)> = environment
        .iter()
        .filter_map(|(variable, text)| {
            Some((variable, variable.strip_prefix(PREFIX)?.to_ascii_lowercase(), text))
        })
        .collect();
    // An environment has no order, and an application must be there before the next one.
    variables
        .sort_by_key(|(_, path, _)| path.split("__").nth(1).and_then(|index| index.parse::<usize>().ok()));
    for (variable, path, text) in &variables {
        let keys: Vec<&str> = path.split("__").collect();
        set(&mut effective, &mut applications, (variable, &keys), text, faults);
    }
    if !applications.is_empty() {
        effective.insert(
            APPLICATION.to_owned(),
            applications.into_iter().map(Value::Table).collect::<Vec<_>>().into(),
        );
    }
    effective
}

fn read(source: &Path, faults: &mut Faults) -> Table {
    let place = source.display().to_string();
    let text = match limited_file::read(source, MAX_CONFIGURATION_BYTES) {
        Ok(content) => String::from_utf8_lossy(&content.bytes).into_owned(),
        Err(error) => {
            faults.add(place, format!("cannot be read: {error}"));
            return Table::new();
        }
    };
    text.parse().unwrap_or_else(|error: toml::de::Error| {
        faults.add(place, format!("is not TOML: {}", error.to_string().trim_end()));
        Table::new()
    })
}

fn application_defaults() -> Table {
    APPLICATION_DEFAULTS.parse().expect("the defaults are TOML")
}

fn application(index: usize, block: Value, faults: &mut Faults) -> Table {
    let mut application = application_defaults();
    let place = format!("application[{}].", index + 1);
    match block {
        Value::Table(block) => {
            for (key, value) in block {
                overlay(&mut application, &key, value, &place, faults);
            }
        }
        _ => faults.add(place.trim_end_matches('.'), "is a block of keys: write [[application]]"),
    }
    application
}

/// Puts `value` under `key`, if there is such a key and the value is of its type.
fn overlay(table: &mut Table, key: &str, value: Value, place: &str, faults: &mut Faults) {
    let here = format!("{place}{key}");
    let Some(present) = table.get_mut(key) else {
        let known = table.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        return faults.add(here, format!("there is no such key; known here are {known}"));
    };
    match (present, value) {
        (Value::Table(section), Value::Table(written)) => {
            for (key, value) in written {
                overlay(section, &key, value, &format!("{here}."), faults);
            }
        }
        (present, value) if present.same_type(&value) => *present = value,
        (present, value) => {
            faults.add(here, format!("must be {}, but is {}", type_name(present), type_name(&value)));
        }
    }
}

/// Sets the key that a variable stands for.
fn set(
    effective: &mut Table,
    applications: &mut Vec<Table>,
    (variable, keys): (&str, &[&str]),
    text: &str,
    faults: &mut Faults,
) {
    let target = match *keys {
        [APPLICATION, key] => nth(applications, 0).get_mut(key),
        [APPLICATION, index, key] => match index.parse::<usize>() {
            Ok(index) if index <= applications.len() => nth(applications, index).get_mut(key),
            _ => None,
        },
        [section, key] => {
            effective.get_mut(section).and_then(Value::as_table_mut).and_then(|section| section.get_mut(key))
        }
        _ => None,
    };
    let Some(present) = target else {
        return faults.add(variable, format!("stands for no key: {}", known(effective, keys)));
    };
    match typed(present, text) {
        Some(value) => *present = value,
        None => faults.add(variable, format!("must be {}", type_name(present))),
    }
}

/// What there is where `keys` lead to nothing.
fn known(effective: &Table, keys: &[&str]) -> String {
    let listed = |table: &Table| table.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    let is_of_application = |key| application_defaults().contains_key(key);
    match *keys {
        [APPLICATION, _, key] if is_of_application(key) => {
            "applications are numbered from 0, and no number is left out".to_owned()
        }
        [APPLICATION, _] | [APPLICATION, _, _] => {
            format!("known in [[{APPLICATION}]] are {}", listed(&application_defaults()))
        }
        [section, _] if effective.contains_key(section) => {
            format!(
                "known in [{section}] are {}",
                effective[section].as_table().map_or_else(String::new, listed)
            )
        }
        _ => format!("it is {PREFIX}SECTION__KEY, and the sections are {}, {APPLICATION}", listed(effective)),
    }
}

fn nth(applications: &mut Vec<Table>, index: usize) -> &mut Table {
    if index == applications.len() {
        applications.push(application_defaults());
    }
    &mut applications[index]
}

/// The text of a variable as a value of the same type as `like`.
fn typed(like: &Value, text: &str) -> Option<Value> {
    if like.is_str() {
        return Some(Value::String(text.to_owned()));
    }
    let mut table: Table = format!("value = {text}").parse().ok()?;
    table.remove("value").filter(|value| value.same_type(like))
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text in quotes",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a section",
    }
}
