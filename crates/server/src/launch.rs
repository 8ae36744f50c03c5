//! Starts a runner as a process of its own.

use std::{path::PathBuf, process::Stdio};

use serde_json::json;
use tokio::{io::AsyncWriteExt as _, process::Command};
use writ_deploy::ports::{Boxed, Launch, Launcher};
use writ_kernel::{Error, Result, SpanId, Traceparent, World};

use crate::{
    config::Runner,
    telemetry::{Launched, RunSpan, Tracer},
};

/// Runs `writ runner` beside the server, one process for each run.
pub(crate) struct LocalRunners {
    pub(crate) config: Runner,
    pub(crate) program: PathBuf,
    /// How the runner reaches the server.
    pub(crate) server_url: String,
    /// The SHA-256 of the server's certificate, hex.
    pub(crate) pin: String,
    /// Where states live whose backend is local.
    pub(crate) states: PathBuf,
    /// Told about every run.
    pub(crate) tracer: Tracer,
    pub(crate) world: World,
}

impl Launcher for LocalRunners {
    fn launch(&self, launch: Launch) -> Boxed<'_, Result<String>> {
        Box::pin(self.start(launch))
    }

    fn gone(&self, process: &str) -> bool {
        Mark::parse(process).is_some_and(|mark| mark.is_gone())
    }
}

impl LocalRunners {
    async fn start(&self, launch: Launch) -> Result<String> {
        let failed = |what: &'static str| {
            move |error: std::io::Error| {
                Error::unavailable("runner_start", "a runner could not be started")
                    .context(what)
                    .because(error)
            }
        };
        let (id, began) = (SpanId::new(&self.world), self.world.now());
        let bootstrap = self.bootstrap(&launch, id)?;
        // The token goes over a pipe that only the child inherits: never argv, never the environment, never a file.
        let mut child = Command::new(&self.program)
            .arg("runner")
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .process_group(0)
            .kill_on_drop(false)
            .spawn()
            .map_err(failed("spawn"))?;
        let mut pipe = child.stdin.take().ok_or_else(|| Error::internal("a child without its pipe"))?;
        pipe.write_all(bootstrap.as_bytes()).await.map_err(failed("bootstrap"))?;
        pipe.shutdown().await.map_err(failed("bootstrap"))?;
        drop(pipe);
        let mark = child.id().and_then(Mark::of);
        let mark =
            mark.ok_or_else(|| Error::unavailable("runner_start", "a runner ended as soon as it began"))?;
        let (run, launched) = (launch.run, Launched::from(&launch));
        let (tracer, world) = (self.tracer.clone(), self.world.clone());
        tokio::spawn(async move {
            let waited = child.wait().await;
            let success = waited.as_ref().is_ok_and(std::process::ExitStatus::success);
            tracer.ran(launched, &RunSpan { id, began, ended: world.now(), success });
            match waited {
                Ok(status) if status.success() => tracing::debug!(%run, "runner ended"),
                Ok(status) => tracing::warn!(%run, %status, "runner ended with an error"),
                Err(error) => tracing::warn!(%run, %error, "runner cannot be waited for"),
            }
        });
        Ok(mark.to_string())
    }

    fn bootstrap(&self, launch: &Launch, span: SpanId) -> Result<zeroize::Zeroizing<String>> {
        let state = launch.local_state.as_ref().map(|place| {
            let environment = self.states.join(launch.tenant.to_string()).join(place.environment.to_string());
            environment.join(&place.target).join("terraform.tfstate")
        });
        let sampled = self.tracer.samples(launch.trace);
        let parent = Traceparent { trace: launch.trace, span, sampled };
        let bootstrap = json!({
            "traceparent": parent.to_string(),
            "serverUrl": self.server_url,
            "pin": self.pin,
            "token": launch.token.expose(),
            "tool": self.config.tool.as_deref().map_or("any".into(), std::path::Path::to_string_lossy),
            "workspaceParent": self.config.workspace,
            "providerMirror": self.config.provider_mirror,
            "localState": state,
            "identity": self.config.identity,
            "awsEndpoints": self.config.aws_endpoints,
            "connectPorts": self.config.connect_ports,
            "gate": {
                "allowLocalExec": self.config.allow_local_exec,
                "allowExternalData": self.config.allow_external_data,
                "allowedModuleSources": self.config.allowed_module_sources,
            },
            "graceSeconds": self.config.grace_seconds,
        });
        let text =
            serde_json::to_string(&bootstrap).map_err(|error| Error::internal("bootstrap").because(error))?;
        Ok(zeroize::Zeroizing::new(text))
    }
}

