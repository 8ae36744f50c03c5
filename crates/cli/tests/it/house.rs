//! A real server process on SQLite, in a directory of its own.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use crate::terminal::{Terminal, WRIT};

/// A server that ends with the test.
pub(crate) struct House {
    server: Child,
    address: String,
    pin: String,
    _data: tempfile::TempDir,
}

impl House {
    /// A server whose runners find no tool.
    pub(crate) fn without_tool() -> Self {
        Self::start(Path::new("/nonexistent/tofu"))
    }

    /// A server whose runners use the OpenTofu or Terraform of this machine: `WRIT_TOOL`, or the first on the path.
    pub(crate) fn with_tool() -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let places: Vec<_> = std::env::split_paths(&path).collect();
        let mut named = std::env::var_os("WRIT_TOOL").into_iter().map(PathBuf::from).chain(
            ["tofu", "terraform"].iter().flat_map(|name| places.iter().map(move |place| place.join(name))),
        );
        Self::start(
            &named.find(|tool| tool.is_file()).unwrap_or_else(|| panic!("install OpenTofu or Terraform")),
        )
    }

    /// Starts a server and waits for the line it prints when it listens.
    fn start(tool: &Path) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut server = Command::new(WRIT)
            .arg("server")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("WRIT_DATA_DIR", data.path().join("data"))
            .env("WRIT_SERVER_LISTEN", "127.0.0.1:0")
            .env("WRIT_RUNNER_TOOL", tool)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(data.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|error| {
            panic!("{error}: {line}{}", std::fs::read_to_string(data.path().join("log")).unwrap())
        });
        let text = |member: &str| ready[member].as_str().unwrap().to_owned();
        Self { address: text("address"), pin: text("pin"), server, _data: data }
    }

    /// The administrator of a new tenant of a server that was initialised for it.
    pub(crate) fn tenant(&self) -> Terminal {
        let token = self.stranger().run("init --protection dev-file --admin root").well().line().to_owned();
        let root = self.person(&token);
        let token = root.run("tenant create acme --admin ada").well().line().to_owned();
        self.person(&token)
    }

    /// A new person with a role, who signed in.
    pub(crate) fn member(&self, admin: &Terminal, name: &str, role: &str) -> Terminal {
        let token = admin.run(&format!("person add {name}")).well().line().to_owned();
        admin.run(&format!("role bind {role} {name}")).well();
        self.person(&token)
    }

    /// Somebody who knows where the server is and has not signed in.
    pub(crate) fn stranger(&self) -> Terminal {
        Terminal::new().with("WRIT_SERVER", &self.address).with("WRIT_PIN", &self.pin)
    }

    /// Somebody who signed in with `token`, and knows the server from then on.
    pub(crate) fn person(&self, token: &str) -> Terminal {
        let terminal = Terminal::new();
        let line = format!("--server {} --pin {} login --label desk", self.address, self.pin);
        terminal.typing(&format!("{token}\n"), &line).well();
        terminal
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
