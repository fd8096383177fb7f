//! The public listener: Vonage's webhooks come in here.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request as HttpRequest, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName};
use axum::http::{HeaderMap, Method as HttpMethod, Uri};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use percent_encoding::percent_decode_str;
use tower_http::catch_panic::CatchPanicLayer;

use super::answer::Answers;
use super::health;
use super::problem::{self, Problem};
use super::webhook_body::{self, DecodeError, WebhookBody};
use crate::domain::arrival::{Delivery, Endpoint, Method};
use crate::domain::rejection::{Rejection, RejectionReason};
use crate::flow::receive::{Receiver, Request};

/// How long a body may take to come in whole. Vonage waits 5 to 10 s for the whole exchange.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// What the public listener works with.
#[derive(Debug)]
pub struct Webhooks {
    /// Takes webhooks in.
    pub receiver: Arc<Receiver>,
    /// Decides what they are replied to with.
    pub answers: Answers,
    /// The largest body that is taken.
    pub max_body_bytes: usize,
}

/// What the public listener works with at the moment. A request goes on with what it began with.
#[derive(Debug, Clone)]
pub struct LiveWebhooks(Arc<ArcSwap<Webhooks>>);

impl LiveWebhooks {
    /// Begins with these.
    #[must_use]
    pub fn new(webhooks: Webhooks) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(webhooks)))
    }

    /// What it works with now.
    #[must_use]
    pub fn current(&self) -> Arc<Webhooks> {
        self.0.load_full()
    }

    /// Works with these from the next request on.
    pub fn replace(&self, webhooks: Webhooks) {
        self.0.store(Arc::new(webhooks));
    }

    /// The routes of the public listener.
    pub fn router(&self) -> Router {
        // The paths are read here and not by the router, for which each slash too many is another path.
        Router::new()
            .fallback(async |State(webhooks): State<Self>, request: HttpRequest| {
                webhooks.current().route(request).await
            })
            .layer(CatchPanicLayer::custom(problem::panicked))
            .with_state(self.clone())
    }
}

impl Webhooks {
    async fn route(&self, request: HttpRequest) -> Result<Response, Problem> {
        match Place::of(request.uri().path()) {
            Some(Place::Webhook { endpoint, application }) => self.take(endpoint, application, request).await,
            Some(Place::Livez) if matches!(*request.method(), HttpMethod::GET | HttpMethod::HEAD) => {
                Ok(health::livez().await.into_response())
            }
            Some(Place::Livez) => Err(problem::only_get().await),
            None => {
                self.receiver.refusals().note_unknown_path();
                Err(problem::no_such_path().await)
            }
        }
    }

    /// Takes one request. The reply follows the commit, except where a caller waits and the store is slow.
    async fn take(
        &self,
        endpoint: Endpoint,
        application: Segment,
        request: HttpRequest,
    ) -> Result<Response, Problem> {
        let request = match self.read(endpoint, application, request).await {
            Ok(request) => request,
            Err((reason, problem)) => {
                let rejection = Rejection { endpoint, reason };
                self.receiver.refusals().note(rejection, None, &problem.detail());
                return Err(problem);
            }
        };
        let mut to_pass_on = self.answers.passes_on(endpoint).then(|| request.clone());
        let taken = self.receiver.receive(request).await?;
        if let Some(request) = &mut to_pass_on {
            request.delivery.covered_query.clone_from(&taken.covered_query);
        }
        let (response, given) = self.answers.reply(&taken, to_pass_on.as_ref()).await;
        if let Some(given) = given {
            self.receiver.replied(taken, given);
        }
        Ok(response)
    }

    async fn read(
        &self,
        endpoint: Endpoint,
        application: Segment,
        request: HttpRequest,
    ) -> Result<Request, Rejected> {
        let application = application.map_err(|problem| (RejectionReason::UnknownApplication, problem))?;
        let (head, body) = request.into_parts();
        let method = method(endpoint, &head.method).map_err(|problem| (RejectionReason::Method, problem))?;
        let content_type = text_header(&head.headers, &CONTENT_TYPE);
        let WebhookBody { content, other_forms } = match method {
            Method::Post => self.posted(content_type.as_deref(), &head.headers, body).await?,
            // Its data is in the address. What comes with it is kept as it is.
            Method::Get => WebhookBody { content: self.body(body).await?.into(), other_forms: Vec::new() },
        };
        let query = query(&head.uri);
        let delivery = Delivery { endpoint, method, query, covered_query: None, content_type, body: content };
        let authorization = text_header(&head.headers, &AUTHORIZATION);
        Ok(Request { delivery, other_forms, authorization, application })
    }

