//! Cases that were reported by people who receive these webhooks: lists of requests, sent to the byte, with what is
//! right (`tests/data/cases`).

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;

use conversationd::domain::clock::{Clock as _, SystemClock};
use conversationd::domain::digest::Digest;
use flate2::Compression;
use flate2::write::GzEncoder;
use jsonwebtoken::{Algorithm, EncodingKey};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{interval, timeout};

use crate::support::daemon::{ASKED_EVERY, PATIENCE, TestDaemon, World};
use crate::support::{data, keys};

#[tokio::test]
async fn a_signed_get_is_bound_to_its_parameters() {
    let daemon = World::default().start().await;
    play("01-get-hash-query-json.json", &Players::of(&daemon)).await;
}

#[tokio::test]
async fn what_happens_to_a_webhook_on_its_way_loses_nothing() {
    let daemon = World::default().start().await;
    play("on-the-way.json", &Players::of(&daemon)).await;
}

#[tokio::test]
async fn a_fallback_webhook_is_the_answer_or_event_that_it_stands_for() {
    let daemon = World::default().start().await;
    play("fallback.json", &Players::of(&daemon)).await;
}

#[tokio::test]
async fn both_secrets_are_believed_while_one_is_being_changed() {
    let world = World { secrets: vec![keys::SECRET, keys::NEW_SECRET], ..World::default() };
    play("20-signature-secret-rotation.json", &Players::of(&world.start().await)).await;
}

#[tokio::test]
async fn what_webhooks_say_is_understood_as_it_is_meant() {
    let daemon = World { signatures: "off", ..World::default() }.start().await;
    for file in [
        "03-uuid-none-app-call.json",
        "10-answer-only-outbound-direction.json",
        "11-websocket-uri-token.json",
        "12-invisible-characters-in-number.json",
        "17-timestamps-of-every-kind.json",
    ] {
        play(file, &Players::of(&daemon)).await;
    }
}

/// Who speaks to whom.
struct Players {
    public: SocketAddr,
    private: SocketAddr,
    /// The signature secrets, in the order in which steps count them from 1.
    secrets: Vec<&'static str>,
}

/// One request and what is right. Those to the private side are asked until they are answered so.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    #[serde(default)]
    note: String,
    #[serde(default)]
    method: String,
    /// The path with its query, as it goes out. A step without one only waits.
    path: Option<String>,
    #[serde(default)]
    to: String,
    json: Option<Box<RawValue>>,
    text: Option<String>,
    hex: Option<String>,
    /// So many blanks stand for each `@` in the text.
    fill: Option<usize>,
    #[serde(default)]
    prefix_hex: String,
    encode: Option<String>,
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default)]
    no_content_type: bool,
    version: Option<String>,
    sign: Option<Sign>,
    #[serde(default)]
    expect: Vec<u16>,
    #[serde(default)]
    has: Vec<String>,
    #[serde(default)]
    lacks: Vec<String>,
    /// Until everything that was sent has been interpreted; the seconds themselves are not waited for.
    wait: Option<f64>,
}

/// How a request is signed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sign {
    hash: Option<String>,
    /// The query that is signed, where that is another than the one that goes out.
    query: Option<String>,
    secret: Option<usize>,
    #[serde(default)]
    claims: Map<String, Value>,
    header: Option<Map<String, Value>>,
}

impl Players {
    fn of(daemon: &TestDaemon) -> Self {
        let (public, private) = (daemon.public_address(), daemon.private_address());
        Self { public, private, secrets: vec![keys::SECRET, keys::NEW_SECRET] }
    }
}

/// Plays a case; what is not right is told all at once.
async fn play(file: &str, players: &Players) {
    let steps: Vec<Step> =
        serde_json::from_slice(&data::bytes(&format!("cases/{file}"))).expect("a case is a list of steps");
    assert!(steps.iter().any(|step| !step.expect.is_empty()), "{file} asks for nothing");
    let mut wrong = String::new();
    for (index, step) in steps.iter().enumerate() {
        if step.wait.is_some() || step.to == "priv" {
            everything_is_interpreted(players.private).await;
        }
        if let Err(why) = step.play(players).await {
            writeln!(
                wrong,
                "{}. {} {}: {why}",
                index + 1,
                step.note,
                step.path.as_deref().unwrap_or_default()
            )
            .expect("a String takes any text");
        }
    }
    assert!(wrong.is_empty(), "{file}\n{wrong}");
}

