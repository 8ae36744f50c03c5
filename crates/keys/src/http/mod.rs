//! The room's face: translate, call a verb, translate back.

mod data;
mod fields;
mod keys;
mod moving;
mod randomness;
mod transit;
mod words;

use axum::{extract::FromRequestParts, http::request::Parts};
use data_encoding::BASE64;
use http::HeaderName;
use utoipa::IntoParams;
use writ_gate::Receipt;
use writ_kernel::{Error, Result};
use writ_web::{Json, Outcome, Problem, Recorded, body_limit, openapi::OpenApiRouter};

use crate::{
    model::{Place, Purpose, Which},
    name::KeyName,
    room::Keys,
};

/// Says which environment is meant, where the query and the body do not.
const ENVIRONMENT: HeaderName = HeaderName::from_static("writ-environment");

/// A batch may have a body of this many bytes.
const LARGEST_BODY: usize = 8 * 1024 * 1024;

/// The room's operations under `/api/v1`.
pub fn routes(room: Keys) -> OpenApiRouter {
    OpenApiRouter::new()
        .merge(keys::routes())
        .merge(moving::routes())
        .merge(data::routes())
        .merge(transit::routes())
        .merge(fields::routes())
        .merge(randomness::routes())
        .layer(body_limit(LARGEST_BODY))
        .with_state(room)
}

type Answer<T> = Outcome<Recorded<Json<T>>>;

fn answer<T>(receipt: &Receipt, body: T) -> Recorded<Json<T>> {
    Recorded(receipt.to_string(), Json(body))
}

/// Which environment is meant, as operations document it.
#[derive(Debug, serde::Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documents what `Env` reads")]
struct EnvironmentQuery {
    /// The environment, by name or id; the header `Writ-Environment` unless told, and without that the only one the
    /// credential can use.
    environment: Option<String>,
}

/// The environment that the query or the header names.
struct Env(Option<String>);

impl Env {
    /// The place that is meant; `body` is what the body says.
    fn place(self, body: Option<String>) -> Place {
        Place::native(body.or(self.0))
    }
}

impl<S: Sync> FromRequestParts<S> for Env {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Outcome<Self> {
        let query = parts.uri.query().unwrap_or_default();
        let named = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "environment");
        let header = || parts.headers.get(ENVIRONMENT).and_then(|value| value.to_str().ok());
        Ok(Self(named.map(|(_, value)| value.into_owned()).or_else(|| header().map(str::to_owned))))
    }
}

fn name(text: &str) -> Result<KeyName> {
    text.parse().map_err(|error: Error| error.at("name"))
}

/// The key of this name on the native surface.
fn named(env: Env, text: &str) -> Result<Which> {
    Ok(Which::Named(env.place(None), name(text)?))
}

fn purpose(text: Option<&str>) -> Result<Option<Purpose>> {
    let parse = |text: &str| {
        Purpose::parse(text).ok_or_else(|| {
            Error::invalid("invalid_value", "a key is for `encryption`, `signing` or `hmac`").at("keyType")
        })
    };
    text.map(parse).transpose()
}

fn from_base64(text: &str, field: &'static str) -> Result<Vec<u8>> {
    BASE64
        .decode(text.as_bytes())
        .map_err(|_| Error::invalid("invalid_base64", "this is not standard base64 with padding").at(field))
}

fn some_base64(text: Option<&str>, field: &'static str) -> Result<Option<Vec<u8>>> {
    text.map(|text| from_base64(text, field)).transpose()
}
