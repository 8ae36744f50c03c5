#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod http;
mod identity;
mod name;
pub mod reach;
pub mod session_policy;
pub mod sigv4;
pub mod sts;

use writ_crypto::{
    SecretString,
    hash::{hex, sha256},
};
use writ_kernel::{Result, Timestamp};

pub use http::wiped;
pub use http::{Http, Limits};
pub use identity::{Identity, IdentitySource};
pub use name::{ExternalId, Region, RoleArn, SessionDuration, SessionName, SessionTag};
pub use reach::Reach;
pub use session_policy::SessionPolicy;
pub use sts::{AssumeRole, Patience, Somebody, Sts};

/// Credentials of a role, for a while.
#[expect(missing_debug_implementations, reason = "holds secrets")]
pub struct Credentials {
    /// The id of the key. Not a secret by itself, and treated as one.
    pub access_key_id: SecretString,
    /// The key.
    pub secret_access_key: SecretString,
    /// What makes the key valid only for its session.
    pub session_token: SecretString,
    /// When they end.
    pub expiration: Timestamp,
}

impl Credentials {
    /// 16 hexadecimal digits that recognise the key id without telling it: the start of its SHA-256.
    pub fn key_hash(&self) -> String {
        key_hash(self.access_key_id.expose())
    }
}

fn key_hash(access_key_id: &str) -> String {
    hex(&sha256(access_key_id.as_bytes())).chars().take(16).collect()
}

/// Everything needed to borrow a customer's role, again and again until the run ends.
#[expect(missing_debug_implementations, reason = "holds the external id")]
pub struct Borrower {
    /// The security token service of the connection's region.
    pub sts: Sts,
    /// Where the runner's own identity comes from.
    pub source: IdentitySource,
    /// What to ask for.
    pub request: AssumeRole,
}

impl Borrower {
    /// The customer's role, borrowed: proves the runner's identity anew, then assumes the role.
    ///
    /// # Errors
    /// What [`IdentitySource::prove`] and [`Sts::assume_role`] say.
    pub async fn borrow(&self) -> Result<Credentials> {
        let environment = |name: &str| std::env::var(name).ok();
        let identity = self.source.prove(&self.sts, &self.request.session_name, &environment).await?;
        self.sts.assume_role(&identity, &self.request).await
    }
}
