//! The composition root: everything that depends on something else is put together here.

use std::{
    fs,
    future::Future,
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::Path,
    sync::Arc,
    time::Duration,
};

use axum::{Extension, Router};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};
use writ_compat::Dialect;
use writ_crypto::{Entropy, hash, password};
use writ_deploy::{Deploy, Scheduler};
use writ_evidence::{Evidence, Sequencer};
use writ_gate::{Gate, Rate};
use writ_identity::Identity;
use writ_kernel::{Error, Result, SystemClock, Timestamp, World};
use writ_keys::{Keys, Rotator};
use writ_seal::Seal;
use writ_store::Db;
use writ_vault::Vault;
use writ_web::{
    Authenticate, Guard, Limits, Manners, Terms, Transport, openapi,
    tls::{KeyExchange, Pem, Tls},
};

use crate::{
    config::{self, Config},
    entropy::{self, Watch},
    launch::LocalRunners,
    lent::Lent,
    metrics::{self, Metrics, Sights},
    process,
    sys::{self, Sys, VERSION},
    telemetry::{self, Tracer},
    unsealing,
};

/// What a server that has begun to listen tells whoever started it.
#[derive(Debug, Clone)]
pub struct Ready {
    /// Where it listens.
    pub address: SocketAddr,
    /// The SHA-256 of its certificate, hex, for clients to pin.
    pub pin: String,
    /// Where it tells its metrics.
    pub metrics: Option<SocketAddr>,
}

/// Serves until `shutdown` completes, then drains and closes. Tells `ready` once it listens.
///
/// # Errors
/// When the configuration, the database or the address cannot be used.
pub async fn serve(
    config: Config,
    ready: impl FnOnce(Ready),
    shutdown: impl Future<Output = ()> + Send,
) -> Result<()> {
    process::harden()?;
    make_private(&config.data_dir)?;
    let entropy = Arc::new(entropy::mixed(&config.entropy)?);
    let world = World::new(Arc::new(SystemClock), Arc::clone(&entropy) as _);
    writ_store::migrate(&config.database_of_owner()?, &world).await?;
    let db = Db::open(&config.database()?, world.clone()).await?;
    let (dev_file, cost) = (config.data_dir.join("dev.key"), password::Params::default());
    let seal = Seal::with_device(db.clone(), world.clone(), dev_file, cost, unsealing::device(&config.hsm));
    let gate = Gate::new(db.clone(), seal.clone(), world.clone(), limits(&config));
    unsealing::at_start(&seal).await?;

    let rooms = Rooms::behind(&gate, &config.server.host, &entropy, &config.dialect)?;
    let pem = certificate(&config, world.now())?;
    let exchange =
        if config.server.require_post_quantum { KeyExchange::Hybrid } else { KeyExchange::HybridOrClassical };
    let tls = Tls::new(&pem, exchange)?;
    let pin = hash::hex(&tls.pin());

    let listener = bind(config.server.listen).await?;
    let address = local(&listener)?;
    let metrics = Metrics::new();
    let (tracer, exporter) = telemetry::open(&config.telemetry, &world, metrics.spans())?;
    let router = router(&config, &gate, &rooms, (&metrics, &tracer));
    let launcher = launcher(&config, address, &pin, (tracer, world))?;

    let (stop, stopping) = watch::channel(false);
    let mut workers = JoinSet::new();
    rooms.work(&config, launcher, &mut workers, &stopping);
    workers.spawn(until(stopping.clone(), unsealing::await_device(seal.clone())));
    if let Some(exporter) = exporter {
        workers.spawn(exporter.run(stopping.clone()));
    }
    let sources = Arc::new(Watch::new(entropy));
    workers.spawn(until(stopping.clone(), Arc::clone(&sources).run()));
    let sights = Sights { db: db.clone(), seal, sources, data_dir: config.data_dir.clone() };
    let told = match config.server.metrics {
        Some(address) => Some(open_metrics(address, &metrics, sights, &mut workers, stopping).await?),
        None => None,
    };
    tracing::info!(%address, version = VERSION, "serving");
    ready(Ready { address, pin, metrics: told });

    let drain = Duration::from_secs(config.server.drain_seconds);
    let limits = Limits { connections: config.limits.connections, drain, ..Limits::default() };
    let observe = Box::new(move |event| metrics.connection(event));
    let served = writ_web::serve(
        listener,
        router,
        Terms { transport: Transport::Tls(tls), limits, observe },
        shutdown,
    )
    .await;
    let _ = stop.send(true);
    while workers.join_next().await.is_some() {}
    db.close().await?;
    tracing::info!("drained and closed");
    served
}

