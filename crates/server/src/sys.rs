//! The seal and the health of the server.

use std::path::PathBuf;

use axum::extract::State;
use serde_json::json;
use tokio::sync::oneshot::{self, error::TryRecvError};
use writ_crypto::SecretString;
use writ_gate::{Done, Gate, Outcome as Recorded, Receipt, Resource, tenancy::PLATFORM};
use writ_kernel::{Action, Caller, Error, Name, Result};
use writ_keys::Keys;
use writ_seal::{Protection as Protecting, Seal, Shares};
use writ_web::{
    Authenticated, Json, Outcome, Recorded as Answered,
    openapi::{OpenApiRouter, routes},
};
use writ_wire::sys::{
    Health, InitRequest, InitResponse, Protection, RekeyRequest, SealStatus, UnsealRequest,
};

use crate::process;

/// The version everything reports.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The routes that a sealed server answers.
pub(crate) const OPEN: &[&str] = &[
    "/health",
    "/healthz",
    "/version",
    "/readyz",
    "/api/v1/sys/seal-status",
    "/api/v1/sys/init",
    "/api/v1/sys/unseal",
    // The Vault dialect answers for itself, in its own words.
    "/v1",
    "/v1/",
    "/v1/{*path}",
];

/// What these operations need.
#[derive(Clone)]
pub(crate) struct Sys {
    pub(crate) gate: Gate,
    /// Holds keys ready that a sealed server must not have.
    pub(crate) keys: Keys,
    /// Where a disk may become full.
    pub(crate) data_dir: PathBuf,
    /// With fewer bytes free there, readiness warns.
    pub(crate) disk_free_bytes: u64,
}

impl Sys {
    fn seal(&self) -> &Seal {
        self.gate.seal()
    }
}

/// The operations.
pub(crate) fn routes(sys: Sys) -> OpenApiRouter {
    OpenApiRouter::new()
        .merge(crate::status::routes())
        .routes(routes!(healthz))
        .routes(routes!(readyz))
        .routes(routes!(seal_status))
        .routes(routes!(init))
        .routes(routes!(unseal))
        .routes(routes!(close))
        .routes(routes!(rekey))
        .routes(routes!(rotate))
        .with_state(sys)
}

/// Whether the process lives.
#[utoipa::path(get, path = "/healthz", tag = "sys", security(()), responses((status = 200, body = Health)))]
async fn healthz(State(sys): State<Sys>) -> Outcome<Json<Health>> {
    let status = if sys.seal().is_closed() { "sealed" } else { "ok" };
    Ok(Json(Health { status: status.to_owned(), version: VERSION.to_owned(), problems: Vec::new() }))
}

/// Whether it can serve: unsealed, and the database answers. `degraded` serves, and says what will soon be in the way.
#[utoipa::path(get, path = "/readyz", tag = "sys", security(()), responses((status = 200, body = Health)))]
async fn readyz(State(sys): State<Sys>) -> Outcome<Json<Health>> {
    let status = sys.seal().status().await?;
    if status.sealed {
        return Err(Error::sealed().into());
    }
    let free = process::disk_free(&sys.data_dir)?;
    let low = (free < sys.disk_free_bytes).then(|| {
        format!(
            "only {} MiB are free where the data directory is; once it is full, nothing is accepted",
            free >> 20
        )
    });
    let status = if low.is_some() { "degraded" } else { "ok" };
    Ok(Json(Health {
        status: status.to_owned(),
        version: VERSION.to_owned(),
        problems: low.into_iter().collect(),
    }))
}

/// Whether the server holds its keys.
#[utoipa::path(get, path = "/api/v1/sys/seal-status", tag = "sys", security(()),
    responses((status = 200, body = SealStatus)))]
async fn seal_status(State(sys): State<Sys>) -> Outcome<Json<SealStatus>> {
    Ok(Json(status(sys.seal()).await?))
}

/// Initialise a new server: its root key, the platform tenant and its first administrator, all or nothing. What it
/// answers is shown once; if that answer is lost, nothing else is yet: begin again with an empty database.
#[utoipa::path(post, path = "/api/v1/sys/init", tag = "sys", security(()), request_body = InitRequest,
    responses((status = 200, body = InitResponse)))]
async fn init(State(sys): State<Sys>, Json(wanted): Json<InitRequest>) -> Outcome<Json<InitResponse>> {
    let admin: Name = wanted.admin.parse().map_err(|error: Error| error.at("admin"))?;
    // A task of its own: a client that goes away must not leave keys held that were never written.
    let begun = tokio::spawn(begin(sys.gate, protecting(wanted.protection), admin)).await;
    let (shares, token) =
        begun.map_err(|error| Error::internal("the beginning broke off").because(error))??;
    Ok(Json(InitResponse { shares: plain(&shares), enrolment_token: Some(token.expose().to_owned()) }))
}

/// Give a share or the passphrase.
#[utoipa::path(post, path = "/api/v1/sys/unseal", tag = "sys", security(()), request_body = UnsealRequest,
    responses((status = 200, body = SealStatus)))]
async fn unseal(State(sys): State<Sys>, Json(wanted): Json<UnsealRequest>) -> Outcome<Json<SealStatus>> {
    if wanted.reset {
        sys.seal().reset();
    } else {
        sys.seal().unseal(wanted.key.map(SecretString::new)).await?;
    }
    Ok(Json(status(sys.seal()).await?))
}

