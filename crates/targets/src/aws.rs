//! Sessions of Amazon Web Services.

use writ_aws::{
    AssumeRole, Credentials, Http, Identity, Limits, Patience, Region, SessionDuration, SessionName,
    SessionPolicy, Sts,
};
use writ_crypto::SecretString;
use writ_kernel::{Result, World};

/// Whom to ask for sessions as, and where.
#[expect(missing_debug_implementations, reason = "holds a key")]
pub struct Account {
    /// The region whose security token service is asked.
    pub region: String,
    /// The service's address, where it is not Amazon's.
    pub endpoint: Option<String>,
    /// The id of the key to ask with.
    pub access_key_id: String,
    /// The key.
    pub secret_access_key: SecretString,
}

/// A session to be opened.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The role to assume.
    pub role_arn: &'a str,
    /// What its trust policy demands.
    pub external_id: &'a str,
    /// The name of the session in the account's trail.
    pub name: &'a str,
    /// How long it lasts: 900 to 3600 seconds.
    pub seconds: u32,
    /// What it may do at most: a policy document.
    pub policy: Option<&'a str>,
    /// Managed policies that say what it may do at most.
    pub policy_arns: &'a [String],
}

impl Wanted<'_> {
    fn parse(&self) -> Result<AssumeRole> {
        Ok(AssumeRole {
            role: self.role_arn.parse()?,
            external_id: self.external_id.parse()?,
            session_name: self.name.parse::<SessionName>()?,
            source_identity: None,
            duration: SessionDuration::from_seconds(self.seconds)?,
            tags: Vec::new(),
            policy: SessionPolicy::written(self.policy.map(str::to_owned), self.policy_arns.to_vec())?,
        })
    }

    /// Whether it can be asked for at all.
    ///
    /// # Errors
    /// `Invalid`, which says what about it cannot be.
    pub fn check(&self) -> Result<()> {
        self.parse().map(drop)
    }
}

impl Account {
    /// Whether there can be such a service.
    ///
    /// # Errors
    /// `Invalid` when the region or the address is none.
    pub fn check(&self, world: &World) -> Result<()> {
        self.sts(world).map(drop)
    }

    fn sts(&self, world: &World) -> Result<Sts> {
        let region: Region = self.region.parse()?;
        let http = Http::new(Limits::default())?;
        Sts::new(world.clone(), http, region, self.endpoint.as_deref(), Patience::default())
    }

    /// Opens a session. It cannot be closed: it ends when its time is over.
    ///
    /// # Errors
    /// What the service says, by kind.
    pub async fn session(&self, world: &World, wanted: &Wanted<'_>) -> Result<Credentials> {
        let identity = Identity {
            access_key_id: SecretString::new(self.access_key_id.clone()),
            secret_access_key: SecretString::new(self.secret_access_key.expose().to_owned()),
            session_token: None,
        };
        self.sts(world)?.assume_role(&identity, &wanted.parse()?).await
    }
}
