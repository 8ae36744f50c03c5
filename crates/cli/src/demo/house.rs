//! A server of its own for the demonstration, in a temporary directory.

use std::{path::Path, process::Stdio, time::Duration};

use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};
use writ_client::Client;

use crate::{connect::connect, output::Failure};

/// A server process and how to reach it.
pub(crate) struct House {
    child: Child,
    pub(crate) address: String,
    pub(crate) pin: String,
}

#[derive(Deserialize)]
struct Ready {
    address: String,
    pin: String,
}

impl House {
    /// Starts a server whose data is in `directory` and waits until it listens.
    pub(crate) async fn start(directory: &Path, tool: Option<&Path>) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| Failure::internal("the server cannot be started", &error);
        let log = std::fs::File::create(directory.join("server.log")).map_err(failed)?;
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        command
            .arg("server")
            .env("WRIT_DATA_DIR", directory.join("data"))
            .env("WRIT_SERVER_LISTEN", "127.0.0.1:0")
            .env("WRIT_LOG_FILTER", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .process_group(0);
        if let Some(tool) = tool {
            command.env("WRIT_RUNNER_TOOL", tool);
        }
        let mut child = command.spawn().map_err(failed)?;
        let stdout =
            child.stdout.take().ok_or_else(|| Failure::new(1, "server", "the server has no output"))?;
        let mut lines = BufReader::new(stdout).lines();
        let line = timeout(Duration::from_secs(30), lines.next_line()).await;
        let line = line.ok().and_then(Result::ok).flatten().ok_or_else(|| {
            let log = std::fs::read_to_string(directory.join("server.log")).unwrap_or_default();
            Failure::new(
                1,
                "server",
                format!("the server did not start: {}", log.lines().last().unwrap_or("no log")),
            )
        })?;
        let Ready { address, pin } = serde_json::from_str(&line)
            .map_err(|error| Failure::internal("the server's first line", &error))?;
        Ok(Self { child, address, pin })
    }

    /// A client that acts with `token`, or as nobody.
    pub(crate) fn client(&self, token: Option<String>) -> Result<Client, Failure> {
        connect(&self.address, Some(&self.pin), None, token)
    }

    /// Asks the server to stop, waits until it has drained, and says whether it ended well.
    pub(crate) async fn stop(mut self) -> Result<bool, Failure> {
        let failed = |error: std::io::Error| Failure::internal("the server cannot be stopped", &error);
        if let Some(pid) =
            self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw)
        {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)
                .map_err(|error| failed(error.into()))?;
        }
        match timeout(Duration::from_secs(40), self.child.wait()).await {
            Ok(status) => Ok(status.map_err(failed)?.success()),
            Err(_) => Ok(false),
        }
    }

    /// Lets the server live on after this process.
    pub(crate) fn keep(self) -> Option<u32> {
        self.child.id()
    }
}
