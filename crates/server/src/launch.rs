//! Starts a runner as a process of its own.

use std::{path::PathBuf, process::Stdio};

use serde_json::json;
use tokio::{io::AsyncWriteExt as _, process::Command};
use writ_deploy::ports::{Boxed, Launch, Launcher};
use writ_kernel::{Error, Result};

use crate::config::Runner;

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
}

impl Launcher for LocalRunners {
    fn launch(&self, launch: Launch) -> Boxed<'_, Result<()>> {
        Box::pin(self.start(launch))
    }
}

impl LocalRunners {
    async fn start(&self, launch: Launch) -> Result<()> {
        let failed = |what: &'static str| {
            move |error: std::io::Error| {
                Error::unavailable("runner_start", "a runner could not be started")
                    .context(what)
                    .because(error)
            }
        };
        let bootstrap = self.bootstrap(&launch)?;
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
        let run = launch.run;
        tokio::spawn(async move {
            match child.wait().await {
                Ok(status) if status.success() => tracing::debug!(%run, "runner ended"),
                Ok(status) => tracing::warn!(%run, %status, "runner ended with an error"),
                Err(error) => tracing::warn!(%run, %error, "runner cannot be waited for"),
            }
        });
        Ok(())
    }

    fn bootstrap(&self, launch: &Launch) -> Result<zeroize::Zeroizing<String>> {
        let state = self
            .states
            .join(launch.tenant.to_string())
            .join(launch.local_state.environment.to_string())
            .join(format!("{}.tfstate", launch.local_state.target));
        let bootstrap = json!({
            "serverUrl": self.server_url,
            "pin": self.pin,
            "token": launch.token.expose(),
            "tool": self.config.tool.as_deref().map_or("any".into(), std::path::Path::to_string_lossy),
            "workspaceParent": self.config.workspace,
            "providerMirror": self.config.provider_mirror,
            "localState": state,
            "identity": self.config.identity,
            "awsEndpoints": self.config.aws_endpoints,
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
