//! A Vonage with state, on loopback: its Conversation API and its webhooks.
//!
//! Made from what is known of Vonage and not from the code that reads Vonage's answers, so that a misreading
//! cannot agree with itself. A [`Simulator`] serves the API on its own port, keeps conversations and lets
//! them [`Change`], plays whole [`Call`]s, misbehaves on demand ([`Fault`]) and knows what it was asked. A
//! conversation is known to one host only: the global one, or that of its [`Region`].

mod api;
mod call;
mod conversation;
mod delivery;
mod documents;
mod event;
mod faults;
mod leg;
mod member;
mod play;
mod record;
mod region;
mod reply;
mod requests;
mod rtc;
mod scripts;
mod server;
#[cfg(test)]
mod tests;
mod text;
mod token;
mod webhook;
mod world;

use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use jiff::Timestamp;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio_util::sync::DropGuard;
use tokio_util::task::TaskTracker;
use url::Url;

pub use self::api::Members;
pub use self::call::Action;
pub use self::call::Call;
pub use self::call::Step;
pub use self::delivery::Delivery;
pub use self::delivery::NoReply;
pub use self::delivery::WebhookReply;
pub use self::event::Note;
pub use self::faults::Fault;
pub use self::leg::Bill;
pub use self::leg::Detection;
pub use self::leg::Direction;
pub use self::leg::Leg;
pub use self::leg::Status;
pub use self::leg::notify;
pub use self::leg::transfer;
pub use self::member::Channel;
pub use self::member::Dialling;
pub use self::member::Endpoint;
pub use self::member::Participant;
pub use self::play::Pace;
pub use self::play::Played;
pub use self::region::Region;
pub use self::requests::Request;
pub use self::webhook::Method;
pub use self::webhook::Signing;
pub use self::webhook::Target;
pub use self::webhook::Webhook;
pub use self::world::Change;
pub use self::world::Lifetime;

use self::api::Api;
use self::delivery::Sender;
use self::reply::Reply;
use self::server::Shared;
use self::token::TokenCheck;
use self::webhook::Signer;
use crate::domain::clock::Clock;
use crate::domain::ids::ApplicationId;
use crate::domain::ids::ConversationId;

/// What a simulator is made of.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The application whose calls it has.
    pub application_id: ApplicationId,
    /// The public half of the application's RSA key, as a PEM: checks the tokens of requests.
    pub public_key_pem: String,
    /// The account, which signed webhooks name.
    pub api_key: String,
    /// The account's secret, which signs webhooks.
    pub signature_secret: SecretString,
    /// Where the application is: webhooks go to `{base}/webhooks/answer`, `{base}/webhooks/event` and so on.
    pub webhooks: Url,
    /// Where v0.3 answers hold the members. Earlier families always embed them, v0.2 and v1 never do.
    pub members: Members,
    /// Tells when tokens are checked and webhooks are signed.
    pub clock: Arc<dyn Clock>,
}

/// A Vonage on loopback. It stops when it is dropped.
pub struct Simulator {
    shared: Arc<Shared>,
    /// The global host.
    api_url: Url,
    /// The hosts that know the calls of one region.
    regions: Vec<(Region, Url)>,
    sender: Sender,
    tasks: TaskTracker,
    stop: DropGuard,
}

// === impl Simulator ===

impl Simulator {
    /// Starts the API on free ports of 127.0.0.1, one for the global host and one for each region's.
    ///
    /// # Errors
    /// When no port can be had, or the public key is not one.
    pub async fn start(settings: Settings) -> io::Result<Self> {
        let tokens = TokenCheck::new(&settings.public_key_pem, settings.application_id.clone())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let signer = Signer {
            api_key: settings.api_key,
            application_id: settings.application_id,
            secret: settings.signature_secret,
        };
        let sender = Sender::new(signer, settings.webhooks).map_err(io::Error::other)?;
        let shared = Shared::new(settings.members, tokens, settings.clock);
        let tasks = TaskTracker::new();
        let api_url = serve(&tasks, &shared, None).await?;
        let mut regions = Vec::new();
        for region in Region::ALL {
            regions.push((region, serve(&tasks, &shared, Some(region)).await?));
        }
        tasks.close();
        let stop = shared.stopping.clone().drop_guard();
        Ok(Self { shared, api_url, regions, sender, tasks, stop })
    }

    /// Where the API is: the global host, which knows what is in no particular region.
    #[must_use]
    pub fn api_url(&self) -> Url {
        self.api_url.clone()
    }

