//! Encrypt, decrypt, encrypt anew, and data keys.

use serde_json::{Value, json};
use writ_crypto::{
    SecretBytes,
    named::{Ciphertext, Options},
};
use writ_gate::{Done, Receipt};
use writ_kernel::{Action, Caller, Error, Result, World};

use crate::{
    find::{admitted, find},
    life::NewKey,
    model::{Key, Purpose, Which},
    ready::{Ready, load},
    room::Keys,
};

/// What every key here is for.
const FOR: Option<Purpose> = Some(Purpose::Encryption);

/// As many items are worked on in one call.
pub const MOST_ITEMS: usize = 1_000;

/// What encryption of one item is bound to.
#[derive(Debug, Clone, Default)]
pub struct Binding {
    /// Associated data: needed again to decrypt.
    pub associated_data: Vec<u8>,
    /// Derives the key that is used; needed, and needed again, with a key made for it.
    pub context: Option<Vec<u8>>,
}

/// One thing to encrypt.
#[expect(missing_debug_implementations, reason = "holds a plaintext")]
pub struct Plain {
    /// The plaintext.
    pub plaintext: SecretBytes,
    /// What it is bound to.
    pub binding: Binding,
    /// Under which version; the newest unless told.
    pub version: Option<u32>,
}

/// Encrypt.
#[expect(missing_debug_implementations, reason = "holds plaintexts")]
pub struct Encrypt {
    /// With which key.
    pub key: Which,
    /// What.
    pub work: Work<Plain>,
    /// Make the key first, if there is none of its name.
    pub upsert: Option<Box<NewKey>>,
}

/// What a call is about: one thing, whose failure is that of the call, or several, each of which fails by itself.
#[derive(Debug, Clone)]
pub enum Work<T> {
    /// One thing.
    One(T),
    /// Several things.
    Many(Vec<T>),
}

impl<T> Work<T> {
    /// The things.
    pub fn items(&self) -> &[T] {
        match self {
            Self::One(item) => std::slice::from_ref(item),
            Self::Many(items) => items,
        }
    }

    pub(crate) fn is_one(&self) -> bool {
        matches!(self, Self::One(_))
    }
}

/// One thing to decrypt or encrypt anew.
#[derive(Debug, Clone)]
pub struct Sealed {
    /// `vault:v<version>:<base64>`.
    pub ciphertext: String,
    /// What it is bound to.
    pub binding: Binding,
    /// Encrypt anew: under which version; the newest unless told.
    pub version: Option<u32>,
}

/// What came of several items: each by itself, in their order.
pub type Each<T> = Vec<Result<T>>;

impl Keys {
    /// Encrypts each item.
    ///
    /// # Errors
    /// As [`Keys::show`] for the key; `too_many_items`; when there is one item only, its own error, on record.
    pub async fn encrypt(
        &self,
        caller: &Caller,
        wanted: Encrypt,
    ) -> Result<(Key, Each<Ciphertext>, Receipt)> {
        let mut entry = self.gate().enter_to_read(caller, Action::DataEncrypt).await?;
        if let Some(new) = wanted.upsert
            && find(entry.tx(), caller, &wanted.key).await?.is_none()
        {
            drop(entry);
            match self.create(caller, *new).await {
                Ok(_) => {}
                // Another was faster.
                Err(error) if error.code() == "key_name_conflict" => {}
                Err(error) => return Err(error),
            }
            entry = self.gate().enter_to_read(caller, Action::DataEncrypt).await?;
        }
        let (key, grant) = admitted(entry, Action::DataEncrypt, &wanted.key).await?;
        let versions = wanted.work.items().iter().map(|item| key.to_make(item.version)).collect();
        let mut loaded = load(self, grant, &key, FOR, &wanted.work, versions).await?;
        let (world, by, ready) = (self.gate().world().clone(), key.clone(), loaded.take());
        let seal_all = move || -> Each<_> {
            let made = |(item, ready): (&Plain, &Result<Ready>)| seal(&world, &by, item, ready);
            wanted.work.items().iter().zip(&ready).map(made).collect()
        };
        let results = self.with_key(&key, loaded.items(), seal_all).await?;
        let (results, receipt) = loaded.settle(results, |made| made.version, json!({})).await?;
        Ok((key, results, receipt))
    }

