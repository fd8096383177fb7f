//! A path of the private listener, with what it takes to be let in.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{FromRef, Request, State};
use axum::http::HeaderMap;
use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;

use super::answer_bounds::{self, AnswerBounds};
use super::auth::{Access, Refusal};
use super::page;
use super::problem::Problem;
use super::request_log::ReadBy;
use crate::domain::reader::Scope;

/// One path.
#[derive(Debug, Clone)]
pub struct Route<S> {
    /// The path, with its parameters in braces.
    pub path: &'static str,
    /// The scope that a token must have; `None` is open to all.
    pub scope: Option<Scope>,
    handler: MethodRouter<S>,
    refuse: Refuse,
}

/// How it is said that somebody is not let in.
type Refuse = fn(Refusal, &Request) -> Response;

impl<S> Route<S>
where
    S: Clone + Send + Sync + 'static,
    Arc<Access>: FromRef<S>,
{
    /// A path that is open to all.
    pub(super) fn open(path: &'static str, handler: MethodRouter<S>) -> Self {
        Self { path, scope: None, handler, refuse: in_short }
    }

    /// A path with what is derived.
    pub(super) fn read(path: &'static str, handler: MethodRouter<S>) -> Self {
        Self { scope: Some(Scope::Read), ..Self::open(path, handler) }
    }

    /// A path with what was received.
    pub(super) fn raw(path: &'static str, handler: MethodRouter<S>) -> Self {
        Self { scope: Some(Scope::Raw), ..Self::open(path, handler) }
    }

    /// A page: as [`read`](Self::read), and a browser is led to where it can sign in.
    pub(super) fn page(path: &'static str, handler: MethodRouter<S>) -> Self {
        Self::read(path, handler).refusing_with(page::lead_to_sign_in)
    }

    /// The same, with another way to say that somebody is not let in.
    pub(super) fn refusing_with(self, refuse: Refuse) -> Self {
        Self { refuse, ..self }
    }

    /// The same within the bounds on answers.
    pub(super) fn bounded(self, bounds: &AnswerBounds) -> Self {
        let is_raw = self.scope == Some(Scope::Raw);
        let bounds = if is_raw { bounds.of_bodies() } else { bounds.clone() };
        let layer = from_fn_with_state(bounds, answer_bounds::bound);
        Self { handler: self.handler.layer(layer), ..self }
    }

    /// What answers at the path, behind the guard.
    pub(super) fn guarded(self, access: &Arc<Access>) -> MethodRouter<S> {
        let Some(scope) = self.scope else { return self.handler };
        let gate = Gate { access: Arc::clone(access), scope, refuse: self.refuse };
        self.handler.layer(from_fn_with_state(gate, guard))
    }
}

#[derive(Clone)]
struct Gate {
    access: Arc<Access>,
    scope: Scope,
    refuse: Refuse,
}

async fn guard(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    if gate.access.is_open() {
        return if names_this_machine(request.headers()) {
            next.run(request).await
        } else {
            Problem::not_this_host().into_response()
        };
    }
    let reader = match gate.access.identify(&request) {
        Ok(reader) => reader,
        Err(refusal) => return (gate.refuse)(refusal, &request),
    };
    let mut response = if reader.may(gate.scope) {
        request.extensions_mut().insert(ReadBy(Arc::clone(&reader)));
        next.run(request).await
    } else {
        (gate.refuse)(Refusal::Lacking(gate.scope), &request)
    };
    response.extensions_mut().insert(ReadBy(reader));
    response
}

/// Whether a request is for this machine by its own word. A page from elsewhere can have its own name lead here, and
/// would then read what is open to whoever is on this machine.
fn names_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST) else { return true };
    let authority = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
    authority.is_some_and(|authority| {
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost")
            || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    })
}

fn in_short(refusal: Refusal, _: &Request) -> Response {
    Problem::from(refusal).into_response()
}