    /// Where a region's host is.
    #[must_use]
    pub fn region_url(&self, region: Region) -> Url {
        let mut known = self.regions.iter();
        let address = known.find_map(|(known, address)| (*known == region).then(|| address.clone()));
        address.expect("every region's host is started")
    }

    /// Every regional host, and where it really is: for whoever is told to ask `https://{host}`.
    #[must_use]
    pub fn regions(&self) -> Vec<(String, Url)> {
        self.regions.iter().map(|(region, address)| (region.host().to_owned(), address.clone())).collect()
    }

    /// Sends webhooks from now on to the application at `base`.
    pub fn send_webhooks_to(&self, base: Url) {
        self.sender.send_to(base);
    }

    /// Sends webhooks from now on to `{base}/webhooks/{application id}/…`, or no longer does.
    pub fn name_application_in_path(&self, named: bool) {
        self.sender.name_application(named);
    }

    /// Answers for a v1 event list with the array right in `_embedded`, as Vonage's definition has it and not
    /// as its servers do, or no longer does.
    pub fn embed_bare_events(&self, bare: bool) {
        self.shared.change(|world| world.bare_events = bare);
    }

    /// Lets something happen to a conversation. What would change one that does not exist changes nothing.
    pub fn apply(&self, conversation: &ConversationId, at: Timestamp, change: Change) {
        self.shared.change(|world| world.apply(conversation, at, change));
    }

    /// Makes a conversation unreadable: it is answered for with 404 from now on.
    pub fn forget(&self, conversation: &ConversationId) {
        self.shared.change(|world| world.forget(conversation));
    }

    /// Sends one webhook, and once more when the first try ends in a way that Vonage repeats: no connection,
    /// no reply in time, a closed connection, 429, 502, 503 or 504.
    pub async fn send(&self, webhook: Webhook) -> Delivery {
        self.sender.send(webhook, &*self.shared.clock).await
    }

    /// Lets `fault` happen to the next `count` requests, after the faults that are already due.
    pub fn answer_next(&self, count: usize, fault: Fault) {
        self.shared.change(|world| world.faults.add(count, fault));
    }

    /// Lets `fault` happen to every request for `path`, with any query, after the faults that are already due.
    pub fn answer_always(&self, path: &str, fault: Fault) {
        self.shared.change(|world| world.faults.last_at(path, fault));
    }

    /// Lets no further fault happen.
    pub fn answer_properly(&self) {
        self.shared.change(|world| world.faults.clear());
    }

    /// Answers good tokens with 401, or no longer does.
    pub fn refuse_tokens(&self, refused: bool) {
        self.shared.change(|world| world.tokens_refused = refused);
    }

    /// Answers requests for `path` with this body from now on: with any query, or with the one `path` has.
    pub fn serve_document(&self, path: &str, status: u16, body: String) {
        self.shared.change(|world| world.documents.insert(path.to_owned(), Reply::fixed(status, body)));
    }

    /// What the API was asked so far, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.shared.read(|world| world.requests.clone())
    }

    /// Waits until the API was asked `count` times in all. Bound it with a timeout.
    pub async fn wait_for_requests(&self, count: usize) {
        self.wait_until(|requests| requests.len() >= count).await;
    }

    /// Waits until `condition` holds of what the API was asked. Bound it with a timeout. The condition must
    /// not ask the simulator itself.
    pub async fn wait_until(&self, mut condition: impl FnMut(&[Request]) -> bool) {
        self.shared.wait_until(|world| condition(&world.requests)).await;
    }

    /// The most requests within any one second.
    #[must_use]
    pub fn peak_per_second(&self) -> usize {
        self.shared.read(|world| requests::peak_per_second(&world.requests))
    }

    /// Stops the API and waits until its connections are closed.
    pub async fn stop(self) {
        drop(self.stop);
        self.tasks.wait().await;
    }
}

impl fmt::Debug for Simulator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Simulator").field("api_url", &self.api_url.as_str()).finish_non_exhaustive()
    }
}

/// Serves the API as the host of `region` has it, or the global one, and tells where.
async fn serve(tasks: &TaskTracker, shared: &Arc<Shared>, region: Option<Region>) -> io::Result<Url> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = Url::parse(&format!("http://{}/", listener.local_addr()?)).map_err(io::Error::other)?;
    let api = Api { address: address.clone(), region, members: shared.members };
    let stopped = shared.stopping.clone().cancelled_owned();
    let server =
        axum::serve(listener, server::router(Arc::clone(shared), api)).with_graceful_shutdown(stopped);
    tasks.spawn(server.into_future());
    Ok(address)
}
