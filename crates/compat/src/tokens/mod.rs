//! Tokens of the dialect.

mod authenticate;
mod issue;
pub(crate) mod networks;

use std::{collections::BTreeMap, sync::Arc};

use uuid::Uuid;
use writ_kernel::{Caller, DialectToken, Environment, Id, Principal, PrincipalKind, Timestamp};

use crate::{policy::ROOT, view::View};

pub(crate) use authenticate::{authenticate, client, within};
pub(crate) use issue::{New, accessor, auth, clamp, issue};

/// What sort of token it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It can be renewed, has an accessor and a cubbyhole, and begets others.
    Service,
    /// It can do nothing but be used until it ends.
    Batch,
}

impl Kind {
    /// The word of the dialect.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Batch => "batch",
        }
    }
}

/// One token. Its text is not in it: that is known to its holder, and to us as a hash.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) id: Id<DialectToken>,
    pub(crate) environment: Id<Environment>,
    /// Names the token without being it; empty for a batch token.
    pub(crate) accessor: String,
    pub(crate) kind: Kind,
    /// What begot it; `None` for an orphan.
    pub(crate) parent: Option<Id<DialectToken>>,
    pub(crate) principal: Id<Principal>,
    pub(crate) principal_kind: PrincipalKind,
    pub(crate) entity: Option<Uuid>,
    pub(crate) policies: Vec<String>,
    /// Those of the entity, when it was given.
    pub(crate) identity_policies: Vec<String>,
    pub(crate) display_name: String,
    /// Where it was made, like `auth/approle/login`.
    pub(crate) path: String,
    pub(crate) metadata: Option<BTreeMap<String, String>>,
    /// The role of `auth/token` it was made under; empty for none.
    pub(crate) role: String,
    /// Networks it may be used from; none means any.
    pub(crate) cidrs: Vec<String>,
    pub(crate) renewable: bool,
    pub(crate) created_at: Timestamp,
    /// Seconds; 0 for one that does not end by itself.
    pub(crate) creation_ttl: i64,
    pub(crate) expires_at: Option<Timestamp>,
    /// Seconds from creation beyond which nothing makes it live; 0 for none.
    pub(crate) explicit_max_ttl: i64,
    /// The same, as its mount or role says.
    pub(crate) max_ttl: i64,
    /// Seconds for which a renewal makes it live, without end; 0 when it is not periodic.
    pub(crate) period: i64,
    /// How often it can still be used; `None` for any number of times.
    pub(crate) uses: Option<i64>,
    pub(crate) renewed_at: Option<Timestamp>,
    pub(crate) revoked_at: Option<Timestamp>,
}

impl Token {
    /// Its policies and those of its entity, sorted, each once. `root` is among them only when it is the token's own.
    pub(crate) fn all_policies(&self) -> Vec<String> {
        let theirs = self.identity_policies.iter().filter(|policy| *policy != ROOT);
        let mut all: Vec<_> = self.policies.iter().chain(theirs).cloned().collect();
        all.sort();
        all.dedup();
        all
    }

    /// Whether no rule stands in its way.
    pub(crate) fn is_root(&self) -> bool {
        self.policies.iter().any(|policy| policy == ROOT)
    }

    /// Seconds it still lives; 0 for one that does not end by itself.
    pub(crate) fn ttl(&self, now: Timestamp) -> i64 {
        self.expires_at.map_or(0, |end| i64::try_from(end.since(now).as_secs()).unwrap_or(i64::MAX))
    }

    /// Whether it can still be used at `now`, all else being well.
    pub(crate) fn lives(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

/// Whoever a token proves.
pub(crate) struct Who {
    /// For the gate. A dialect token's fence lets nothing through until it is told a path.
    pub(crate) caller: Caller,
    /// The dialect token; `None` for people and services with a credential of our own.
    pub(crate) token: Option<Token>,
    /// The environment of the dialect token.
    pub(crate) view: Option<Arc<View>>,
}
