//! Open and closed.

use std::{
    collections::HashMap,
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use uuid::Uuid;
use writ_crypto::{
    Aad, DataKey, HybridPrivate, KeyRef, KeyRing, SecretBytes, SecretKey, SecretString, password, shamir,
};
use writ_kernel::{Error, Id, Result, TenantId, World};
use writ_store::{Db, SystemTx, Transactional, Tx, serialize_on};

use crate::{
    device::{Device, Hsm},
    protection::{Protection, Shares, Stored, from_dev_file, from_passphrase, no_device, write_dev_file},
    sql::{self, DataKeyRow, RootRow},
    tenant::TenantKeys,
};

/// The barrier in front of every key. Cheap to clone.
#[derive(Clone)]
pub struct Seal(Arc<Inner>);

struct Inner {
    db: Db,
    world: World,
    dev_file: PathBuf,
    cost: password::Params,
    hsm: Option<Arc<Hsm>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The shares given so far, in text form.
    shares: Vec<SecretBytes>,
    open: Option<Open>,
    /// Whether the root keys that another server made are being fetched.
    refreshing: bool,
}

struct Open {
    root: Arc<Roots>,
    tenants: HashMap<TenantId, Arc<TenantKeys>>,
}

/// A protection that is made and not yet in force; see [`Seal::prepare`].
#[must_use]
#[expect(missing_debug_implementations, reason = "holds keys")]
pub struct Prepared {
    kek: SecretKey,
    stored: Stored,
    shares: Shares,
}

/// Whether the seal is open, and what would open it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Whether `init` was done.
    pub initialized: bool,
    /// Whether no keys are held.
    pub sealed: bool,
    /// `dev-file`, `passphrase`, `shamir` or `pkcs11`; `None` before `init`.
    pub protection: Option<&'static str>,
    /// How many shares are needed.
    pub threshold: Option<u8>,
    /// How many there are.
    pub shares: Option<u8>,
    /// How many were given.
    pub progress: u8,
}

/// As many tenants' keys are held at once; others are opened again when needed.
const TENANTS: usize = 10_000;

impl Seal {
    /// A closed seal over `db`. `dev_file` is where a development key file lives, should that protection be chosen;
    /// `cost` is what deriving a key from a new passphrase costs.
    pub fn new(db: Db, world: World, dev_file: PathBuf, cost: password::Params) -> Self {
        Self::with_device(db, world, dev_file, cost, None)
    }

    /// [`Seal::new`], with a device for [`Protection::Pkcs11`]. Nothing of it is loaded before it is needed.
    pub fn with_device(
        db: Db,
        world: World,
        dev_file: PathBuf,
        cost: password::Params,
        device: Option<Device>,
    ) -> Self {
        let hsm = device.map(Hsm::new).map(Arc::new);
        Self(Arc::new(Inner { db, world, dev_file, cost, hsm, state: Mutex::default() }))
    }

