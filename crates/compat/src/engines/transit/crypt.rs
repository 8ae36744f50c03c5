//! Encrypt, decrypt, encrypt anew, data keys.

use std::sync::Arc;

use data_encoding::BASE64;
use serde_json::{Map, Value, json};
use writ_crypto::{SecretBytes, named::Ciphertext};
use writ_kernel::{Capability, Fence, Result};
use writ_keys::{Binding, DataKeyWanted, Encrypt, Plain, Sealed};

use super::{
    batch::{Batch, Item},
    in_its_words, key, life,
};
use crate::{
    ask::Ask,
    dialect::Dialect,
    fault::{Answer, Fault},
    reply::Reply,
};

const MISSING: &str = "encryption key not found";

/// One plaintext; shared, since a secret cannot be copied.
#[derive(Clone)]
struct Open {
    plaintext: Arc<SecretBytes>,
    binding: Binding,
    version: Option<u32>,
}

fn binding(item: &Item<'_>) -> Result<Binding> {
    Ok(Binding {
        associated_data: item.bytes("associated_data")?.unwrap_or_default(),
        context: item.bytes("context")?,
    })
}

fn sealed(item: &Item<'_>) -> Result<Sealed> {
    let ciphertext = item.need("ciphertext", "missing ciphertext to decrypt")?;
    Ok(Sealed { ciphertext, binding: binding(item)?, version: item.version()? })
}

fn shown(made: &Ciphertext) -> Map<String, Value> {
    [("ciphertext".to_owned(), json!(made.to_string())), ("key_version".to_owned(), json!(made.version))]
        .into_iter()
        .collect()
}

pub(super) async fn encrypt(dialect: &Dialect, ask: &Ask, name: &str) -> Answer {
    let batch = Batch::read(ask, |item| {
        let plaintext =
            super::decoded(&item.need("plaintext", "missing plaintext to encrypt")?, "plaintext")?;
        Ok(Open {
            plaintext: Arc::new(SecretBytes::new(plaintext)),
            binding: binding(item)?,
            version: item.version()?,
        })
    })?;
    let Some(work) = batch.work(|item| Plain {
        plaintext: SecretBytes::new(item.plaintext.expose().to_vec()),
        binding: item.binding,
        version: item.version,
    }) else {
        return batch.answer(ask, Vec::new(), shown);
    };
    let which = key(ask, name)?;
    let may = |capability| -> std::result::Result<bool, Fault> {
        Ok(ask.caller(capability)?.fence.as_ref().is_none_or(Fence::permits))
    };
    // A key that there is not is made for whoever may make things here; one that there is is used by whoever may
    // change them.
    let (create, update) = (may(Capability::Create)?, may(Capability::Update)?);
    let caller = ask.caller(if update { Capability::Update } else { Capability::Create })?;
    if create && !update && dialect.keys().knows(&caller, &which).await? {
        return Err(Fault::denied());
    }
    let upsert = if create { Some(Box::new(life::wanted(ask, name)?)) } else { None };
    let wanted = Encrypt { key: which, work, upsert };
    let (_, made, _) =
        dialect.keys().encrypt(&caller, wanted).await.map_err(|error| in_its_words(error, MISSING))?;
    batch.answer(ask, made, shown)
}

pub(super) async fn decrypt(dialect: &Dialect, ask: &Ask, name: &str) -> Answer {
    let batch = Batch::read(ask, sealed)?;
    let shown = |plaintext: &SecretBytes| {
        [("plaintext".to_owned(), json!(BASE64.encode(plaintext.expose())))].into_iter().collect()
    };
    let Some(work) = batch.work(|item| item) else { return batch.answer(ask, Vec::new(), shown) };
    let opened = dialect.keys().decrypt(&ask.caller_as_asked()?, &key(ask, name)?, &work).await;
    let (_, opened, _) = opened.map_err(|error| in_its_words(error, MISSING))?;
    batch.answer(ask, opened, shown)
}

pub(super) async fn rewrap(dialect: &Dialect, ask: &Ask, name: &str) -> Answer {
    let batch = Batch::read(ask, sealed)?;
    let Some(work) = batch.work(|item| item) else { return batch.answer(ask, Vec::new(), shown) };
    let made = dialect.keys().rewrap(&ask.caller_as_asked()?, &key(ask, name)?, &work).await;
    let (_, made, _) = made.map_err(|error| in_its_words(error, MISSING))?;
    batch.answer(ask, made, shown)
}

/// `datakey/plaintext/<key>` and `datakey/wrapped/<key>`.
pub(super) async fn data_key(dialect: &Dialect, ask: &Ask, kind: &str, name: &str) -> Answer {
    let reveal = match kind {
        "plaintext" => true,
        "wrapped" => false,
        _ => return Err(Fault::invalid("Invalid path, must be 'plaintext' or 'wrapped'")),
    };
    let bits = ask.fields.integer("bits")?.unwrap_or(256);
    if ![128, 256, 512].contains(&bits) {
        return Err(Fault::invalid("invalid bit length"));
    }
    let bytes = |name: &str| -> std::result::Result<Option<Vec<u8>>, Fault> {
        let text = ask.fields.text(name)?.filter(|text| !text.is_empty());
        Ok(text.map(|text| super::decoded(&text, name)).transpose()?)
    };
    let version = ask.fields.integer("key_version")?.map(u32::try_from).transpose();
    let wanted = DataKeyWanted {
        key: key(ask, name)?,
        bytes: usize::try_from(bits / 8).unwrap_or(32),
        binding: Binding {
            associated_data: bytes("associated_data")?.unwrap_or_default(),
            context: bytes("context")?,
        },
        version: version.map_err(|_| Fault::invalid("key_version is not a positive number"))?,
        reveal,
    };
    let made = dialect.keys().data_key(&ask.caller_as_asked()?, wanted).await;
    let (_, made, _) = made.map_err(|error| in_its_words(error, MISSING))?;
    let mut members = shown(&made.wrapped);
    if let Some(plaintext) = &made.plaintext {
        members.insert("plaintext".to_owned(), json!(BASE64.encode(plaintext.expose())));
    }
    Ok(Reply::data(&Value::Object(members)))
}
