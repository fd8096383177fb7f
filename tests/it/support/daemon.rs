//! A daemon and a simulated Vonage that know each other, spoken to in verbs.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use conversationd::config::{Config, Environment};
use conversationd::daemon::{self, Daemon, Listeners};
use conversationd::domain::clock::{Clock, ManualClock, SystemClock};
use conversationd::domain::history::History;
use conversationd::domain::ids::{ApplicationId, ConversationId};
use conversationd::lifecycle::End;
use conversationd::simulator::{Members, Settings, Simulator};
use conversationd::store::{self, Store};
use conversationd::vonage::token::TokenMint;
use jiff::{SignedDuration, Timestamp};
use reqwest::redirect::Policy;
use reqwest::{Method, StatusCode};
use secrecy::ExposeSecret;
use serde_json::Value;
use tempfile::TempDir;
use url::Url;

use super::keys;

/// How long anything that should happen may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How often it is asked whether it has happened.
pub const ASKED_EVERY: Duration = Duration::from_millis(10);

/// The NCCO of every test.
pub const NCCO: &str = r#"[ {"action": "talk", "text": "Hello."} ]"#;

/// What a test's world is made of.
pub struct World {
    /// Where v0.3 answers hold the members.
    pub members: Members,
    /// `fetch.api_version`.
    pub family: &'static str,
    /// `webhooks.signatures`.
    pub signatures: &'static str,
    /// More lines of `[webhooks]`.
    pub webhooks: &'static str,
    /// The signature secrets that are believed. Vonage signs with the first of the tests' own.
    pub secrets: Vec<&'static str>,
    /// More lines of configuration, before the application.
    pub more: &'static str,
    /// `reconcile.interval`: off, since lists are requests that a test has to expect.
    pub reconcile: &'static str,
    /// More lines of `[query]`.
    pub query: String,
    /// More lines of `[answer]`.
    pub answer: String,
    /// More sections and applications, at the end.
    pub sections: String,
    /// Tells the time to both.
    pub clock: Arc<dyn Clock>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            members: Members::Embedded,
            family: "v0.3",
            signatures: "required",
            webhooks: "",
            secrets: vec![keys::SECRET],
            more: "requests_per_second = 500",
            reconcile: "0s",
            query: String::new(),
            answer: String::new(),
            sections: String::new(),
            clock: Arc::new(SystemClock),
        }
    }
}

/// The daemon of a test, with everything around it.
pub struct TestDaemon {
    /// Vonage.
    pub vonage: Simulator,
    directory: TempDir,
    clock: Arc<dyn Clock>,
    daemon: Option<Daemon>,
    http: reqwest::Client,
}

/// A reply, read whole.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The content type, or nothing.
    pub content_type: String,
    /// The headers.
    pub headers: reqwest::header::HeaderMap,
    /// The body.
    pub text: String,
}

impl Reply {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

impl World {
    /// Starts Vonage alone. It does not know yet where webhooks go.
    pub async fn vonage(&self) -> Simulator {
        let settings = Settings {
            application_id: ApplicationId::parse(keys::APPLICATION).expect("it is an id"),
            public_key_pem: keys::pair().public.clone(),
            api_key: keys::API_KEY.to_owned(),
            signature_secret: keys::SECRET.into(),
            webhooks: "http://127.0.0.1:9".parse().expect("it is a URL"),
            members: self.members,
            clock: Arc::clone(&self.clock),
        };
        Simulator::start(settings).await.expect("the simulator starts")
    }

