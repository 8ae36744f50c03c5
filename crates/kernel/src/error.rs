//! The one error of the house, free of HTTP.

use std::{fmt, time::Duration};

/// What every fallible verb returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// What kind of failure it is; each surface maps it to its own codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request is malformed: the caller can mend it.
    Invalid,
    /// Nobody, or a credential that is unknown, expired or revoked.
    Unauthenticated,
    /// The caller is known and may know the thing exists, and may not do this.
    Forbidden,
    /// There is no such thing, or the caller may not know of it.
    NotFound,
    /// The thing is in a state, or was changed by another, so that this cannot be done now.
    Conflict,
    /// It existed and is over.
    Gone,
    /// The body or a part of it is larger than allowed.
    TooLarge,
    /// The content type or encoding is not one we speak.
    Unsupported,
    /// A quota or rate limit is exhausted; see [`Error::retry_after`].
    Exhausted,
    /// The server is sealed and holds no keys.
    Sealed,
    /// A dependency is down, or the server is shutting down; trying again may help.
    Unavailable,
    /// It took longer than allowed.
    Timeout,
    /// Our fault.
    Internal,
}

/// A failure with two voices: what the caller may read ([`Error::public`], [`Error::hint`]) and what only
/// our log may ([`Error::context`], the source chain). A secret belongs in neither.
///
/// `Display` is the internal voice; surfaces answer with the public one.
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    code: &'static str,
    public: String,
    hint: Option<String>,
    field: Option<String>,
    context: Option<String>,
    retry_after: Option<Duration>,
    receipt: Option<String>,
    source: Option<Source>,
}

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident => $kind:ident),+ $(,)?) => {
        $($(#[$doc])* pub fn $name(code: &'static str, public: impl Into<String>) -> Self {
            Self::new(Kind::$kind, code, public)
        })+
    };
}

impl Error {
    /// An error of `kind`. `code` is stable and for machines (`snake_case`); `public` is one line for people,
    /// lower case, without a full stop.
    pub fn new(kind: Kind, code: &'static str, public: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            code,
            public: public.into(),
            hint: None,
            field: None,
            context: None,
            retry_after: None,
            receipt: None,
            source: None,
        }))
    }

    constructors! {
        /// A [`Kind::Invalid`] error.
        invalid => Invalid,
        /// A [`Kind::Unauthenticated`] error.
        unauthenticated => Unauthenticated,
        /// A [`Kind::Forbidden`] error.
        forbidden => Forbidden,
        /// A [`Kind::Conflict`] error.
        conflict => Conflict,
        /// A [`Kind::Gone`] error.
        gone => Gone,
        /// A [`Kind::TooLarge`] error.
        too_large => TooLarge,
        /// A [`Kind::Unsupported`] error.
        unsupported => Unsupported,
        /// A [`Kind::Unavailable`] error.
        unavailable => Unavailable,
        /// A [`Kind::Timeout`] error.
        timeout => Timeout,
    }

    /// There is no `what` (a noun, like `deployment`) that the caller may know of.
    pub fn not_found(what: &str) -> Self {
        Self::new(Kind::NotFound, "not_found", format!("no such {what}"))
    }

    /// The server holds no keys until it is unsealed.
    pub fn sealed() -> Self {
        Self::new(Kind::Sealed, "sealed", "the server is sealed").hint("unseal it with `writ unseal`")
    }

    /// A limit is used up; the caller may try again after `retry_after`.
    pub fn exhausted(code: &'static str, public: impl Into<String>, retry_after: Duration) -> Self {
        let mut error = Self::new(Kind::Exhausted, code, public);
        error.0.retry_after = Some(retry_after);
        error
    }

    /// Our fault: `context` goes to the log, the caller learns only that it was us.
    pub fn internal(context: impl Into<String>) -> Self {
        let mut error = Self::new(Kind::Internal, "internal", "something went wrong on our side");
        error.0.context = Some(context.into());
        error
    }

    /// Says what to do about it, to the caller.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Says where in the input it was, as a JSON pointer or field name.
    #[must_use]
    pub fn at(mut self, field: impl Into<String>) -> Self {
        self.0.field = Some(field.into());
        self
    }

    /// Says more to our log.
    #[must_use]
    pub fn context(mut self, context: impl Into<String>) -> Self {
        self.0.context = Some(context.into());
        self
    }

    /// Keeps the cause, for our log.
    #[must_use]
    pub fn because(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The receipt of the evidence in which this refusal stands.
    #[must_use]
    pub fn recorded(mut self, receipt: impl Into<String>) -> Self {
        self.0.receipt = Some(receipt.into());
        self
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The stable word for machines.
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// The line the caller may read.
    pub fn public(&self) -> &str {
        &self.0.public
    }

    /// What the caller can do about it.
    pub fn advice(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Where in the input it was.
    pub fn field(&self) -> Option<&str> {
        self.0.field.as_deref()
    }

    /// The receipt of the evidence in which this refusal stands.
    pub fn receipt(&self) -> Option<&str> {
        self.0.receipt.as_deref()
    }

    /// How long to wait before trying again.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code, self.0.public)?;
        if let Some(field) = &self.0.field {
            write!(f, " (at `{field}`)")?;
        }
        self.0.context.as_ref().map_or(Ok(()), |context| write!(f, " [{context}]"))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {self}", self.0.kind)?;
        self.0.source.as_ref().map_or(Ok(()), |source| write!(f, ": {source:?}"))
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| &**source as &(dyn std::error::Error + 'static))
    }
}
