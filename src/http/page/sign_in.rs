//! Signing in with a token, and out.

use std::net::SocketAddr;
use std::sync::Arc;

use askama::Template;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{ConnectInfo, DefaultBodyLimit, Form, FromRef, Query, Request, State};
use axum::http::header::{ACCEPT, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use axum::routing::{MethodRouter, get, post};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::super::auth::{Access, COOKIE, LIFE, Refusal};
use super::super::problem::Problem;
use super::html;
use crate::domain::reader::Token;

/// The largest form that is taken: a token and an address.
const MAX_FORM_BYTES: usize = 16 * 1024;

/// `/sign-in`: the form, and what it sends.
pub(in crate::http) fn sign_in<S>() -> MethodRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Arc<Access>: FromRef<S>,
{
    get(show)
        .post(enter)
        .layer(DefaultBodyLimit::max(MAX_FORM_BYTES))
        .fallback(async || Problem::method_not_allowed("GET, HEAD, POST"))
}

/// `/sign-out`.
pub(in crate::http) fn sign_out<S>() -> MethodRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Arc<Access>: FromRef<S>,
{
    post(leave).fallback(async || Problem::method_not_allowed("POST"))
}

/// Leads a browser that is not known to the form; anything else is told why it is not let in.
pub(in crate::http) fn lead_to_sign_in(refusal: Refusal, request: &Request) -> Response {
    let accepts = |header: &HeaderValue| header.to_str().is_ok_and(|types| types.contains("text/html"));
    if refusal == Refusal::Unknown && request.headers().get_all(ACCEPT).iter().any(accepts) {
        let next = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let next = utf8_percent_encode(next, NON_ALPHANUMERIC);
        return Redirect::to(&format!("/sign-in?next={next}")).into_response();
    }
    Problem::from(refusal).into_response()
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct Page {
    next: Local,
    fault: Option<Refusal>,
}

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    next: Local,
}

async fn show(
    State(access): State<Arc<Access>>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Problem> {
    if access.is_open() {
        return Ok(Redirect::to("/").into_response());
    }
    let Query(wanted) = wanted.map_err(|_| Problem::bad_request("the only parameter is next, an address"))?;
    Ok(html(&Page { next: wanted.next, fault: None }))
}

/// What the form sends.
#[derive(Deserialize)]
struct Entry {
    token: SecretString,
    #[serde(default)]
    next: Local,
}

async fn enter(
    State(access): State<Arc<Access>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    entry: Result<Form<Entry>, FormRejection>,
) -> Result<Response, Problem> {
    if access.is_open() {
        return Ok(Redirect::to("/").into_response());
    }
    let not_the_form = |_| Problem::bad_request("send the form of GET /sign-in: token, and next if need be");
    let Form(Entry { token, next }) = entry.map_err(not_the_form)?;
    match access.sign_in(token.expose_secret(), peer.ip()) {
        Ok(secret) => {
            Ok((AppendHeaders([(SET_COOKIE, cookie(&secret, &headers))]), Redirect::to(&next.0))
                .into_response())
        }
        Err(refusal) => Ok(Problem::from(refusal).shown_as(html(&Page { next, fault: Some(refusal) }))),
    }
}

async fn leave(State(access): State<Arc<Access>>, headers: HeaderMap) -> Response {
    access.sign_out(&headers);
    let gone = format!("{COOKIE}=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0");
    (AppendHeaders([(SET_COOKIE, gone)]), Redirect::to("/sign-in")).into_response()
}

/// The cookie of a session. A proxy that ends TLS says so; a client that claims it only restricts itself.
fn cookie(secret: &Token, headers: &HeaderMap) -> String {
    let is_https = headers.get("x-forwarded-proto").is_some_and(|scheme| scheme == "https");
    let secure = if is_https { "; Secure" } else { "" };
    let (secret, seconds) = (secret.expose_secret(), LIFE.as_secs());
    format!("{COOKIE}={secret}; HttpOnly; SameSite=Strict; Path=/; Max-Age={seconds}{secure}")
}

/// An address of this daemon, to go on to. Anything else is the start page: a link to the form must not lead away.
#[derive(Debug, Clone, Deserialize)]
#[serde(from = "String")]
struct Local(String);

impl Default for Local {
    fn default() -> Self {
        Self("/".to_owned())
    }
}

impl From<String> for Local {
    fn from(address: String) -> Self {
        // Browsers read `//` and `/\` as the beginning of another host.
        let is_plain = address.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        let is_local = is_plain && address.starts_with('/') && !address.starts_with("//");
        if is_local { Self(address) } else { Self::default() }
    }
}
