//! Keyset pages.

use crate::{Error, Result};

/// Where a page begins: after the item with this key. Opaque to clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(pub String);

/// Which part of a listing is asked for.
#[derive(Debug, Clone)]
pub struct PageRequest {
    /// The key after which the page begins; `None` for the first page.
    pub after: Option<Cursor>,
    /// The most items wanted, 1 to 200.
    pub limit: u16,
}

impl PageRequest {
    /// A request for at most `limit` items (50 unless told) after `after`.
    ///
    /// # Errors
    /// `Invalid` when `limit` is not 1 to 200.
    pub fn new(after: Option<String>, limit: Option<u16>) -> Result<Self> {
        let limit = limit.unwrap_or(50);
        if !(1..=200).contains(&limit) {
            return Err(Error::invalid("page_size", "`limit` is 1 to 200").at("limit"));
        }
        Ok(Self { after: after.map(Cursor), limit })
    }
}

/// One page of a listing.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The items, in the order of the listing.
    pub items: Vec<T>,
    /// Where the next page begins; `None` on the last page.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// Cuts a page out of rows fetched with one more than `limit`; `key` names the last item kept.
    pub fn cut(mut rows: Vec<T>, limit: u16, key: impl FnOnce(&T) -> String) -> Self {
        let more = rows.len() > usize::from(limit);
        rows.truncate(usize::from(limit));
        let next = more.then(|| rows.last().map(key)).flatten().map(Cursor);
        Self { items: rows, next }
    }

    /// The same page of other items.
    pub fn map<U>(self, each: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(each).collect(), next: self.next }
    }
}