    /// Starts Vonage and the daemon.
    pub async fn start(self) -> TestDaemon {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let vonage = self.vonage().await;
        write_configuration(directory.path(), &self, vonage.api_url().as_str());
        let http = reqwest::Client::builder().no_proxy().redirect(Policy::none()).timeout(PATIENCE);
        let http = http.build().expect("a client can be had");
        let mut daemon = TestDaemon { vonage, directory, clock: self.clock, daemon: None, http };
        daemon.start().await;
        daemon
    }
}

/// Writes a complete configuration with its files into `directory`.
pub fn write_configuration(directory: &Path, world: &World, api_url: &str) {
    let write =
        |name: &str, content: &str| fs::write(directory.join(name), content).expect("a file can be written");
    let place = |name: &str| directory.join(name).display().to_string();
    write("private.key", &keys::pair().private);
    let secrets = world.secrets.iter().enumerate().map(|(index, secret)| {
        let name =
            if index == 0 { "signature.secret".to_owned() } else { format!("signature.secret.{index}") };
        write(&name, secret);
        place(&name)
    });
    let secrets: Vec<String> = secrets.collect();
    write("ncco.json", NCCO);
    let configuration = format!(
        r#"
[webhooks]
listen = "127.0.0.1:0"
signatures = "{signatures}"
{webhooks}
[query]
listen = "127.0.0.1:0"
{query}
[answer]
ncco_file = "{ncco}"
{answer}
[store]
url = "sqlite:{store}"
[fetch]
api_version = "{family}"
{more}
[reconcile]
interval = "{reconcile}"
[[application]]
id = "{application}"
private_key_file = "{key}"
signature_secret_files = {secrets:?}
api_key = "{api_key}"
api_url = "{api_url}"
{sections}
"#,
        query = world.query,
        answer = world.answer,
        sections = world.sections.replace("{directory}", &directory.display().to_string()),
        signatures = world.signatures,
        webhooks = world.webhooks,
        ncco = place("ncco.json"),
        store = place("conversationd.db"),
        family = world.family,
        more = world.more,
        reconcile = world.reconcile,
        application = keys::APPLICATION,
        key = place("private.key"),
        api_key = keys::API_KEY,
    );
    write("conversationd.toml", &configuration);
}

/// A world in which time stands still at `start`.
pub fn standing_still_at(start: &str) -> (World, Arc<ManualClock>) {
    let start: Timestamp = start.parse().expect("it is an instant");
    let clock = Arc::new(ManualClock::starting_at(start));
    (World { clock: Arc::<ManualClock>::clone(&clock), ..World::default() }, clock)
}

impl TestDaemon {
    async fn start(&mut self) {
        let file = self.directory.path().join("conversationd.toml");
        let config = Config::load(Some(&file), &Environment::default()).expect("the configuration is valid");
        let listeners = Listeners::bind(&config).await.expect("ports can be had");
        let daemon =
            daemon::start(config, listeners, Arc::clone(&self.clock)).await.expect("the daemon starts");
        self.vonage.send_webhooks_to(format!("http://{}", daemon.public).parse().expect("it is a URL"));
        self.daemon = Some(daemon);
    }

    /// Stops the daemon and waits until it has drained.
    pub async fn stop(&mut self) {
        let daemon = self.running_once();
        daemon.stop();
        let end = tokio::time::timeout(PATIENCE, daemon.ended(std::future::pending())).await;
        assert_eq!(end.expect("the daemon drains"), End::Drained);
    }

    /// Ends the daemon without letting it finish anything.
    pub async fn crash(&mut self) {
        let daemon = self.running_once();
        daemon.stop();
        let end = tokio::time::timeout(PATIENCE, daemon.ended(std::future::ready(()))).await;
        assert_ne!(end.expect("the daemon ends"), End::TaskDied);
    }

    /// The store, opened beside the daemon.
    pub async fn store(&self) -> Arc<dyn Store> {
        let path = self.directory.path().join("conversationd.db");
        store::open_shared(&path).await.expect("the store can be opened").0
    }

    /// What the store holds of a conversation.
    pub async fn history(&self, id: &ConversationId) -> History {
        let store = self.store().await;
        let histories = store.histories(std::slice::from_ref(id)).await.expect("the store can be read");
        store.close().await;
        histories.into_iter().next().expect("the conversation is known")
    }

    /// Starts it again on the same store.
    pub async fn start_again(&mut self) {
        self.start().await;
    }

    /// Moves the clock and lets the daemon see what is due now.
    pub fn advance(&self, clock: &ManualClock, by: SignedDuration) {
        clock.advance(by);
        self.running().wake();
    }

    /// Moves the clock on until Vonage is asked once more: what is due next may still have to be settled.
    pub async fn advance_until_asked(&self, clock: &ManualClock, by: SignedDuration) {
        let before = self.vonage.requests().len();
        let asking = async {
            let mut turns = tokio::time::interval(Duration::from_millis(100));
            while self.vonage.requests().len() == before {
                turns.tick().await;
                self.advance(clock, by);
            }
        };
        tokio::time::timeout(PATIENCE, asking).await.expect("Vonage is asked");
    }

    /// Where webhooks go.
    pub fn public_url(&self) -> Url {
        format!("http://{}/", self.running().public).parse().expect("it is a URL")
    }

    /// Where the configuration, the keys and the store are.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Where readers ask.
    pub fn private_url(&self) -> Url {
        format!("http://{}/", self.running().private).parse().expect("it is a URL")
    }

    /// The store's file.
    pub fn store_path(&self) -> PathBuf {
        self.directory.path().join("conversationd.db")
    }

