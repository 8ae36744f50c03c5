//! The credentials of one run: borrowed, served on loopback, renewed, and told.

use std::sync::{Arc, Mutex, PoisonError};

use writ_crypto::SecretString;
use writ_kernel::{Error, Result, Timestamp, World};
use writ_wire::{
    connections::{Cloud, StateBackend},
    runner::{Claim, RunEvent, Task},
};

use super::{Bootstrap, uploader::Reports, voice::Voice};
use crate::{
    aws::{
        AssumeRole, Borrower, Credentials, Http, Limits, Patience, SessionDuration, SessionPolicy,
        SessionTag, Sts,
        session_policy::{self, Change},
    },
    credentials::{CredentialEvent, CredentialEventKind, Endpoint, Recorder, Renewal},
};

/// Borrowed credentials and the endpoint that serves them to the tool.
pub(super) struct Lease {
    endpoint: Endpoint,
    phase: Arc<Mutex<Phase>>,
    partition: String,
    region: String,
}

/// What the next session is for.
#[derive(Clone)]
struct Phase {
    name: &'static str,
    policy: SessionPolicy,
}

impl Lease {
    /// Borrows what the claim's cloud needs, for planning; `None` when it needs nothing.
    ///
    /// # Errors
    /// `Unsupported` for a cloud the runner does not speak to; `Unavailable` without an identity of its own; what
    /// [`Borrower::borrow`] says.
    pub(super) async fn begin(
        claim: &Claim,
        bootstrap: &Bootstrap,
        world: &World,
        voice: &Arc<Voice>,
        reports: &Reports,
    ) -> Result<Option<Self>> {
        let Cloud::Aws { role_arn, region, .. } = &claim.cloud else {
            return match &claim.cloud {
                Cloud::Local {} => Ok(None),
                _ => Err(Error::unsupported(
                    "unsupported_cloud",
                    "the runner cannot borrow credentials of this cloud",
                )),
            };
        };
        let partition = role_arn.parse::<crate::aws::RoleArn>()?.partition().to_owned();
        let policy = session_policy::for_plan(&partition, &claim.backend);
        let name = if claim.task == Task::Deploy { "plan" } else { "unlock" };
        let phase = Arc::new(Mutex::new(Phase { name, policy }));
        let lender = Lender::new(claim, bootstrap, world, Arc::clone(&phase))?;
        let resolver = Box::new(move || {
            let borrowing = lender.borrower();
            Box::pin(async move { borrowing?.borrow().await }) as _
        });
        let (reports, reference) = (reports.clone(), role_arn.clone());
        let recorder = Recorder::new(move |event| {
            let (reports, event) = (reports.clone(), told(event, &reference));
            // Answered when it is on record: a credential never leaves before its evidence.
            async move { reports.ask(event).await.map(drop) }
        });
        let listener = Arc::clone(voice);
        let on_new_values = Box::new(move |new: &Credentials| {
            let values = [&new.access_key_id, &new.secret_access_key, &new.session_token];
            listener.keep_quiet("cloud-credential", values.map(SecretString::expose));
        });
        let endpoint =
            Endpoint::start(world.clone(), resolver, on_new_values, recorder, Renewal::default()).await?;
        let [_, (_, token)] = endpoint.env();
        voice.keep_quiet("run-token", [token.as_str()]);
        Ok(Some(Self { endpoint, phase, partition, region: region.clone() }))
    }

    /// What the tool's environment needs.
    pub(super) fn env(&self, bootstrap: &Bootstrap) -> Vec<(String, SecretString)> {
        let endpoints = &bootstrap.aws_endpoints;
        let mut env: Vec<(&str, String)> = self.endpoint.env().into();
        env.extend([("AWS_REGION", self.region.clone()), ("AWS_EC2_METADATA_DISABLED", "true".to_owned())]);
        for (name, address) in [
            ("AWS_ENDPOINT_URL_STS", &endpoints.sts),
            ("AWS_ENDPOINT_URL_S3", &endpoints.s3),
            ("AWS_ENDPOINT_URL_DYNAMODB", &endpoints.dynamodb),
        ] {
            env.extend(address.iter().map(|address| (name, address.trim_end_matches('/').to_owned())));
        }
        env.into_iter().map(|(name, value)| (name.to_owned(), SecretString::new(value))).collect()
    }

