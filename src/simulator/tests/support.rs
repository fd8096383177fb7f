//! A simulator with a client for its API, and an application that takes its webhooks.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::Mutex;
use std::time::Duration;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::encoding::Pkcs8V1Der;
use aws_lc_rs::encoding::PublicKeyX509Der;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::KeyPair as _;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::http::Uri;
use axum::http::header::AUTHORIZATION;
use jiff::Timestamp;
use jsonwebtoken::Algorithm;
use jsonwebtoken::EncodingKey;
use jsonwebtoken::Header;
use secrecy::SecretString;
use serde_json::Value;
use serde_json::json;
use tokio::net::TcpListener;
use url::Url;

use super::super::Call;
use super::super::Members;
use super::super::Pace;
use super::super::Settings;
use super::super::Simulator;
use crate::domain::clock::ManualClock;
use crate::domain::ids::ApplicationId;

/// The most that a test waits for anything.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
pub(super) const APPLICATION: &str = "0f3b6a52-9c1d-4e87-b2a4-61d0c7f58e19";
pub(super) const SECRET: &str = "a signature secret of more than 32 bytes";
pub(super) const TUTORIAL: &str = "CON-bc643220-2542-499a-892e-c982c4150c06";

/// Key pairs are slow to make, so all tests share one.
pub(super) static KEYS: LazyLock<Keys> = LazyLock::new(Keys::generate);

pub(super) struct Keys {
    private: EncodingKey,
    pub(super) public_pem: String,
}

/// An application that replies to webhooks as it is told, and keeps them.
pub(super) struct Application {
    pub(super) base: Url,
    state: Arc<Inbox>,
}

#[derive(Default)]
struct Inbox {
    replies: Mutex<VecDeque<u16>>,
    received: Mutex<Vec<Received>>,
}

/// A webhook as it came in.
#[derive(Debug, Clone)]
pub(super) struct Received {
    pub(super) address: String,
    pub(super) authorization: Option<String>,
    pub(super) body: Bytes,
}

// === impl Keys ===

impl Keys {
    pub(super) fn generate() -> Self {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let private = AsDer::<Pkcs8V1Der>::as_der(&pair).unwrap();
        let public = AsDer::<PublicKeyX509Der>::as_der(pair.public_key()).unwrap();
        let private_pem = pem("PRIVATE KEY", private.as_ref());
        Self {
            private: EncodingKey::from_rsa_pem(private_pem.as_bytes()).unwrap(),
            public_pem: pem("PUBLIC KEY", public.as_ref()),
        }
    }

    pub(super) fn sign(&self, claims: &Value) -> String {
        jsonwebtoken::encode(&Header::new(Algorithm::RS256), claims, &self.private).unwrap()
    }
}

// === impl Application ===

impl Application {
    /// Replies with these statuses in turn, and with 204 afterwards.
    pub(super) async fn replying(replies: impl IntoIterator<Item = u16>) -> Self {
        let state =
            Arc::new(Inbox { replies: Mutex::new(replies.into_iter().collect()), ..Inbox::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let router = Router::new().fallback(receive).with_state(state.clone());
        let serving = axum::serve(listener, router).into_future();
        tokio_util::task::TaskTracker::new().spawn(serving);
        Self { base, state }
    }

    pub(super) fn received(&self) -> Vec<Received> {
        self.state.received.lock().unwrap().clone()
    }
}

async fn receive(State(inbox): State<Arc<Inbox>>, uri: Uri, headers: HeaderMap, body: Bytes) -> StatusCode {
    let authorization = headers.get(AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
    inbox.received.lock().unwrap().push(Received { address: uri.to_string(), authorization, body });
    let status = inbox.replies.lock().unwrap().pop_front().unwrap_or(204);
    StatusCode::from_u16(status).unwrap()
}

// === the simulator ===

pub(super) fn now() -> Timestamp {
    "2026-03-09T10:15:42Z".parse().unwrap()
}

pub(super) fn settings(members: Members) -> Settings {
    Settings {
        application_id: ApplicationId::parse(APPLICATION).unwrap(),
        public_key_pem: KEYS.public_pem.clone(),
        api_key: "a1b2c3d4".to_owned(),
        signature_secret: SecretString::from(SECRET),
        webhooks: Url::parse("http://127.0.0.1:9").unwrap(),
        members,
        clock: Arc::new(ManualClock::starting_at(now())),
    }
}

pub(super) async fn simulator(members: Members) -> Simulator {
    Simulator::start(settings(members)).await.unwrap()
}

pub(super) fn good_claims() -> Value {
    let iat = now().as_second();
    json!({"application_id": APPLICATION, "iat": iat, "exp": iat + 900, "jti": "j-1"})
}

/// Asks for a path with this token.
pub(super) async fn ask(simulator: &Simulator, path: &str, token: &str) -> reqwest::Result<(u16, String)> {
    let address = format!("{}{}", simulator.api_url(), path.trim_start_matches('/'));
    let client = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
    let response = client.get(address).header(AUTHORIZATION, format!("Bearer {token}")).send().await?;
    let status = response.status().as_u16();
    Ok((status, response.text().await?))
}

/// Asks for a path with a good token.
pub(super) async fn get(simulator: &Simulator, path: &str) -> (u16, Value) {
    let (status, body) = ask(simulator, path, &KEYS.sign(&good_claims())).await.unwrap();
    (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
}

// === documents ===

/// A recorded body, by its path below `tests/data`.
pub(super) fn data(path: &str) -> Value {
    let file = format!("{}/tests/data/{path}.json", env!("CARGO_MANIFEST_DIR"));
    json(&std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}")))
}

/// The document with Vonage's host in the place of the simulator's.
pub(super) fn at_vonage(simulator: &Simulator, document: &Value) -> Value {
    let text = document.to_string().replace(simulator.api_url().as_str(), "https://api.nexmo.com/");
    serde_json::from_str(&text).unwrap()
}

pub(super) fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The paths of all values in a document, to compare shapes.
pub(super) fn keys(document: &Value) -> Vec<String> {
    match document {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, value)| {
                let inner = keys(value).into_iter().map(move |key| format!("{name}.{key}"));
                std::iter::once(name.clone()).chain(inner)
            })
            .collect(),
        Value::Array(items) => items.iter().take(1).flat_map(keys).collect(),
        _ => Vec::new(),
    }
}

/// Plays the tutorial's call up to the last moment before its end, and gives the rest.
pub(super) async fn in_mid_tutorial(simulator: &Simulator) -> Call {
    let application = Application::replying([]).await;
    simulator.send_webhooks_to(application.base.clone());
    let (talk, end) = Call::tutorial().split_at("2018-10-25T09:30:00Z".parse().unwrap());
    assert!(simulator.play(&talk, Pace::AtOnce).await.is_accepted());
    end
}

fn pem(label: &str, der: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in der.chunks(3) {
        let bits =
            group.iter().fold(0, |bits, byte| bits << 8 | usize::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let digit = char::from(DIGITS[bits >> (18 - 6 * place) & 63]);
            text.push(if place <= group.len() { digit } else { '=' });
        }
    }
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
