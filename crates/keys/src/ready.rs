//! Versions of a key, ready for use by one call.

use std::{collections::HashMap, mem, sync::Arc};

use serde_json::Value;
use writ_crypto::named::{Options, PreparedKey, Scheme};
use writ_gate::{ReadGrant, Receipt};
use writ_kernel::{Error, Result, World};

use crate::{
    crypt::{Each, MOST_ITEMS, Work, counted},
    model::{Key, Purpose},
    room::Keys,
};

/// A version of a key, ready for use.
#[derive(Clone)]
pub(crate) struct Ready(Arc<PreparedKey>);

impl Ready {
    pub(crate) fn version(&self) -> u32 {
        self.0.key().version
    }

    pub(crate) fn encrypt(&self, world: &World, options: &Options<'_>, plaintext: &[u8]) -> Result<Vec<u8>> {
        self.0.encrypt(world, options, plaintext)
    }

    pub(crate) fn verify(&self, scheme: &Scheme, input: &[u8], signature: &[u8]) -> Result<bool> {
        self.0.verify(scheme, input, signature)
    }

    pub(crate) fn key(&self) -> &PreparedKey {
        &self.0
    }
}

/// A grant to use a key, and the version of it that each item needs.
pub(crate) struct Loaded {
    grant: ReadGrant,
    one: bool,
    items: usize,
    pub(crate) ready: Vec<Result<Ready>>,
}

/// Makes sure that `key` can be used for `purpose`, and gets ready what the items need.
///
/// # Errors
/// When the key as a whole cannot be used, on record.
pub(crate) async fn load<T>(
    room: &Keys,
    mut grant: ReadGrant,
    key: &Key,
    purpose: Option<Purpose>,
    work: &Work<T>,
    versions: Vec<Result<u32>>,
) -> Result<Loaded> {
    if let Err(error) = fit(room, key, purpose, work.items().len()) {
        return Err(grant.refuse(error).await);
    }
    let mut known: HashMap<u32, Ready> = HashMap::new();
    let mut ready = Vec::with_capacity(versions.len());
    for version in versions {
        let version = match version {
            Ok(version) => version,
            Err(error) => {
                ready.push(Err(error));
                continue;
            }
        };
        let found = match known.get(&version) {
            Some(found) => Ok(found.clone()),
            None => room.prepared(&mut grant, key, version).await.map(Ready),
        };
        if let Ok(found) = &found {
            known.entry(version).or_insert_with(|| found.clone());
        }
        ready.push(found);
    }
    Ok(Loaded { grant, one: work.is_one(), items: work.items().len(), ready })
}

fn fit(room: &Keys, key: &Key, purpose: Option<Purpose>, items: usize) -> Result<()> {
    key.usable(room.now())?;
    if purpose.is_some_and(|purpose| !purpose.suits(key.key_type)) {
        return Err(Error::invalid(
            "unsupported_operation",
            format!("a key of type {} cannot do this", key.key_type),
        ));
    }
    match items {
        0 => Err(Error::invalid("no_items", "there is nothing to do it to").at("items")),
        1..=MOST_ITEMS => Ok(()),
        _ => {
            Err(Error::too_large("too_many_items", format!("at most {MOST_ITEMS} items in one call"))
                .at("items"))
        }
    }
}

impl Loaded {
    /// How many items there are.
    pub(crate) fn items(&self) -> usize {
        self.items
    }

    /// What the items need, to be used elsewhere.
    pub(crate) fn take(&mut self) -> Vec<Result<Ready>> {
        mem::take(&mut self.ready)
    }

    /// Puts on record what came of it; then it may leave. When the call is about one thing and that failed, it is
    /// refused.
    ///
    /// # Errors
    /// The error of the one thing; when evidence cannot be written.
    pub(crate) async fn settle<T>(
        self,
        mut results: Each<T>,
        version: impl Fn(&T) -> u32,
        detail: Value,
    ) -> Result<(Each<T>, Receipt)> {
        if self.one {
            match results.pop() {
                Some(Err(error)) => return Err(self.grant.refuse(error).await),
                Some(made) => results.push(made),
                None => {}
            }
        }
        let receipt = self.grant.record(counted(&results, version, detail)).await?;
        Ok((results, receipt))
    }
}
