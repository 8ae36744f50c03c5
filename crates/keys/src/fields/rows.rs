//! Rows, encrypted and decrypted field by field.

use std::collections::BTreeMap;

use serde_json::json;
use writ_crypto::{
    SecretKey, SecretString,
    envelope::Aad,
    named::{FieldText, IndexKey, PreparedKey, RowKeyText, plain_index},
};
use writ_gate::{ReadEntry, ReadGrant, Receipt};
use writ_kernel::{Action, Caller, Error, Result, TenantId, World};

use super::{
    FieldSet, Search,
    sets::{WhichSet, find_set, index_cell},
    sql,
};
use crate::{
    crypt::{Each, Work, same},
    model::{Key, Purpose},
    ready::{Ready, load},
    room::Keys,
};

/// What every key here is for.
const FOR: Option<Purpose> = Some(Purpose::Encryption);
/// As many fields are worked on in one call, in all its rows.
const MOST_FIELDS: usize = 20_000;

/// A row whose fields are to be encrypted.
#[expect(missing_debug_implementations, reason = "holds plaintexts")]
pub struct PlainRow {
    /// What tells it from others: bound into its fields.
    pub id: Option<String>,
    /// Values by column.
    pub fields: BTreeMap<String, Option<SecretString>>,
}

/// A row whose fields are encrypted, as it is kept.
#[derive(Debug, Clone, Default)]
pub struct SealedRowText {
    /// What tells it from others.
    pub id: Option<String>,
    /// The row key, unless its fields stand alone.
    pub row_key: Option<String>,
    /// Encrypted values by column.
    pub fields: BTreeMap<String, Option<String>>,
}

/// A row whose fields have been encrypted.
#[derive(Debug, Clone)]
pub struct SealedRow {
    /// The row key, unless its fields stand alone.
    pub row_key: Option<RowKeyText>,
    /// Encrypted values by column.
    pub fields: BTreeMap<String, Option<FieldText>>,
    /// Indexes by column.
    pub indexes: BTreeMap<String, [u8; 32]>,
}

/// Values by column.
pub(super) type Opened = BTreeMap<String, Option<SecretString>>;

impl Keys {
    /// Encrypts each row: one encapsulation for it, a key of its own for each field.
    ///
    /// # Errors
    /// `NotFound`, when the caller may know of no such field set; as [`Keys::encrypt`].
    pub async fn encrypt_rows(
        &self,
        caller: &Caller,
        which: &WhichSet,
        rows: &Work<PlainRow>,
        stand_alone: bool,
    ) -> Result<(FieldSet, Key, Each<SealedRow>, Receipt)> {
        let entry = self.gate().enter_to_read(caller, Action::DataEncrypt).await?;
        let (set, key, mut grant) = admitted(entry, Action::DataEncrypt, which).await?;
        let index = newest(indexes(&mut grant, &set).await?)?;
        let grant = bounded(grant, rows.items().iter().map(|row| row.fields.len()).sum()).await?;
        let versions = rows.items().iter().map(|_| Ok(key.latest_version)).collect();
        let loaded = load(self, grant, &key, FOR, rows, versions).await?;
        let world = self.gate().world();
        let sealed = |(row, ready): (&PlainRow, &Result<Ready>)| {
            let ready = ready.as_ref().map_err(same)?.key();
            seal_row(world, ready, &index, (caller.tenant, &set), row, stand_alone)
        };
        let sealed: Each<_> = rows.items().iter().zip(&loaded.ready).map(sealed).collect();
        let (sealed, receipt) = loaded.settle(sealed, |_| key.latest_version, about(&set)).await?;
        Ok((set, key, sealed, receipt))
    }

    /// Decrypts each row.
    ///
    /// # Errors
    /// As [`Keys::encrypt_rows`].
    pub async fn decrypt_rows(
        &self,
        caller: &Caller,
        which: &WhichSet,
        rows: &Work<SealedRowText>,
    ) -> Result<(FieldSet, Each<Opened>, Receipt)> {
        let entry = self.gate().enter_to_read(caller, Action::DataDecrypt).await?;
        let (set, key, grant) = admitted(entry, Action::DataDecrypt, which).await?;
        let grant = bounded(grant, rows.items().iter().map(|row| row.fields.len()).sum()).await?;
        let (parsed, versions) = parsed_rows(&key, &set, rows);
        let loaded = load(self, grant, &key, FOR, rows, versions).await?;
        let opened = open_rows((caller.tenant, &set), rows.items(), &parsed, &loaded.ready);
        let (opened, receipt) = loaded.settle(opened, |_| key.latest_version, about(&set)).await?;
        Ok((set, opened, receipt))
    }

