//! Errands: trying a connection, and releasing a lock. Nothing of a configuration is involved.

use writ_crypto::SecretString;
use writ_kernel::{Error, Result};
use writ_wire::{
    connections::{Cloud, PreflightCheck, StateBackend},
    runner::RunEvent,
};

use super::{
    backend::LocalState,
    borrowing::{Lease, Lender},
    control::{halted, unless_halted},
    ending::Ending,
    life::{Preparing, Run, Stage, sandbox, write_override},
};
use crate::{
    aws::{Borrower, ExternalId, Http, Identity, Limits, Reach, RoleArn, Somebody, session_policy},
    sandbox::Launcher,
    tool::{Drive, LockHeld},
    workspace::{PrivateMounts, Workspace},
};

/// What makes a role demand its external id.
const DEMAND: &str = "let its trust policy allow `sts:AssumeRole` only under the condition \
                      `StringEquals` `sts:ExternalId` with the connection's external id";
const NEEDS_AUTHORITY: &str = "nothing can be reached without the role";

/// The rows of a validation.
#[derive(Default)]
struct Report(Vec<PreflightCheck>);

impl Report {
    fn row(&mut self, check: &str, status: &str, detail: String, fix: Option<&str>) {
        let fix = fix.map(str::to_owned);
        self.0.push(PreflightCheck { check: check.to_owned(), status: status.to_owned(), detail, fix });
    }

    fn pass(&mut self, check: &str, detail: impl Into<String>) {
        self.row(check, "pass", detail.into(), None);
    }

    fn fail(&mut self, check: &str, error: &Error) {
        self.row(check, "fail", format!("{} ({})", error.public(), error.code()), error.advice());
    }

    fn skip(&mut self, checks: &[&str], why: &str) {
        for check in checks {
            self.row(check, "skipped", why.to_owned(), None);
        }
    }

    /// One row, passed with what `said` makes of the result.
    fn tell<T>(&mut self, check: &str, found: Result<T>, said: impl FnOnce(&T) -> String) -> Option<T> {
        match found {
            Ok(found) => {
                self.pass(check, said(&found));
                Some(found)
            }
            Err(error) => {
                self.fail(check, &error);
                None
            }
        }
    }
}

impl Run {
    /// Finds out whether the connection can be used, row by row. Each try has a limit in time, and what one row needs of
    /// another is skipped when that fails.
    pub(super) async fn validate(
        &self,
        workspace: &Workspace,
        launcher: Launcher,
        preparing: Preparing,
    ) -> Ending {
        let mut report = Report::default();
        let tool = match self.within(async { preparing.await.map_err(|error| lost(&error)) }).await {
            Ok(tool) => tool,
            Err(error) => Err(error),
        };
        report.tell("tool", tool, |(tool, _)| format!("{} {}", tool.flavour.name(), tool.version));
        let level = self.within(self.try_walls(workspace, launcher)).await;
        report.tell("isolation", level, |level| format!("a tool is isolated `{level}`"));
        match &self.claim.cloud {
            Cloud::Local {} => {
                report.pass("authority", "the connection names no cloud: there is nothing to borrow");
                report.pass("reachability", "the server itself keeps the state");
            }
            Cloud::Aws { role_arn, .. } => self.try_aws(&mut report, role_arn).await,
            Cloud::Azure { .. } | Cloud::Gcp { .. } => {
                let what = "the runner cannot borrow credentials of this cloud";
                report.fail("authority", &Error::unsupported("unsupported_cloud", what));
                report.skip(&["reachability"], NEEDS_AUTHORITY);
            }
        }
        self.validated(report)
    }

    fn validated(&self, Report(mut rows): Report) -> Ending {
        for row in &mut rows {
            row.detail = self.voice.redact(&row.detail);
        }
        let failed: Vec<&str> =
            rows.iter().filter(|row| row.status == "fail").map(|row| row.check.as_str()).collect();
        let mut ending = if failed.is_empty() {
            Ending::good("validated", "the connection can be used")
        } else {
            let detail = format!("the connection cannot be used as it is: {}", failed.join(", "));
            Ending::bad("validation_failed", detail, Some("see the report for what to do about each row"))
        };
        ending.report = rows;
        ending
    }

