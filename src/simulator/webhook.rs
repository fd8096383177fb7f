//! A webhook: where it goes, what it says, and how it is signed.

use std::fmt::Write;

use jiff::Timestamp;
use jsonwebtoken::Algorithm;
use jsonwebtoken::EncodingKey;
use jsonwebtoken::Header;
use secrecy::ExposeSecret;
use secrecy::SecretString;
use serde::Serialize;
use serde::Serializer;
use serde_json::Value;
use serde_json::json;
use sha2::Digest;
use sha2::Sha256;
use url::Url;
use uuid::Uuid;

use crate::domain::ids::ApplicationId;

/// One webhook. Sending it again sends the same bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Which of the application's addresses it goes to.
    pub target: Target,
    /// Whether its fields travel in the body or in the address.
    pub method: Method,
    /// The JSON body. With GET its fields become the query.
    pub body: Vec<u8>,
    /// Who signs it.
    pub signing: Signing,
}

/// Which of the application's addresses a webhook goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// `{base}/webhooks/answer`
    Answer,
    /// `{base}/webhooks/event`
    Event,
    /// `{base}/webhooks/rtc`: always by POST.
    Rtc,
    /// `{base}/webhooks/fallback`
    Fallback,
}

/// How an application wants its webhooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// A JSON body.
    Post,
    /// Query parameters: every value a text, nested ones as JSON text, absent ones left out.
    Get,
}

/// Who signs a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signing {
    /// Vonage, with the account's signature secret.
    Vonage,
    /// Somebody who does not know the secret.
    Stranger,
    /// Nobody.
    Nobody,
}

/// Signs webhooks for one application.
pub(super) struct Signer {
    pub(super) api_key: String,
    pub(super) application_id: ApplicationId,
    pub(super) secret: SecretString,
}

/// A JSON object whose fields stay in the order they were put.
pub(super) struct Fields(pub(super) Vec<(&'static str, Value)>);

#[derive(Serialize)]
struct Claims<'a> {
    iat: i64,
    jti: String,
    iss: &'static str,
    payload_hash: String,
    api_key: &'a str,
    application_id: &'a str,
}

// === impl Webhook ===

impl Webhook {
    /// A webhook by POST with exactly these bytes, signed by Vonage.
    pub fn post(target: Target, body: impl Into<Vec<u8>>) -> Self {
        Self { target, method: Method::Post, body: body.into(), signing: Signing::Vonage }
    }

    /// The same webhook by GET, if it is one that an application may ask to get that way.
    #[must_use]
    pub fn by_get(self) -> Self {
        let method = if self.target == Target::Rtc { Method::Post } else { Method::Get };
        Self { method, ..self }
    }

    /// What goes to the fallback address after this webhook has failed at `address`: the same fields, and why.
    #[must_use]
    pub fn after_failing_at(self, address: &Url, reason: &str) -> Self {
        let original = json!({"url": address.as_str(), "type": self.target.path()});
        let why = [("reason", json!(reason)), ("original_request", original)];
        Self { target: Target::Fallback, ..self.with(why) }
    }

    /// The same webhook with more fields after its own. What is no object stays as it is.
    pub(super) fn with(mut self, fields: impl IntoIterator<Item = (&'static str, Value)>) -> Self {
        for (name, value) in fields {
            if let Some(end) = self.body.iter().rposition(|byte| *byte == b'}') {
                let is_empty = self.body[..end].iter().rposition(|byte| !byte.is_ascii_whitespace())
                    == self.body.iter().position(|byte| *byte == b'{');
                let comma = if is_empty { "" } else { "," };
                self.body.truncate(end);
                self.body.extend(format!("{comma}\"{name}\":{value}}}").into_bytes());
            }
        }
        self
    }

    /// The same webhook, signed by somebody else or by nobody.
    #[must_use]
    pub fn signed_by(self, signing: Signing) -> Self {
        Self { signing, ..self }
    }

    /// A webhook by POST with these fields.
    pub(super) fn of(target: Target, fields: &Fields) -> Self {
        Self::post(target, serde_json::to_vec(fields).expect("fields have text keys"))
    }

    /// Where it goes, below `base`, and with which body. `application` is the one whose id is in the path.
    pub(super) fn address_and_body(&self, base: &Url, application: Option<&ApplicationId>) -> (Url, Vec<u8>) {
        let mut address = base.clone();
        let base = base.path().trim_end_matches('/');
        let application = application.map(|id| format!("{id}/")).unwrap_or_default();
        let path = format!("{base}/webhooks/{application}{}", self.target.path());
        address.set_path(&path);
        match self.method {
            Method::Post => (address, self.body.clone()),
            Method::Get => {
                address.query_pairs_mut().extend_pairs(query_fields(&self.body));
                (address, Vec::new())
            }
        }
    }
}

// === impl Target ===

impl Target {
    fn path(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Event => "event",
            Self::Rtc => "rtc",
            Self::Fallback => "fallback",
        }
    }
}

// === impl Signer ===

impl Signer {
    /// The Authorization header of one delivery: each has its own `jti`, also when the body is the same.
    pub(super) fn authorization(&self, webhook: &Webhook, now: Timestamp) -> Option<String> {
        let claims = Claims {
            iat: now.as_second(),
            jti: Uuid::new_v4().to_string(),
            iss: "Vonage",
            payload_hash: hex_sha256(&match webhook.method {
                Method::Post => webhook.body.clone(),
                Method::Get => compact_json(&query_fields(&webhook.body)).into_bytes(),
            }),
            api_key: &self.api_key,
            application_id: self.application_id.as_str(),
        };
        let key = match webhook.signing {
            Signing::Vonage => EncodingKey::from_secret(self.secret.expose_secret().as_bytes()),
            Signing::Stranger => EncodingKey::from_secret(Uuid::new_v4().as_bytes()),
            Signing::Nobody => return None,
        };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key)
            .expect("HS256 signs any claims with any secret");
        Some(format!("Bearer {token}"))
    }
}

