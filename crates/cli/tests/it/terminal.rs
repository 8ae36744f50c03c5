//! A terminal session: one program, some arguments, what came of it.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;

/// The program.
pub(crate) const WRIT: &str = env!("CARGO_BIN_EXE_writ");

/// Somebody with a home directory of their own.
pub(crate) struct Terminal {
    home: tempfile::TempDir,
    variables: Vec<(&'static str, String)>,
}

/// What came of a command.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Terminal {
    pub(crate) fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap(), variables: Vec::new() }
    }

    /// The same with an environment variable.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// A file in the home directory.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.home().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Runs `writ` with these arguments, separated by spaces.
    pub(crate) fn run(&self, line: &str) -> Said {
        self.typing("", line)
    }

    /// Runs `writ` with `input` on standard input.
    pub(crate) fn typing(&self, input: &str, line: &str) -> Said {
        self.exec(input, &line.split_whitespace().collect::<Vec<_>>())
    }

    /// Runs `writ` with exactly these arguments.
    pub(crate) fn exec(&self, input: &str, arguments: &[&str]) -> Said {
        let mut child = self.start(arguments);
        // A command that reads nothing may be gone already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        Said::at_the_end(child)
    }

    /// Starts `writ` with these arguments.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        Command::new(WRIT)
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.home())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }
}

impl Said {
    /// What a program said until it ended.
    pub(crate) fn at_the_end(child: Child) -> Self {
        let output = child.wait_with_output().unwrap();
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The same, which must have succeeded.
    #[track_caller]
    pub(crate) fn well(self) -> Self {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self
    }

    /// The same, which must have exited with `code` and said `text` on standard error.
    #[track_caller]
    pub(crate) fn badly(self, code: i32, text: &str) -> Self {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        assert!(self.err.contains(text), "{}", self.err);
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}{}", self.out, self.err))
    }

    /// The only line of standard output.
    #[track_caller]
    pub(crate) fn line(&self) -> &str {
        let line = self.out.trim_end();
        assert!(!line.is_empty() && !line.contains('\n'), "{}", self.out);
        line
    }
}