    /// The isolation that this machine reaches, if it is what the environment demands.
    async fn try_walls(&self, workspace: &Workspace, launcher: Launcher) -> Result<&'static str> {
        let level = self.isolate(&mut sandbox(launcher)?, workspace).await?;
        if level < self.claim.minimum_isolation {
            return Err(super::life::too_low());
        }
        Ok(match level {
            writ_wire::tenancy::IsolationLevel::None => "none",
            writ_wire::tenancy::IsolationLevel::Partial => "partial",
            writ_wire::tenancy::IsolationLevel::Full => "full",
        })
    }

    async fn try_aws(&self, report: &mut Report, role_arn: &str) {
        const REST: [&str; 4] = ["authority", "confused_deputy", "reachability", "state_lock"];
        let prepared = role_arn.parse::<RoleArn>().and_then(|role| {
            let policy = session_policy::for_check(role.partition(), &self.claim.backend);
            let borrower =
                Lender::once(&self.claim, &self.bootstrap, &self.world, "validation", policy)?.borrower()?;
            Ok((role, borrower))
        });
        let (role, borrower) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                report.fail("identity", &error);
                return report.skip(&REST, "the runner cannot prove who it is");
            }
        };
        let own = self.within(prove(&borrower)).await;
        let Some(own) = report.tell("identity", own, |_| "the runner can prove who it is".to_owned()) else {
            return report.skip(&REST, "the runner cannot prove who it is");
        };
        let session = self.within(self.borrow(&borrower, &own, &role)).await;
        let said =
            |(_, somebody): &(Identity, Somebody)| format!("the role can be borrowed: `{}`", somebody.arn);
        let session = report.tell("authority", session, said);
        let stranger = self.within(self.try_as_stranger(&borrower, &own, &role)).await;
        report.tell("confused_deputy", stranger, |()| {
            "the role lets nobody in who does not know its external id".to_owned()
        });
        match session {
            Some((identity, _)) => self.try_state(report, &identity).await,
            None => report.skip(&["reachability", "state_lock"], NEEDS_AUTHORITY),
        }
    }

    /// The role, borrowed, and who that makes the runner. On record before it is used.
    async fn borrow(
        &self,
        borrower: &Borrower,
        own: &Identity,
        role: &RoleArn,
    ) -> Result<(Identity, Somebody)> {
        let credentials = borrower.sts.assume_role(own, &borrower.request).await?;
        let values = [&credentials.access_key_id, &credentials.secret_access_key, &credentials.session_token];
        self.voice.keep_quiet("cloud-credential", values.map(SecretString::expose));
        let event = RunEvent::CredentialLeased {
            reference: role.as_str().to_owned(),
            key_hash: credentials.key_hash(),
            not_before: self.world.now(),
            not_after: credentials.expiration,
        };
        self.reports.ask(event).await?;
        let identity = Identity::from(credentials);
        let somebody = borrower.sts.caller_identity(&identity).await?;
        let mut parts = role.as_str().split(':');
        if parts.nth(4) != Some(somebody.account.as_str()) {
            let what = format!("the session is of account `{}`, not of the role's", somebody.account);
            return Err(Error::conflict("wrong_account", what));
        }
        Ok((identity, somebody))
    }

    /// Whether the role lets somebody in who does not know its external id: then whoever can name the role to this
    /// server could have it act there (the confused deputy).
    async fn try_as_stranger(&self, borrower: &Borrower, own: &Identity, role: &RoleArn) -> Result<()> {
        let made_up = writ_crypto::hash::hex(&self.world.bytes::<16>());
        let other: ExternalId = format!("writ-stranger-{made_up}").parse()?;
        for (external_id, how) in
            [(None, "without any external id"), (Some(&other), "with a made-up external id")]
        {
            let session = &borrower.request.session_name;
            if borrower.sts.admits(own, role, session, external_id).await? {
                let what = format!("the role can be assumed {how}: whoever names it here could use it");
                return Err(Error::forbidden("external_id_not_demanded", what).hint(DEMAND));
            }
        }
        Ok(())
    }

    /// Whether the places of the state answer.
    async fn try_state(&self, report: &mut Report, identity: &Identity) {
        let StateBackend::S3 { bucket, region, lock_table, .. } = &self.claim.backend else {
            return report.pass("reachability", "the server itself keeps the state");
        };
        let endpoints = &self.bootstrap.aws_endpoints;
        let reach = region.parse().and_then(|region| {
            Ok(Reach {
                world: self.world.clone(),
                http: Http::new(Limits::default())?,
                region,
                s3: endpoints.s3.clone(),
                dynamodb: endpoints.dynamodb.clone(),
            })
        });
        let reach = match reach {
            Ok(reach) => reach,
            Err(error) => {
                report.fail("reachability", &error);
                return report.skip(&["state_lock"], NEEDS_AUTHORITY);
            }
        };
        let found = self.within(reach.bucket(identity, bucket)).await;
        report.tell("reachability", found, |()| {
            format!("the bucket `{bucket}` answers in {}", region.as_str())
        });
        let Some(table) = lock_table else {
            return report.pass("state_lock", "locks are files beside the state: there is no table to reach");
        };
        let found = self.within(reach.lock_table(identity, table)).await;
        report.tell("state_lock", found, |()| format!("the table `{table}` can hold locks"));
    }

    /// Releases exactly the lock `wanted`, if that is what holds the state and the control plane says so.
    pub(super) async fn release(
        &self,
        wanted: &str,
        workspace: &Workspace,
        mounts: Option<&PrivateMounts>,
        launcher: Launcher,
        preparing: Preparing,
    ) -> Result<Ending> {
        let main = workspace.config().join("main.tf");
        std::fs::write(&main, "terraform {}\n")
            .map_err(|error| Error::internal("write `main.tf`").because(error))?;
        write_override(workspace, &self.claim)?;
        let (tool, runner_digest) = preparing.await.map_err(|error| lost(&error))??;
        let mut stage = Stage { workspace, sandbox: sandbox(launcher)?, tool, runner_digest, local: None };
        if self.isolate(&mut stage.sandbox, workspace).await? < self.claim.minimum_isolation {
            return Err(super::life::too_low());
        }
        if let Some(path) = self.local_state()? {
            stage.local = Some(LocalState::open(path, mounts, workspace.root())?);
        }
        let lease = Lease::begin(&self.claim, &self.bootstrap, &self.world, &self.voice, &self.reports);
        let lease = unless_halted(&self.halt, lease).await?;
        stage.sandbox.connect = Some(self.reachable(lease.as_ref()));
        let ending = self.let_go(wanted, &stage, lease.as_ref()).await;
        if let Some(lease) = lease {
            lease.close().await;
        }
        ending
    }

    async fn let_go(&self, wanted: &str, stage: &Stage<'_>, lease: Option<&Lease>) -> Result<Ending> {
        let drive = Drive::begin(&stage.tool, &stage.sandbox, stage.workspace, self.setting(stage, lease)?)?;
        let init = self.step("init", async |watch| drive.init(watch).await).await?;
        if !init.succeeded() {
            return Ok(self.step_failed(&init));
        }
        let Some(held) = self.step("state", async |watch| drive.holder(watch).await).await? else {
            let hint = "there is nothing to release: deploy again";
            return Ok(Ending::bad("not_locked", "nobody holds the lock of the state", Some(hint)));
        };
        let told = self.told(&held);
        let lock = self.voice.redact(&held.id);
        let pulse =
            self.reports.ask(RunEvent::StateLocked { lock: lock.clone(), holder: told.clone() }).await?;
        if pulse.release.as_deref() != Some(wanted) || held.id != wanted {
            let detail = format!("the lock `{lock}`, held by {told}, was left alone");
            return Ok(Ending::bad("not_released", detail, None));
        }
        let released =
            self.step("force-unlock", async |watch| drive.force_unlock(wanted, watch).await).await?;
        if !released.succeeded() {
            return Ok(self.step_failed(&released));
        }
        self.reports.event(RunEvent::StateUnlocked { lock }).await;
        Ok(Ending::good("released", format!("the lock held by {told} was released")))
    }

    /// Who holds a lock, since when and for what, redacted.
    pub(super) fn told(&self, held: &LockHeld) -> String {
        self.voice.redact(&format!("{} since {}: {}", held.who, held.created, held.operation))
    }

    /// One try, as long as there is time and nobody stops the run.
    async fn within<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let late = || Error::timeout("timed_out", "there was no answer in time");
        if self.halt.why().is_some() {
            return Err(halted());
        }
        let left = self.terms.stop_at.since(self.world.now());
        tokio::time::timeout(left, unless_halted(&self.halt, work)).await.unwrap_or_else(|_| Err(late()))
    }
}

async fn prove(borrower: &Borrower) -> Result<Identity> {
    let environment = |name: &str| std::env::var(name).ok();
    borrower.source.prove(&borrower.sts, &borrower.request.session_name, &environment).await
}

fn lost(error: &tokio::task::JoinError) -> Error {
    Error::internal("find the tool").context(error.to_string())
}
