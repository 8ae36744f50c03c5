//! What can go wrong with a call.

use std::{borrow::Cow, error::Error as StdError, time::Duration};

use serde::Deserialize;

/// What a call returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server understood and refused, or failed; it says why.
    #[error("{0}")]
    Problem(Box<Problem>),
    /// The server is not who it should be: its certificate is not the pinned one, not signed by the given
    /// authority, or it does not speak post-quantum TLS 1.3.
    #[error("the server is not the one to be trusted")]
    Untrusted(#[source] reqwest::Error),
    /// No answer: no connection, or it broke off.
    #[error("the server does not answer")]
    Unreachable(#[source] reqwest::Error),
    /// No complete answer within the time allowed.
    #[error("the server did not answer in time")]
    Timeout,
    /// The answer is not what our API answers.
    #[error("the answer is not understood: {0}")]
    Answer(Cow<'static, str>),
    /// The client cannot be made, or the request cannot be formed, as asked.
    #[error("{what}")]
    Setup {
        /// What is wrong, in one line.
        what: Cow<'static, str>,
        /// The cause.
        #[source]
        source: Option<Box<dyn StdError + Send + Sync>>,
    },
}

/// What the server said about a failure: its problem document (RFC 9457) and headers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, thiserror::Error)]
#[serde(rename_all = "camelCase", default)]
#[error("{}", self.line())]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// The stable word for programs; empty when the answer was no problem document.
    pub code: String,
    /// One line for people.
    pub detail: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Where in the request it was.
    pub field: Option<String>,
    /// The trace to quote when asking about it.
    pub trace_id: Option<String>,
    /// How many seconds to wait before trying again.
    pub retry_after: Option<u64>,
    /// The evidence of the refusal, if it was recorded.
    #[serde(skip)]
    pub receipt: Option<String>,
}

impl Problem {
    /// How long the server asks to wait.
    pub(crate) fn wait(&self) -> Option<Duration> {
        self.retry_after.map(Duration::from_secs)
    }

    fn line(&self) -> String {
        let detail = if self.detail.is_empty() { "the server gave no reason" } else { &self.detail };
        let place = self.field.as_ref().map(|field| format!(" (at `{field}`)")).unwrap_or_default();
        let code = if self.code.is_empty() { String::new() } else { format!("{}: ", self.code) };
        format!("{code}{detail}{place} [{}]", self.status)
    }
}

impl Error {
    /// What the server said, if it said something.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem(problem) => Some(problem),
            _ => None,
        }
    }

    /// The code of the problem; empty for every other error.
    pub fn code(&self) -> &str {
        self.problem().map_or("", |problem| &problem.code)
    }

    pub(crate) fn setup(what: impl Into<Cow<'static, str>>) -> Self {
        Self::Setup { what: what.into(), source: None }
    }

    pub(crate) fn setup_because(
        what: impl Into<Cow<'static, str>>,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self::Setup { what: what.into(), source: Some(source.into()) }
    }

    /// Sorts out what the transport reports. The address is left out: it may hold identifiers.
    pub(crate) fn transport(error: reqwest::Error) -> Self {
        let error = error.without_url();
        if is_tls(&error) {
            return Self::Untrusted(error);
        }
        if error.is_timeout() && !error.is_connect() {
            return Self::Timeout;
        }
        if error.is_builder() {
            return Self::setup_because("the request cannot be formed", error);
        }
        Self::Unreachable(error)
    }

    /// Whether the same call may succeed later.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Problem(problem) => matches!(problem.status, 429 | 502 | 503 | 504),
            _ => false,
        }
    }
}

fn is_tls(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<rustls::Error>() {
            return true;
        }
        // `source` of an I/O error skips the error it wraps.
        next = match error.downcast_ref::<std::io::Error>() {
            Some(io) => io.get_ref().map(|inner| inner as _),
            None => error.source(),
        };
    }
    false
}
