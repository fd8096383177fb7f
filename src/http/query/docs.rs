//! The description of the interface, and a page to read it that needs no other host.

use std::sync::{Arc, LazyLock};

use axum::http::HeaderMap;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use utoipa_swagger_ui::{Config, SwaggerFile};

use super::super::problem::Problem;
use super::{PathOf, openapi, tagged};

/// Where the description is.
pub(super) const DESCRIPTION: &str = "/openapi.json";

/// What the page shows.
static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| Arc::new(Config::from(DESCRIPTION)));

/// `GET /openapi.json`.
pub(super) async fn description(headers: HeaderMap) -> Response {
    tagged::json(&openapi::description(), &headers)
}

/// `GET /docs`. Its files are named from there on.
pub(super) async fn page() -> Result<Response, Problem> {
    let page = own("index.html")?;
    let text = String::from_utf8_lossy(&page.bytes)
        .replace("\"./", "\"/docs/")
        .replace("\"index.css", "\"/docs/index.css");
    Ok(([(CONTENT_TYPE, page.content_type)], text).into_response())
}

/// `GET /docs/{file}`: a file of the page.
pub(super) async fn file(PathOf(name): PathOf<String>) -> Result<Response, Problem> {
    let file = own(&name)?;
    let headers = [(CONTENT_TYPE, file.content_type), (CACHE_CONTROL, "private, max-age=3600".to_owned())];
    Ok((headers, file.bytes.into_owned()).into_response())
}

fn own(name: &str) -> Result<SwaggerFile<'static>, Problem> {
    let found = utoipa_swagger_ui::serve(name, Arc::clone(&CONFIG)).ok().flatten();
    found.ok_or_else(|| Problem::not_found("the page has no such file"))
}