    /// Whether it is open, and what would open it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn status(&self) -> Result<Status> {
        let stored = self.stored().await?;
        let state = self.state();
        Ok(Status {
            initialized: stored.is_some(),
            sealed: state.open.is_none(),
            protection: stored.as_ref().map(Stored::kind),
            threshold: stored.as_ref().and_then(|stored| match stored {
                Stored::Shamir { threshold, .. } => Some(*threshold),
                _ => None,
            }),
            shares: stored.as_ref().and_then(|stored| match stored {
                Stored::Shamir { shares, .. } => Some(*shares),
                _ => None,
            }),
            progress: u8::try_from(state.shares.len()).unwrap_or(u8::MAX),
        })
    }

    /// Whether no keys are held now.
    pub fn is_closed(&self) -> bool {
        self.state().open.is_none()
    }

    /// Makes the first root key and leaves the seal open.
    ///
    /// # Errors
    /// `Conflict` when it was done before.
    pub async fn init(&self, protection: Protection) -> Result<Shares> {
        // Root keys are of no tenant, but locks are: any one will do.
        let mut tx = self.0.db.tx(Id::from_uuid(Uuid::nil())).await?;
        let shares = self.init_within(&mut tx, protection).await?;
        tx.commit().await.inspect_err(|_| self.close())?;
        Ok(shares)
    }

    /// [`Seal::init`] inside `tx`, so that whatever belongs to the same beginning becomes durable with the root key or
    /// not at all. The key is held at once, for what is sealed with it before the commit: unless `tx` is committed,
    /// call [`Seal::close`].
    ///
    /// # Errors
    /// `Conflict` when it was done before; then nothing is held that was not held before.
    pub async fn init_within(&self, tx: &mut Tx, protection: Protection) -> Result<Shares> {
        serialize_on(tx, "seal.init").await?;
        if sql::protection(tx).await?.is_some() {
            return Err(Error::conflict("already_initialized", "the server is initialised already"));
        }
        let Prepared { kek, stored, shares } = self.prepare(protection).await?;
        if matches!(stored, Stored::DevFile) {
            write_dev_file(&self.0.dev_file, &kek)?;
        }
        let root = Root::generate(&self.0.world, 1);
        let sealed = root.seal(&self.0.world, &DataKey::from_secret(kek));
        sql::put_root(tx, &sealed, self.0.world.now()).await?;
        sql::put_protection(tx, &to_text(&stored)?).await?;
        self.opened(Roots::new(vec![root])?);
        Ok(shares)
    }

    /// Gives one share, the passphrase, or nothing when a key file or a device does it. Opens once enough is there.
    ///
    /// # Errors
    /// `Conflict` before `init`; `Unauthenticated` when the key is wrong. Wrong shares are forgotten, all of them,
    /// since nobody can tell which one was wrong.
    pub async fn unseal(&self, key: Option<SecretString>) -> Result<Status> {
        let stored = self.stored().await?.ok_or_else(|| {
            Error::conflict("not_initialized", "the server is not initialised").hint("run `writ init`")
        })?;
        if self.is_closed()
            && let Some(kek) = self.key_encryption_key(&stored, key).await?
        {
            let roots = self.read_roots(kek).await?;
            self.opened(Roots::new(roots)?);
        }
        self.status().await
    }

    /// Forgets the shares given so far.
    pub fn reset(&self) {
        self.state().shares.clear();
    }

    /// Forgets every key.
    pub fn close(&self) {
        *self.state() = State::default();
    }

    /// Makes what [`Seal::rekey`] puts in force. Stretching a passphrase and asking a device take their time: hold no
    /// transaction meanwhile.
    ///
    /// # Errors
    /// `Invalid` when the protection is too weak; `Unavailable` when the device fails.
    pub async fn prepare(&self, protection: Protection) -> Result<Prepared> {
        let inner = Arc::clone(&self.0);
        let establish = move || protection.establish(&inner.world, inner.cost, inner.hsm.as_deref());
        let (kek, stored, shares) = blocking(establish).await?;
        Ok(Prepared { kek, stored, shares })
    }

    /// Protects the same root key in another way. Runs inside the transaction of the grant that permits it.
    ///
    /// # Errors
    /// `Sealed`; `Conflict` when the root key is being rotated.
    pub async fn rekey(&self, tx: &mut Tx, prepared: Prepared) -> Result<Shares> {
        let Prepared { kek, stored, shares } = prepared;
        serialize_on(tx, "seal.rekey").await?;
        let current = stored_in(tx).await?.ok_or_else(Error::sealed)?;
        if matches!((&current, &stored), (Stored::DevFile, Stored::DevFile)) {
            // The old file would be overwritten before the new seal is durable.
            return Err(Error::conflict(
                "same_protection",
                "the root key is protected by this key file already",
            ));
        }
        let root = self.root()?;
        // First, since whoever rotates the root key holds this row meanwhile.
        sql::put_protection(tx, &to_text(&stored)?).await?;
        let kept = sql::roots(tx).await?;
        if !kept.iter().map(|row| row.key_id).eq(root.keys.iter().map(|root| root.name.id)) {
            return Err(Error::conflict(
                "rotation_under_way",
                "the root key is being rotated; try again later",
            ));
        }
        if matches!(stored, Stored::DevFile) {
            write_dev_file(&self.0.dev_file, &kek)?;
        }
        let kek = DataKey::from_secret(kek);
        for root in &root.keys {
            sql::put_root(tx, &root.seal(&self.0.world, &kek), self.0.world.now()).await?;
        }
        Ok(shares)
    }

    /// The keys of the transaction's tenant.
    ///
    /// # Errors
    /// `Sealed`, also when another server rotated the root key and people must unseal this one again; `Unavailable`
    /// when this one fetches the new root key just now, which it does by itself; `Unauthenticated` when there is no such tenant (its keys were destroyed).
    pub async fn tenant(&self, tx: &mut Tx) -> Result<Arc<TenantKeys>> {
        let tenant = tx.tenant();
        let mut root = {
            let state = self.state();
            let open = state.open.as_ref().ok_or_else(Error::sealed)?;
            if let Some(keys) = open.tenants.get(&tenant) {
                return Ok(Arc::clone(keys));
            }
            Arc::clone(&open.root)
        };
        let row = sql::tenant_key(tx).await?;
        let row =
            row.ok_or_else(|| Error::unauthenticated("unknown_tenant", "the credential is not valid"))?;
        if !root.knows(&row.private)? {
            root = self.root()?;
        }
        if !root.knows(&row.private)? {
            return Err(self.outdated(tx).await);
        }
        let private = HybridPrivate::from_seed(root.ring.open(&tenant_aad(tenant), &row.private)?)?;
        let ring = data_ring(tenant, &private, sql::data_keys(tx).await?)?;
        let keys = Arc::new(TenantKeys { tenant, private, ring });
        let mut state = self.state();
        let open = state.open.as_mut().ok_or_else(Error::sealed)?;
        if open.tenants.len() >= TENANTS {
            open.tenants.clear();
        }
        open.tenants.insert(tenant, Arc::clone(&keys));
        Ok(keys)
    }

    /// Makes the keys of the transaction's new tenant. Nothing is remembered before it is durable.
    ///
    /// # Errors
    /// `Sealed`; `Conflict` when the tenant has keys; `Unavailable` when the root key was rotated at the same moment.
    pub async fn create_tenant(&self, tx: &mut Tx) -> Result<()> {
        let (root, world, tenant) = (self.root()?, &self.0.world, tx.tenant());
        if !sql::hold_root(tx, root.ring.active().version.into()).await? {
            return Err(self.outdated(tx).await);
        }
        let private = HybridPrivate::generate(world)?;
        let sealed = root.ring.seal(world, &tenant_aad(tenant), private.seed().expose());
        sql::insert_tenant_key(tx, &private.public().to_bytes(), &sealed, world.now()).await?;
        let name = KeyRef { id: world.uuid(), version: 1 };
        let wrapped =
            private.public().wrap(world, &data_key_context(tenant, name), &SecretKey::generate(world))?;
        sql::insert_data_key(tx, &DataKeyRow { key_id: name.id, version: 1, wrapped }, world.now()).await
    }

    /// Makes a new root key and seals every tenant's private key under it, while the seal stays open and serves.
    /// Old root keys are destroyed at the end; a crash on the way leaves both, and doing it again finishes it.
    /// `key` is what would unseal: the new root key is sealed under the same protection. Returns the version of the new
    /// root key; `None` when more shares are needed first, which [`Seal::status`] counts.
    ///
    /// # Errors
    /// `Sealed`; `Unauthenticated` when `key` is wrong; `Conflict` when it is being rotated already.
    pub async fn rotate_root(&self, key: Option<SecretString>) -> Result<Option<u32>> {
        let stored = self.stored().await?.ok_or_else(Error::sealed)?;
        let Some(kek) = self.key_encryption_key(&stored, key).await? else { return Ok(None) };
        let kek = DataKey::from_secret(kek);
        let world = &self.0.world;
        let mut tx = self.0.db.system_tx().await?;
        // Held until the new root key is durable, so that nobody protects the old ones in another way meanwhile.
        sql::hold_protection(&mut tx).await?;
        let rows = sql::roots(&mut tx).await?;
        let roots = rows.iter().map(|row| Root::open(&kek, row)).collect::<Result<Vec<_>>>();
        let mut roots = roots.map_err(|error| wrong_key().because(error))?;
        let newest = roots.iter().map(|root| root.name.version).max().unwrap_or(0);
        let fresh = Root::generate(world, newest + 1);
        let version = fresh.name.version;
        sql::insert_root(&mut tx, &fresh.seal(world, &kek), world.now()).await?;
        tx.commit().await?;
        let only = fresh.twin();
        roots.push(fresh);
        let roots = self.use_roots(roots)?;
        self.reseal_tenants(&roots).await?;
        self.use_roots(vec![only])?;
        Ok(Some(version))
    }

    /// What to say where the root keys that are held are not those in use: some server rotates or rotated them. A
    /// protection that opens by itself does so again, and not here, where a transaction is open while a device would be
    /// asked. Any other waits for people, with the seal closed, since the keys that are held open nothing new.
    async fn outdated(&self, tx: &mut Tx) -> Error {
        let stored = match stored_in(tx).await {
            Ok(Some(stored)) => stored,
            Ok(None) => return Error::sealed(),
            Err(error) => return error,
        };
        if !matches!(stored, Stored::DevFile | Stored::Pkcs11(_)) {
            self.close();
            return Error::sealed().context("another server rotated the root key");
        }
        if !std::mem::replace(&mut self.state().refreshing, true) {
            let seal = self.clone();
            tokio::spawn(async move {
                // Whoever comes next tries again.
                let _ = seal.refresh(stored).await;
                seal.state().refreshing = false;
            });
        }
        Error::unavailable("contention", "the root key is being rotated; try again")
    }

    /// Takes over the root keys of after a rotation.
    async fn refresh(&self, stored: Stored) -> Result<()> {
        let kek = self.key_encryption_key(&stored, None).await?.ok_or_else(Error::sealed)?;
        let fresh = Arc::new(Roots::new(self.read_roots(kek).await?)?);
        let mut state = self.state();
        let open = state.open.as_mut().ok_or_else(Error::sealed)?;
        // This server may have rotated meanwhile, too.
        if fresh.ring.active().version > open.root.ring.active().version {
            open.root = fresh;
        }
        Ok(())
    }

    /// Every root key there is.
    async fn read_roots(&self, kek: SecretKey) -> Result<Vec<Root>> {
        let rows = sql::roots(&mut self.0.db.system_read().await?).await?;
        let kek = DataKey::from_secret(kek);
        let roots = rows.iter().map(|row| Root::open(&kek, row)).collect::<Result<_>>();
        roots.map_err(|error| wrong_key().because(error))
    }

    fn use_roots(&self, roots: Vec<Root>) -> Result<Arc<Roots>> {
        let roots = Arc::new(Roots::new(roots)?);
        self.state().open.as_mut().ok_or_else(Error::sealed)?.root = Arc::clone(&roots);
        Ok(roots)
    }

    /// Seals what is under older root keys under the newest, a page at a time, and destroys the older ones.
    async fn reseal_tenants(&self, roots: &Roots) -> Result<()> {
        let mut after = Uuid::nil();
        loop {
            let mut tx = self.0.db.system_tx().await?;
            let Some(last) = self.reseal_page(&mut tx, roots, after).await? else { break };
            tx.commit().await?;
            after = last;
        }
        let mut tx = self.0.db.system_tx().await?;
        // This waits for tenants that are being created under an older root key; then they are all in sight.
        sql::delete_roots_before(&mut tx, roots.ring.active().version.into()).await?;
        let mut after = Uuid::nil();
        while let Some(last) = self.reseal_page(&mut tx, roots, after).await? {
            after = last;
        }
        tx.commit().await
    }

    /// The last tenant of the page after `after`; `None` when there is none.
    async fn reseal_page(&self, tx: &mut SystemTx, roots: &Roots, after: Uuid) -> Result<Option<Uuid>> {
        let rows = sql::tenant_keys_after(tx, after, 100).await?;
        for row in &rows {
            if writ_crypto::envelope::Envelope::parse(&row.private)?.header.key == roots.ring.active() {
                continue;
            }
            let tenant = Id::from_uuid(row.tenant_id);
            let seed = roots.ring.open(&tenant_aad(tenant), &row.private)?;
            let sealed = roots.ring.seal(&self.0.world, &tenant_aad(tenant), seed.expose());
            sql::reseal_tenant_key(tx, tenant, &sealed).await?;
        }
        Ok(rows.last().map(|row| row.tenant_id))
    }

    /// The key-encryption key, once enough was given.
    async fn key_encryption_key(
        &self,
        stored: &Stored,
        key: Option<SecretString>,
    ) -> Result<Option<SecretKey>> {
        let wanted = || Error::invalid("key_missing", "a key is needed: a share or the passphrase").at("key");
        match stored {
            Stored::DevFile => from_dev_file(&self.0.dev_file).map(Some),
            Stored::Passphrase { salt, params } => {
                let (key, salt, params) = (key.ok_or_else(wanted)?, salt.clone(), *params);
                blocking(move || from_passphrase(&key, &salt, params)).await.map(Some)
            }
            Stored::Pkcs11(wrapped) => {
                let (hsm, wrapped) = (self.0.hsm.clone().ok_or_else(no_device)?, wrapped.clone());
                blocking(move || hsm.unwrap(&wrapped)).await.map(Some)
            }
            Stored::Shamir { threshold, .. } => {
                let share = shamir::decode(key.ok_or_else(wanted)?.expose())?;
                self.collect(share, *threshold)
            }
        }
    }

    fn collect(&self, share: SecretBytes, threshold: u8) -> Result<Option<SecretKey>> {
        let mut state = self.state();
        if !state.shares.iter().any(|known| known.ct_eq(share.expose())) {
            state.shares.push(share);
        }
        if state.shares.len() < usize::from(threshold) {
            return Ok(None);
        }
        let shares = std::mem::take(&mut state.shares);
        shamir::combine(&shares).map(Some).map_err(|error| wrong_key().because(error))
    }

    async fn stored(&self) -> Result<Option<Stored>> {
        stored_in(&mut self.0.db.system_read().await?).await
    }

    fn root(&self) -> Result<Arc<Roots>> {
        self.state().open.as_ref().map(|open| Arc::clone(&open.root)).ok_or_else(Error::sealed)
    }

    fn opened(&self, roots: Roots) {
        let mut state = self.state();
        state.shares.clear();
        state.open = Some(Open { root: Arc::new(roots), tenants: HashMap::new() });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_closed() { "Seal(closed)" } else { "Seal(open)" })
    }
}

