//! Uploaded configurations: sealed at rest, known by the digest of their file tree.

use serde_json::json;
use uuid::Uuid;
use writ_crypto::{Aad, SecretBytes};
use writ_gate::{Done, Gate, Receipt, Resource};
use writ_kernel::{Action, Caller, Configuration, Error, Id, Label, Page, PageRequest, Result, TenantId};
use writ_seal::TenantKeys;
use writ_store::Tx;

use crate::{archive, model::ConfigurationRecord, sql};

/// Keeps an uploaded archive.
pub(crate) async fn create(
    gate: &Gate,
    caller: &Caller,
    packed: impl AsRef<[u8]> + Send + 'static,
    origin: Option<String>,
) -> Result<(ConfigurationRecord, Receipt)> {
    let origin = origin.map(|text| text.parse::<Label>()).transpose().map_err(|error| error.at("origin"))?;
    // Inflating takes its time, which is nobody else's: neither the writer's nor that of a thread that serves.
    let reading = tokio::task::spawn_blocking(move || (archive::read(packed.as_ref()), packed));
    let (contents, packed) =
        reading.await.map_err(|error| Error::internal("reading an archive").because(error))?;
    let archive::Contents { digest, files, size } = contents?;
    let mut grant = gate.grant(caller, Action::ConfigurationCreate, Resource::all("configuration")).await?;
    let (id, created_at, author) = (grant.world().id(), grant.world().now(), caller.principal);
    let configuration = ConfigurationRecord { id, digest, files, size, origin, author, created_at };
    let world = grant.world().clone();
    let sealed = grant.keys().seal(&world, &place(caller.tenant, id), packed.as_ref());
    sql::insert_configuration(grant.tx(), &configuration, &sealed).await?;
    let detail = json!({ "digest": configuration.digest, "files": configuration.files.len(), "size": size,
        "origin": configuration.origin });
    let receipt = grant.commit(Done::with(detail).created(id)).await?;
    Ok((configuration, receipt))
}

/// Lists configurations, oldest first.
pub(crate) async fn list(
    gate: &Gate,
    caller: &Caller,
    page: PageRequest,
) -> Result<(Page<ConfigurationRecord>, Receipt)> {
    let mut grant = gate.grant(caller, Action::ConfigurationRead, Resource::all("configuration")).await?;
    let page = sql::configurations(grant.tx(), &page).await?;
    Ok((page, grant.commit(Done::plain()).await?))
}

/// One configuration.
pub(crate) async fn find(gate: &Gate, caller: &Caller, id: Uuid) -> Result<(ConfigurationRecord, Receipt)> {
    let mut entry = gate.enter(caller, Action::ConfigurationRead).await?;
    let Some(configuration) = sql::configuration(entry.tx(), id).await? else {
        return Err(entry.not_found("configuration").await);
    };
    let resource = Resource::one("configuration", configuration.id).of(configuration.author);
    let grant = entry.admit(resource).await?;
    Ok((configuration, grant.commit(Done::plain()).await?))
}

/// The archive itself, for the one run that needs it.
pub(crate) async fn archive(tx: &mut Tx, keys: &TenantKeys, id: Id<Configuration>) -> Result<SecretBytes> {
    let sealed = sql::archive(tx, id).await?.ok_or_else(|| Error::not_found("configuration"))?;
    keys.open(&place(tx.tenant(), id), &sealed)
}

fn place(tenant: TenantId, id: Id<Configuration>) -> Vec<u8> {
    Aad::cell(tenant, "configurations", id.uuid().as_bytes(), "archive", 1)
}
