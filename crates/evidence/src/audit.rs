//! Records as an audit log, in the words of the QuantumAPI SDK.

use serde_json::{Value, json};
use uuid::Uuid;
use writ_gate::{Done, Gate, Receipt, Resource};
use writ_kernel::{Action, Caller, Error, Result, Timestamp};
use writ_wire::evidence::{AuditEntry, AuditPage, AuditQuery};

use crate::{
    model::Record,
    records,
    sql::{self, Filter},
};

/// As many records are looked at: a filter by actor has to open what they say.
const LOOKED_AT: usize = 5_000;
const CHUNK: i64 = 500;

/// The words of the SDK for actions.
const WORDS: [(&str, Action); 11] = [
    ("Encrypt", Action::DataEncrypt),
    ("Decrypt", Action::DataDecrypt),
    ("Rewrap", Action::DataRewrap),
    ("Sign", Action::DataSign),
    ("Verify", Action::DataVerify),
    ("KeyCreated", Action::KeyGenerate),
    ("KeyRotated", Action::NamedKeyRotate),
    ("KeyUpdated", Action::NamedKeyUpdate),
    ("KeyDeleted", Action::NamedKeyDelete),
    ("KeyImported", Action::NamedKeyImport),
    ("KeyExported", Action::NamedKeyExport),
];

struct Wanted {
    actions: Option<Vec<&'static str>>,
    category: Option<String>,
    actor: Option<String>,
    from: Timestamp,
    to: Timestamp,
}

/// A page of the audit log, newest first. Reading it is on record itself.
pub(crate) async fn list(gate: &Gate, caller: &Caller, query: AuditQuery) -> Result<(AuditPage, Receipt)> {
    let (page, page_size) = (query.page.unwrap_or(1), query.page_size.unwrap_or(50));
    if page == 0 || !(1..=200).contains(&page_size) {
        return Err(
            Error::invalid("page_size", "`pageSize` is 1 to 200, and `page` begins at 1").at("pageSize")
        );
    }
    let wanted = wanted(&query)?;
    let detail = json!({ "action": query.action, "resource": query.key_id, "audit": true });
    let mut grant = gate.grant(caller, Action::EvidenceRead, Resource::all("record")).await?;
    let mut filter = Filter::default();
    let mut items = Vec::new();
    let mut total_count = 0;
    let known = match query.key_id {
        Some(id) => {
            filter.object = sql::pseudonym(grant.tx(), id).await?;
            filter.object.is_some()
        }
        None => true,
    };
    let (mut before, mut looked_at) = (Uuid::max(), 0);
    let skip = (page - 1).saturating_mul(page_size);
    while known && looked_at < LOOKED_AT {
        let chunk = sql::records(grant.tx(), &filter, before, CHUNK).await?;
        let Some(last) = chunk.last() else { break };
        before = last.id;
        looked_at += chunk.len();
        for record in chunk.iter().filter(|record| wanted.takes(record)) {
            let on_page = total_count >= skip && items.len() < page_size;
            if on_page || wanted.actor.is_some() {
                let payload = records::payload(gate, grant.tx(), record).await?;
                let entry = entry(record, payload.as_ref());
                if !wanted.takes_actor(&entry) {
                    continue;
                }
                if on_page {
                    items.push(entry);
                }
            }
            total_count += 1;
        }
    }
    let receipt = grant.commit(Done::with(detail)).await?;
    Ok((AuditPage { items, total_count, page, page_size }, receipt))
}

impl Wanted {
    fn takes(&self, record: &Record) -> bool {
        let at = Timestamp::from_micros(record.at);
        let action = self.actions.as_ref().is_none_or(|all| all.contains(&record.action.as_str()));
        let category = self.category.as_deref().is_none_or(|wanted| wanted == category(&record.action));
        action && category && (self.from..=self.to).contains(&at)
    }

    fn takes_actor(&self, entry: &AuditEntry) -> bool {
        self.actor.as_ref().is_none_or(|part| entry.actor.to_lowercase().contains(part))
    }
}

fn wanted(query: &AuditQuery) -> Result<Wanted> {
    let time = |text: &Option<String>, field: &'static str, otherwise: i64| match text {
        Some(text) => moment(text).map_err(|error| error.at(field)),
        None => Ok(Timestamp::from_micros(otherwise)),
    };
    let actions = query.action.as_ref().map(|all| all.split(',').map(action).collect::<Result<Vec<_>>>());
    Ok(Wanted {
        actions: actions.transpose().map_err(|error| error.at("action"))?,
        category: query.category.clone(),
        actor: query.actor.as_ref().map(|actor| actor.to_lowercase()),
        from: time(&query.from, "from", i64::MIN)?,
        to: time(&query.to, "to", i64::MAX)?,
    })
}

/// A time; without an offset it is UTC, as Python writes times that have none.
fn moment(text: &str) -> Result<Timestamp> {
    text.parse().or_else(|error| format!("{text}Z").parse().map_err(|_: Error| error))
}

fn action(word: &str) -> Result<&'static str> {
    match WORDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)) {
        Some((_, action)) => Ok(action.name()),
        None => word.parse::<Action>().map(Action::name),
    }
}

fn category(action: &str) -> &'static str {
    let about_keys = action.starts_with("vault.keys.") || action.starts_with("vault.data.");
    if about_keys { "keys" } else { "other" }
}

fn entry(record: &Record, payload: Option<&Value>) -> AuditEntry {
    let said = |pointer: &str| payload.and_then(|payload| payload.pointer(pointer)).and_then(Value::as_str);
    let (actor, actor_type) = actor(payload.is_some(), said);
    let word = WORDS.iter().find(|(_, action)| action.name() == record.action).map(|(word, _)| *word);
    let outcome = match record.outcome.as_str() {
        "refuse" => "denied",
        "fail" => "failure",
        _ => "success",
    };
    AuditEntry {
        id: record.id,
        timestamp: Timestamp::from_micros(record.at),
        action: word.unwrap_or(&record.action).to_owned(),
        category: category(&record.action).to_owned(),
        actor,
        actor_type: actor_type.to_owned(),
        resource_type: said("/object/kind").unwrap_or("unknown").to_owned(),
        resource_id: said("/object/id").and_then(|id| id.parse().ok()).unwrap_or(Uuid::nil()),
        resource_name: said("/object/name").map(str::to_owned),
        outcome: outcome.to_owned(),
        error: said("/detail/code").map(str::to_owned),
        ip_address: said("/actor/source").map(str::to_owned),
    }
}

fn actor<'a>(known: bool, said: impl Fn(&str) -> Option<&'a str>) -> (String, &'static str) {
    if !known {
        return ("erased".to_owned(), "other");
    }
    let key = said("/actor/credential").and_then(|credential| credential.strip_prefix("api-key "));
    let (kind, id) = (said("/actor/kind").unwrap_or("unknown"), said("/actor/id"));
    match (key, id) {
        (Some(key), _) => (format!("apikey:{key}"), "apiKey"),
        (None, Some(id)) => (format!("{kind}:{id}"), if kind == "person" { "user" } else { "other" }),
        (None, None) => (kind.to_owned(), "other"),
    }
}
