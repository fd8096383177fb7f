//! The description of the private listener's interface (`OpenAPI` 3.1), made from the code.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, Ref, RefOr, Required, Response, ResponseBuilder, ResponsesBuilder, SecurityRequirement,
};
use utoipa::{IntoParams, IntoResponses, Modify, OpenApi, ToSchema};

use super::super::health;
use super::super::problem::ProblemAnswer;
use super::list::{DEFAULT_LIMIT, MAX_LIMIT};
use super::{conversations, face, gaps, members, snapshots, stats, stream, timeline, webhooks};
use crate::domain::filter::Filter;

/// The parameters of every list.
pub(super) struct OfLists;

impl IntoParams for OfLists {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let limit = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(1))
            .maximum(Some(MAX_LIMIT))
            .default(Some(DEFAULT_LIMIT.into()));
        let formats = ["json", "ndjson", "csv"].map(serde_json::Value::from);
        let format = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(formats));
        vec![
            parameter(
                "limit",
                "At most so many items; fewer where they are large. A table is whole unless it is given.",
                limit,
            ),
            text("next", "Where the page begins: the `next` of the one before."),
            parameter("format", "Instead of an `Accept` header. All but JSON stream the whole list.", format),
        ]
    }
}

/// The conditions that conversations are listed by.
pub(super) struct OfFilters;

impl IntoParams for OfFilters {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let orders = ["newest", "oldest"].map(serde_json::Value::from);
        let order = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(orders));
        let conditions = Filter::NAMES.map(|name| text(name, meaning(name)));
        conditions.into_iter().chain([parameter("order", "Which come first.", order)]).collect()
    }
}

fn meaning(condition: &str) -> &'static str {
    match condition {
        "number" => {
            "A party of the call in any spelling, also a beginning (`447700*`) or an ending (`*900001`)."
        }
        "from" => "Who called, spelt as for `number`.",
        "to" => "Who was called, spelt as for `number`.",
        "user" => "A member's user: id or name.",
        "state" => "`live` or `ended`.",
        "capture" => "`captured`, `pending` or `missed`.",
        "status" => "The latest status of the leg that began the call.",
        "direction" => "`inbound` or `outbound`.",
        "application" => "The id of a Vonage application.",
        "since" => "It began then or later: an instant, a day, or so long ago (`24h`, `7d`).",
        "until" => "It began before that.",
        "min_duration" => "It lasted so long or longer: seconds, or `90s`, `5m`.",
        _ => "It lasted so long or shorter: seconds, or `90s`, `5m`.",
    }
}

fn text(name: &str, description: &str) -> Parameter {
    parameter(name, description, ObjectBuilder::new().schema_type(Type::String))
}

fn parameter(name: &str, description: &str, schema: ObjectBuilder) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(schema))
        .build()
}

/// What any path may answer when it cannot answer.
pub(super) struct Problems;

impl IntoResponses for Problems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let problem = |description: &str| {
            let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
            ResponseBuilder::new().description(description).content("application/problem+json", content)
        };
        [
            ("400", "The question makes no sense; the detail says what would."),
            ("401", "A token is due, or the one that was given is wrong."),
            ("403", "The token does not have the scope that this takes."),
            ("404", "There is no such thing."),
            ("414", "The address is too long."),
            ("429", "Too many wrong tokens came from this address."),
            ("500", "The store holds something unreadable."),
            ("503", "It cannot be answered now, or not in time; the detail says what to narrow."),
        ]
        .into_iter()
        .fold(ResponsesBuilder::new(), |all, (status, description)| {
            all.response(status, problem(description))
        })
        .build()
        .into()
    }
}

/// One change of a JSON Patch.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Operation {
    /// `add`, `remove`, `replace`, `move`, `copy` or `test`.
    op: String,
    /// Where (RFC 6901).
    path: String,
    /// Where from.
    #[schema(required = false)]
    from: Option<String>,
    /// The new value.
    #[schema(required = false)]
    value: serde_json::Value,
}

/// What Vonage's face answers when it cannot answer: in Vonage's shape.
pub(super) struct VonageProblems;

impl IntoResponses for VonageProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let object = ObjectBuilder::new().schema_type(Type::Object);
        let content = ContentBuilder::new().schema(Some(object)).build();
        let statuses = ["400", "401", "403", "404", "429"];
        let said = |all: ResponsesBuilder, status| {
            let response = ResponseBuilder::new().description("An error in Vonage's shape.");
            all.response(status, response.content("application/json", content.clone()))
        };
        let own =
            Problems::responses().into_iter().filter(|(status, _)| !statuses.contains(&status.as_str()));
        let vonages = statuses.into_iter().fold(ResponsesBuilder::new(), said).build();
        own.chain(BTreeMap::from(vonages)).collect()
    }
}

/// Tokens are sent as HTTP says.
struct Bearer;

impl Modify for Bearer {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A token of `query.tokens`. Where none is configured, none is needed."))
            .build();
        if let Some(components) = description.components.as_mut() {
            components.add_security_scheme("token", SecurityScheme::Http(scheme));
        }
        // One or none, as configured.
        let token = SecurityRequirement::new("token", Vec::<String>::new());
        description.security = Some(vec![token, SecurityRequirement::default()]);
    }
}

#[derive(OpenApi)]
#[openapi(
    info(title = "conversationd", description = "What Vonage conversations were: who was invited, joined and left, and when."),
    paths(
        conversations::list,
        conversations::one,
        members::list,
        timeline::list,
        snapshots::list,
        snapshots::one,
        snapshots::diff,
        webhooks::of_conversation,
        webhooks::list,
        gaps::list,
        stats::count,
        stream::follow,
        face::conversation,
        face::members,
        face::member,
        face::events,
        super::metrics::tell,
        health::livez,
        health::readyz,
    ),
    components(schemas(ProblemAnswer)),
    modifiers(&Bearer)
)]
struct Description;

/// The description of every path but pages'.
#[must_use]
pub fn description() -> utoipa::openapi::OpenApi {
    Description::openapi()
}