/// One version of the root key.
struct Root {
    name: KeyRef,
    key: SecretKey,
}

impl Root {
    fn generate(world: &World, version: u32) -> Self {
        Self { name: KeyRef { id: world.uuid(), version }, key: SecretKey::generate(world) }
    }

    fn twin(&self) -> Self {
        Self { name: self.name, key: SecretKey::new(*self.key.expose()) }
    }

    fn open(kek: &DataKey, row: &RootRow) -> Result<Self> {
        let version = to_version(row.version)?;
        let name = KeyRef { id: row.key_id, version };
        let key = SecretKey::from_slice(kek.open(&root_aad(name), &row.sealed)?.expose())?;
        Ok(Self { name, key })
    }

    fn seal(&self, world: &World, kek: &DataKey) -> RootRow {
        let sealed = kek.seal(world, &root_aad(self.name), self.key.expose());
        RootRow { version: self.name.version.into(), key_id: self.name.id, sealed }
    }
}

/// Every version of the root key; the newest seals.
struct Roots {
    keys: Vec<Root>,
    ring: KeyRing,
}

impl Roots {
    fn new(keys: Vec<Root>) -> Result<Self> {
        let names = keys.iter().map(|root| (root.name, SecretKey::new(*root.key.expose())));
        let ring = key_ring(names.collect())?;
        Ok(Self { keys, ring })
    }

