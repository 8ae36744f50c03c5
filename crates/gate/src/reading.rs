//! The door for what changes nothing in our database: [`Gate::enter_to_read`], [`ReadEntry::admit`],
//! [`ReadGrant::record`].
//!
//! [`Gate::enter_to_read`]: crate::Gate::enter_to_read

use std::fmt;

use writ_kernel::{Action, Caller, Error, Result, World};
use writ_seal::TenantKeys;
use writ_store::Tx;

use crate::{
    gate::{Inside, Permit},
    model::{Circumstances, Done, Receipt, Resource},
};

/// A caller inside its own tenant who may look things up in order to say what the action is done to, and may not
/// act yet. Dropping it does nothing at all.
#[must_use = "an entry does nothing until it is admitted"]
pub struct ReadEntry {
    inside: Inside,
    tx: Tx,
}

impl ReadEntry {
    pub(crate) fn new(inside: Inside, tx: Tx) -> Self {
        Self { inside, tx }
    }

    /// The transaction, bound to the caller's tenant; it can only read.
    pub fn tx(&mut self) -> &mut Tx {
        &mut self.tx
    }

    /// Who asks.
    pub fn caller(&self) -> &Caller {
        &self.inside.caller
    }

    /// Whether policy would permit `action` on `resource`: to tell who may know that something exists. It permits
    /// nothing; [`ReadEntry::admit`] does.
    ///
    /// # Errors
    /// As a decision.
    pub fn permits(&self, action: Action, resource: &Resource) -> Result<bool> {
        self.inside.permits(action, resource)
    }

    /// Asks policy about `resource`. The only place where a [`ReadGrant`] comes into being.
    ///
    /// # Errors
    /// `Forbidden`, recorded.
    pub async fn admit(self, resource: Resource) -> Result<ReadGrant> {
        let permit = self.inside.decide(resource, Circumstances::default())?;
        match permit.denied() {
            None => Ok(ReadGrant { permit, tx: self.tx }),
            Some(error) => {
                drop(self.tx);
                Err(permit.refuse(error).await)
            }
        }
    }

    /// What is asked for does not exist, or belongs to another: the caller learns only that, and it is recorded.
    pub async fn not_found(self, what: &'static str) -> Error {
        self.refuse(Error::not_found(what)).await
    }

    /// Ends here with `error`, on record.
    pub async fn refuse(self, error: Error) -> Error {
        drop(self.tx);
        self.inside.refuse(error).await
    }
}

impl fmt::Debug for ReadEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReadEntry({})", self.inside.action)
    }
}

/// The authority to read or use one resource of one tenant, once. It cannot be cloned. What was read leaves only after
/// [`ReadGrant::record`] has made its leaf durable; dropping it does nothing at all.
#[must_use = "a grant does nothing until it is recorded"]
pub struct ReadGrant {
    permit: Permit,
    tx: Tx,
}

impl ReadGrant {
    /// The transaction in which the reading happens; it can only read.
    pub fn tx(&mut self) -> &mut Tx {
        &mut self.tx
    }

    /// Who acts.
    pub fn caller(&self) -> &Caller {
        &self.permit.inside.caller
    }

    /// What is done.
    pub fn action(&self) -> Action {
        self.permit.inside.action
    }

    /// What it is done to.
    pub fn resource(&self) -> &Resource {
        &self.permit.resource
    }

    /// Time and chance.
    pub fn world(&self) -> &World {
        self.permit.inside.gate.world()
    }

    /// The keys of the tenant.
    pub fn keys(&self) -> &TenantKeys {
        &self.permit.inside.keys
    }

    /// Makes the leaf durable. What was read may leave afterwards, and not before.
    ///
    /// # Errors
    /// When the database fails; then what was read must not leave.
    pub async fn record(self, done: Done) -> Result<Receipt> {
        drop(self.tx);
        self.permit.record(&done).await
    }

    /// Ends with `error` instead, on record.
    pub async fn refuse(self, error: Error) -> Error {
        drop(self.tx);
        self.permit.refuse(error).await
    }
}

impl fmt::Debug for ReadGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReadGrant({} on {})", self.permit.inside.action, self.permit.resource.kind)
    }
}
