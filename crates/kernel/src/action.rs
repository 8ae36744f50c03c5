//! Everything that can be done, by name.

use std::{fmt, str::FromStr};

use crate::Error;

/// Whether an action changes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// It only looks, and sees no secret.
    Read,
    /// It sees a secret or works with a key, and changes nothing here.
    Use,
    /// It changes something.
    Write,
}

macro_rules! actions {
    ($($(#[$doc:meta])* $variant:ident = $name:literal $effect:ident),+ $(,)?) => {
        /// One thing that can be done, named `area.resource.verb`. Scopes, policies, evidence and the
        /// action × role table all speak of these and of nothing else.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Action { $($(#[$doc])* $variant),+ }

        /// Every action there is.
        pub const ACTIONS: &[Action] = &[$(Action::$variant),+];

        impl Action {
            /// The name, `area.resource.verb`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// Whether it changes anything.
            pub const fn effect(self) -> Effect {
                match self { $(Self::$variant => Effect::$effect),+ }
            }
        }
    };
}

actions! {
    /// Create a tenant and its first administrator.
    TenantCreate = "platform.tenants.create" Write,
    /// See the tenants of the server.
    TenantRead = "platform.tenants.read" Read,
    /// Seal the server: forget every key until it is unsealed.
    Seal = "platform.seal.close" Write,
    /// Replace the unseal shares or passphrase.
    Rekey = "platform.seal.rekey" Write,
    /// Replace the root key while serving.
    RootRotate = "platform.seal.rotate" Write,
    /// Take an online backup of the database.
    Backup = "platform.backups.create" Write,

    /// Create an environment.
    EnvironmentCreate = "tenancy.environments.create" Write,
    /// See environments.
    EnvironmentRead = "tenancy.environments.read" Read,
    /// Change the guard rails of an environment.
    EnvironmentUpdate = "tenancy.environments.update" Write,

    /// Add a person.
    PersonCreate = "identity.people.create" Write,
    /// See people.
    PersonRead = "identity.people.read" Read,
    /// Disable a person and everything they hold.
    PersonDisable = "identity.people.disable" Write,
    /// Add a service account.
    ServiceCreate = "identity.services.create" Write,
    /// See service accounts.
    ServiceRead = "identity.services.read" Read,
    /// Retire a service account and everything it holds.
    ServiceRetire = "identity.services.retire" Write,
    /// Give a principal a role.
    RoleBind = "identity.roles.bind" Write,
    /// Take a role from a principal.
    RoleUnbind = "identity.roles.unbind" Write,
    /// See who has which role.
    RoleRead = "identity.roles.read" Read,
    /// Create an API key for oneself or for a service account.
    KeyCreate = "identity.keys.create" Write,
    /// See API keys, never their secrets.
    KeyRead = "identity.keys.read" Read,
    /// Revoke an API key.
    KeyRevoke = "identity.keys.revoke" Write,
    /// Begin a session.
    SessionCreate = "identity.sessions.create" Write,
    /// Use a credential at all; on record only when that is refused.
    CredentialUse = "identity.credentials.use" Write,
    /// See sessions.
    SessionRead = "identity.sessions.read" Read,
    /// End a session.
    SessionRevoke = "identity.sessions.revoke" Write,

    /// Upload and activate a version of the tenant's policies.
    PolicyWrite = "policy.sets.write" Write,
    /// Read policies.
    PolicyRead = "policy.sets.read" Read,
    /// Try requests against a policy set without any effect.
    PolicyTest = "policy.sets.test" Read,

    /// Register a cloud connection.
    ConnectionCreate = "runtime.connections.create" Write,
    /// See cloud connections.
    ConnectionRead = "runtime.connections.read" Read,
    /// Remove a cloud connection.
    ConnectionDelete = "runtime.connections.delete" Write,
    /// Check a cloud connection before anything uses it.
    ConnectionPreflight = "runtime.connections.preflight" Write,
    /// Upload infrastructure configuration.
    ConfigurationCreate = "runtime.configurations.create" Write,
    /// See uploaded configurations.
    ConfigurationRead = "runtime.configurations.read" Read,
    /// Ask for a change of an environment: plan it.
    DeploymentCreate = "runtime.deployments.create" Write,
    /// See deployments, their plans and their redacted output.
    DeploymentRead = "runtime.deployments.read" Read,
    /// Make a planned change real.
    DeploymentApply = "runtime.deployments.apply" Write,
    /// Make a planned removal real.
    DeploymentDestroy = "runtime.deployments.destroy" Write,
    /// Stop a deployment.
    DeploymentCancel = "runtime.deployments.cancel" Write,
    /// Release a state lock that a dead run left behind.
    StateUnlock = "runtime.state.unlock" Write,
    /// Agree to a change, or refuse it.
    ApprovalDecide = "runtime.approvals.decide" Write,
    /// See requests for approval.
    ApprovalRead = "runtime.approvals.read" Read,
    /// Start a runner for a deployment: the scheduler's act.
    RunStart = "runtime.runs.start" Write,
    /// Take a run: the runner's first act.
    RunClaim = "runtime.runs.claim" Write,
    /// Report from inside a run.
    RunReport = "runtime.runs.report" Write,

    /// Store a secret.
    SecretCreate = "vault.secrets.create" Write,
    /// See which secrets there are: names, owners, versions, never values.
    SecretList = "vault.secrets.list" Read,
    /// Read the value of a secret.
    SecretRead = "vault.secrets.read" Use,
    /// Write a version of a secret, or what is known about it.
    SecretWrite = "vault.secrets.write" Write,
    /// Delete a secret or versions of it so that it can be restored, or take it out of use.
    SecretDelete = "vault.secrets.delete" Write,
    /// Destroy a secret or versions of it for good.
    SecretDestroy = "vault.secrets.destroy" Write,
    /// Give a value away under a link that counts and expires.
    SecretShare = "vault.secrets.share" Write,
    /// Take what was given away under a link or wrapped for one reading.
    SecretReceive = "vault.secrets.receive" Write,
    /// Replace the value of a secret where it is used, too.
    SecretRotate = "vault.secrets.rotate" Write,
    /// Say that a secret is known to strangers.
    SecretExpose = "vault.secrets.expose" Write,
    /// See which consumers are bound to which version of a secret.
    BindingRead = "vault.bindings.read" Read,
    /// Bind a consumer to a secret, or release it.
    BindingWrite = "vault.bindings.write" Write,
    /// See what makes credentials on demand.
    EngineRead = "vault.engines.read" Read,
    /// Set up what makes credentials on demand, and for whom.
    EngineWrite = "vault.engines.write" Write,
    /// Borrow a credential made on demand.
    LeaseCreate = "vault.leases.create" Write,
    /// See leases.
    LeaseRead = "vault.leases.read" Read,
    /// Borrow for longer.
    LeaseRenew = "vault.leases.renew" Write,
    /// Give a lease back, or end it.
    LeaseRevoke = "vault.leases.revoke" Write,
    /// Read events that consumers act upon.
    EventRead = "vault.events.read" Read,

    /// Create a named key.
    KeyGenerate = "vault.keys.create" Write,
    /// See named keys and their public parts.
    NamedKeyRead = "vault.keys.read" Read,
    /// Change what a named key may be used for.
    NamedKeyUpdate = "vault.keys.update" Write,
    /// Make a new version of a named key.
    NamedKeyRotate = "vault.keys.rotate" Write,
    /// Schedule the end of a named key, call it off, or trim old versions.
    NamedKeyDelete = "vault.keys.delete" Write,
    /// Bring a key that was made elsewhere.
    NamedKeyImport = "vault.keys.import" Write,
    /// Take the secret part of a named key away.
    NamedKeyExport = "vault.keys.export" Use,
    /// Encrypt, or have a data key made.
    DataEncrypt = "vault.data.encrypt" Use,
    /// Decrypt, or have a data key opened.
    DataDecrypt = "vault.data.decrypt" Use,
    /// Encrypt anew under a newer version, without seeing the plaintext.
    DataRewrap = "vault.data.rewrap" Use,
    /// Sign, or compute a code of authenticity.
    DataSign = "vault.data.sign" Use,
    /// Verify a signature or a code of authenticity.
    DataVerify = "vault.data.verify" Use,
    /// See which columns are encrypted.
    FieldRead = "vault.fields.read" Read,
    /// Say which columns are encrypted, and how far a migration is.
    FieldWrite = "vault.fields.write" Write,
    /// Get random bytes.
    EntropyRead = "vault.entropy.read" Use,

    /// See engines and ways to sign in that clients of the Vault dialect find at their paths.
    MountRead = "vault.mounts.read" Read,
    /// Put engines and ways to sign in at paths.
    MountWrite = "vault.mounts.write" Write,
    /// Read the path policies of the Vault dialect.
    PathPolicyRead = "vault.policies.read" Read,
    /// Write the path policies of the Vault dialect.
    PathPolicyWrite = "vault.policies.write" Write,
    /// See roles, accounts and identities that tokens of the Vault dialect are given to.
    AuthRead = "vault.auth.read" Read,
    /// Set up roles, accounts and identities that tokens of the Vault dialect are given to.
    AuthWrite = "vault.auth.write" Write,
    /// Have a token of the Vault dialect made.
    TokenCreate = "vault.tokens.create" Write,
    /// Look at a token of the Vault dialect.
    TokenRead = "vault.tokens.read" Read,
    /// Let a token of the Vault dialect live longer.
    TokenRenew = "vault.tokens.renew" Write,
    /// End a token of the Vault dialect and all that it begot.
    TokenRevoke = "vault.tokens.revoke" Write,
    /// Read what a token keeps for itself.
    CubbyholeRead = "vault.cubbyholes.read" Use,
    /// Write what a token keeps for itself.
    CubbyholeWrite = "vault.cubbyholes.write" Write,

    /// Read the evidence log, its proofs and one's own records.
    EvidenceRead = "evidence.log.read" Read,
    /// Export evidence in bulk.
    EvidenceExport = "evidence.log.export" Read,
    /// Destroy what ties a person to their records, and what their records say beside the leaf.
    EvidenceErase = "evidence.subjects.erase" Write,
}

impl Action {
    /// Whether it changes who may do what, so that nothing known from before it holds.
    pub const fn changes_authority(self) -> bool {
        matches!(
            self,
            Self::EnvironmentUpdate
                | Self::PersonDisable
                | Self::ServiceRetire
                | Self::RoleBind
                | Self::RoleUnbind
                | Self::KeyRevoke
                | Self::SessionRevoke
                | Self::PolicyWrite
                | Self::PathPolicyWrite
                | Self::AuthWrite
                | Self::MountWrite
                | Self::TokenRenew
                | Self::TokenRevoke
                | Self::EvidenceErase
        )
    }

    /// Whether it is about the whole server and not about one tenant.
    pub fn concerns_the_server(self) -> bool {
        self.name().starts_with("platform.")
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Action {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        ACTIONS
            .iter()
            .copied()
            .find(|action| action.name() == text)
            .ok_or_else(|| Error::invalid("unknown_action", format!("`{text}` is not an action")))
    }
}

/// What a credential may be used for: one action (`runtime.deployments.read`), all of a resource
/// (`runtime.deployments.*`), all of an area (`runtime.*`) or everything (`*`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope(Box<str>);

impl Scope {
    /// Whether this scope covers `action`.
    pub fn covers(&self, action: Action) -> bool {
        let name = action.name();
        match self.0.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == &*self.0,
        }
    }

    /// Whether everything `other` covers is covered by this scope too.
    pub fn contains(&self, other: &Self) -> bool {
        ACTIONS.iter().filter(|action| other.covers(**action)).all(|action| self.covers(*action))
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Scope {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        let whole_parts = text == "*" || text.ends_with(".*") || !text.contains('*');
        let scope = Self(text.into());
        if whole_parts && ACTIONS.iter().any(|action| scope.covers(*action)) {
            return Ok(scope);
        }
        Err(Error::invalid("unknown_scope", format!("`{}` covers no action", text.escape_debug()))
            .hint("a scope is `area.resource.verb`, `area.resource.*`, `area.*` or `*`"))
    }
}

/// The scopes of one credential.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// Exactly these.
    pub fn new(mut scopes: Vec<Scope>) -> Self {
        scopes.sort();
        scopes.dedup();
        Self(scopes)
    }

    /// Every scope there is.
    pub fn all() -> Self {
        Self(vec![Scope("*".into())])
    }

    /// Whether any of them covers `action`.
    pub fn cover(&self, action: Action) -> bool {
        self.0.iter().any(|scope| scope.covers(action))
    }

    /// Whether `narrower` grants nothing that these do not.
    pub fn contain(&self, narrower: &Self) -> bool {
        ACTIONS.iter().all(|action| self.cover(*action) || !narrower.cover(*action))
    }

    /// The scopes, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.0.iter()
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.0.iter().enumerate() {
            write!(f, "{}{}", if index == 0 { "" } else { " " }, scope.as_str())?;
        }
        Ok(())
    }
}

impl FromStr for Scopes {
    type Err = Error;
    /// Scopes separated by spaces; at least one.
    fn from_str(text: &str) -> Result<Self, Error> {
        let scopes = text.split_ascii_whitespace().map(str::parse).collect::<Result<Vec<_>, _>>()?;
        if scopes.is_empty() {
            return Err(Error::invalid("no_scope", "at least one scope is needed"));
        }
        Ok(Self::new(scopes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_have_three_parts() {
        let mut names: Vec<_> = ACTIONS.iter().map(|action| action.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ACTIONS.len());
        assert!(names.iter().all(|name| name.split('.').count() == 3));
    }

    #[test]
    fn a_scope_covers_whole_parts_only() {
        let scope: Scope = "runtime.deployments.*".parse().unwrap();
        assert!(scope.covers(Action::DeploymentRead));
        assert!(!scope.covers(Action::ConnectionRead));
        for text in
            ["", "runtime", "runtime.dep*", "runtime.deployments", "**", "secret.*", "*.read", "\u{1b}[2J"]
        {
            assert!(text.parse::<Scope>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_narrower_set_is_contained_and_a_wider_is_not() {
        let all = Scopes::all();
        let read: Scopes = "runtime.deployments.read evidence.log.read".parse().unwrap();
        assert!(all.contain(&read) && !read.contain(&all) && read.contain(&read));
    }
}
