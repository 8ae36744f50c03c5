//! Sign, verify, and codes of authenticity.

use serde_json::json;
use writ_crypto::named::{Hash, Mac, Scheme, Signature};
use writ_gate::Receipt;
use writ_kernel::{Action, Caller, Error, Result};

use crate::{
    crypt::{Each, Work, same},
    find::admitted,
    model::{Key, Purpose, Which},
    ready::{Ready, load},
    room::Keys,
};

/// What every key here is for.
const FOR: Option<Purpose> = Some(Purpose::Signing);
/// As many versions are tried for a signature that does not say its own.
const MOST_TRIES: u32 = 16;

/// One thing to sign or to compute a code of.
#[derive(Debug, Clone)]
pub struct Message {
    /// The message, or its hash when the scheme says so.
    pub input: Vec<u8>,
    /// With which version; the newest unless told.
    pub version: Option<u32>,
}

/// One thing whose signature or code is to be checked.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The message, or its hash when the scheme says so.
    pub input: Vec<u8>,
    /// What is to be checked.
    pub proof: Proof,
}

/// A signature or a code, as it is brought.
#[derive(Debug, Clone)]
pub enum Proof {
    /// Text that says its version: `vault:v<version>:<base64>`.
    Text(String),
    /// Bytes that do not say their version: the newest is tried first, then up to 15 before it.
    Bare(Vec<u8>),
}

impl Keys {
    /// Signs each message.
    ///
    /// # Errors
    /// As [`Keys::show`] for the key; `too_many_items`; when there is one item only, its own error, on record.
    pub async fn sign(
        &self,
        caller: &Caller,
        key: &Which,
        scheme: &Scheme,
        work: &Work<Message>,
    ) -> Result<(Key, Each<Signature>, Receipt)> {
        let entry = self.gate().enter_to_read(caller, Action::DataSign).await?;
        let (key, grant) = admitted(entry, Action::DataSign, key).await?;
        let versions = work.items().iter().map(|item| key.to_make(item.version)).collect();
        let mut loaded = load(self, grant, &key, FOR, work, versions).await?;
        let (scheme, items, ready) = (*scheme, work.items().to_vec(), loaded.take());
        let sign_all = move || -> Each<_> {
            let made = |(item, ready): (&Message, &Result<Ready>)| {
                let ready = ready.as_ref().map_err(same)?;
                let bytes = ready.key().sign(&scheme, &item.input)?;
                Ok(Signature { version: ready.version(), bytes })
            };
            items.iter().zip(&ready).map(made).collect()
        };
        let made = self.with_key(&key, loaded.items(), sign_all).await?;
        let (made, receipt) = loaded.settle(made, |made| made.version, json!({})).await?;
        Ok((key, made, receipt))
    }

    /// Whether each signature is one of its message by this key.
    ///
    /// # Errors
    /// As [`Keys::sign`]. A wrong signature is no error; one of a version below the minimum is.
    pub async fn verify(
        &self,
        caller: &Caller,
        key: &Which,
        scheme: &Scheme,
        work: &Work<Claim>,
    ) -> Result<(Key, Each<bool>, Receipt)> {
        let read = |text: &str| Signature::parse(text, scheme.marshaling).map(|it| (it.version, it.bytes));
        let own = *scheme;
        let check = move |ready: &Ready, input: &[u8], proof: &[u8]| ready.verify(&own, input, proof);
        self.check(caller, key, FOR, work, read, check).await
    }

    /// Computes the code of each message, HMAC with `hash`.
    ///
    /// # Errors
    /// As [`Keys::sign`].
    pub async fn mac(
        &self,
        caller: &Caller,
        key: &Which,
        hash: Hash,
        work: &Work<Message>,
    ) -> Result<(Key, Each<Mac>, Receipt)> {
        let entry = self.gate().enter_to_read(caller, Action::DataSign).await?;
        let (key, grant) = admitted(entry, Action::DataSign, key).await?;
        let versions = work.items().iter().map(|item| key.to_make(item.version)).collect();
        let loaded = load(self, grant, &key, None, work, versions).await?;
        let made = |(item, ready): (&Message, &Result<Ready>)| {
            let ready = ready.as_ref().map_err(same)?;
            Ok(Mac { version: ready.version(), bytes: ready.key().mac(hash, &item.input) })
        };
        let made: Each<_> = work.items().iter().zip(&loaded.ready).map(made).collect();
        let (made, receipt) =
            loaded.settle(made, |made| made.version, json!({ "hmac": hash.as_str() })).await?;
        Ok((key, made, receipt))
    }

