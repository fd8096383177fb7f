//! The public listener: Vonage's webhooks come in here.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request as HttpRequest, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName};
use axum::http::{HeaderMap, Method as HttpMethod, Uri};
use axum::response::Response;
use axum::routing::{any, get};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tower_http::catch_panic::CatchPanicLayer;

use super::answer::Answers;
use super::health;
use super::problem::{self, Problem};
use crate::domain::arrival::{Delivery, Endpoint, Method};
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

impl Webhooks {
    /// The routes of the public listener.
    pub fn router(self) -> Router {
        let livez = Router::new().route("/livez", get(health::livez).fallback(problem::only_get));
        let routes = Endpoint::ALL.into_iter().fold(livez, |routes, endpoint| {
            let take =
                async move |State(webhooks): State<Arc<Self>>, path: Application, request: HttpRequest| {
                    webhooks.take(endpoint, path, request).await
                };
            let name = endpoint.as_str();
            routes
                .route(&format!("/webhooks/{name}"), any(take))
                .route(&format!("/webhooks/{{application}}/{name}"), any(take))
        });
        routes
            .fallback(problem::no_such_path)
            .layer(CatchPanicLayer::custom(problem::panicked))
            .with_state(Arc::new(self))
    }

    /// Takes one request. The reply follows the commit, except where a caller waits and the store is slow.
    async fn take(
        &self,
        endpoint: Endpoint,
        path: Application,
        request: HttpRequest,
    ) -> Result<Response, Problem> {
        let application = named(path).map_err(|problem| self.refused("path", problem))?;
        let request = self.read(endpoint, application, request).await?;
        let to_pass_on = self.answers.passes_on(endpoint).then(|| request.clone());
        let taken = self.receiver.receive(request).await?;
        let (response, given) = self.answers.reply(&taken, to_pass_on.as_ref()).await;
        if let Some(given) = given {
            self.receiver.replied(taken, given);
        }
        Ok(response)
    }

    async fn read(
        &self,
        endpoint: Endpoint,
        application: Option<String>,
        request: HttpRequest,
    ) -> Result<Request, Problem> {
        let (head, body) = request.into_parts();
        let method = method(endpoint, &head.method).map_err(|problem| self.refused("method", problem))?;
        let content_type = text_header(&head.headers, &CONTENT_TYPE);
        if method == Method::Post && !content_type.as_deref().is_none_or(is_json) {
            return Err(self.refused("content type", Problem::not_json()));
        }
        let body = self.body(body).await?;
        let delivery =
            Delivery { endpoint, method, query: query(&head.uri), content_type, body: body.into() };
        Ok(Request { delivery, authorization: text_header(&head.headers, &AUTHORIZATION), application })
    }

    async fn body(&self, body: Body) -> Result<Bytes, Problem> {
        let too_large = || self.refused("too large", Problem::too_large(self.max_body_bytes));
        if body.size_hint().lower() > self.max_body_bytes as u64 {
            return Err(too_large());
        }
        let whole = Limited::new(body, self.max_body_bytes).collect();
        match tokio::time::timeout(BODY_TIMEOUT, whole).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
            Ok(Err(_)) => Err(self.refused("broken", Problem::bad_request("the body broke off"))),
            Err(_) => Err(self.refused("too slow", Problem::too_slow())),
        }
    }

    fn refused(&self, reason: &'static str, problem: Problem) -> Problem {
        self.receiver.refusals().note(reason, None, &problem.detail());
        problem
    }
}

/// The application in a webhook's path, if it names one.
type Application = Result<RawPathParams, RawPathParamsRejection>;

fn named(application: Application) -> Result<Option<String>, Problem> {
    let undecodable = |_| Problem::bad_request("the path is not UTF-8 after percent-decoding");
    let parameters = application.map_err(undecodable)?;
    Ok(parameters.iter().next().map(|(_, id)| id.to_owned()))
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

/// `application/json`, or a type built on it, whatever its parameters.
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json") || {
        let essence = essence.to_ascii_lowercase();
        essence.starts_with("application/") && essence.ends_with("+json")
    }
}

fn text_header(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

fn query(uri: &Uri) -> Option<String> {
    uri.query().filter(|query| !query.is_empty()).map(str::to_owned)
}
