//! The real binary's surroundings, for tests that start it themselves: its files, its addresses, and requests to it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;
use tempfile::TempDir;

use super::daemon::{PATIENCE, World};
use super::process::{configure, log};

/// A daemon whose webhooks need no signature, with its addresses.
pub struct Service {
    /// Where the configuration, the store and the log are.
    pub directory: TempDir,
    /// Sends requests.
    pub http: reqwest::Client,
    /// The port of the public listener.
    pub public: u16,
    /// The port of the private listener.
    pub private: u16,
}

impl Service {
    /// A place for one, with nobody at Vonage's address.
    pub fn new() -> Self {
        Self::beside("http://127.0.0.1:9")
    }

    /// A place for one that asks Vonage at this address.
    pub fn beside(api_url: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let world = World { signatures: "off", ..World::default() };
        let [public, private] = configure(directory.path(), &world, api_url).unwrap();
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        Self { directory, http, public, private }
    }

    /// Sends an answer webhook.
    pub async fn answer(&self, conversation: &str) -> (StatusCode, String) {
        let query = format!("to=447700900100&from=447700900001&uuid=leg&conversation_uuid={conversation}");
        let url = format!("http://127.0.0.1:{}/webhooks/answer?{query}", self.public);
        let reply = self.http.get(url).send().await.unwrap();
        (reply.status(), reply.text().await.unwrap())
    }

    /// Sends an event.
    pub async fn event(&self, conversation: &str) -> StatusCode {
        let url = format!("http://127.0.0.1:{}/webhooks/event", self.public);
        let body =
            format!(r#"{{"conversation_uuid": "{conversation}", "uuid": "leg", "status": "ringing"}}"#);
        let request = self.http.post(url).header("content-type", "application/json").body(body);
        request.send().await.unwrap().status()
    }

    /// Asks the private listener.
    pub async fn private(&self, path: &str) -> (StatusCode, String) {
        let reply = self.http.get(format!("http://127.0.0.1:{}{path}", self.private)).send().await.unwrap();
        (reply.status(), reply.text().await.unwrap())
    }

    /// Asks until the answer is as it should be.
    pub async fn wait_for(&self, path: &str, condition: impl Fn(StatusCode, &str) -> bool) -> String {
        let asking = async {
            let mut turns = tokio::time::interval(Duration::from_millis(20));
            loop {
                turns.tick().await;
                let (status, text) = self.private(path).await;
                if condition(status, &text) {
                    return text;
                }
            }
        };
        tokio::time::timeout(PATIENCE, asking).await.expect("what is waited for comes about")
    }

    /// Waits until a conversation is kept.
    pub async fn wait_for_conversation(&self, id: &str) {
        self.wait_for(&format!("/v1/conversations/{id}/webhooks"), |status, _| status == StatusCode::OK)
            .await;
    }

    /// The causes of all gaps, the newest first.
    pub async fn causes(&self) -> Vec<String> {
        let gaps: Value = serde_json::from_str(&self.private("/v1/gaps").await.1).unwrap();
        let causes = gaps["items"].as_array().unwrap().iter().map(|gap| gap["cause"].as_str().unwrap());
        causes.map(str::to_owned).collect()
    }

    /// What the process has logged.
    pub fn log(&self) -> String {
        log(self.directory.path())
    }

    /// What a counter has counted.
    pub async fn counted(&self, series: &str) -> u64 {
        let (_, metrics) = self.private("/metrics").await;
        let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0, |value| value.parse().unwrap())
    }
}