impl Rooms {
    /// What the rooms do by themselves.
    fn work(
        self,
        config: &Config,
        launcher: LocalRunners,
        workers: &mut JoinSet<()>,
        stopping: &watch::Receiver<bool>,
    ) {
        let terms = writ_deploy::Terms {
            runs_of_tenant: config.runner.runs_of_tenant,
            silence: Duration::from_secs(config.runner.silence_seconds),
            ..writ_deploy::Terms::default()
        };
        let scheduler = Scheduler::new(self.deploy, Arc::new(launcher), terms);
        workers.spawn(until(stopping.clone(), scheduler.run()));
        workers.spawn(until(stopping.clone(), Sequencer::new(&self.evidence).run()));
        workers.spawn(until(stopping.clone(), self.vault.keep_readers()));
        workers.spawn(until(stopping.clone(), self.lent.work()));
        workers.spawn(until(stopping.clone(), Rotator::new(self.keys).run()));
    }
}

/// The OpenAPI document of everything the server answers, as it is committed. Routes need rooms, and rooms a house:
/// this one stands in a temporary directory and serves nobody.
///
/// # Errors
/// `Internal` when it cannot be written.
pub async fn openapi() -> Result<String> {
    let directory =
        tempfile::tempdir().map_err(|error| Error::internal("temporary directory").because(error))?;
    let world = World::new(Arc::new(SystemClock), Arc::new(Entropy::os()));
    let config = writ_store::Config::Sqlite { path: directory.path().join("writ.db") };
    writ_store::migrate(&config, &world).await?;
    let db = Db::open(&config, world.clone()).await?;
    let seal =
        Seal::new(db.clone(), world.clone(), directory.path().join("dev.key"), password::Params::default());
    let gate = Gate::new(db.clone(), seal, world, writ_gate::Limits::default());
    let rooms = Rooms::behind(&gate, "localhost", &Arc::new(Entropy::os()), &config::Dialect::default())?;
    let sys =
        Sys { gate, keys: rooms.keys.clone(), data_dir: directory.path().to_owned(), disk_free_bytes: 0 };
    let (_, document) = openapi::assemble("Writ", VERSION, rooms.routes(sys));
    db.close().await?;
    openapi::to_json(&document)
}

/// Every room of the house.
struct Rooms {
    identity: Identity,
    deploy: Deploy,
    evidence: Evidence,
    vault: Vault,
    lent: Lent,
    keys: Keys,
    dialect: Dialect,
}

impl Rooms {
    fn behind(gate: &Gate, host: &str, entropy: &Arc<Entropy>, wanted: &config::Dialect) -> Result<Self> {
        let identity = Identity::new(gate.clone());
        let deploy = Deploy::new(gate.clone(), Arc::new(People(identity.clone())));
        let vault = Vault::new(gate.clone(), Arc::new(People(identity.clone())));
        let lent = Lent::behind(gate, &identity, &vault);
        let keys = Keys::new(gate.clone(), Arc::clone(entropy));
        let terms =
            writ_compat::Terms { private_networks: wanted.private_networks, ..writ_compat::Terms::default() };
        let dialect = Dialect::new(gate.clone(), identity.clone(), vault.clone(), keys.clone(), terms);
        let evidence = Evidence::new(gate.clone(), host)?;
        Ok(Self { identity, deploy, evidence, vault, lent, keys, dialect })
    }

    fn routes(&self, sys: Sys) -> [openapi::OpenApiRouter; 9] {
        [
            sys::routes(sys),
            writ_identity::routes(self.identity.clone()),
            writ_deploy::routes(self.deploy.clone()),
            writ_deploy::runner_routes(self.deploy.clone()),
            writ_evidence::routes(self.evidence.clone()),
            writ_vault::routes(self.vault.clone()),
            self.lent.routes(),
            writ_keys::routes(self.keys.clone()),
            writ_compat::routes(self.dialect.clone()),
        ]
    }
}

fn router(config: &Config, gate: &Gate, rooms: &Rooms, told: (&Arc<Metrics>, &Tracer)) -> Router {
    let sys = Sys {
        gate: gate.clone(),
        keys: rooms.keys.clone(),
        data_dir: config.data_dir.clone(),
        disk_free_bytes: config.limits.disk_free_bytes,
    };
    let (router, _) = openapi::assemble("Writ", VERSION, rooms.routes(sys));
    let authenticate: Arc<dyn Authenticate> = Arc::new(rooms.identity.clone());
    let (seal, metrics, tracer) = (gate.seal().clone(), Arc::clone(told.0), told.1.clone());
    let sampler = tracer.clone();
    let manners = Manners {
        world: gate.world().clone(),
        body_limit: 1024 * 1024,
        timeout: Duration::from_secs(config.server.timeout_seconds),
        concurrency: config.limits.concurrency,
        guard: Guard { sealed: Box::new(move || seal.is_closed()), open: sys::OPEN },
        sampled: Box::new(move |trace| sampler.samples(trace)),
        observe: Box::new(move |served| {
            metrics.served(served);
            tracer.served(served);
        }),
    };
    manners.teach(router.layer(Extension(authenticate)))
}

