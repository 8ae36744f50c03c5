//! Listing secrets.

use writ_gate::{Done, Receipt, Resource};
use writ_kernel::{Action, Caller, Cursor, Error, Page, PageRequest, Result, Timestamp};

use super::{
    door,
    model::SecretRecord,
    path::Folder,
    sql::{self, Filter},
};
use crate::Vault;

/// As many secrets are looked at for a numbered page; keyset pages have no such limit.
const LOOKED_AT: usize = 10_000;
const CHUNK: i64 = 500;

/// What is listed.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The name or id of an environment; `None` for the only one the caller can mean.
    pub environment: Option<String>,
    /// Only what is in this folder and below.
    pub folder: Folder,
    /// Only of this kind.
    pub kind: Option<String>,
    /// Only with this label.
    pub label: Option<String>,
    /// Only where the path or the description has this, in any case.
    pub search: Option<String>,
    /// What is out of use, too.
    pub inactive_too: bool,
    /// Only what nobody has read since.
    pub unread_since: Option<Timestamp>,
}

impl Wanted {
    fn takes(&self, secret: &SecretRecord) -> bool {
        let label = self.label.as_ref().is_none_or(|label| secret.labels.contains(label));
        let has = |text: &str, part: &str| text.to_lowercase().contains(part);
        let search = self.search.as_ref().is_none_or(|search| {
            let search = search.to_lowercase();
            has(secret.path.as_str(), &search)
                || secret.description.as_ref().is_some_and(|text| has(text, &search))
        });
        label && search
    }
}

/// A numbered page.
#[derive(Debug, Clone)]
pub struct Numbered {
    /// The secrets.
    pub items: Vec<SecretRecord>,
    /// How many there are in all.
    pub total: usize,
}

/// How much is stored in an environment.
#[derive(Debug, Clone, Copy)]
pub struct Stored {
    /// How many versions.
    pub items: u64,
    /// How many bytes their values have.
    pub bytes: u64,
    /// When this was counted.
    pub at: Timestamp,
}

/// What is directly in a folder, in the order of bytes: names, those of folders with a slash at the end.
pub type Names = Page<String>;

impl Vault {
    /// Lists secrets in the order of their paths.
    ///
    /// # Errors
    /// `NotFound` for an environment the caller may not know.
    pub async fn list(
        &self,
        caller: &Caller,
        wanted: &Wanted,
        page: &PageRequest,
    ) -> Result<(Page<SecretRecord>, Receipt)> {
        let (environment, mut grant) = self.to_list(caller, wanted).await?;
        let mut filter = filter(wanted);
        filter.after = page.after.as_ref().map(|cursor| cursor.0.clone()).unwrap_or_default();
        let enough = usize::from(page.limit) + 1;
        let mut items = Vec::new();
        loop {
            let chunk = sql::secrets(grant.tx(), environment, &filter, CHUNK).await?;
            let last = chunk.last().map(|secret| secret.path.to_string());
            let full = i64::try_from(chunk.len()) == Ok(CHUNK);
            items.extend(chunk.into_iter().filter(|secret| wanted.takes(secret)));
            match last {
                Some(last) if full && items.len() < enough => filter.after = last,
                _ => break,
            }
        }
        items.truncate(enough);
        let receipt = grant.record(Done::plain()).await?;
        Ok((Page::cut(items, page.limit, |secret| secret.path.to_string()), receipt))
    }

    /// Lists the `number`th page (from 1) of `size` secrets.
    ///
    /// # Errors
    /// `NotFound` for an environment the caller may not know.
    pub async fn list_numbered(
        &self,
        caller: &Caller,
        wanted: &Wanted,
        number: usize,
        size: usize,
    ) -> Result<(Numbered, Receipt)> {
        if number == 0 || !(1..=200).contains(&size) {
            return Err(
                Error::invalid("page_size", "`pageSize` is 1 to 200, and `page` begins at 1").at("pageSize")
            );
        }
        let (environment, mut grant) = self.to_list(caller, wanted).await?;
        let mut filter = filter(wanted);
        let (mut items, mut looked_at, mut total) = (Vec::new(), 0, 0);
        let skip = (number - 1).saturating_mul(size);
        loop {
            let chunk = sql::secrets(grant.tx(), environment, &filter, CHUNK).await?;
            looked_at += chunk.len();
            let full = i64::try_from(chunk.len()) == Ok(CHUNK);
            if let Some(last) = chunk.last() {
                filter.after = last.path.to_string();
            }
            for secret in chunk.into_iter().filter(|secret| wanted.takes(secret)) {
                if total >= skip && items.len() < size {
                    items.push(secret);
                }
                total += 1;
            }
            if !full || looked_at >= LOOKED_AT {
                break;
            }
        }
        let receipt = grant.record(Done::plain()).await?;
        Ok((Numbered { items, total }, receipt))
    }