    /// Encrypts each row anew under the newest version of the key, and indexes it anew. Nobody sees the plaintext.
    ///
    /// # Errors
    /// As [`Keys::encrypt_rows`].
    pub async fn rewrap_rows(
        &self,
        caller: &Caller,
        which: &WhichSet,
        rows: &Work<SealedRowText>,
    ) -> Result<(FieldSet, Key, Each<SealedRow>, Receipt)> {
        let entry = self.gate().enter_to_read(caller, Action::DataRewrap).await?;
        let (set, key, mut grant) = admitted(entry, Action::DataRewrap, which).await?;
        let index = newest(indexes(&mut grant, &set).await?)?;
        let grant = bounded(grant, rows.items().iter().map(|row| row.fields.len()).sum()).await?;
        let (parsed, mut versions) = parsed_rows(&key, &set, rows);
        versions.push(Ok(key.latest_version));
        let loaded = load(self, grant, &key, FOR, rows, versions).await?;
        let opened = open_rows((caller.tenant, &set), rows.items(), &parsed, &loaded.ready);
        let world = self.gate().world();
        let newest = loaded.ready.last().ok_or_else(|| Error::internal("no version is ready"))?;
        let sealed = |(row, opened): (&SealedRowText, Result<Opened>)| {
            let plain = PlainRow { id: row.id.clone(), fields: opened? };
            let ready = newest.as_ref().map_err(same)?.key();
            seal_row(world, ready, &index, (caller.tenant, &set), &plain, row.row_key.is_none())
        };
        let sealed: Each<_> = rows.items().iter().zip(opened).map(sealed).collect();
        let (sealed, receipt) = loaded.settle(sealed, |_| key.latest_version, about(&set)).await?;
        Ok((set, key, sealed, receipt))
    }

    /// What to look for in the index of a column to find the rows with this value: the newest first, and what older
    /// keys of the index make of it while rows are indexed anew.
    ///
    /// # Errors
    /// As [`Keys::encrypt_rows`]; `unknown_column`; `column_not_searchable`.
    pub async fn search_tokens(
        &self,
        caller: &Caller,
        which: &WhichSet,
        column: &str,
        value: &SecretString,
    ) -> Result<(Vec<[u8; 32]>, Receipt)> {
        let entry = self.gate().enter_to_read(caller, Action::DataEncrypt).await?;
        let (set, key, mut grant) = admitted(entry, Action::DataEncrypt, which).await?;
        let keys = indexes(&mut grant, &set).await?;
        let search = match key.usable(self.now()).and_then(|()| set.column(column)) {
            Ok(column) => column.search,
            Err(error) => return Err(grant.refuse(error).await),
        };
        let tokens: Vec<_> = match search {
            Search::None => {
                let error = Error::invalid("column_not_searchable", "the column has no index").at("column");
                return Err(grant.refuse(error).await);
            }
            Search::Plain => vec![plain_index(value.expose())],
            Search::Keyed => keys.iter().map(|key| key.for_field(column).index(value.expose())).collect(),
        };
        let detail = json!({ "fieldSet": set.name.as_str(), "column": column, "search": true });
        let receipt = grant.record(writ_gate::Done::with(detail)).await?;
        Ok((tokens, receipt))
    }
}

/// Finds the set and its key, and asks policy about the key: a set is no way around what is said of its key.
async fn admitted(
    mut entry: ReadEntry,
    action: Action,
    which: &WhichSet,
) -> Result<(FieldSet, Key, ReadGrant)> {
    let caller = entry.caller().clone();
    let set = match find_set(entry.tx(), &caller, which).await {
        Ok(set) => set,
        Err(error) => return Err(entry.refuse(error).await),
    };
    if let Some(set) = set
        && let Some(key) = crate::sql::key(entry.tx(), set.key).await?
    {
        let known =
            entry.permits(action, &key.resource())? || entry.permits(Action::FieldRead, &set.resource())?;
        if known {
            let grant = entry.admit(key.resource()).await?;
            return Ok((set, key, grant));
        }
    }
    Err(entry.refuse(Error::not_found("field set")).await)
}

async fn bounded(grant: ReadGrant, fields: usize) -> Result<ReadGrant> {
    if fields <= MOST_FIELDS {
        return Ok(grant);
    }
    let error = Error::too_large("too_many_items", format!("at most {MOST_FIELDS} fields in one call"));
    Err(grant.refuse(error.at("rows")).await)
}

/// The keys of the blind index, newest first.
async fn indexes(grant: &mut ReadGrant, set: &FieldSet) -> Result<Vec<IndexKey>> {
    let sealed = sql::indexes(grant.tx(), set.id).await?;
    let tenant = grant.caller().tenant;
    let open = |(version, sealed): &(u32, Vec<u8>)| {
        let opened = grant.keys().open(&index_cell(tenant, set.id, *version), sealed)?;
        SecretKey::from_slice(opened.expose()).map(IndexKey::new)
    };
    sealed.iter().map(open).collect()
}

