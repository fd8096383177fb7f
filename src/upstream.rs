//! Asks the application behind this daemon what it would have replied to a webhook.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Method as HttpMethod, redirect};
use url::{Host, Url};

use crate::domain::arrival::{Delivery, Method};

/// The largest reply that is taken. An NCCO is some kilobytes.
const MAX_REPLY_BYTES: usize = 1024 * 1024;

/// One address of the application behind.
#[derive(Debug)]
pub struct Upstream {
    http: reqwest::Client,
    url: Url,
    timeout: Duration,
}

/// What came of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The status of the reply, if one began.
    pub status: Option<u16>,
    /// How long it took.
    pub elapsed: Duration,
    /// The reply, if it came in whole.
    pub outcome: Result<Reply, Failure>,
}

/// A reply, read whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The content type, if there is one.
    pub content_type: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

/// Why there is no reply. Holds nothing of what was sent or received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It took too long.
    TimedOut,
    /// No connection could be made.
    Unreachable,
    /// The connection broke, or what came is not HTTP.
    Broken,
    /// The reply is larger than what is taken.
    TooLarge,
}

impl Upstream {
    /// An address, with connections of its own. `timeout` is for an exchange as a whole.
    ///
    /// # Errors
    /// When TLS cannot be set up on this machine.
    pub fn new(url: Url, timeout: Duration) -> Result<Self, reqwest::Error> {
        let builder = reqwest::Client::builder();
        // What is meant for a server on this machine must not pass through a proxy on another.
        let builder = if url.scheme() == "http" && is_loopback(&url) { builder.no_proxy() } else { builder };
        // A redirect could lead anywhere, and Vonage does not follow one either.
        let http = builder.redirect(redirect::Policy::none()).connect_timeout(timeout).build()?;
        Ok(Self { http, url, timeout })
    }

    /// Sends the webhook on as it came: method, query, body, content type and signature, and nothing else. Of the
    /// parameters of a query that are repeated those that the signature does not cover stay behind.
    pub async fn relay(&self, delivery: &Delivery, authorization: Option<&str>) -> Exchange {
        let began = Instant::now();
        let mut status = None;
        let exchange = self.exchange(delivery, authorization, &mut status);
        let outcome = tokio::time::timeout(self.timeout, exchange).await.unwrap_or(Err(Failure::TimedOut));
        Exchange { status, elapsed: began.elapsed(), outcome }
    }

    async fn exchange(
        &self,
        delivery: &Delivery,
        authorization: Option<&str>,
        seen: &mut Option<u16>,
    ) -> Result<Reply, Failure> {
        let method = match delivery.method {
            Method::Get => HttpMethod::GET,
            Method::Post => HttpMethod::POST,
        };
        let mut request = self.http.request(method, self.address(delivery.query_to_read()));
        for (name, value) in
            [(CONTENT_TYPE, delivery.content_type.as_deref()), (AUTHORIZATION, authorization)]
        {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        if !delivery.body.is_empty() {
            request = request.body(delivery.body.clone());
        }
        let mut response = request.send().await.map_err(|error| failure(&error))?;
        let status = response.status().as_u16();
        *seen = Some(status);
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type = content_type.map(str::to_owned);
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| failure(&error))? {
            if body.len() + chunk.len() > MAX_REPLY_BYTES {
                return Err(Failure::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply { status, content_type, body })
    }

    /// The application's address with the webhook's parameters behind its own.
    fn address(&self, query: Option<&str>) -> Url {
        let mut url = self.url.clone();
        if let Some(query) = query {
            let own = self.url.query().filter(|own| !own.is_empty());
            url.set_query(Some(&own.map_or_else(|| query.to_owned(), |own| format!("{own}&{query}"))));
        }
        url
    }
}

/// Whether an address is on this machine by its own word.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Whether a listener at `address` hears what is sent to `url`, as far as one can tell without asking for names.
#[must_use]
pub fn is_at(url: &Url, address: SocketAddr) -> bool {
    let host = match url.host() {
        Some(Host::Ipv4(host)) => Some(IpAddr::V4(host)),
        Some(Host::Ipv6(host)) => Some(IpAddr::V6(host)),
        _ => None,
    };
    let everywhere = address.ip().is_unspecified();
    let same = host.is_some_and(|host| host == address.ip() || host.is_unspecified())
        || (is_loopback(url) && (everywhere || (host.is_none() && address.ip().is_loopback())));
    same && url.port_or_known_default() == Some(address.port())
}

fn failure(error: &reqwest::Error) -> Failure {
    if error.is_timeout() {
        Failure::TimedOut
    } else if error.is_connect() {
        Failure::Unreachable
    } else {
        Failure::Broken
    }
}
