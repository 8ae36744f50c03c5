//! The life of field sets: made, changed, removed; their indexes rotated; how far a migration is.

use serde_json::json;
use uuid::Uuid;
use writ_crypto::{SecretKey, envelope::Aad};
use writ_gate::{Done, Grant, Receipt, Resource};
use writ_kernel::{
    Action, Caller, Error, FieldSet as Kind, Id, Kind as Failure, Result, TenantId, Timestamp,
};
use writ_store::Tx;

use super::{Column, FieldSet, sql};
use crate::{
    find::{Lobby, environment, find, placed},
    model::{Place, Purpose, Which},
    name::KeyName,
    room::Keys,
};

/// As many columns a set has.
const MOST_COLUMNS: usize = 200;
/// As many keys of its blind index it has at once.
const MOST_INDEXES: usize = 4;

/// Which field set is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhichSet {
    /// The one with this id.
    Id(Uuid),
    /// The one of this table.
    Named(Place, KeyName),
}

/// A field set to be made.
#[derive(Debug, Clone)]
pub struct NewFieldSet {
    /// Where.
    pub place: Place,
    /// The table.
    pub name: KeyName,
    /// The key; the default encryption key unless told.
    pub key: Option<KeyName>,
    /// The columns.
    pub columns: Vec<Column>,
}

/// How far a migration of a column is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The column.
    pub column: KeyName,
    /// How many values there are.
    pub total: u64,
    /// How many of them are encrypted.
    pub encrypted: u64,
    /// Where to go on.
    pub resume_at: Option<String>,
}

/// A column, and what was reported last of it and when.
pub type ColumnProgress = (Column, Option<(Progress, Timestamp)>);

impl Keys {
    /// Says which columns of a table are encrypted.
    ///
    /// # Errors
    /// `field_set_conflict` when the table has a set; `unknown_key`, `unsupported_operation` about its key;
    /// `invalid_columns`.
    pub async fn create_field_set(
        &self,
        caller: &Caller,
        wanted: NewFieldSet,
    ) -> Result<(FieldSet, Receipt)> {
        let entry = self.gate().enter(caller, Action::FieldWrite).await?;
        let (environment, entry) = placed(entry, &wanted.place).await?;
        let resource = Resource {
            path: Some(wanted.name.to_string()),
            ..Resource::all("field-set").named(&wanted.name)
        };
        let mut grant = entry.admit(resource.within(environment.clone())).await?;
        let key = match key_of(grant.tx(), caller, &wanted).await.and_then(|key| {
            checked(&wanted.columns)?;
            Ok(key)
        }) {
            Ok(key) => key,
            Err(error) => return Err(grant.refuse(error).await),
        };
        if sql::set_named(grant.tx(), environment.clone(), &wanted.name).await?.is_some() {
            return Err(grant.refuse(conflict()).await);
        }
        let now = grant.world().now();
        let set = FieldSet {
            id: grant.world().id(),
            environment,
            name: wanted.name,
            key,
            columns: wanted.columns,
            index_version: 1,
            created_by: caller.principal,
            created_at: now,
            updated_at: now,
        };
        sql::insert_set(grant.tx(), &set).await.map_err(taken)?;
        add_index(&mut grant, &set).await?;
        let detail = json!({ "key": key, "columns": set.columns.len() });
        let receipt = grant.commit(Done::with(detail).created(set.id)).await?;
        Ok((set, receipt))
    }

    /// One field set.
    ///
    /// # Errors
    /// `NotFound` when the caller may know of no such; `Forbidden`.
    pub async fn field_set(&self, caller: &Caller, which: &WhichSet) -> Result<(FieldSet, Receipt)> {
        let entry = self.gate().enter_to_read(caller, Action::FieldRead).await?;
        let (set, grant) = admitted_set(entry, Action::FieldRead, which).await?;
        Ok((set, grant.record(Done::plain()).await?))
    }