fn newest(keys: Vec<IndexKey>) -> Result<IndexKey> {
    keys.into_iter().next().ok_or_else(|| Error::internal("a field set has no key of its index"))
}

fn about(set: &FieldSet) -> serde_json::Value {
    json!({ "fieldSet": set.name.as_str() })
}

/// What the fields of a row are bound to, beside the key and their names.
fn place((tenant, set): (TenantId, &FieldSet), row: Option<&str>) -> Vec<u8> {
    Aad::new()
        .field(tenant.uuid().as_bytes())
        .field(set.id.uuid().as_bytes())
        .field(row.unwrap_or_default().as_bytes())
        .finish()
}

fn seal_row(
    world: &World,
    ready: &PreparedKey,
    index: &IndexKey,
    at: (TenantId, &FieldSet),
    row: &PlainRow,
    stand_alone: bool,
) -> Result<SealedRow> {
    let sealer = ready.row_sealer(world, &place(at, row.id.as_deref()))?;
    let (mut fields, mut found) = (BTreeMap::new(), BTreeMap::new());
    for (name, value) in &row.fields {
        let column = at.1.column(name)?;
        let Some(value) = value else {
            fields.insert(name.clone(), None);
            continue;
        };
        let (text, bytes) = (value.expose(), value.expose().as_bytes());
        let field = if stand_alone {
            sealer.seal_alone(world, name, bytes)?
        } else {
            sealer.seal(world, name, bytes)?
        };
        fields.insert(name.clone(), Some(field));
        match column.search {
            Search::None => None,
            Search::Keyed => found.insert(name.clone(), index.for_field(name).index(text)),
            Search::Plain => found.insert(name.clone(), plain_index(text)),
        };
    }
    let row_key = (!stand_alone).then(|| sealer.row_key().clone());
    Ok(SealedRow { row_key, fields, indexes: found })
}

/// A row as it was read: its row key, its fields, and where in the list its versions begin.
struct Parsed {
    row_key: Option<RowKeyText>,
    fields: Vec<(String, Option<FieldText>)>,
    first: usize,
}

/// Reads every row, and says which version of the key each needs: one for its row key, or one for each of its fields.
fn parsed_rows(
    key: &Key,
    set: &FieldSet,
    rows: &Work<SealedRowText>,
) -> (Vec<Result<Parsed>>, Vec<Result<u32>>) {
    let mut versions = Vec::new();
    let mut parse = |row: &SealedRowText| -> Result<Parsed> {
        let row_key = row.row_key.as_deref().map(RowKeyText::parse).transpose()?;
        let mut fields = Vec::with_capacity(row.fields.len());
        for (name, text) in &row.fields {
            set.column(name)?;
            fields.push((name.clone(), text.as_deref().map(FieldText::parse).transpose()?));
        }
        let first = versions.len();
        match &row_key {
            Some(row_key) => versions.push(key.to_open(row_key.version)),
            None => {
                versions.extend(fields.iter().flat_map(|(_, field)| field).map(|it| key.to_open(it.version)));
            }
        }
        Ok(Parsed { row_key, fields, first })
    };
    let parsed = rows.items().iter().map(&mut parse).collect();
    (parsed, versions)
}

fn open_rows(
    at: (TenantId, &FieldSet),
    rows: &[SealedRowText],
    parsed: &[Result<Parsed>],
    ready: &[Result<Ready>],
) -> Each<Opened> {
    let open = |(row, parsed): (&SealedRowText, &Result<Parsed>)| {
        let parsed = parsed.as_ref().map_err(same)?;
        let ready = ready.get(parsed.first..).unwrap_or_default();
        open_row(&place(at, row.id.as_deref()), parsed, ready)
    };
    rows.iter().zip(parsed).map(open).collect()
}

fn open_row(aad: &[u8], row: &Parsed, ready: &[Result<Ready>]) -> Result<Opened> {
    let mut ready = ready.iter().map(|ready| ready.as_ref().map(Ready::key).map_err(same));
    let mut next = || ready.next().unwrap_or_else(|| Err(Error::internal("a version is not ready")));
    let opener = row.row_key.as_ref().map(|row_key| next()?.row_opener(aad, row_key)).transpose()?;
    let mut values = Opened::new();
    for (name, field) in &row.fields {
        let value = match (field, &opener) {
            (None, _) => None,
            (Some(field), Some(opener)) => Some(opener.open(name, field)?),
            (Some(field), None) => Some(next()?.open_field(aad, name, field)?),
        };
        let text = |value: writ_crypto::SecretBytes| {
            let text = String::from_utf8(value.expose().to_vec());
            text.map(SecretString::new).map_err(|_| Error::invalid("not_text", "a field is not UTF-8 text"))
        };
        values.insert(name.clone(), value.map(text).transpose()?);
    }
    Ok(values)
}
