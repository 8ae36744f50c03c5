//! What the logs of tenants say.

use serde_json::Value;
use uuid::Uuid;
use writ_kernel::TenantId;
use writ_store::on;

use crate::House;

/// One record of a log, with its payload opened.
#[derive(Debug, Clone)]
pub struct Record {
    /// The leaf, byte for byte.
    pub text: String,
    /// The stored hash of it.
    pub hash: Vec<u8>,
    /// The leaf.
    pub leaf: Value,
    /// What only key holders read.
    pub payload: Value,
}

impl Record {
    /// The action and what came of it, like `runtime.deployments.create allow`.
    pub fn said(&self) -> String {
        format!("{} {}", text(&self.leaf, "cls"), text(&self.leaf, "out"))
    }

    /// The code of the error that the caller was told, if this is a refusal.
    pub fn code(&self) -> Option<&str> {
        self.payload.pointer("/detail/code").and_then(Value::as_str)
    }
}

impl House {
    /// Every record of `tenant`, in the order of their times.
    pub async fn records(&self, tenant: TenantId) -> Vec<Record> {
        let mut tx = self.gate.db().read(tenant).await.expect("a transaction");
        let rows = on!(tx, |conn, tenant| {
            sqlx::query_as::<_, (Uuid, String, Vec<u8>, Uuid, Vec<u8>)>(
                "SELECT leaf_id, leaf, leaf_hash, key_id, payload FROM evidence_leaves
                 WHERE tenant_id = $1 ORDER BY at, leaf_id",
            )
            .bind(tenant)
            .fetch_all(conn)
        });
        let mut records = Vec::new();
        for (id, text, hash, key, sealed) in rows.expect("leaves") {
            let payload = self.gate.open_payload(&mut tx, id, key, &sealed).await.expect("a payload");
            let leaf = serde_json::from_str(&text).expect("a leaf of JSON");
            let payload = serde_json::from_str(&payload).expect("a payload of JSON");
            records.push(Record { text, hash, leaf, payload });
        }
        records
    }
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value.get(member).and_then(Value::as_str).unwrap_or_default()
}