    /// Lists what is directly in a folder. `page.after` is a name as it was listed.
    ///
    /// # Errors
    /// `NotFound` for an environment the caller may not know.
    pub async fn list_folder(
        &self,
        caller: &Caller,
        wanted: &Wanted,
        page: &PageRequest,
    ) -> Result<(Names, Receipt)> {
        let (environment, mut grant) = self.to_list(caller, wanted).await?;
        let prefix = wanted.folder.prefix();
        let mut from = match &page.after {
            None => prefix.clone(),
            Some(Cursor(name)) => after(&prefix, name),
        };
        let enough = usize::from(page.limit) + 1;
        let mut names = Vec::new();
        while names.len() < enough {
            let paths = sql::paths(grant.tx(), environment, &prefix, &from, CHUNK).await?;
            if paths.is_empty() {
                break;
            }
            for path in &paths {
                // A folder that was listed moves `from` past all that is in it.
                if path.as_str() < from.as_str() {
                    continue;
                }
                let rest = path.strip_prefix(&prefix).unwrap_or_default();
                let name = rest.split_inclusive('/').next().unwrap_or_default().to_owned();
                from = after(&prefix, &name);
                names.push(name);
            }
        }
        names.truncate(enough);
        let receipt = grant.record(Done::plain()).await?;
        Ok((Page::cut(names, page.limit, Clone::clone), receipt))
    }

    /// How much is stored in the environment the caller means.
    ///
    /// # Errors
    /// As [`Vault::list`].
    pub async fn storage(&self, caller: &Caller) -> Result<(Stored, Receipt)> {
        let (environment, mut grant) = self.to_list(caller, &Wanted::default()).await?;
        let (items, bytes) = sql::storage(grant.tx(), environment).await?;
        let count = |number: i64| u64::try_from(number).unwrap_or(0);
        let stored = Stored { items: count(items), bytes: count(bytes), at: grant.world().now() };
        Ok((stored, grant.record(Done::plain()).await?))
    }

    async fn to_list(
        &self,
        caller: &Caller,
        wanted: &Wanted,
    ) -> Result<(writ_kernel::Id<writ_kernel::Environment>, writ_gate::ReadGrant)> {
        let mut entry = self.gate().enter_to_read(caller, Action::SecretList).await?;
        let environment = match door::environment(entry.tx(), caller, wanted.environment.as_deref()).await {
            Ok(Some(environment)) => environment,
            Ok(None) => return Err(entry.not_found("environment").await),
            Err(error) => return Err(entry.refuse(error).await),
        };
        let id = environment.id;
        let resource = Resource::all("secret").within(environment);
        let resource = Resource { path: Some(wanted.folder.prefix()), ..resource };
        if !entry.permits(Action::SecretList, &resource)? {
            return Err(entry.not_found("environment").await);
        }
        Ok((id, entry.admit(resource).await?))
    }
}

fn filter(wanted: &Wanted) -> Filter {
    Filter {
        prefix: wanted.folder.prefix(),
        after: String::new(),
        kind: wanted.kind.clone(),
        inactive_too: wanted.inactive_too,
        unread_since: wanted.unread_since,
    }
}

/// The first path that can come after `name` in the folder `prefix`.
fn after(prefix: &str, name: &str) -> String {
    match name.strip_suffix('/') {
        // `0` is what comes after a slash.
        Some(folder) => format!("{prefix}{folder}0"),
        None => format!("{prefix}{name}\u{1}"),
    }
}