    /// Whether one of them sealed this.
    fn knows(&self, sealed: &[u8]) -> Result<bool> {
        let by = writ_crypto::envelope::Envelope::parse(sealed)?.header.key;
        Ok(self.keys.iter().any(|root| root.name == by))
    }
}

fn data_ring(tenant: TenantId, private: &HybridPrivate, rows: Vec<DataKeyRow>) -> Result<KeyRing> {
    let open = |row: DataKeyRow| {
        let name = KeyRef { id: row.key_id, version: to_version(row.version)? };
        Ok((name, private.unwrap(&data_key_context(tenant, name), &row.wrapped)?))
    };
    key_ring(rows.into_iter().map(open).collect::<Result<_>>()?)
}

/// A ring in which the last key seals.
fn key_ring(keys: Vec<(KeyRef, SecretKey)>) -> Result<KeyRing> {
    let mut keys = keys.into_iter();
    let (name, key) = keys.next().ok_or_else(|| Error::internal("a ring of no keys"))?;
    let mut ring = KeyRing::new(name, DataKey::from_secret(key), 0);
    keys.for_each(|(name, key)| ring.activate(name, DataKey::from_secret(key)));
    Ok(ring)
}

fn to_version(version: i64) -> Result<u32> {
    u32::try_from(version).map_err(|_| Error::internal("a key version is out of range"))
}

