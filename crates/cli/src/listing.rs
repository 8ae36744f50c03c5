//! Listings: pages, tables, and things found in them by name.

use clap::Args as Group;
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;
use writ_client::Client;
use writ_kernel::Name;
use writ_wire::{
    connections::Connection,
    identity::{Person, Service},
    page::Page,
    tenancy::Environment,
};

use crate::output::{Failure, Output, table};

/// The most items of one page.
const MOST: u16 = 200;

/// Which part of a listing is wanted.
#[derive(Debug, Clone, Group)]
pub(crate) struct Listing {
    /// The most items to show, 1 to 200; 50 unless told.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=200))]
    limit: Option<u16>,
    /// Go on after this point, as the page before said.
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
    /// Show everything, however many pages it takes.
    #[arg(long, conflicts_with_all = ["limit", "after"])]
    all: bool,
}

/// The wanted part of the listing at `path`, of what `filter` says.
pub(crate) async fn page<T: DeserializeOwned>(
    client: &Client,
    path: &str,
    filter: &[(&str, String)],
    listing: &Listing,
) -> Result<Page<T>, Failure> {
    let limit = if listing.all { Some(MOST) } else { listing.limit };
    let mut page: Page<T> = one(client, path, filter, limit, listing.after.clone()).await?;
    while listing.all && page.next.is_some() {
        let following: Page<T> = one(client, path, filter, limit, page.next.take()).await?;
        page.items.extend(following.items);
        page.next = following.next;
    }
    Ok(page)
}

async fn one<T: DeserializeOwned>(
    client: &Client,
    path: &str,
    filter: &[(&str, String)],
    limit: Option<u16>,
    after: Option<String>,
) -> Result<Page<T>, Failure> {
    let mut query = filter.to_vec();
    query.extend(limit.map(|limit| ("limit", limit.to_string())));
    query.extend(after.map(|after| ("after", after)));
    Ok(client.get(&with_query(path, &query)?).await?)
}

/// The path with a query.
pub(crate) fn with_query(path: &str, query: &[(&str, String)]) -> Result<String, Failure> {
    if query.is_empty() {
        return Ok(path.to_owned());
    }
    let query = serde_urlencoded::to_string(query).map_err(|error| Failure::internal("a query", &error))?;
    Ok(format!("{path}?{query}"))
}

/// Shows a page as a table, and says how to get the next one.
pub(crate) fn show<T: Serialize>(
    output: Output,
    page: &Page<T>,
    heading: &[&str],
    row: impl Fn(&T) -> Vec<String>,
) {
    if page.items.is_empty() && !output.is_json() {
        output.note("there is nothing to list");
        return;
    }
    output.result(page, |page| {
        let heading = heading.iter().map(|&name| name.to_owned()).collect();
        let rows: Vec<_> = std::iter::once(heading).chain(page.items.iter().map(row)).collect();
        table(&rows)
    });
    if let Some(next) = &page.next {
        output.note(format!("there is more: go on with `--after {next}`, or show everything with `--all`"));
    }
}

/// Whatever can be called by its name.
pub(crate) trait Named: DeserializeOwned {
    const NOUN: &'static str;
    const PATH: &'static str;
    /// What lists them.
    const COMMAND: &'static str;
    fn id(&self) -> Uuid;
    fn name(&self) -> &str;
}

macro_rules! named {
    ($type:ty, $noun:literal, $path:literal, $command:literal) => {
        impl Named for $type {
            const NOUN: &'static str = $noun;
            const PATH: &'static str = $path;
            const COMMAND: &'static str = $command;
            fn id(&self) -> Uuid {
                self.id
            }
            fn name(&self) -> &str {
                &self.name
            }
        }
    };
}
named!(Environment, "environment", "/api/v1/environments", "writ env list");
named!(Connection, "connection", "/api/v1/connections", "writ connection list");
named!(Person, "person", "/api/v1/people", "writ person list");
named!(Service, "service account", "/api/v1/services", "writ service list");

/// A name or an id, as it was typed.
#[derive(Debug, Clone)]
pub(crate) enum Handle {
    Id(Uuid),
    Name(Name),
}

/// Reads a name or an id.
pub(crate) fn handle(text: &str) -> Result<Handle, String> {
    if let Ok(id) = text.parse() {
        return Ok(Handle::Id(id));
    }
    let wrong = |error: writ_kernel::Error| format!("it is neither an id nor a name: {}", error.public());
    text.parse().map(Handle::Name).map_err(wrong)
}

/// The id of the `T` that is meant.
pub(crate) async fn id<T: Named>(client: &Client, handle: &Handle) -> Result<Uuid, Failure> {
    match handle {
        Handle::Id(id) => Ok(*id),
        Handle::Name(name) => {
            search::<T>(client, name).await?.map(|found| found.id()).ok_or_else(|| absent::<T>(name))
        }
    }
}

/// The same for what may be absent.
pub(crate) async fn optional_id<T: Named>(
    client: &Client,
    handle: Option<&Handle>,
) -> Result<Option<Uuid>, Failure> {
    match handle {
        Some(handle) => id::<T>(client, handle).await.map(Some),
        None => Ok(None),
    }
}

/// Everything there is of `T`.
pub(crate) async fn every<T: Named>(client: &Client) -> Result<Vec<T>, Failure> {
    let all = Listing { limit: None, after: None, all: true };
    // This listing is not paged, and takes no query.
    if T::PATH == <Environment as Named>::PATH {
        return Ok(client.get::<Page<T>>(T::PATH).await?.items);
    }
    Ok(page(client, T::PATH, &[], &all).await?.items)
}

async fn search<T: Named>(client: &Client, name: &Name) -> Result<Option<T>, Failure> {
    Ok(every::<T>(client).await?.into_iter().find(|item| item.name() == name.as_str()))
}

fn absent<T: Named>(name: &Name) -> Failure {
    let failure = Failure::new(1, "not_found", format!("there is no {} `{name}`", T::NOUN));
    failure.hint(format!("see `{}`", T::COMMAND))
}

/// A person or a service account, as it was typed: an id, a name, `person/<name>` or `service/<name>`.
#[derive(Debug, Clone)]
pub(crate) enum Principal {
    Either(Handle),
    Person(Handle),
    Service(Handle),
}

/// Reads whom somebody means.
pub(crate) fn principal(text: &str) -> Result<Principal, String> {
    match text.split_once('/') {
        Some(("person", name)) => handle(name).map(Principal::Person),
        Some(("service", name)) => handle(name).map(Principal::Service),
        _ => handle(text).map(Principal::Either),
    }
}

/// The id of the principal that is meant.
pub(crate) async fn principal_id(client: &Client, principal: &Principal) -> Result<Uuid, Failure> {
    let name = match principal {
        Principal::Person(handle) => return id::<Person>(client, handle).await,
        Principal::Service(handle) => return id::<Service>(client, handle).await,
        Principal::Either(Handle::Id(id)) => return Ok(*id),
        Principal::Either(Handle::Name(name)) => name,
    };
    let person = search::<Person>(client, name).await?;
    let service = search::<Service>(client, name).await?;
    match (person, service) {
        (Some(person), None) => Ok(person.id),
        (None, Some(service)) => Ok(service.id),
        (Some(_), Some(_)) => {
            let failure = Failure::usage(format!("`{name}` is both a person and a service account"));
            Err(failure.hint(format!("say `person/{name}` or `service/{name}`")))
        }
        (None, None) => {
            let message = format!("there is neither a person nor a service account `{name}`");
            Err(Failure::new(1, "not_found", message).hint("see `writ person list` and `writ service list`"))
        }
    }
}
