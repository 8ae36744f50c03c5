//! `userpass`: a name and a password. Passwords are kept as Argon2id (RFC 9106), and five wrong ones lock an account for
//! a quarter of an hour.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use uuid::Uuid;
use writ_crypto::{
    SecretString,
    password::{self, Params},
};
use writ_gate::{Done, Entry};
use writ_kernel::{Action, Error, Timestamp};

use super::{
    sign_in::{self, Proven},
    terms::TokenTerms,
};
use crate::{
    ask::{Ask, Operation},
    dialect::Dialect,
    entries,
    fault::{Answer, Fault},
    kept,
    reply::Reply,
};

const WRONG: &str = "invalid username or password";
/// As many wrong passwords lock an account …
const MOST_FAILURES: u32 = 5;
/// … for so long, counted from the last.
const LOCKED: Duration = Duration::from_mins(15);
/// The first recommendation of OWASP for signing in: strong enough, and quick enough to be asked often.
const COST: Params = Params { memory_kib: 19 * 1024, passes: 2, lanes: 1 };

/// As many passwords are derived at a time, whoever they belong to …
static RUNNING: Semaphore = Semaphore::const_new(4);
/// … and as many, with those, may be under way.
static QUEUE: Semaphore = Semaphore::const_new(64);

/// An account. Kept at `user/<name>`.
#[derive(Serialize, Deserialize)]
struct Account {
    id: Uuid,
    /// Whoever made it.
    owner: Uuid,
    salt: [u8; 16],
    cost: Params,
    digest: [u8; 32],
    #[serde(flatten)]
    terms: TokenTerms,
}

/// Wrong passwords of late. Kept at `failures/<name>`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Failures {
    count: u32,
    last: Timestamp,
}

/// Answers for the mount.
pub(crate) async fn handle(dialect: &Dialect, ask: &Ask) -> Answer {
    let rest = ask.rest.trim_end_matches('/');
    let (area, rest) = rest.split_once('/').unwrap_or((rest, ""));
    let (name, below) = rest.split_once('/').unwrap_or((rest, ""));
    let name = name.to_lowercase();
    match (area, &*name, below, ask.operation) {
        ("login", name, "", Operation::Write) if !name.is_empty() => login(dialect, ask, name).await,
        ("users", "", "", Operation::List) => kept::list(dialect, ask, Action::AuthRead, "user/").await,
        ("users", "", ..) => Err(Fault::unsupported_path()),
        ("users", name, "", Operation::Read) => {
            let account: Account = kept::need(dialect, ask, Action::AuthRead, &user_at(name)).await?;
            Ok(Reply::data(&Value::Object(account.terms.members())))
        }
        ("users", name, "" | "password" | "policies", Operation::Write) => {
            write(dialect, ask, name, below).await
        }
        ("users", name, "", Operation::Delete) => {
            kept::remove(dialect, ask, Action::AuthWrite, &user_at(name)).await
        }
        ("users", _, "" | "password" | "policies", _) => Err(Fault::unsupported_operation()),
        _ => Err(Fault::unsupported_path()),
    }
}

fn user_at(name: &str) -> String {
    format!("user/{name}")
}

async fn write(dialect: &Dialect, ask: &Ask, name: &str, below: &str) -> Answer {
    let known = kept::peek::<Account>(dialect, ask, &user_at(name)).await?;
    // A path of a field changes that field alone.
    let fields = match below {
        "password" => &ask.fields.only(&["password"]),
        "policies" => &ask.fields.only(&["policies", "token_policies"]),
        _ => &ask.fields,
    };
    let password = fields.text("password")?.filter(|password| !password.is_empty()).map(SecretString::new);
    if password.is_none() && (known.is_none() || below == "password") {
        return Err(Fault::invalid("missing password"));
    }
    if known.is_none() && !below.is_empty() {
        return Err(Fault::invalid("username does not exist"));
    }
    let mut account = match known {
        Some(account) => account,
        None => Account {
            id: dialect.world().uuid(),
            owner: ask.caller_to_write(false)?.principal.uuid(),
            salt: [0; 16],
            cost: COST,
            digest: [0; 32],
            terms: TokenTerms { token_type: "default".to_owned(), ..TokenTerms::default() },
        },
    };
    let changed = password.is_some();
    if let Some(password) = password {
        account.salt = dialect.world().bytes();
        account.cost = COST;
        account.digest = derived(password, account.salt, COST).await?;
    }
    account.terms.take(fields)?;
    let detail = json!({ "account": name, "owner": account.owner, "password": changed });
    kept::put(dialect, ask, Action::AuthWrite, &user_at(name), &account, Done::with(detail)).await?;
    Ok(Reply::Nothing)
}

