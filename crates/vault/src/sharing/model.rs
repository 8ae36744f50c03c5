//! What a link is.

use std::net::IpAddr;

use writ_crypto::SecretString;
use writ_kernel::{
    Action, Caller, Credential, Environment, Id, Link, Principal, PrincipalKind, Result, Scopes, Secret,
    TenantId, Timestamp, TraceId,
};

use crate::secrets::model::{Format, Value};

/// What waits behind a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The current value of a secret.
    Share,
    /// A value of its own, for one opening.
    Wrap,
}

impl Kind {
    /// The word of the database and of the token: `writ_<word>_…`.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Share => "share",
            Self::Wrap => "wrap",
        }
    }
}

/// A link, without its token.
#[derive(Debug, Clone)]
pub struct LinkRecord {
    /// Its id.
    pub id: Id<Link>,
    pub(crate) environment: Id<Environment>,
    /// The secret whose value it gives; `None` for a wrapped value.
    pub secret: Option<Id<Secret>>,
    pub(crate) format: Format,
    pub(crate) sealed: Vec<u8>,
    pub(crate) password: Option<Vec<u8>>,
    /// Where the wrapped value came from.
    pub creation_path: String,
    /// How long it lasts, in microseconds.
    pub(crate) ttl: i64,
    /// How often it can be opened; `None` for any number.
    pub most: Option<u32>,
    /// How often it was opened.
    pub opened: u32,
    pub(crate) failed: u32,
    pub(crate) failed_at: Option<Timestamp>,
    /// Who made it.
    pub created_by: Id<Principal>,
    /// When.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it was taken back.
    pub revoked_at: Option<Timestamp>,
}

impl LinkRecord {
    /// Whether it takes a password to open it.
    pub fn has_password(&self) -> bool {
        self.password.is_some()
    }

    /// What state it is in: `Active`, `Revoked`, `Expired` or `Exhausted`.
    pub fn status(&self, now: Timestamp) -> &'static str {
        if self.revoked_at.is_some() {
            "Revoked"
        } else if self.expires_at <= now {
            "Expired"
        } else if self.most.is_some_and(|most| self.opened >= most) {
            "Exhausted"
        } else {
            "Active"
        }
    }
}

/// Where somebody who shows a token comes from, and the trace of that.
#[derive(Debug, Clone, Copy)]
pub struct Stranger {
    /// The address.
    pub source: Option<IpAddr>,
    /// The trace.
    pub trace: TraceId,
}

impl Stranger {
    /// The caller that a token proves: somebody with the authority to receive what is behind it.
    pub(crate) fn bearer(self, tenant: TenantId, link: Id<Link>, now: Timestamp) -> Result<Caller> {
        Ok(Caller {
            tenant,
            principal: Id::from_uuid(link.uuid()),
            kind: PrincipalKind::Bearer,
            roles: [].into(),
            scopes: Scopes::new(vec![Action::SecretReceive.name().parse()?]),
            fence: None,
            credential: Credential::Link(link.uuid()),
            authenticated_at: now,
            mfa: false,
            source: self.source,
            trace: self.trace,
        })
    }
}

/// A link to be made.
#[derive(Default)]
#[expect(missing_debug_implementations, reason = "a password cannot be printed")]
pub struct NewLink {
    /// How long it lasts, in hours: 1 to 720.
    pub hours: Option<u32>,
    /// How often it can be opened; `None` for any number.
    pub most: Option<u32>,
    /// What has to be shown beside the token.
    pub password: Option<SecretString>,
}

/// What was behind a token.
#[expect(missing_debug_implementations, reason = "a secret cannot be printed")]
pub struct Opened {
    /// The value.
    pub value: Value,
    /// The link as it is now.
    pub link: LinkRecord,
}