    /// Decrypts each item.
    ///
    /// # Errors
    /// As [`Keys::encrypt`].
    pub async fn decrypt(
        &self,
        caller: &Caller,
        key: &Which,
        work: &Work<Sealed>,
    ) -> Result<(Key, Each<SecretBytes>, Receipt)> {
        let entry = self.gate().enter_to_read(caller, Action::DataDecrypt).await?;
        let (key, grant) = admitted(entry, Action::DataDecrypt, key).await?;
        let items = work.items();
        let parsed: Each<_> = items.iter().map(|item| Ciphertext::parse(&item.ciphertext)).collect();
        let mut loaded = load(self, grant, &key, FOR, work, versions_of(&key, &parsed)).await?;
        let (by, items, ready) = (key.clone(), items.to_vec(), loaded.take());
        let open_all = move || -> Each<_> {
            let each = items.iter().zip(parsed).zip(&ready);
            each.map(|((item, parsed), ready)| open(&by, &item.binding, &parsed?, ready)).collect()
        };
        let opened = self.with_key(&key, loaded.items(), open_all).await?;
        let (opened, receipt) = loaded.settle(opened, |(version, _)| *version, json!({})).await?;
        let opened = opened.into_iter().map(|opened| opened.map(|(_, plaintext)| plaintext)).collect();
        Ok((key, opened, receipt))
    }

    /// Encrypts each item anew, under the newest version unless told. Nobody sees the plaintext.
    ///
    /// # Errors
    /// As [`Keys::encrypt`].
    pub async fn rewrap(
        &self,
        caller: &Caller,
        key: &Which,
        work: &Work<Sealed>,
    ) -> Result<(Key, Each<Ciphertext>, Receipt)> {
        let entry = self.gate().enter_to_read(caller, Action::DataRewrap).await?;
        let (key, grant) = admitted(entry, Action::DataRewrap, key).await?;
        let items = work.items();
        let parsed: Each<_> = items.iter().map(|item| Ciphertext::parse(&item.ciphertext)).collect();
        let from = versions_of(&key, &parsed);
        let to = items.iter().map(|item| key.to_make(item.version));
        let both: Vec<_> = from.into_iter().chain(to).collect();
        let mut loaded = load(self, grant, &key, FOR, work, both).await?;
        let (world, by, ready) = (self.gate().world().clone(), key.clone(), loaded.take());
        let items = items.to_vec();
        let rewrap_all = move || -> Each<_> {
            let (old, new) = ready.split_at(items.len());
            let each = items.iter().zip(parsed).zip(old.iter().zip(new));
            each.map(|((item, parsed), (old, new))| {
                let (_, plaintext) = open(&by, &item.binding, &parsed?, old)?;
                let item = Plain { plaintext, binding: item.binding.clone(), version: None };
                seal(&world, &by, &item, new)
            })
            .collect()
        };
        let results = self.with_key(&key, loaded.items(), rewrap_all).await?;
        let (results, receipt) = loaded.settle(results, |made| made.version, json!({})).await?;
        Ok((key, results, receipt))
    }

    /// Makes a data key of `bytes` bytes (16, 24, 32 or 64), encrypted under the key. The plaintext leaves only when
    /// the caller says `reveal`, and only with the right to decrypt, too.
    ///
    /// # Errors
    /// As [`Keys::encrypt`]; `invalid_key_size`.
    pub async fn data_key(
        &self,
        caller: &Caller,
        wanted: DataKeyWanted,
    ) -> Result<(Key, NewDataKey, Receipt)> {
        if ![16, 24, 32, 64].contains(&wanted.bytes) {
            return Err(
                Error::invalid("invalid_key_size", "a data key has 16, 24, 32 or 64 bytes").at("keyBytes")
            );
        }
        // Seeing the key is decrypting it.
        let action = if wanted.reveal { Action::DataDecrypt } else { Action::DataEncrypt };
        let entry = self.gate().enter_to_read(caller, action).await?;
        let (key, grant) = admitted(entry, action, &wanted.key).await?;
        let version = key.to_make(wanted.version);
        let world = self.gate().world();
        let mut fresh = vec![0; wanted.bytes];
        world.fill(&mut fresh);
        let item = Plain { plaintext: SecretBytes::new(fresh), binding: wanted.binding, version: None };
        let work = Work::One(());
        let loaded = load(self, grant, &key, FOR, &work, vec![version]).await?;
        let made = loaded.ready.iter().map(|ready| seal(world, &key, &item, ready)).collect();
        let detail = json!({ "dataKey": { "bytes": wanted.bytes, "plaintext": wanted.reveal } });
        let (made, receipt) = loaded.settle(made, |made: &Ciphertext| made.version, detail).await?;
        let wrapped = one(made)?;
        let plaintext = wanted.reveal.then_some(item.plaintext);
        Ok((key, NewDataKey { plaintext, wrapped }, receipt))
    }
}