/// Costly on purpose, so not on a thread that serves others, and few at a time.
///
/// # Errors
/// 429 when too many wait for it.
async fn derived(password: SecretString, salt: [u8; 16], cost: Params) -> writ_kernel::Result<[u8; 32]> {
    let busy = || {
        Error::exhausted("too_many_logins", "too many passwords are being checked", Duration::from_secs(1))
    };
    let _queued = QUEUE.try_acquire().map_err(|_| busy())?;
    let _running = RUNNING.acquire().await.map_err(|_| busy())?;
    let work = tokio::task::spawn_blocking(move || password::derive(&password, &salt, cost));
    let key = work.await.map_err(|error| Error::internal("a derivation was lost").because(error))??;
    Ok(*key.expose())
}

async fn login(dialect: &Dialect, ask: &Ask, name: &str) -> Answer {
    let password = SecretString::new(ask.fields.required("password")?);
    let account: Option<Account> = kept::peek(dialect, ask, &user_at(name)).await?;
    let subject = account.as_ref().map_or(ask.mount.id.uuid(), |account| account.id);
    // Nothing is held open while this takes its time, and it takes as long for an account that is locked or is not.
    drop(sign_in::enter(dialect, ask, subject).await?);
    let (salt, cost) = account.as_ref().map_or(([0; 16], COST), |account| (account.salt, account.cost));
    let digest = derived(password, salt, cost).await?;
    let mut entry = sign_in::enter(dialect, ask, subject).await?;
    let at = format!("failures/{name}");
    writ_store::serialize_on(entry.tx(), &counter(ask, &at)).await?;
    let keys = dialect.seal().tenant(entry.tx()).await?;
    let failures: Option<Failures> = entries::find(entry.tx(), &keys, ask.mount.id, &at).await?;
    let now = entry.tx().world().now();
    if failures.is_some_and(|failures| locked(failures, now)) {
        return Err(sign_in::refuse(entry, WRONG).await);
    }
    // Names that nobody has are not counted: nobody may fill a database with them.
    let counted = account.is_some().then_some(&*at);
    let Some(account) = account.filter(|account| writ_crypto::ct_eq(&account.digest, &digest)) else {
        return failed(dialect, ask, entry, counted).await;
    };
    welcome(dialect, ask, entry, (name, &account), failures.is_some().then_some(at)).await
}

async fn welcome(
    dialect: &Dialect,
    ask: &Ask,
    mut entry: Entry,
    (name, account): (&str, &Account),
    forgiven: Option<String>,
) -> Answer {
    if let Some(at) = forgiven {
        entries::remove(entry.tx(), ask.mount.id, &at).await?;
    }
    let metadata: BTreeMap<_, _> = [("username".to_owned(), name.to_owned())].into();
    let proven = Proven {
        terms: &account.terms,
        alias: name.to_owned(),
        alias_metadata: BTreeMap::new(),
        metadata,
        display_name: format!("{}-{name}", ask.mount.path.trim_end_matches('/')),
        role: name.to_owned(),
        owner: account.owner,
        cidrs: Vec::new(),
    };
    sign_in::complete(dialect, ask, entry, proven).await
}

/// Whoever counts wrong passwords of an account of this mount, or looks at the count, is alone.
fn counter(ask: &Ask, at: &str) -> String {
    format!("dialect.userpass.{}.{at}", ask.mount.id)
}

fn locked(failures: Failures, now: Timestamp) -> bool {
    failures.count >= MOST_FAILURES && now < failures.last.plus(LOCKED)
}

/// A wrong password: refused on record, and counted. The count outlives the refusal, which undoes all else.
async fn failed(dialect: &Dialect, ask: &Ask, entry: Entry, counted: Option<&str>) -> Answer {
    let fault = sign_in::refuse(entry, WRONG).await;
    let Some(at) = counted else { return Err(fault) };
    let mut tx = dialect.gate().db().tx(ask.view.tenant).await?;
    let keys = dialect.seal().tenant(&mut tx).await?;
    writ_store::serialize_on(&mut tx, &counter(ask, at)).await?;
    let known: Option<Failures> = entries::find(&mut tx, &keys, ask.mount.id, at).await?;
    let now = dialect.world().now();
    let count = known.filter(|known| now < known.last.plus(LOCKED)).map_or(0, |known| known.count);
    let failures = Failures { count: count.saturating_add(1), last: now };
    entries::put(&mut tx, &keys, ask.mount.id, at, &failures).await?;
    tx.commit().await?;
    Err(fault)
}
