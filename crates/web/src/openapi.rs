//! The OpenAPI document, gathered from the rooms.

use std::collections::BTreeMap;

use axum::Router;
use serde_json::Value;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, PathItem, Ref, RefOr, ResponseBuilder,
        path::Operation,
        schema::ComponentsBuilder,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};
use writ_kernel::{Error, Result};

pub use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{API_KEY, Document};

const PROBLEM: &str = "Problem";

/// The routes of all `rooms`, and the one document that describes them. Every operation needs an API key or a
/// bearer token unless it declares `security(())`, and may answer with a problem; rooms repeat neither.
pub fn assemble<S>(
    title: &str,
    version: &str,
    rooms: impl IntoIterator<Item = OpenApiRouter<S>>,
) -> (Router<S>, OpenApi)
where
    S: Clone + Send + Sync + 'static,
{
    let house =
        rooms.into_iter().fold(OpenApiRouter::with_openapi(frame(title, version)), OpenApiRouter::merge);
    let (router, mut document) = house.split_for_parts();
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        for range in ["4XX", "5XX"] {
            let problem = RefOr::Ref(Ref::from_response_name(PROBLEM));
            operation.responses.responses.entry(range.into()).or_insert(problem);
        }
    }
    (router, document)
}

/// The document as JSON with sorted members, so that the same interface is always the same text.
///
/// # Errors
/// `Internal` when it cannot be serialised.
pub fn to_json(document: &OpenApi) -> Result<String> {
    let failed = |source| Error::internal("cannot serialise the OpenAPI document").because(source);
    let value = serde_json::to_value(document).map_err(failed)?;
    serde_json::to_string_pretty(&sorted(value)).map(|text| text + "\n").map_err(failed)
}

fn frame(title: &str, version: &str) -> OpenApi {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(PROBLEM))).build();
    let problem = ResponseBuilder::new()
        .description("What went wrong, and what to do about it")
        .content("application/problem+json", content)
        .build();
    let mut parts = Vec::new();
    Document::schemas(&mut parts);
    let key = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new(API_KEY.as_str())));
    let bearer = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
    let components = ComponentsBuilder::new()
        .schemas_from_iter(parts)
        .schema(PROBLEM, Document::schema())
        .response(PROBLEM, problem)
        .security_scheme("apiKey", key)
        .security_scheme("bearer", bearer)
        .build();
    let either = ["apiKey", "bearer"].map(|scheme| SecurityRequirement::new(scheme, [""; 0]));
    OpenApiBuilder::new()
        .info(InfoBuilder::new().title(title).version(version).build())
        .components(Some(components))
        .security(Some(either))
        .build()
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, options, head, patch, trace, .. } = item;
    [get, put, post, delete, options, head, patch, trace].into_iter().flatten()
}

/// Sorts explicitly: whether `serde_json` keeps insertion order is decided by whoever else is in the build.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let members: BTreeMap<_, _> =
                members.into_iter().map(|(name, value)| (name, sorted(value))).collect();
            Value::Object(members.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        scalar => scalar,
    }
}