    /// The store's bytes, with those that are still in the log.
    pub fn store_bytes(&self) -> Vec<u8> {
        let read = |name: &str| fs::read(self.directory.path().join(name)).unwrap_or_default();
        [read("conversationd.db"), read("conversationd.db-wal")].concat()
    }

    /// Sends a request to the public listener.
    pub async fn webhook(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Reply {
        self.send((self.running().public, method, path), headers, body).await
    }

    /// Posts an event as JSON.
    pub async fn post_event(&self, body: impl Into<reqwest::Body>) -> Reply {
        self.webhook(Method::POST, "/webhooks/event", &[("content-type", "application/json")], body).await
    }

    /// Sends a request to the private listener.
    pub async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        self.send((self.running().private, method, path), headers, body.to_owned()).await
    }

    /// Where readers connect.
    pub fn private_address(&self) -> SocketAddr {
        self.running().private
    }

    /// Where Vonage connects.
    pub fn public_address(&self) -> SocketAddr {
        self.running().public
    }

    async fn send(
        &self,
        (address, method, path): (SocketAddr, Method, &str),
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Reply {
        let request = self.http.request(method, format!("http://{address}{path}"));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        reply(request.body(body).send().await.expect("the daemon replies")).await
    }

    /// Asks the private listener.
    pub async fn get(&self, path: &str) -> Reply {
        self.ask(Method::GET, path, &[], "").await
    }

    /// Asks the private listener for a media type.
    pub async fn get_as(&self, path: &str, media_type: &str) -> Reply {
        self.get_with(path, "accept", media_type).await
    }

    /// Asks the private listener with a header.
    pub async fn get_with(&self, path: &str, name: &str, value: &str) -> Reply {
        let url = format!("http://{}{path}", self.running().private);
        reply(self.http.get(url).header(name, value).send().await.expect("the daemon replies")).await
    }

    /// Asks the private listener with a header, and leaves the body as it is.
    pub async fn get_raw(&self, path: &str, name: &str, value: &str) -> reqwest::Response {
        let url = format!("http://{}{path}", self.running().private);
        self.http.get(url).header(name, value).send().await.expect("the daemon replies")
    }

    /// Asks the private listener, and leaves the body to be read.
    pub async fn get_unread(&self, path: &str) -> reqwest::Result<reqwest::Response> {
        self.http.get(format!("http://{}{path}", self.running().private)).send().await
    }

    /// What Vonage itself answers, while it still knows.
    pub async fn vonage_says(&self, path: &str) -> String {
        let application = ApplicationId::parse(keys::APPLICATION).expect("it is an id");
        let key = keys::pair().private.clone().into_bytes().into();
        let mint = TokenMint::new(application, &key).expect("the key is good");
        let token = mint.token(self.clock.now()).expect("a token can be signed");
        let url = self.vonage.api_url().join(path).expect("it is a path");
        let request = self.http.get(url).bearer_auth(token.expose_secret());
        let reply = reply(request.send().await.expect("Vonage replies")).await;
        assert_eq!(reply.status, StatusCode::OK, "{path}: {}", reply.text);
        reply.text
    }

    /// Asks for a conversation until `condition` holds of it.
    pub async fn wait_for(&self, id: &str, condition: impl Fn(&Value) -> bool) -> Value {
        self.wait_for_path(&format!("/v1/conversations/{id}"), condition).await
    }

    /// Asks for a path until `condition` holds of the JSON that is there.
    pub async fn wait_for_path(&self, path: &str, condition: impl Fn(&Value) -> bool) -> Value {
        let mut latest = String::new();
        let asking = async {
            let mut turns = tokio::time::interval(ASKED_EVERY);
            loop {
                turns.tick().await;
                let reply = self.get(path).await;
                latest.clone_from(&reply.text);
                if reply.status == StatusCode::OK && condition(&reply.json()) {
                    return reply.json();
                }
            }
        };
        let answer = tokio::time::timeout(PATIENCE, asking).await;
        answer.unwrap_or_else(|_| {
            panic!("what was waited for did not come about; the last answer was {latest}")
        })
    }

    fn running(&self) -> &Daemon {
        self.daemon.as_ref().expect("the daemon runs")
    }

    fn running_once(&mut self) -> Daemon {
        self.daemon.take().expect("the daemon runs")
    }
}

async fn reply(response: reqwest::Response) -> Reply {
    let status = response.status();
    let headers = response.headers().clone();
    let content_type =
        headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    Reply { status, content_type, headers, text: response.text().await.expect("the reply is whole") }
}
