//! Hashes and random bytes.

use data_encoding::{BASE64, HEXLOWER};
use serde_json::json;
use writ_crypto::hash;
use writ_gate::Done;
use writ_kernel::{Action, Capability};

use crate::{
    ask::{Ask, Operation},
    dialect::Dialect,
    fault::{Answer, Fault},
    reply::Reply,
};

/// The most random bytes at once.
const MOST: i64 = 128 * 1024;

/// Answers for `sys/tools/`.
pub(super) async fn handle(dialect: &Dialect, ask: &Ask, below: &str) -> Answer {
    if ask.operation != Operation::Write {
        return Err(Fault::unsupported_operation());
    }
    let (tool, rest) = below.split_once('/').unwrap_or((below, ""));
    let caller = ask.caller(Capability::Update)?;
    let entry = dialect.gate().enter_to_read(&caller, Action::EntropyRead).await?;
    let grant = entry.admit(ask.resource("tool")).await?;
    let answer = match tool {
        "hash" => digest(ask, rest),
        "random" => random(dialect, ask, rest),
        _ => Err(Fault::unsupported_path()),
    };
    grant.record(Done::with(json!({ "tool": tool, "done": answer.is_ok() }))).await?;
    answer
}

fn encoded(bytes: &[u8], format: Option<&str>, otherwise: &str) -> Result<String, Fault> {
    match format.unwrap_or(otherwise) {
        "hex" => Ok(HEXLOWER.encode(bytes)),
        "base64" => Ok(BASE64.encode(bytes)),
        other => Err(Fault::invalid(format!(
            "unsupported encoding format {}; must be \"hex\" or \"base64\"",
            other.escape_debug()
        ))),
    }
}

fn digest(ask: &Ask, rest: &str) -> Answer {
    let input = ask.fields.required("input")?;
    let input = BASE64.decode(input.as_bytes());
    let input = input.map_err(|_| Fault::invalid("unable to decode input as base64"))?;
    let named = ask.fields.text("algorithm")?.filter(|_| rest.is_empty());
    let sum = match named.as_deref().unwrap_or(rest) {
        "" | "sha2-256" => hash::sha256(&input),
        other => return Err(Fault::invalid(format!("unsupported algorithm {}", other.escape_debug()))),
    };
    let sum = encoded(&sum, ask.fields.text("format")?.as_deref(), "hex")?;
    Ok(Reply::data(&json!({ "sum": sum })))
}

/// `random`, `random/<bytes>`, `random/<source>` and `random/<source>/<bytes>`: every source is the one mixer.
fn random(dialect: &Dialect, ask: &Ask, rest: &str) -> Answer {
    let last = rest.rsplit('/').next().unwrap_or_default();
    let count = match last.parse::<i64>() {
        Ok(count) => count,
        Err(_) => ask.fields.integer("bytes")?.unwrap_or(32),
    };
    let count = usize::try_from(count)
        .ok()
        .filter(|count| *count > 0 && *count <= usize::try_from(MOST).unwrap_or(0));
    let count = count.ok_or_else(|| Fault::invalid(format!("\"bytes\" must be between 1 and {MOST}")))?;
    let mut bytes = vec![0; count];
    dialect.world().fill(&mut bytes);
    let text = encoded(&bytes, ask.fields.text("format")?.as_deref(), "base64")?;
    Ok(Reply::data(&json!({ "random_bytes": text })))
}