/// The ports of the deploy room and of the vault towards the identity room.
pub(crate) struct People(pub(crate) Identity);

impl writ_vault::ports::People for People {
    fn accountable(
        &self,
        tenant: writ_kernel::TenantId,
        principal: writ_kernel::Id<writ_kernel::Principal>,
    ) -> writ_vault::ports::Boxed<'_, Result<Option<writ_kernel::Id<writ_kernel::Principal>>>> {
        Box::pin(self.0.accountable(tenant, principal))
    }
}

impl writ_deploy::ports::Principals for People {
    fn current(
        &self,
        tenant: writ_kernel::TenantId,
        principal: writ_kernel::Id<writ_kernel::Principal>,
        trace: writ_kernel::TraceId,
    ) -> writ_deploy::ports::Boxed<'_, Result<Option<writ_kernel::Caller>>> {
        Box::pin(self.0.current(tenant, principal, trace))
    }

    fn accountable(
        &self,
        tenant: writ_kernel::TenantId,
        principal: writ_kernel::Id<writ_kernel::Principal>,
    ) -> writ_deploy::ports::Boxed<'_, Result<Option<writ_kernel::Id<writ_kernel::Principal>>>> {
        Box::pin(self.0.accountable(tenant, principal))
    }
}

fn launcher(
    config: &Config,
    address: SocketAddr,
    pin: &str,
    (tracer, world): (Tracer, World),
) -> Result<LocalRunners> {
    Ok(LocalRunners {
        config: config.runner.clone(),
        program: std::env::current_exe().map_err(|error| Error::internal("own program").because(error))?,
        server_url: format!("https://{}", reachable(address)),
        pin: pin.to_owned(),
        states: config.data_dir.join("states"),
        tracer,
        world,
    })
}

fn limits(config: &Config) -> writ_gate::Limits {
    let limits = &config.limits;
    writ_gate::Limits {
        tenant: Rate { per_second: limits.tenant_per_second, burst: limits.tenant_burst },
        principal: Rate { per_second: limits.principal_per_second, burst: limits.principal_burst },
    }
}

/// The configured certificate, or a self-made one that is kept for the next start.
fn certificate(config: &Config, now: Timestamp) -> Result<Pem> {
    if let (Some(chain), Some(key)) = (&config.server.certificate, &config.server.key) {
        return Pem::load(chain, key);
    }
    let (chain, key) = (config.data_dir.join("server.pem"), config.data_dir.join("server.key"));
    if let Ok(pem) = Pem::load(&chain, &key) {
        return Ok(pem);
    }
    let hosts = [config.server.host.clone()];
    let pem = Pem::self_made(&hosts, now, Duration::from_hours(365 * 24))?;
    pem.save(&chain, &key)?;
    Ok(pem)
}

fn make_private(directory: &Path) -> Result<()> {
    let failed = |error: std::io::Error| {
        Error::unavailable("data_dir", format!("the data directory `{}` cannot be used", directory.display()))
            .because(error)
    };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).map_err(failed)
}

async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        Error::unavailable("address_in_use", format!("cannot listen on `{address}`: {error}"))
            .hint("another server may be running, or the address is not of this machine")
    })
}

/// An address to connect to, for one to listen on.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() { SocketAddr::from(([127, 0, 0, 1], address.port())) } else { address }
}

/// Opens the listener of the metrics, and tells where it is.
async fn open_metrics(
    address: SocketAddr,
    metrics: &Arc<Metrics>,
    sights: Sights,
    workers: &mut JoinSet<()>,
    stopping: watch::Receiver<bool>,
) -> Result<SocketAddr> {
    let listener = bind(address).await?;
    let address = local(&listener)?;
    workers.spawn(until(stopping, serve_metrics(listener, metrics::routes(Arc::clone(metrics), sights))));
    Ok(address)
}

fn local(listener: &TcpListener) -> Result<SocketAddr> {
    listener.local_addr().map_err(|error| Error::internal("a listener has no address").because(error))
}

async fn serve_metrics(listener: TcpListener, routes: Router) {
    let terms =
        Terms { transport: Transport::DangerousPlain, limits: Limits::default(), observe: Box::new(|_| {}) };
    if let Err(error) = writ_web::serve(listener, routes, terms, std::future::pending()).await {
        tracing::error!(%error, "the metrics listener failed");
    }
}

async fn until(mut stopping: watch::Receiver<bool>, work: impl Future<Output = ()>) {
    tokio::select! {
        () = work => {}
        _ = stopping.wait_for(|stop| *stop) => {}
    }
}