async fn stored_in(tx: &mut impl Transactional) -> Result<Option<Stored>> {
    let read = |text: String| {
        serde_json::from_str(&text).map_err(|error| Error::internal("stored protection").because(error))
    };
    sql::protection(tx).await?.map(read).transpose()
}

fn to_text(stored: &Stored) -> Result<String> {
    serde_json::to_string(stored).map_err(|error| Error::internal("protection to text").because(error))
}

fn root_aad(name: KeyRef) -> Vec<u8> {
    Aad::new().field(b"writ/root/v1").field(name.id.as_bytes()).field(&name.version.to_be_bytes()).finish()
}

fn tenant_aad(tenant: TenantId) -> Vec<u8> {
    Aad::cell(tenant, "tenant_keys", tenant.uuid().as_bytes(), "private", 1)
}

fn data_key_context(tenant: TenantId, name: KeyRef) -> Vec<u8> {
    let version = name.version.to_be_bytes();
    Aad::new()
        .field(b"writ/data-key/v1")
        .field(tenant.uuid().as_bytes())
        .field(name.id.as_bytes())
        .field(&version)
        .finish()
}

fn wrong_key() -> Error {
    Error::unauthenticated("wrong_key", "the key does not open the seal")
}

/// Argon2id and devices take their time: not on a thread that serves others.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::internal("key derivation").because(error))?
}