/// A data key to be made.
#[derive(Debug, Clone)]
pub struct DataKeyWanted {
    /// The key that encrypts it.
    pub key: Which,
    /// How many bytes it has.
    pub bytes: usize,
    /// What its encryption is bound to.
    pub binding: Binding,
    /// Under which version; the newest unless told.
    pub version: Option<u32>,
    /// Whether its plaintext leaves.
    pub reveal: bool,
}

/// A data key.
#[expect(missing_debug_implementations, reason = "holds a key")]
pub struct NewDataKey {
    /// The key itself, when it was asked for.
    pub plaintext: Option<SecretBytes>,
    /// The key, encrypted.
    pub wrapped: Ciphertext,
}

/// The only item of a call that had one.
pub(crate) fn one<T>(mut items: Each<T>) -> Result<T> {
    items.pop().unwrap_or_else(|| Err(Error::internal("a call without items was answered")))
}

fn versions_of(key: &Key, parsed: &Each<Ciphertext>) -> Vec<Result<u32>> {
    let version = |parsed: &Result<Ciphertext>| match parsed {
        Ok(parsed) => key.to_open(parsed.version),
        // The parse error itself is told; this is never looked at.
        Err(_) => Err(Error::invalid("invalid_ciphertext", "invalid ciphertext")),
    };
    parsed.iter().map(version).collect()
}

fn options<'a>(key: &Key, binding: &'a Binding) -> Result<Options<'a>> {
    if key.derived && binding.context.as_ref().is_none_or(Vec::is_empty) {
        return Err(Error::invalid("context_required", "the key derives others, and a context is missing")
            .at("context"));
    }
    let context = binding.context.as_deref().filter(|_| key.derived);
    Ok(Options { aad: &binding.associated_data, context, convergent: key.convergent })
}

fn seal(world: &World, key: &Key, item: &Plain, ready: &Result<Ready>) -> Result<Ciphertext> {
    let ready = ready.as_ref().map_err(same)?;
    let body = ready.encrypt(world, &options(key, &item.binding)?, item.plaintext.expose())?;
    Ok(Ciphertext { version: ready.version(), body })
}

fn open(
    key: &Key,
    binding: &Binding,
    sealed: &Ciphertext,
    ready: &Result<Ready>,
) -> Result<(u32, SecretBytes)> {
    let ready = ready.as_ref().map_err(same)?;
    let plaintext = ready.key().decrypt(&options(key, binding)?, &sealed.body)?;
    Ok((sealed.version, plaintext))
}

/// The same error once more: an error of ours cannot be cloned, since it may hold its cause.
pub(crate) fn same(error: &Error) -> Error {
    let again = Error::new(error.kind(), error.code(), error.public());
    match error.advice() {
        Some(hint) => again.hint(hint),
        None => again,
    }
}

/// What stands in evidence of several items: how many, how many failed, and of what.
pub(crate) fn counted<T>(results: &Each<T>, version: impl Fn(&T) -> u32, detail: Value) -> Done {
    let mut codes: Vec<_> =
        results.iter().filter_map(|result| result.as_ref().err()).map(Error::code).collect();
    let failed = codes.len();
    codes.sort_unstable();
    codes.dedup();
    let mut versions: Vec<_> = results.iter().flatten().map(version).collect();
    versions.sort_unstable();
    versions.dedup();
    let mut said = json!({ "items": results.len(), "versions": versions });
    if let (Some(said), Value::Object(detail)) = (said.as_object_mut(), detail) {
        if failed > 0 {
            said.insert("failed".to_owned(), failed.into());
            said.insert("codes".to_owned(), codes.into());
        }
        said.extend(detail);
    }
    Done::with(said)
}
