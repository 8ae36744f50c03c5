//! Fields of rows in tables of customers: which are encrypted, and how.
//!
//! Types here that hold plaintexts have no `Debug`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use writ_kernel::Timestamp;

/// How a column can be searched for equal values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Search {
    /// Not at all.
    #[default]
    None,
    /// By a blind index under a secret key: HMAC-SHA3-256 of the value, trimmed and in lower case.
    Keyed,
    /// By SHA3-256 of the value, trimmed and in lower case. Whoever can guess a value can confirm it: for migrations
    /// that need it, only.
    Plain,
}

/// A column that is encrypted.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FieldColumn {
    /// Its name.
    pub name: String,
    /// How it can be searched.
    #[serde(default)]
    pub search: Search,
}

/// Say which columns of a table are encrypted.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateFieldSet {
    /// The table, as `customers` or `public.customers`; unique in its environment.
    pub table: String,
    /// The environment, by name or id; the only one the credential can use unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The name of the key; the default encryption key unless told. One that encrypts rows: ML-KEM or symmetric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Its encrypted columns, 1 to 200.
    pub columns: Vec<FieldColumn>,
}

/// Change which columns are encrypted.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateFieldSet {
    /// All encrypted columns, 1 to 200.
    pub columns: Vec<FieldColumn>,
}

/// Which columns of a table are encrypted.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FieldSet {
    /// Its id.
    pub id: Uuid,
    /// The table.
    pub table: String,
    /// The id of its environment.
    pub environment: Uuid,
    /// The id of the key.
    pub key_id: Uuid,
    /// Its encrypted columns.
    pub columns: Vec<FieldColumn>,
    /// The newest version of the key of the blind index.
    pub index_version: u32,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was changed last.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

/// The field sets of an environment.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FieldSets {
    /// The field sets, oldest first.
    pub items: Vec<FieldSet>,
}

/// One row whose fields are to be encrypted.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_debug_implementations, reason = "holds plaintexts")]
pub struct PlainRow {
    /// What tells the row from others, like its primary key: bound into its fields, and needed again to decrypt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Values by column; `null` stays `null`.
    pub fields: BTreeMap<String, Option<String>>,
}

/// Encrypt rows.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_debug_implementations, reason = "holds plaintexts")]
pub struct EncryptRows {
    /// The rows, at most 1000.
    pub rows: Vec<PlainRow>,
    /// Put the row key into each field, for tables that have no column for it.
    #[serde(default, alias = "stand_alone")]
    pub stand_alone: bool,
}

/// One row whose fields are encrypted.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SealedRow {
    /// What tells the row from others, as it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The row key, `writ-row:v<version>:<base64url>`: kept in a column of its own. Absent when fields stand alone.
    #[serde(default, alias = "row_key", skip_serializing_if = "Option::is_none")]
    pub row_key: Option<String>,
    /// `writ-field:v<version>:<base64url>` by column.
    pub fields: BTreeMap<String, Option<String>>,
}

/// Decrypt rows, or encrypt them anew.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DecryptRows {
    /// The rows, at most 1000.
    pub rows: Vec<SealedRow>,
}

/// What came of encrypting one row.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RowSealed {
    /// Its place in the request.
    pub index: usize,
    /// The row key, unless fields stand alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row_key: Option<String>,
    /// The fields.
    pub fields: BTreeMap<String, Option<String>>,
    /// The indexes of the columns that can be searched, in hexadecimal digits.
    pub indexes: BTreeMap<String, String>,
    /// Why not, as a stable word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Why not, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What came of encrypting rows.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RowsSealed {
    /// In the order of the request.
    pub results: Vec<RowSealed>,
    /// The newest version of the key.
    pub key_version: u32,
    /// The version of the key of the blind index.
    pub index_version: u32,
}

/// What came of decrypting one row.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_debug_implementations, reason = "holds plaintexts")]
pub struct RowOpened {
    /// Its place in the request.
    pub index: usize,
    /// The values.
    pub fields: BTreeMap<String, Option<String>>,
    /// Why not, as a stable word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Why not, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What came of decrypting rows.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_debug_implementations, reason = "holds plaintexts")]
pub struct RowsOpened {
    /// In the order of the request.
    pub results: Vec<RowOpened>,
}

/// Ask what to search an index for.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_debug_implementations, reason = "holds a plaintext")]
pub struct SearchField {
    /// The column.
    pub column: String,
    /// The value that is searched for.
    pub value: String,
}

/// What to search an index for: rows match whose index is any of these.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SearchTokens {
    /// In hexadecimal digits; the newest first. More than one while rows are indexed anew.
    pub tokens: Vec<String>,
}

/// Report how far a migration of a column is.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReportProgress {
    /// The column.
    pub column: String,
    /// How many values there are.
    pub total: u64,
    /// How many of them are encrypted.
    pub encrypted: u64,
    /// Where to go on: the last row that is done.
    #[serde(default, alias = "resume_at", skip_serializing_if = "Option::is_none")]
    pub resume_at: Option<String>,
}

/// How much of a column is encrypted.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ColumnCoverage {
    /// The column.
    pub column: String,
    /// How many values there are, as was reported last; absent when nobody has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// How many of them are encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encrypted: Option<u64>,
    /// How many percent that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<f64>,
    /// Where to go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume_at: Option<String>,
    /// When it was reported.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported_at: Option<Timestamp>,
}

/// How much of a table is encrypted.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TableCoverage {
    /// The id of the field set.
    pub id: Uuid,
    /// The table.
    pub table: String,
    /// Its encrypted columns.
    pub columns: Vec<ColumnCoverage>,
}

/// How much of an environment is encrypted.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Coverage {
    /// Its tables.
    pub tables: Vec<TableCoverage>,
    /// How many values there are, as far as was reported.
    pub total: u64,
    /// How many of them are encrypted.
    pub encrypted: u64,
    /// How many columns nobody has reported about.
    pub unknown_columns: u64,
}

/// Which environment is meant.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListFieldSets {
    /// The environment, by name or id; the only one the credential can use unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
}