    /// A fresh session that may do what the plan's `changes` need, at the same endpoint.
    ///
    /// # Errors
    /// What [`Borrower::borrow`] says.
    pub(super) async fn widen<'a>(
        &self,
        state: &StateBackend,
        changes: impl IntoIterator<Item = Change<'a>>,
    ) -> Result<()> {
        let policy = session_policy::for_apply(&self.partition, state, changes);
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = Phase { name: "apply", policy };
        self.endpoint.renew().await.map(drop)
    }

    /// The loopback port at which the tool fetches them.
    pub(super) fn port(&self) -> u16 {
        self.endpoint.address().port()
    }

    /// Stops serving and forgets the values.
    pub(super) async fn close(self) {
        self.endpoint.close().await;
    }
}

/// Makes a borrower for each session, since a session's policy depends on the phase.
pub(super) struct Lender {
    sts: Sts,
    source: crate::aws::IdentitySource,
    role: String,
    external_id: SecretString,
    run: String,
    tags: Vec<(&'static str, String)>,
    world: World,
    deadline: Timestamp,
    phase: Arc<Mutex<Phase>>,
}

impl Lender {
    /// A lender for sessions of one kind only.
    pub(super) fn once(
        claim: &Claim,
        bootstrap: &Bootstrap,
        world: &World,
        name: &'static str,
        policy: SessionPolicy,
    ) -> Result<Self> {
        Self::new(claim, bootstrap, world, Arc::new(Mutex::new(Phase { name, policy })))
    }

    fn new(claim: &Claim, bootstrap: &Bootstrap, world: &World, phase: Arc<Mutex<Phase>>) -> Result<Self> {
        let Cloud::Aws { role_arn, external_id, region, .. } = &claim.cloud else {
            return Err(Error::internal("a lender for another cloud"));
        };
        let source = bootstrap.identity.clone().ok_or_else(|| {
            Error::unavailable(
                "no_identity",
                "the runner was given no identity of its own at Amazon Web Services",
            )
            .hint("configure the server's runners with a web identity")
        })?;
        let http = Http::new(Limits::default())?;
        let endpoint = bootstrap.aws_endpoints.sts.as_deref();
        let sts = Sts::new(world.clone(), http, region.parse()?, endpoint, Patience::default())?;
        Ok(Self {
            sts,
            source,
            role: role_arn.clone(),
            external_id: SecretString::new(external_id.clone()),
            run: claim.run.to_string(),
            tags: vec![
                ("writ:tenant", claim.tenant.to_string()),
                ("writ:environment", claim.environment.clone()),
                ("writ:deployment", claim.deployment.to_string()),
                ("writ:run", claim.run.to_string()),
            ],
            world: world.clone(),
            deadline: claim.deadline,
            phase,
        })
    }

    pub(super) fn borrower(&self) -> Result<Borrower> {
        let Phase { name, policy } = self.phase.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let tags = self.tags.iter().map(|(key, value)| (*key, value.as_str())).chain([("writ:phase", name)]);
        // As long as the run may last from now on, within what the service lends.
        let left = self.deadline.since(self.world.now()).as_secs().clamp(900, 3600);
        let request = AssumeRole {
            role: self.role.parse()?,
            external_id: self.external_id.expose().parse()?,
            session_name: format!("writ-{}", self.run).parse()?,
            source_identity: None,
            duration: SessionDuration::from_seconds(u32::try_from(left).unwrap_or(3600))?,
            tags: tags.map(|(key, value)| SessionTag::new(key, value)).collect::<Result<_>>()?,
            policy,
        };
        Ok(Borrower { sts: self.sts.clone(), source: self.source.clone(), request })
    }
}

/// What happened to the credentials, in the words of the protocol.
fn told(event: CredentialEvent, reference: &str) -> RunEvent {
    match event.kind {
        CredentialEventKind::Refreshed(lease) => RunEvent::CredentialLeased {
            reference: reference.to_owned(),
            key_hash: lease.key_hash,
            not_before: lease.not_before,
            not_after: lease.not_after,
        },
        CredentialEventKind::Served(lease) => RunEvent::CredentialServed { key_hash: lease.key_hash },
        CredentialEventKind::Refused { reason } => RunEvent::CredentialRefused { reason: reason.to_owned() },
        CredentialEventKind::Failed { code } => {
            RunEvent::CredentialRefused { reason: format!("not lent: {code}") }
        }
    }
}
