//! The circumstances of a request, kept for what is decided when nobody asks any more: a permit is minted hours after
//! somebody asked for a deployment, and policy is to see how they did.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use writ_crypto::Aad;
use writ_kernel::{Caller, Error, Id, Principal, Result, TenantId, Timestamp, TraceId, World};
use writ_seal::TenantKeys;

use crate::{model::Deploy, sql};

/// How somebody asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Asked {
    mfa: bool,
    authenticated_at: Timestamp,
    source: Option<IpAddr>,
}

impl Asked {
    /// How `caller` asks.
    pub(crate) fn by(caller: &Caller) -> Self {
        Self { mfa: caller.mfa, authenticated_at: caller.authenticated_at, source: caller.source }
    }

    /// The same for the column `asked` of row `id`: where somebody asked from is nobody else's business.
    pub(crate) fn seal(
        &self,
        keys: &TenantKeys,
        world: &World,
        tenant: TenantId,
        table: &str,
        id: Uuid,
    ) -> Result<Vec<u8>> {
        let text = sql::to_json(self)?;
        Ok(keys.seal(world, &place(tenant, table, id), text.as_bytes()))
    }
}

/// Whose act it is that is decided now, and the row that remembers how they asked.
pub(crate) struct Author<'a> {
    pub(crate) tenant: TenantId,
    pub(crate) principal: Id<Principal>,
    pub(crate) trace: TraceId,
    pub(crate) table: &'a str,
    pub(crate) row: Uuid,
    /// `None` in rows of a release that did not keep it.
    pub(crate) asked: Option<&'a [u8]>,
}

impl Author<'_> {
    /// The author as they are now, with the roles of this moment, under the circumstances in which they asked; `None`
    /// when they were disabled meanwhile.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn now(&self, room: &Deploy) -> Result<Option<Caller>> {
        let current = room.0.principals.current(self.tenant, self.principal, self.trace).await?;
        let Some(current) = current else { return Ok(None) };
        let Some(sealed) = self.asked else { return Ok(Some(current)) };
        let gate = room.gate();
        let keys = gate.seal().tenant(&mut gate.db().read(self.tenant).await?).await?;
        let text = keys.open(&place(self.tenant, self.table, self.row), sealed)?;
        let text =
            std::str::from_utf8(text.expose()).map_err(|_| Error::internal("circumstances are no text"))?;
        let Asked { mfa, authenticated_at, source } = sql::from_json(text)?;
        Ok(Some(Caller { mfa, authenticated_at, source, ..current }))
    }
}

fn place(tenant: TenantId, table: &str, id: Uuid) -> Vec<u8> {
    Aad::cell(tenant, table, id.as_bytes(), "asked", 1)
}