/// Names a process beyond its own life and this server's: an id is used again, an id with the time of its start and
/// the boot of the machine is not. Text form: `<boot id>:<process id>:<start, in clock ticks since boot>`.
struct Mark {
    boot: String,
    process: u32,
    start: u64,
}

impl Mark {
    /// The mark of a running process; `None` when there is none.
    fn of(process: u32) -> Option<Self> {
        Some(Self { boot: boot()?, process, start: start_of(process)? })
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let (boot, process, start) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self { boot: boot.to_owned(), process: process.parse().ok()?, start: start.parse().ok()? })
    }

    /// Whether it is certainly dead: this machine has not been booted since, and no such process runs. A mark of
    /// another machine or boot says nothing, so a runner elsewhere is never taken for dead here.
    fn is_gone(&self) -> bool {
        boot().is_some_and(|boot| boot == self.boot) && start_of(self.process) != Some(self.start)
    }
}

impl std::fmt::Display for Mark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.boot, self.process, self.start)
    }
}

fn boot() -> Option<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned())
}

/// When a process started, from `/proc/<id>/stat` (proc(5)); `None` when it does not run, zombies included.
fn start_of(process: u32) -> Option<u64> {
    let line = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name of the program, in parentheses, may hold anything; what follows it are plain words.
    let mut words = line.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = words.next()?;
    let start = words.nth(18)?;
    (!matches!(state, "Z" | "X")).then(|| start.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_running_process_is_not_gone_and_an_ended_one_is() {
        let mut child = std::process::Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let mark = Mark::parse(&Mark::of(child.id()).unwrap().to_string()).unwrap();
        assert!(!mark.is_gone());
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(mark.is_gone());
    }

    #[tokio::test]
    async fn a_runner_is_told_the_trace_of_its_deployment_and_its_run_is_a_span_of_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("writ");
        let told = folder.path().join("told");
        std::fs::write(&program, format!("#!/bin/sh\ncat > {}\n", told.display())).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        let world = World::new(Arc::new(writ_kernel::SystemClock), Arc::new(writ_crypto::Entropy::os()));
        let (tracer, mut spans) = Tracer::into_hand();
        let runners = LocalRunners {
            config: Runner::default(),
            program,
            server_url: String::new(),
            pin: String::new(),
            states: folder.path().to_owned(),
            tracer,
            world: world.clone(),
        };
        let trace = writ_kernel::TraceId::new(&world);
        let launch = Launch {
            tenant: world.id(),
            deployment: world.id(),
            run: world.id(),
            trace,
            token: writ_crypto::SecretString::new("the-token".to_owned()),
            deadline: world.now(),
            local_state: None,
        };
        runners.start(launch).await.unwrap();
        let span = spans.recv().await.unwrap();
        let told: serde_json::Value = serde_json::from_slice(&std::fs::read(told).unwrap()).unwrap();
        let parent = Traceparent::parse(told["traceparent"].as_str().unwrap()).unwrap();
        assert_eq!((parent.trace, parent.span), (span.trace, span.id));
        assert_eq!((span.trace, span.failed, parent.sampled), (trace, false, true));
    }

    #[test]
    fn a_process_of_another_machine_is_never_gone_here() {
        let mark = Mark { boot: "another".to_owned(), process: u32::MAX, start: 1 };
        assert!(!mark.is_gone());
    }
}
