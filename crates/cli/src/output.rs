//! What the command line prints: results on standard output, everything else on standard error.

use std::{
    fmt::Display,
    io::{self, Write as _},
    process::ExitCode,
};

use serde::Serialize;

/// Whether people or programs read the output.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
}

/// Why a command failed. Exit codes: 1 refused or failed, 2 wrong usage or input, 3 cannot reach or trust the server,
/// 4 evidence does not verify.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Failure {
    pub(crate) code: String,
    pub(crate) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) field: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trace_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) receipt: Option<String>,
    #[serde(skip)]
    pub(crate) exit: u8,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether programs read the output.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// The result of a command: JSON for programs, `text` for people.
    pub(crate) fn result<T: Serialize>(self, value: &T, text: impl FnOnce(&T) -> String) {
        if self.json {
            print(&serde_json::to_string_pretty(value).unwrap_or_default());
        } else {
            print(&text(value));
        }
    }

    /// A line for people about what happens; silent when programs read.
    pub(crate) fn note(self, text: impl Display) {
        if !self.json {
            // A closed pipe is no reason to fail.
            let _ = writeln!(io::stderr(), "{text}");
        }
    }

    /// Says why a command failed, and how it exits.
    pub(crate) fn fail(self, failure: &Failure) -> ExitCode {
        let mut stderr = io::stderr();
        if self.json {
            let _ = writeln!(stderr, "{}", serde_json::to_string(failure).unwrap_or_default());
        } else {
            let at = failure.field.as_ref().map(|field| format!(" (at `{field}`)")).unwrap_or_default();
            let _ = writeln!(stderr, "error: {}{at}", failure.message);
            if let Some(hint) = &failure.hint {
                let _ = writeln!(stderr, "\nhint: {hint}");
            }
            if let Some(trace) = &failure.trace_id {
                let _ = writeln!(stderr, "trace: {trace}");
            }
        }
        ExitCode::from(failure.exit)
    }
}

/// One text on standard output, with a line end.
pub(crate) fn print(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// Rows in columns, the first row being the heading.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell: &String| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}", width = *width));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

impl Failure {
    /// Something on this side is wrong.
    pub(crate) fn new(exit: u8, code: &str, message: impl Into<String>) -> Self {
        let (code, message) = (code.to_owned(), message.into());
        Self { code, message, hint: None, field: None, trace_id: None, receipt: None, exit }
    }

    /// Wrong usage or input.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(2, "usage", message)
    }

    /// What nobody could foresee.
    pub(crate) fn internal(what: &str, error: &dyn Display) -> Self {
        Self::new(1, "internal", format!("{what}: {error}"))
    }

    /// What to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<writ_kernel::Error> for Failure {
    fn from(error: writ_kernel::Error) -> Self {
        let exit = if error.kind() == writ_kernel::Kind::Invalid { 2 } else { 1 };
        let mut failure = Self::new(exit, error.code(), error.public());
        failure.hint = error.advice().map(str::to_owned);
        failure.field = error.field().map(str::to_owned);
        failure
    }
}

impl From<writ_client::Error> for Failure {
    fn from(error: writ_client::Error) -> Self {
        let Some(problem) = error.problem() else {
            let failure = Self::new(3, error.code(), error.to_string());
            return failure.hint("is the server running, and is it the one you pinned? see `writ status`");
        };
        Self {
            code: problem.code.clone(),
            message: problem.detail.clone(),
            hint: problem.hint.clone(),
            field: problem.field.clone(),
            trace_id: problem.trace_id.clone(),
            receipt: problem.receipt.clone(),
            exit: if problem.status == 400 { 2 } else { 1 },
        }
    }
}
