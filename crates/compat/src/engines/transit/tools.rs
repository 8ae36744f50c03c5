//! Random bytes and plain hashes.

use data_encoding::BASE64;
use serde_json::json;
use writ_crypto::hash;

use super::{chosen, sign, space};
use crate::{
    ask::Ask,
    dialect::Dialect,
    fault::{Answer, Fault},
    reply::Reply,
};

/// `random`, `random/<n>`, `random/<source>`, `random/<source>/<n>`.
pub(super) async fn random(dialect: &Dialect, ask: &Ask, rest: &[&str]) -> Answer {
    let (source, count) = match rest {
        [] => (None, None),
        [one] if one.bytes().all(|byte| byte.is_ascii_digit()) => (None, Some(*one)),
        [one] => (Some(*one), None),
        [source, count] => (Some(*source), Some(*count)),
        _ => return Err(Fault::unsupported_path()),
    };
    if source.is_some_and(|source| !matches!(source, "platform" | "seal" | "all")) {
        return Err(Fault::invalid("unsupported entropy source"));
    }
    let count = match count {
        Some(text) => text.parse().ok(),
        None => usize::try_from(ask.fields.integer("bytes")?.unwrap_or(32)).ok(),
    };
    let count =
        count.filter(|count| *count > 0).ok_or_else(|| Fault::invalid("bytes cannot be less than 1"))?;
    let hex = hex_wanted(ask, "base64")?;
    let (drawn, _) = dialect.keys().draw(&ask.caller_as_asked()?, &space(ask), count, true).await?;
    let bytes = drawn.bytes.expose();
    Ok(Reply::data(&json!({ "random_bytes": if hex { hash::hex(bytes) } else { BASE64.encode(bytes) } })))
}

pub(super) async fn hash(dialect: &Dialect, ask: &Ask, algorithm: Option<&str>) -> Answer {
    let algorithm = sign::algorithm(chosen(ask, algorithm, &["algorithm"])?)?;
    let input = super::decoded(&ask.fields.required("input")?, "input")?;
    let hex = hex_wanted(ask, "hex")?;
    // No key, no secret: whoever may come here may have it, and nothing is there to record but that.
    let entry =
        dialect.gate().enter_to_read(&ask.caller_as_asked()?, writ_kernel::Action::NamedKeyRead).await?;
    let grant = entry.admit(ask.resource("hash")).await?;
    grant.record(writ_gate::Done::plain()).await?;
    let sum = algorithm.digest(&input);
    Ok(Reply::data(&json!({ "sum": if hex { hash::hex(&sum) } else { BASE64.encode(&sum) } })))
}

fn hex_wanted(ask: &Ask, otherwise: &str) -> Result<bool, Fault> {
    let format = ask.fields.text("format")?.filter(|format| !format.is_empty());
    match format.as_deref().unwrap_or(otherwise) {
        "hex" => Ok(true),
        "base64" => Ok(false),
        other => {
            let other = other.escape_debug();
            Err(Fault::invalid(format!("unsupported encoding format {other}; must be \"hex\" or \"base64\"")))
        }
    }
}