    /// The field sets of an environment, oldest first, with what was reported of their columns.
    ///
    /// # Errors
    /// As [`Keys::field_set`].
    pub async fn field_sets(
        &self,
        caller: &Caller,
        place: &Place,
    ) -> Result<(Vec<(FieldSet, Vec<ColumnProgress>)>, Receipt)> {
        let entry = self.gate().enter_to_read(caller, Action::FieldRead).await?;
        let (environment, entry) = placed(entry, place).await?;
        let mut grant = entry.admit(Resource::all("field-set").within(environment.clone())).await?;
        let mut found = Vec::new();
        for set in sql::sets(grant.tx(), &environment).await? {
            let mut reported = sql::progress(grant.tx(), set.id).await?;
            let of = |column: &Column| {
                let at = reported.iter().position(|(progress, _)| progress.column == column.name);
                (column.clone(), at.map(|at| reported.swap_remove(at)))
            };
            let columns = set.columns.iter().map(of).collect();
            found.push((set, columns));
        }
        Ok((found, grant.record(Done::plain()).await?))
    }

    /// Changes which columns are encrypted.
    ///
    /// # Errors
    /// As [`Keys::field_set`]; `invalid_columns`.
    pub async fn update_field_set(
        &self,
        caller: &Caller,
        which: &WhichSet,
        columns: Vec<Column>,
    ) -> Result<(FieldSet, Receipt)> {
        let entry = self.gate().enter(caller, Action::FieldWrite).await?;
        let (before, mut grant) = admitted_set(entry, Action::FieldWrite, which).await?;
        if let Err(error) = checked(&columns) {
            return Err(grant.refuse(error).await);
        }
        let set = FieldSet { columns, updated_at: grant.world().now(), ..before };
        store(&mut grant, &set, set.index_version).await?;
        let receipt = grant.commit(Done::with(json!({ "columns": set.columns.len() }))).await?;
        Ok((set, receipt))
    }

    /// Forgets a field set. Fields stay encrypted under the named key; the key of the blind index is destroyed.
    ///
    /// # Errors
    /// As [`Keys::field_set`].
    pub async fn delete_field_set(&self, caller: &Caller, which: &WhichSet) -> Result<Receipt> {
        let entry = self.gate().enter(caller, Action::FieldWrite).await?;
        let (set, mut grant) = admitted_set(entry, Action::FieldWrite, which).await?;
        sql::delete_set(grant.tx(), set.id).await?;
        grant.commit(Done::with(json!({ "deleted": true }))).await
    }

    /// Makes a new key of the blind index. The ones before still find what is not yet indexed anew.
    ///
    /// # Errors
    /// As [`Keys::field_set`]; `Conflict` when there are four already.
    pub async fn rotate_index(&self, caller: &Caller, which: &WhichSet) -> Result<(FieldSet, Receipt)> {
        let entry = self.gate().enter(caller, Action::FieldWrite).await?;
        let (before, mut grant) = admitted_set(entry, Action::FieldWrite, which).await?;
        if sql::indexes(grant.tx(), before.id).await?.len() >= MOST_INDEXES {
            let error = Error::conflict("too_many_versions", "the index has as many keys as it may have")
                .hint("index every row anew, then retire the old keys");
            return Err(grant.refuse(error).await);
        }
        let set =
            FieldSet { index_version: before.index_version + 1, updated_at: grant.world().now(), ..before };
        store(&mut grant, &set, set.index_version - 1).await?;
        add_index(&mut grant, &set).await?;
        let receipt = grant.commit(Done::with(json!({ "indexVersion": set.index_version }))).await?;
        Ok((set, receipt))
    }

    /// Destroys every key of the blind index but the newest: what is not indexed anew is found no more.
    ///
    /// # Errors
    /// As [`Keys::field_set`].
    pub async fn retire_indexes(&self, caller: &Caller, which: &WhichSet) -> Result<(FieldSet, Receipt)> {
        let entry = self.gate().enter(caller, Action::FieldWrite).await?;
        let (set, mut grant) = admitted_set(entry, Action::FieldWrite, which).await?;
        let retired = sql::delete_indexes_before(grant.tx(), set.id, set.index_version).await?;
        let receipt = grant.commit(Done::with(json!({ "retired": retired }))).await?;
        Ok((set, receipt))
    }