    async fn posted(
        &self,
        content_type: Option<&str>,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<WebhookBody, Rejected> {
        if !content_type.is_none_or(is_json) {
            return Err((RejectionReason::ContentType, Problem::not_json()));
        }
        let encodings = webhook_body::encodings(headers)
            .ok_or_else(|| (RejectionReason::ContentType, Problem::not_decodable()))?;
        let sent = self.body(body).await?;
        WebhookBody::decode(&sent, &encodings, self.max_body_bytes).map_err(|error| match error {
            DecodeError::TooLarge => self.too_large(),
            DecodeError::Broken => unreadable("the body is not what its Content-Encoding says"),
        })
    }

    async fn body(&self, body: Body) -> Result<Bytes, Rejected> {
        if body.size_hint().lower() > self.max_body_bytes as u64 {
            return Err(self.too_large());
        }
        let whole = Limited::new(body, self.max_body_bytes).collect();
        match tokio::time::timeout(BODY_TIMEOUT, whole).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(self.too_large()),
            Ok(Err(_)) => Err(unreadable("the body broke off")),
            Err(_) => Err((RejectionReason::Timeout, Problem::too_slow())),
        }
    }

    fn too_large(&self) -> Rejected {
        (RejectionReason::TooLarge, Problem::too_large(self.max_body_bytes))
    }
}

/// A request that cannot be received: what it counts as, and what its sender is told.
type Rejected = (RejectionReason, Problem);

fn unreadable(detail: &str) -> Rejected {
    (RejectionReason::Unreadable, Problem::bad_request(detail))
}

/// What is at a path.
enum Place {
    Livez,
    Webhook { endpoint: Endpoint, application: Segment },
}

/// The application in a webhook's path, if it names one.
type Segment = Result<Option<String>, Problem>;

impl Place {
    /// A slash too many, at the end or between, is no other path, and neither is an encoded letter.
    fn of(path: &str) -> Option<Self> {
        let segments = path.split('/').filter(|segment| !segment.is_empty());
        let segments: Vec<_> = segments.map(|segment| percent_decode_str(segment).decode_utf8()).collect();
        let [Ok(first), rest @ ..] = segments.as_slice() else { return None };
        let (application, name) = match (first.as_ref(), rest) {
            ("livez", []) => return Some(Self::Livez),
            ("webhooks", [Ok(name)]) => (Ok(None), name),
            ("webhooks", [Ok(id), Ok(name)]) => (Ok(Some(id.clone().into_owned())), name),
            ("webhooks", [Err(_), Ok(name)]) => {
                (Err(Problem::bad_request("the path is not UTF-8 after percent-decoding")), name)
            }
            _ => return None,
        };
        Some(Self::Webhook { endpoint: Endpoint::named(name)?, application })
    }
}

/// `HEAD` is not `GET`: a webhook that is only probed has not happened. Events of the Conversation API are
/// always posted.
fn method(endpoint: Endpoint, method: &HttpMethod) -> Result<Method, Problem> {
    match *method {
        HttpMethod::POST => Ok(Method::Post),
        _ if endpoint == Endpoint::Rtc => Err(Problem::method_not_allowed("POST")),
        HttpMethod::GET => Ok(Method::Get),
        _ => Err(Problem::method_not_allowed("GET, POST")),
    }
}

/// `application/json`, or a type built on it, whatever its parameters; also where a proxy wrote it twice.
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split([';', ',']).next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json") || {
        let essence = essence.to_ascii_lowercase();
        essence.starts_with("application/") && essence.ends_with("+json")
    }
}

/// An empty header is none.
fn text_header(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().filter(|text| !text.trim().is_empty()).map(str::to_owned)
}

fn query(uri: &Uri) -> Option<String> {
    uri.query().filter(|query| !query.is_empty()).map(str::to_owned)
}