impl Step {
    async fn play(&self, players: &Players) -> Result<(), String> {
        let Some(path) = &self.path else { return Ok(()) };
        if self.to != "priv" {
            return self.judge(&exchange(players.public, &self.request(path, players)).await);
        }
        let mut latest = Ok(());
        let asking = async {
            let mut turns = interval(ASKED_EVERY);
            loop {
                turns.tick().await;
                latest = self.judge(&exchange(players.private, &self.request(path, players)).await);
                if latest.is_ok() {
                    return;
                }
            }
        };
        let _ = timeout(PATIENCE, asking).await;
        latest
    }

    fn judge(&self, reply: &str) -> Result<(), String> {
        let (head, body) = reply.split_once("\r\n\r\n").unwrap_or((reply, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let mut wrong = Vec::new();
        if !self.expect.is_empty() && !self.expect.contains(&status) {
            wrong.push(format!("status {status}, right: {:?}", self.expect));
        }
        wrong.extend(
            self.has.iter().filter(|text| !body.contains(*text)).map(|text| format!("lacks {text:?}")),
        );
        wrong.extend(
            self.lacks.iter().filter(|text| body.contains(*text)).map(|text| format!("holds {text:?}")),
        );
        if wrong.is_empty() { Ok(()) } else { Err(format!("{}: {body:.400}", wrong.join("; "))) }
    }

    fn request(&self, path: &str, players: &Players) -> Vec<u8> {
        let body = self.body();
        let mut headers = self.headers.clone();
        let has = |headers: &[(String, String)], name: &str| {
            headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name))
        };
        let is_private = self.to == "priv";
        let version = self.version.as_deref().unwrap_or("1.1");
        if version == "1.1" && !has(&headers, "host") {
            let host = if is_private { players.private.to_string() } else { "calls.example.com".to_owned() };
            headers.insert(0, ("Host".to_owned(), host));
        }
        if !body.is_empty() || self.method == "POST" {
            if !is_private && !self.no_content_type && !has(&headers, "content-type") {
                headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
            }
            headers.push(("Content-Length".to_owned(), body.len().to_string()));
        }
        if let Some(sign) = &self.sign {
            let query = path.split_once('?').map_or("", |(_, query)| query);
            let token = sign.token(&body, query, players);
            if !headers.iter().any(|(_, value)| value.contains("{jwt}")) {
                headers.push(("Authorization".to_owned(), "Bearer {jwt}".to_owned()));
            }
            for (_, value) in &mut headers {
                *value = value.replace("{jwt}", &token);
            }
        }
        headers.push(("Connection".to_owned(), "close".to_owned()));
        let mut request = format!("{} {path} HTTP/{version}\r\n", self.method);
        for (name, value) in headers {
            write!(request, "{name}: {value}\r\n").expect("a String takes any text");
        }
        [request.as_bytes(), b"\r\n", &body].concat()
    }

    fn body(&self) -> Vec<u8> {
        let text = |text: &String| match self.fill {
            Some(blanks) => text.replace('@', &" ".repeat(blanks)),
            None => text.clone(),
        };
        let body = self.json.as_ref().map(|json| minified(json.get()).into_bytes());
        let body = body.or_else(|| self.text.as_ref().map(|own| text(own).into_bytes()));
        let body = body.or_else(|| self.hex.as_deref().map(unhexed)).unwrap_or_default();
        let body = [unhexed(&self.prefix_hex), body].concat();
        match self.encode.as_deref() {
            None => body,
            Some("gzip") => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(&body).expect("a Vec takes all");
                encoder.finish().expect("a Vec takes all")
            }
            Some(other) => panic!("no step is encoded as {other}"),
        }
    }
}

impl Sign {
    fn token(&self, body: &[u8], query: &str, players: &Players) -> String {
        let now = SystemClock.now().as_second();
        let mut claims = serde_json::json!({
            "iat": now, "jti": uuid::Uuid::new_v4(), "iss": "Vonage",
            "api_key": keys::API_KEY, "application_id": keys::APPLICATION,
        });
        let claims = claims.as_object_mut().expect("claims are an object");
        let query = self.query.as_deref().unwrap_or(query);
        let signed = match self.hash.as_deref().unwrap_or("body") {
            "body" => Some(body.to_vec()),
            "empty" => Some(Vec::new()),
            "query_raw" => Some(query.as_bytes().to_vec()),
            "query_json" => Some(query_json(query, false)),
            "query_json_nested" => Some(query_json(query, true)),
            "none" => None,
            other => panic!("no step has the hash {other}"),
        };
        if let Some(signed) = signed {
            claims.insert("payload_hash".to_owned(), Digest::of(&signed).to_string().into());
        }
        for (name, value) in &self.claims {
            match value {
                Value::Null => drop(claims.remove(name)),
                Value::String(text) if text == "__now__" => {
                    claims.insert(name.clone(), now.to_string().into());
                }
                other => drop(claims.insert(name.clone(), other.clone())),
            }
        }
        let header = self.header.clone().map_or_else(
            || r#"{"alg":"HS256","typ":"JWT"}"#.to_owned(),
            |header| Value::Object(header).to_string(),
        );
        let message = format!("{}.{}", base64url(header.as_bytes()), base64url(&to_vec(claims)));
        let secret = &players.secrets[self.secret.unwrap_or(1) - 1];
        let key = EncodingKey::from_secret(secret.as_bytes());
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256);
        format!("{message}.{}", signature.expect("HS256 signs anything"))
    }
}