    /// Keeps how far a migration of a column is.
    ///
    /// # Errors
    /// As [`Keys::field_set`]; `unknown_column`; `invalid_progress`.
    pub async fn report_progress(
        &self,
        caller: &Caller,
        which: &WhichSet,
        progress: &Progress,
    ) -> Result<Receipt> {
        let entry = self.gate().enter(caller, Action::FieldWrite).await?;
        let (set, mut grant) = admitted_set(entry, Action::FieldWrite, which).await?;
        let counts = progress.encrypted <= progress.total;
        let short = progress.resume_at.as_ref().is_none_or(|text| text.len() <= 1_000);
        let fits = match set.column(progress.column.as_str()) {
            Err(error) => Err(error),
            Ok(_) if counts && short => Ok(()),
            Ok(_) => Err(Error::invalid("invalid_progress", "no more values are encrypted than there are")),
        };
        if let Err(error) = fits {
            return Err(grant.refuse(error).await);
        }
        let now = grant.world().now();
        sql::put_progress(grant.tx(), set.id, progress, now).await?;
        let detail = json!({
            "column": progress.column.as_str(), "total": progress.total, "encrypted": progress.encrypted,
        });
        grant.commit(Done::with(detail)).await
    }
}

/// Finds the set and asks policy about it.
async fn admitted_set<L: Lobby>(
    mut entry: L,
    action: Action,
    which: &WhichSet,
) -> Result<(FieldSet, L::Grant)> {
    let caller = entry.caller().clone();
    let set = match find_set(entry.tx(), &caller, which).await {
        Ok(set) => set,
        Err(error) => return Err(entry.refuse(error).await),
    };
    if let Some(set) = set {
        let resource = set.resource();
        if entry.permits(action, &resource)? || entry.permits(Action::FieldRead, &resource)? {
            return Ok((set, entry.admit(resource).await?));
        }
    }
    Err(entry.refuse(Error::not_found("field set")).await)
}

/// The set that is meant, whoever asks.
pub(super) async fn find_set(tx: &mut Tx, caller: &Caller, which: &WhichSet) -> Result<Option<FieldSet>> {
    match which {
        WhichSet::Id(id) => sql::set(tx, *id).await,
        WhichSet::Named(place, name) => match environment(tx, caller, &place.environment).await? {
            Some(environment) => sql::set_named(tx, environment, name).await,
            None => Ok(None),
        },
    }
}

async fn key_of(tx: &mut Tx, caller: &Caller, wanted: &NewFieldSet) -> Result<Uuid> {
    let which = match &wanted.key {
        Some(name) => Which::Named(wanted.place.clone(), name.clone()),
        None => Which::Default(wanted.place.clone(), Purpose::Encryption),
    };
    let key = find(tx, caller, &which)
        .await?
        .ok_or_else(|| Error::invalid("unknown_key", "there is no such key in this environment").at("key"))?;
    if key.key_type.seals_fields() && !key.derived {
        return Ok(key.id.uuid());
    }
    let what = format!("a key of type {} does not encrypt fields", key.key_type);
    Err(Error::invalid("unsupported_operation", what).at("key"))
}

fn checked(columns: &[Column]) -> Result<()> {
    let mut names: Vec<_> = columns.iter().map(|column| &column.name).collect();
    names.sort_unstable();
    names.dedup();
    if names.len() == columns.len() && (1..=MOST_COLUMNS).contains(&columns.len()) {
        return Ok(());
    }
    Err(Error::invalid("invalid_columns", "a field set has 1 to 200 columns, each of them once")
        .at("columns"))
}

async fn add_index(grant: &mut Grant, set: &FieldSet) -> Result<()> {
    let key = SecretKey::generate(grant.world());
    let place = index_cell(grant.tenant(), set.id, set.index_version);
    let sealed = grant.keys().seal(grant.world(), &place, key.expose());
    let now = grant.world().now();
    sql::insert_index(grant.tx(), set.id, set.index_version, &sealed, now).await
}

/// Where a key of a blind index lives.
pub(super) fn index_cell(tenant: TenantId, set: Id<Kind>, version: u32) -> Vec<u8> {
    Aad::cell(tenant, "field_indexes", set.uuid().as_bytes(), "sealed", u64::from(version))
}

async fn store(grant: &mut Grant, set: &FieldSet, index: u32) -> Result<()> {
    if sql::update_set(grant.tx(), set, index).await? {
        return Ok(());
    }
    Err(Error::conflict("field_set_changed", "the field set was changed meanwhile; try again"))
}

fn conflict() -> Error {
    Error::conflict("field_set_conflict", "the table has a field set in this environment").at("table")
}

fn taken(error: Error) -> Error {
    if error.kind() == Failure::Conflict { conflict() } else { error }
}
