//! Signatures and codes of authenticity.

use serde_json::{Map, Value, json};
use writ_crypto::named::{Hash, Mac, Marshaling, Padding, SaltLength, Scheme, Signature};
use writ_kernel::Result;
use writ_keys::{Claim, Message, Proof};

use super::{
    batch::{Batch, Item},
    chosen, in_its_words, key,
};
use crate::{
    ask::Ask,
    dialect::Dialect,
    fault::{Answer, Fault},
};

fn message(item: &Item<'_>) -> Result<Message> {
    let input = super::decoded(&item.need("input", "missing input")?, "input")?;
    Ok(Message { input, version: item.version()? })
}

pub(super) async fn sign(dialect: &Dialect, ask: &Ask, name: &str, hash: Option<&str>) -> Answer {
    let (scheme, batch) = (scheme(ask, hash)?, Batch::read(ask, message)?);
    let shown = |made: &Signature| -> Map<String, Value> {
        [
            ("key_version".to_owned(), json!(made.version)),
            ("signature".to_owned(), json!(made.to_text(scheme.marshaling))),
        ]
        .into_iter()
        .collect()
    };
    let Some(work) = batch.work(|item| item) else { return batch.answer(ask, Vec::new(), shown) };
    let made = dialect.keys().sign(&ask.caller_as_asked()?, &key(ask, name)?, &scheme, &work).await;
    let (_, made, _) = made.map_err(|error| in_its_words(error, "signing key not found"))?;
    batch.answer(ask, made, shown)
}

pub(super) async fn hmac(dialect: &Dialect, ask: &Ask, name: &str, hash: Option<&str>) -> Answer {
    let hash = algorithm(chosen(ask, hash, &["algorithm"])?)?;
    let batch = Batch::read(ask, message)?;
    let shown = |made: &Mac| -> Map<String, Value> {
        [("hmac".to_owned(), json!(made.to_string()))].into_iter().collect()
    };
    let Some(work) = batch.work(|item| item) else { return batch.answer(ask, Vec::new(), shown) };
    let made = dialect.keys().mac(&ask.caller_as_asked()?, &key(ask, name)?, hash, &work).await;
    let (_, made, _) = made.map_err(|error| in_its_words(error, "encryption key not found"))?;
    batch.answer(ask, made, shown)
}

/// Whether signatures, or codes, are those of their messages: what the items bring says which.
pub(super) async fn verify(dialect: &Dialect, ask: &Ask, name: &str, hash: Option<&str>) -> Answer {
    let batch = Batch::read(ask, |item| {
        let input = super::decoded(&item.need("input", "missing input")?, "input")?;
        let (text, coded) = match (item.text("signature"), item.text("hmac")) {
            (Some(text), None) => (text, false),
            (None, Some(text)) => (text, true),
            _ => {
                return Err(writ_kernel::Error::invalid(
                    "missing_field",
                    "one of 'signature' or 'hmac' must be supplied",
                ));
            }
        };
        Ok((Claim { input, proof: Proof::Text(text) }, coded))
    })?;
    let shown =
        |valid: &bool| -> Map<String, Value> { [("valid".to_owned(), json!(valid))].into_iter().collect() };
    let Some(work) = batch.work(|item| item) else { return batch.answer(ask, Vec::new(), shown) };
    let coded = work.items().iter().filter(|(_, coded)| *coded).count();
    if coded != 0 && coded != work.items().len() {
        return Err(Fault::invalid("elements of batch_input must all provide either 'signature' or 'hmac'"));
    }
    let Some(work) = batch.work(|(claim, _)| claim) else { return batch.answer(ask, Vec::new(), shown) };
    let (caller, which) = (ask.caller_as_asked()?, key(ask, name)?);
    let checked = if coded > 0 {
        let hash = algorithm(chosen(ask, hash, &["algorithm", "hash_algorithm"])?)?;
        dialect.keys().verify_mac(&caller, &which, hash, &work).await
    } else {
        dialect.keys().verify(&caller, &which, &scheme(ask, hash)?, &work).await
    };
    let (_, checked, _) =
        checked.map_err(|error| in_its_words(error, "signature verification key not found"))?;
    batch.answer(ask, checked, shown)
}

/// A hash by the name that clients know it by.
pub(super) fn algorithm(name: Option<String>) -> std::result::Result<Hash, Fault> {
    let Some(name) = name else { return Ok(Hash::default()) };
    name.parse().map_err(|_| Fault::invalid(format!("unsupported algorithm \"{}\"", name.escape_debug())))
}

fn scheme(ask: &Ask, hash: Option<&str>) -> std::result::Result<Scheme, Fault> {
    let fields = &ask.fields;
    let text =
        |name: &str| -> std::result::Result<String, Fault> { Ok(fields.text(name)?.unwrap_or_default()) };
    let name = chosen(ask, hash, &["hash_algorithm", "algorithm"])?.filter(|name| name != "none");
    let padding = match &*text("signature_algorithm")? {
        "" | "pss" => Padding::Pss,
        "pkcs1v15" => Padding::Pkcs1v15,
        other => {
            return Err(Fault::invalid(format!(
                "invalid signature_algorithm {:?}",
                other.escape_debug().to_string()
            )));
        }
    };
    let marshaling = match &*text("marshaling_algorithm")? {
        "" | "asn1" => Marshaling::Asn1,
        "jws" => Marshaling::Jws,
        other => {
            return Err(Fault::invalid(format!(
                "invalid marshaling type {:?}",
                other.escape_debug().to_string()
            )));
        }
    };
    let salt = match &*text("salt_length")? {
        "" | "auto" | "0" => SaltLength::Auto,
        "hash" | "-1" => SaltLength::Hash,
        number => SaltLength::Bytes(number.parse().map_err(|_| Fault::invalid("salt length is invalid"))?),
    };
    Ok(Scheme {
        hash: algorithm(name)?,
        prehashed: fields.boolean("prehashed")?.unwrap_or(false),
        padding,
        salt,
        marshaling,
    })
}