/// The compact JSON of the parameters in the order of the URL; of two with one name the last, in the place of the
/// first. Nested ones are objects, or the texts that stand in the URL.
fn query_json(query: &str, nested: bool) -> Vec<u8> {
    let decoded = |text: &str| {
        percent_decode_str(&text.replace('+', " ")).decode_utf8().expect("it is a text").into_owned()
    };
    let mut fields: Vec<(String, String)> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decoded(name), decoded(value));
        let is_nested = nested
            && value.starts_with(['{', '['])
            && serde_json::from_str::<serde::de::IgnoredAny>(&value).is_ok();
        let value = if is_nested { minified(&value) } else { Value::from(value).to_string() };
        match fields.iter_mut().find(|(other, _)| *other == name) {
            Some((_, present)) => *present = value,
            None => fields.push((name, value)),
        }
    }
    let fields = fields.into_iter().map(|(name, value)| format!("{}:{value}", Value::from(name)));
    format!("{{{}}}", fields.collect::<Vec<_>>().join(",")).into_bytes()
}

/// JSON without the blanks between its parts, otherwise as it is written.
fn minified(json: &str) -> String {
    let (mut in_text, mut is_escaped) = (false, false);
    let is_kept = |character: &char| {
        let kept = in_text || !character.is_ascii_whitespace();
        in_text ^= *character == '"' && !is_escaped;
        is_escaped = in_text && *character == '\\' && !is_escaped;
        kept
    };
    json.chars().filter(is_kept).collect()
}

fn unhexed(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|digit| u8::try_from(digit.to_digit(16)?).ok()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digits = bytes.chunks(3).flat_map(|bytes| {
        let word = bytes.iter().chain(&[0, 0]).take(3).fold(0, |word, byte| word << 8 | usize::from(*byte));
        [18, 12, 6, 0].map(|shift| char::from(DIGITS[word >> shift & 63])).into_iter().take(bytes.len() + 1)
    });
    digits.collect()
}

fn to_vec(claims: &Map<String, Value>) -> Vec<u8> {
    serde_json::to_vec(claims).expect("claims are JSON")
}

/// Sends a request as it is and returns the reply, with its chunks put together.
async fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.expect("the daemon listens");
        // A reply may come before the request is whole, and the connection be closed behind it.
        let _ = stream.write_all(request).await;
        let mut reply = Vec::new();
        let _ = stream.read_to_end(&mut reply).await;
        reply
    };
    let reply = timeout(PATIENCE, exchange).await.expect("the daemon replies");
    let reply = String::from_utf8_lossy(&reply).into_owned();
    match reply.split_once("\r\n\r\n") {
        Some((head, body)) if head.to_ascii_lowercase().contains("transfer-encoding: chunked") => {
            format!("{head}\r\n\r\n{}", unchunked(body))
        }
        _ => reply,
    }
}

fn unchunked(mut chunks: &str) -> String {
    let mut whole = String::new();
    while let Some((length, rest)) = chunks.split_once("\r\n") {
        let length = usize::from_str_radix(length.trim(), 16).unwrap_or(0);
        let Some(chunk) = rest.get(..length).filter(|chunk| !chunk.is_empty()) else { break };
        whole.push_str(chunk);
        chunks = rest[length..].trim_start_matches("\r\n");
    }
    whole
}

/// What an answer lacks proves something only when everything is in it.
async fn everything_is_interpreted(private: SocketAddr) {
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {private}\r\nConnection: close\r\n\r\n");
    let asking = async {
        let mut turns = interval(ASKED_EVERY);
        loop {
            turns.tick().await;
            let metrics = exchange(private, request.as_bytes()).await;
            if metrics.lines().any(|line| line == "conversationd_arrivals_uninterpreted 0") {
                return;
            }
        }
    };
    timeout(PATIENCE, asking).await.expect("webhooks are interpreted");
}
