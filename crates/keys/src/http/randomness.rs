//! Random bytes.

use axum::extract::State;
use data_encoding::{BASE64, HEXLOWER};
use http::HeaderMap;
use serde_json::Value;
use uuid::Uuid;
use writ_kernel::{Error, Result};
use writ_web::{
    Authenticated, Json,
    openapi::{OpenApiRouter, routes},
};
use writ_wire::randomness as wire;

use super::{Answer, Env, EnvironmentQuery, answer};
use crate::room::Keys;

/// A client may say here that it wants nothing if only the operating system contributes: `false`.
const ALLOW_SYSTEM: &str = "x-allow-csprng";

pub(super) fn routes() -> OpenApiRouter<Keys> {
    OpenApiRouter::new().routes(routes!(draw_entropy))
}

/// Draw random bytes. The operating system always contributes, and every configured source that works.
#[utoipa::path(post, path = "/api/v1/qrng/entropy", tag = "randomness",
    params(EnvironmentQuery, ("X-Allow-Csprng" = Option<bool>, Header,
        description = "`false` to have nothing rather than what the operating system alone gives")),
    request_body = wire::DrawEntropy, responses((status = 200, body = wire::Entropy)))]
async fn draw_entropy(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    env: Env,
    headers: HeaderMap,
    Json(wanted): Json<wire::DrawEntropy>,
) -> Answer<wire::Entropy> {
    let format = Format::parse(wanted.format.as_deref().unwrap_or("raw"))?;
    if !wanted.bytes.is_multiple_of(format.block()) {
        let what = format!("`bytes` is a multiple of {} in this format", format.block());
        return Err(Error::invalid("invalid_request", what).at("bytes").into());
    }
    let system_suffices = headers.get(ALLOW_SYSTEM).is_none_or(|value| value != "false");
    let place = env.place(wanted.environment);
    let (drawn, receipt) = room.draw(&caller, &place, wanted.bytes, system_suffices).await?;
    let mixed = !drawn.sources.is_empty();
    let provider =
        std::iter::once("system").chain(drawn.sources.iter().map(String::as_str)).collect::<Vec<_>>();
    let body = wire::Entropy {
        entropy: format.write(drawn.bytes.expose()),
        format: format.as_str().to_owned(),
        source: if mixed { "mixed" } else { "csprng" }.to_owned(),
        source_details: wire::EntropySource {
            provider: provider.join("+"),
            is_quantum: mixed,
            served_at: room.now(),
            sources: drawn.sources,
        },
        consumed_bytes: wanted.bytes,
        quota_limit_mb: f64::MAX,
        quota_remaining_mb: f64::MAX,
        request_id: receipt.leaf.to_string(),
    };
    Ok(answer(&receipt, body))
}

#[derive(Clone, Copy)]
enum Format {
    Raw,
    Hex,
    Uuid,
    Int32,
    Int64,
}

impl Format {
    const ALL: [Self; 5] = [Self::Raw, Self::Hex, Self::Uuid, Self::Int32, Self::Int64];

    fn parse(text: &str) -> Result<Self> {
        let plain = text.trim().to_ascii_lowercase();
        Self::ALL.into_iter().find(|format| format.as_str() == plain).ok_or_else(|| {
            Error::invalid("invalid_format", "a format is `raw`, `hex`, `uuid`, `int32` or `int64`")
                .at("format")
        })
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Hex => "hex",
            Self::Uuid => "uuid",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
        }
    }

    const fn block(self) -> usize {
        match self {
            Self::Raw | Self::Hex => 1,
            Self::Int32 => 4,
            Self::Int64 => 8,
            Self::Uuid => 16,
        }
    }

    fn write(self, bytes: &[u8]) -> Value {
        match self {
            Self::Raw => BASE64.encode(bytes).into(),
            Self::Hex => HEXLOWER.encode(bytes).into(),
            Self::Uuid => {
                let each = |block: &[u8; 16]| uuid::Builder::from_random_bytes(*block).into_uuid();
                bytes.as_chunks().0.iter().map(each).map(|it: Uuid| it.to_string()).collect::<Vec<_>>().into()
            }
            Self::Int32 => {
                bytes.as_chunks().0.iter().map(|it| i32::from_le_bytes(*it)).collect::<Vec<_>>().into()
            }
            Self::Int64 => {
                bytes.as_chunks().0.iter().map(|it| i64::from_le_bytes(*it)).collect::<Vec<_>>().into()
            }
        }
    }
}