    /// Whether each code is that of its message.
    ///
    /// # Errors
    /// As [`Keys::verify`].
    pub async fn verify_mac(
        &self,
        caller: &Caller,
        key: &Which,
        hash: Hash,
        work: &Work<Claim>,
    ) -> Result<(Key, Each<bool>, Receipt)> {
        let read = |text: &str| Mac::parse(text).map(|it| (it.version, it.bytes));
        let check =
            move |ready: &Ready, input: &[u8], proof: &[u8]| Ok(ready.key().mac_matches(hash, input, proof));
        self.check(caller, key, None, work, read, check).await
    }

    async fn check(
        &self,
        caller: &Caller,
        key: &Which,
        purpose: Option<Purpose>,
        work: &Work<Claim>,
        read: impl Fn(&str) -> Result<(u32, Vec<u8>)>,
        check: impl Fn(&Ready, &[u8], &[u8]) -> Result<bool> + Send + 'static,
    ) -> Result<(Key, Each<bool>, Receipt)> {
        let entry = self.gate().enter_to_read(caller, Action::DataVerify).await?;
        let (key, grant) = admitted(entry, Action::DataVerify, key).await?;
        // Each item, with the versions that may have made its proof.
        let (mut claims, mut versions) = (Vec::new(), Vec::new());
        for item in work.items() {
            let (proof, candidates) = match &item.proof {
                Proof::Text(text) => match read(text) {
                    Ok((version, bytes)) => (Ok(bytes), vec![key.to_open(version)]),
                    Err(error) => (Err(error), Vec::new()),
                },
                Proof::Bare(bytes) => (Ok(bytes.clone()), newest(&key)),
            };
            claims.push((proof, candidates.len()));
            versions.extend(candidates);
        }
        let mut loaded = load(self, grant, &key, purpose, work, versions).await?;
        let (items, ready) = (work.items().to_vec(), loaded.take());
        let check_all = move || -> Each<bool> {
            let mut candidates = ready.iter();
            let each = items.iter().zip(claims);
            each.map(|(item, (proof, count))| {
                let ready: Vec<_> = candidates.by_ref().take(count).collect();
                let proof = proof?;
                for ready in ready {
                    if check(ready.as_ref().map_err(same)?, &item.input, &proof)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            })
            .collect()
        };
        let checked = self.with_key(&key, loaded.items(), check_all).await?;
        let valid = checked.iter().filter(|valid| matches!(valid, Ok(true))).count();
        let (checked, receipt) = loaded.settle(checked, |_| 0, json!({ "valid": valid })).await?;
        Ok((key, checked, receipt))
    }
}

/// The versions that may have made a proof that does not say.
fn newest(key: &Key) -> Vec<Result<u32>> {
    let oldest = key.min_decryption_version.max(key.min_available_version);
    (oldest..=key.latest_version).rev().take(MOST_TRIES as usize).map(Ok).collect()
}

/// The hash of a code of authenticity, by a name like `sha256`, `SHA3-512` or `HMAC-SHA256`; SHA-256 unless told.
///
/// # Errors
/// `unknown_hash`.
pub fn hash_of(algorithm: Option<&str>) -> Result<Hash> {
    match algorithm {
        None => Ok(Hash::default()),
        Some(text) => {
            let plain = text.to_ascii_lowercase();
            let plain = plain.strip_prefix("hmac-").or_else(|| plain.strip_prefix("hmac_")).unwrap_or(&plain);
            plain.parse().map_err(|error: Error| error.at("algorithm"))
        }
    }
}

/// The scheme when the native surface is told `algorithm`: a hash, or the name of an algorithm, which does not matter
/// since the key decides.
pub(crate) fn scheme_of(algorithm: Option<&str>) -> Scheme {
    let hash = algorithm.and_then(|text| text.parse().ok()).unwrap_or_default();
    Scheme { hash, ..Scheme::default() }
}
