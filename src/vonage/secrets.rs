//! Replaces secrets in a document before it is stored. Every other byte stays as Vonage sent it.

use std::ops::Range;

use serde_json::value::RawValue;

use crate::domain::disclosure::{REDACTED, is_secret_name};
use crate::domain::json::{Pairs, text_in};

/// How deep a document is searched: as deep as anything here reads JSON. What lies deeper is replaced whole,
/// since nobody has looked at it; following it down would exhaust the stack.
const MAX_DEPTH: usize = 128;

/// The document with its secrets replaced: values of secret keys, the user name beside a password, the
/// password in an address, and the query values of WebSocket addresses. Bytes that are no JSON come back as
/// they are.
#[must_use]
pub fn without_secrets(body: Vec<u8>) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(&body) else { return body };
    let Ok(root) = serde_json::from_str::<&RawValue>(text) else { return body };
    let mut search = Search { text, replacements: Vec::new(), depth: 0 };
    search.value(root);
    if search.replacements.is_empty() {
        return body;
    }
    spliced(text, search.replacements).into_bytes()
}

struct Search<'a> {
    text: &'a str,
    replacements: Vec<(Range<usize>, String)>,
    /// How many objects and arrays are around the present value.
    depth: usize,
}

impl<'a> Search<'a> {
    fn value(&mut self, value: &'a RawValue) {
        self.depth += 1;
        match value.get().as_bytes().first() {
            Some(b'{' | b'[') if self.depth > MAX_DEPTH => self.replace(value, REDACTED),
            Some(b'{') => self.object(value),
            Some(b'[') => {
                let elements = serde_json::from_str::<Vec<&RawValue>>(value.get()).unwrap_or_default();
                for element in elements {
                    self.value(element);
                }
            }
            Some(b'"') => self.address(value),
            _ => {}
        }
        self.depth -= 1;
    }

    fn object(&mut self, object: &'a RawValue) {
        let Ok(Pairs(entries)) = serde_json::from_str::<Pairs<'_, &RawValue>>(object.get()) else { return };
        let has_password = entries.iter().any(|(key, _)| plain(key).contains("password"));
        for (key, value) in entries {
            if is_secret_name(&key) || (has_password && plain(&key) == "username") {
                self.replace_scalars(value);
            } else {
                self.value(value);
            }
        }
    }

    /// Replaces the value, or everything in it. `null`, `true` and `false` hold no secret.
    fn replace_scalars(&mut self, value: &'a RawValue) {
        if let Some(b'{' | b'[' | b'"' | b'-' | b'0'..=b'9') = value.get().as_bytes().first() {
            self.replace(value, REDACTED);
        }
    }

    fn address(&mut self, value: &'a RawValue) {
        let Some(text) = text_in(value.get()) else {
            // Half a surrogate pair: what cannot be read cannot be searched, and every address has a colon.
            if value.get().contains(':') {
                self.replace(value, REDACTED);
            }
            return;
        };
        if let Some(clean) = address_without_secrets(&text) {
            self.replace(value, &clean);
        }
    }

    fn replace(&mut self, value: &'a RawValue, with: &str) {
        let start = value.get().as_ptr() as usize - self.text.as_ptr() as usize;
        let quoted = serde_json::to_string(with).expect("a text is always JSON");
        self.replacements.push((start..start + value.get().len(), quoted));
    }
}

/// The address without its secrets; `None` when it has none, or is no address.
fn address_without_secrets(text: &str) -> Option<String> {
    let is = |scheme: &str, names: [&str; 2]| names.iter().any(|name| scheme.eq_ignore_ascii_case(name));
    if let Some((scheme, rest)) = text.split_once(':').filter(|(scheme, _)| is(scheme, ["sip", "sips"])) {
        // A password may hold an '@' that should have been escaped: the last one is before the host.
        let (user, host) = rest.rsplit_once('@')?;
        let (name, _password) = user.split_once(':')?;
        return Some(format!("{scheme}:{name}:{REDACTED}@{host}"));
    }
    let (scheme, rest) = text.split_once("://")?;
    let websocket = is(scheme, ["ws", "wss"]);
    let (rest, fragment) = rest.find('#').map_or((rest, ""), |hash| rest.split_at(hash));
    let (place, query) = rest.find('?').map_or((rest, ""), |mark| rest.split_at(mark));
    let (authority, path) = place.find('/').map_or((place, ""), |slash| place.split_at(slash));
    let authority = authority_without_password(authority);
    let query = query_without_secrets(query, websocket);
    let clean = format!("{scheme}://{authority}{path}{query}{fragment}");
    (clean != text).then_some(clean)
}

fn authority_without_password(authority: &str) -> String {
    let credentials =
        authority.rsplit_once('@').and_then(|(user, host)| Some((user.split_once(':')?.0, host)));
    credentials.map_or_else(|| authority.to_owned(), |(user, host)| format!("{user}:{REDACTED}@{host}"))
}

/// The query with its leading `?`. A WebSocket's is all secret: applications put tokens there under any name.
fn query_without_secrets(query: &str, websocket: bool) -> String {
    let hides = |key: &str| websocket || is_secret_name(key);
    let Some(pairs) = query.strip_prefix('?') else { return String::new() };
    let pairs = pairs.split('&').map(|pair| match pair.split_once('=') {
        Some((key, value)) if hides(key) && !value.is_empty() => format!("{key}={REDACTED}"),
        None if websocket && !pair.is_empty() => REDACTED.to_owned(),
        _ => pair.to_owned(),
    });
    format!("?{}", pairs.collect::<Vec<_>>().join("&"))
}

fn plain(key: &str) -> String {
    key.chars().filter(|character| !matches!(character, '-' | '_')).flat_map(char::to_lowercase).collect()
}

fn spliced(text: &str, replacements: Vec<(Range<usize>, String)>) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut copied = 0;
    for (range, with) in replacements {
        clean.push_str(&text[copied..range.start]);
        clean.push_str(&with);
        copied = range.end;
    }
    clean.push_str(&text[copied..]);
    clean
}