// === impl Fields ===

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

fn query_fields(body: &[u8]) -> Vec<(String, String)> {
    let Ok(Value::Object(fields)) = serde_json::from_slice(body) else {
        return Vec::new();
    };
    let text = |value: Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        nested => Some(nested.to_string()),
    };
    fields.into_iter().filter_map(|(name, value)| Some((name, text(value)?))).collect()
}

/// What the signature of a `GET` is of.
fn compact_json(fields: &[(String, String)]) -> String {
    let fields = fields.iter().map(|(name, value)| format!("{}:{}", json!(name), json!(value)));
    format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
}

fn hex_sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes any text");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payload_hash_is_the_hex_digest_of_the_body() {
        let body = concat!(
            r#"{"start_time":null,"headers":{},"rate":null,"from":"447700900001","to":"447700900100","#,
            r#""uuid":"5d0c7c1e8f2b4a6d9e3f1a2b3c4d5e6f","#,
            r#""conversation_uuid":"CON-4f1e2d3c-5a6b-4c7d-8e9f-0a1b2c3d4e5f","#,
            r#""status":"answered","direction":"inbound","network":null,"#,
            r#""timestamp":"2026-03-09T10:15:41.902Z"}"#,
        );
        let known = "37b061eb1b164d1fd874359d81bd9bf4e6fa33851748802982fad6dfea52ea62";
        assert_eq!(hex_sha256(body.as_bytes()), known);
    }

    #[test]
    fn a_get_carries_its_fields_as_texts() {
        let body = r#"{"a":null,"b":"x y","c":{"d":1},"e":2}"#;
        let base = Url::parse("http://127.0.0.1:9/base/").unwrap();
        let (address, body) = Webhook::post(Target::Event, body).by_get().address_and_body(&base, None);
        assert_eq!(address.as_str(), "http://127.0.0.1:9/base/webhooks/event?b=x+y&c=%7B%22d%22%3A1%7D&e=2");
        assert!(body.is_empty());
    }
}
