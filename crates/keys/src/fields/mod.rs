//! Which columns of a customer's tables are encrypted.

mod rows;
mod sets;
mod sql;

use uuid::Uuid;
use writ_gate::{Environment, Resource};
use writ_kernel::{Error, FieldSet as Kind, Id, Principal, Result, Timestamp};
pub use writ_wire::fields::Search;

pub use rows::{PlainRow, SealedRow, SealedRowText};
pub use sets::{ColumnProgress, NewFieldSet, Progress, WhichSet};

use crate::name::KeyName;

/// A column that is encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: KeyName,
    /// How it can be searched.
    pub search: Search,
}

/// Which columns of a table are encrypted, and with which key.
#[derive(Debug, Clone)]
pub struct FieldSet {
    /// Its id.
    pub id: Id<Kind>,
    /// Its environment.
    pub environment: Environment,
    /// The table.
    pub name: KeyName,
    /// The named key.
    pub key: Uuid,
    /// The columns.
    pub columns: Vec<Column>,
    /// The newest version of the key of the blind index.
    pub index_version: u32,
    /// Who made it.
    pub created_by: Id<Principal>,
    /// When.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

impl FieldSet {
    fn resource(&self) -> Resource {
        Resource {
            path: Some(self.name.to_string()),
            ..Resource::one("field-set", self.id).named(&self.name).of(self.created_by)
        }
        .within(self.environment.clone())
    }

    fn column(&self, name: &str) -> Result<&Column> {
        self.columns
            .iter()
            .find(|column| column.name.as_str() == name)
            .ok_or_else(|| Error::invalid("unknown_column", "the field set has no such column").at("fields"))
    }
}
