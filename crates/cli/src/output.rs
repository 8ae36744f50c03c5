//! What the command line prints: results on standard output, everything else on standard error.

use std::{
    fmt::Display,
    io::{self, Write as _},
    process::ExitCode,
};

use serde::Serialize;
use writ_kernel::Timestamp;

/// What a server says of a credential that a new one would mend.
const LOGIN: [&str; 4] = ["no_credential", "invalid_credential", "credential_expired", "credential_revoked"];

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
    pub(crate) hint: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) field: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trace_id: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) receipt: Option<Box<str>>,
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
            print(&plain(&text(value)));
        }
    }

    /// A line for people about what happens; silent when programs read.
    pub(crate) fn note(self, text: impl Display) {
        if !self.json {
            // A closed pipe is no reason to fail.
            let _ = writeln!(io::stderr(), "{}", plain(&text.to_string()));
        }
    }

    /// One of many results that come over time: a line of JSON for programs, `text` for people.
    pub(crate) fn event<T: Serialize>(self, value: &T, text: impl FnOnce(&T) -> String) {
        if self.json {
            print(&serde_json::to_string(value).unwrap_or_default());
        } else {
            print(&plain(&text(value)));
        }
    }

    /// What happens meanwhile: a line of JSON for programs, a note for people.
    pub(crate) fn progress<T: Serialize>(self, value: &T, text: impl Display) {
        if self.json {
            print(&serde_json::to_string(value).unwrap_or_default());
        } else {
            self.note(text);
        }
    }

    /// Something was done that has no result of its own.
    pub(crate) fn done(self, text: impl Display) {
        if self.json {
            print(&serde_json::json!({ "done": true }).to_string());
        } else {
            self.note(text);
        }
    }

    /// Says why a command failed, and how it exits.
    pub(crate) fn fail(self, failure: &Failure) -> ExitCode {
        let mut stderr = io::stderr();
        if self.json {
            let _ = writeln!(stderr, "{}", serde_json::to_string(failure).unwrap_or_default());
        } else {
            let at = failure.field.as_ref().map(|field| format!(" (at `{field}`)")).unwrap_or_default();
            let _ = writeln!(stderr, "error: {}", plain(&format!("{}{at}", failure.message)));
            if let Some(hint) = &failure.hint {
                let _ = writeln!(stderr, "\nhint: {}", plain(hint));
            }
            if let Some(trace) = &failure.trace_id {
                let _ = writeln!(stderr, "trace: {}", plain(trace));
            }
        }
        ExitCode::from(failure.exit)
    }
}

/// The text without what a terminal would obey: control characters other than line ends and tabs are spelt out.
pub(crate) fn plain(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' => String::from(c),
        c if c.is_control() => c.escape_default().to_string(),
        c => String::from(c),
    };
    text.chars().map(shown).collect()
}

/// The text of a cell: one line, whoever wrote it.
fn in_one_line(text: &str) -> String {
    plain(text).replace('\n', "\\n").replace('\t', "\\t")
}

/// A time for people, to the second.
pub(crate) fn when(time: Timestamp) -> String {
    Timestamp::from_micros(time.seconds().saturating_mul(1_000_000)).to_string()
}

/// A time that may be absent.
pub(crate) fn when_or_never(time: Option<Timestamp>) -> String {
    time.map_or_else(|| "-".to_owned(), when)
}

/// Names and values in two columns.
pub(crate) fn details(rows: &[(&str, String)]) -> String {
    table(&rows.iter().map(|(name, value)| vec![(*name).to_owned(), value.clone()]).collect::<Vec<_>>())
}

/// A question, without a line end, to whoever types.
pub(crate) fn ask(question: &str) {
    let mut stderr = io::stderr();
    let _ = stderr.write_all(plain(question).as_bytes()).and_then(|()| stderr.flush());
}

/// One text on standard output, with a line end.
pub(crate) fn print(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// Rows in columns, the first row being the heading.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| in_one_line(cell)).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell: &String| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
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
        self.hint = Some(hint.into().into());
        self
    }
}

impl From<writ_kernel::Error> for Failure {
    fn from(error: writ_kernel::Error) -> Self {
        let exit = if error.kind() == writ_kernel::Kind::Invalid { 2 } else { 1 };
        let mut failure = Self::new(exit, error.code(), error.public());
        failure.hint = error.advice().map(Into::into);
        failure.field = error.field().map(Into::into);
        failure
    }
}

impl From<writ_client::Error> for Failure {
    fn from(error: writ_client::Error) -> Self {
        use writ_client::Error as Client;
        let (exit, code, hint) = match &error {
            Client::Problem(problem) => return Self::refused(problem),
            Client::Setup { .. } => (2, "usage", None),
            Client::Untrusted(_) => (
                3,
                "untrusted",
                Some(
                    "its certificate is not the one you pinned; make sure whose it is before you pin another",
                ),
            ),
            Client::Unreachable(_) => {
                (3, "unreachable", Some("is the server running, and is the address right?"))
            }
            Client::Timeout => (
                3,
                "timeout",
                Some("what was asked may have happened all the same; look before you repeat it"),
            ),
            _ => (3, "answer", Some("is it a Writ server, and of this version? see `writ status`")),
        };
        let mut failure = Self::new(exit, code, error.to_string());
        failure.hint = hint.map(Into::into);
        failure
    }
}

impl Failure {
    /// What the server refused.
    fn refused(problem: &writ_client::Problem) -> Self {
        let message = if problem.detail.is_empty() {
            format!("the server answered {}", problem.status)
        } else {
            problem.detail.clone()
        };
        let wait = problem.retry_after.map(|seconds| format!("try again in {seconds} seconds"));
        let login = LOGIN.contains(&problem.code.as_str()).then(|| "sign in with `writ login`".to_owned());
        Self {
            code: problem.code.clone(),
            message,
            hint: problem.hint.clone().or(wait).or(login).map(Into::into),
            field: problem.field.as_deref().map(Into::into),
            trace_id: problem.trace_id.as_deref().map(Into::into),
            receipt: problem.receipt.as_deref().map(Into::into),
            exit: if problem.status == 400 { 2 } else { 1 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_spelt_out() {
        assert_eq!(plain("a\u{1b}[2Jb\tc\nd"), "a\\u{1b}[2Jb\tc\nd");
    }

    #[test]
    fn a_cell_cannot_pass_for_another_row() {
        assert_eq!(table(&[vec!["a\nevidence\tverified".to_owned()]]), "a\\nevidence\\tverified");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows =
            [vec!["name".to_owned(), "kind".to_owned()], vec!["a-long-name".to_owned(), "dev".to_owned()]];
        assert_eq!(table(&rows), "name         kind\na-long-name  dev");
    }
}