/// Seal the server: forget every key.
#[utoipa::path(post, path = "/api/v1/sys/seal", tag = "sys", responses((status = 200, body = SealStatus)))]
async fn close(
    State(sys): State<Sys>,
    Authenticated(caller): Authenticated,
) -> Outcome<Answered<Json<SealStatus>>> {
    let grant = sys.gate.grant(&caller, Action::Seal, Resource::all("seal")).await?;
    let receipt = grant.commit(Done::plain()).await?;
    sys.seal().close();
    sys.gate.forget();
    sys.keys.forget();
    Ok(Answered(receipt.to_string(), Json(status(sys.seal()).await?)))
}

/// Protect the same root key in another way. What it answers is shown once; if that answer is lost, do it again before
/// the server is sealed.
#[utoipa::path(post, path = "/api/v1/sys/rekey", tag = "sys", request_body = RekeyRequest,
    responses((status = 200, body = InitResponse)))]
async fn rekey(
    State(sys): State<Sys>,
    Authenticated(caller): Authenticated,
    Json(wanted): Json<RekeyRequest>,
) -> Outcome<Answered<Json<InitResponse>>> {
    // A task of its own, so that what was begun is ended on record. Whoever goes away lets go of `_asking`.
    let (_asking, asked) = oneshot::channel();
    let protecting = protecting(wanted.protection);
    let protected = tokio::spawn(protect(sys, caller, protecting, asked)).await;
    let (shares, receipt) =
        protected.map_err(|error| Error::internal("the rekeying broke off").because(error))??;
    Ok(Answered(receipt.to_string(), Json(InitResponse { shares: plain(&shares), enrolment_token: None })))
}

/// Replace the root key while serving. With shares, call it once for each: `progress` counts them, and is 0 again once
/// the root key is replaced.
#[utoipa::path(post, path = "/api/v1/sys/rotate", tag = "sys", request_body = UnsealRequest,
    responses((status = 200, body = SealStatus)))]
async fn rotate(
    State(sys): State<Sys>,
    Authenticated(caller): Authenticated,
    Json(wanted): Json<UnsealRequest>,
) -> Outcome<Answered<Json<SealStatus>>> {
    let grant = sys.gate.grant(&caller, Action::RootRotate, Resource::all("seal")).await?;
    grant.commit(Done::plain().outcome(Recorded::Intent)).await?;
    let rotated = sys.seal().rotate_root(wanted.key.map(SecretString::new)).await;
    let done = match &rotated {
        Ok(Some(version)) => Done::with(json!({ "version": version })).outcome(Recorded::Done),
        // A share was taken, and others are waited for.
        Ok(None) => Done::with(json!({ "version": null })).outcome(Recorded::Done),
        Err(error) => Done::with(json!({ "code": error.code() })).outcome(Recorded::Fail),
    };
    let receipt =
        sys.gate.grant(&caller, Action::RootRotate, Resource::all("seal")).await?.commit(done).await?;
    rotated?;
    Ok(Answered(receipt.to_string(), Json(status(sys.seal()).await?)))
}

/// Permitted first, and prepared only then: a device or a passphrase takes its time, and no transaction waits for it.
async fn protect(
    sys: Sys,
    caller: Caller,
    protection: Protecting,
    mut asked: oneshot::Receiver<()>,
) -> Result<(Shares, Receipt)> {
    let grant = async || sys.gate.grant(&caller, Action::Rekey, Resource::all("seal")).await;
    grant().await?.commit(Done::plain().outcome(Recorded::Intent)).await?;
    let rekeyed = async {
        let prepared = sys.seal().prepare(protection).await?;
        let mut grant = grant().await?;
        let shares = sys.seal().rekey(grant.tx(), prepared).await?;
        // The old shares stay good while nobody is there to take the new ones.
        if asked.try_recv() == Err(TryRecvError::Closed) {
            return Err(Error::conflict("nobody_waits", "whoever asked is gone: nothing was changed"));
        }
        let done = Done::with(json!({ "shares": shares.len() })).outcome(Recorded::Done);
        Ok((shares, grant.commit(done).await?))
    };
    match rekeyed.await {
        Ok(rekeyed) => Ok(rekeyed),
        Err(error) => {
            let failed = Done::with(json!({ "code": error.code() })).outcome(Recorded::Fail);
            grant().await?.commit(failed).await?;
            Err(error)
        }
    }
}

/// Root key and platform tenant in one commit: there is no moment at which a crash could leave one without the other.
async fn begin(gate: Gate, protection: Protecting, admin: Name) -> Result<(Shares, SecretString)> {
    let mut tx = gate.db().tx(PLATFORM).await?;
    let shares = gate.seal().init_within(&mut tx, protection).await?;
    let token = writ_identity::first_admin_within(&gate, tx, &admin).await;
    Ok((shares, token.inspect_err(|_| gate.seal().close())?))
}

async fn status(seal: &Seal) -> Result<SealStatus> {
    let status = seal.status().await?;
    Ok(SealStatus {
        initialized: status.initialized,
        sealed: status.sealed,
        provider: status.protection.map(str::to_owned),
        threshold: status.threshold,
        progress: status.threshold.map(|_| status.progress),
        version: VERSION.to_owned(),
    })
}

fn protecting(wanted: Protection) -> Protecting {
    match wanted {
        Protection::DevFile => Protecting::DevFile,
        Protection::Passphrase { passphrase } => Protecting::Passphrase(SecretString::new(passphrase)),
        Protection::Shamir { threshold, shares } => Protecting::Shamir { threshold, shares },
        Protection::Pkcs11 => Protecting::Pkcs11,
    }
}

fn plain(shares: &[SecretString]) -> Vec<String> {
    shares.iter().map(|share| share.expose().to_owned()).collect()
}
