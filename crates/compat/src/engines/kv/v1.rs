//! Version 1: a document at a path; the last write wins, and what is deleted is gone.

use writ_vault::{Keeping, NewSecret};

use super::{absent_is_fine, document, environment, exists, in_its_words, list, path, place, stored};
use crate::{
    ask::{Ask, Operation},
    dialect::Dialect,
    fault::{Answer, Fault},
    reply::{Envelope, Lease, Members, Reply, raw},
};

/// What a client is told for how long a document is good, unless the document says: 32 days, as the peer does.
const LEASE: i64 = 32 * 24 * 3600;

pub(super) async fn handle(dialect: &Dialect, ask: &Ask) -> Answer {
    match ask.operation {
        Operation::Read => read(dialect, ask).await,
        Operation::Write => write(dialect, ask).await,
        Operation::Delete => delete(dialect, ask).await,
        Operation::List => list(dialect, ask, &ask.rest).await,
        Operation::Patch | Operation::Scan => Err(Fault::unsupported_operation()),
    }
}

async fn read(dialect: &Dialect, ask: &Ask) -> Answer {
    let caller = ask.caller_as_asked()?;
    let (reading, _) = dialect.vault().read(&caller, &place(ask, &ask.rest)?, None).await?;
    let value = reading.value.map_err(|_| Fault::not_found())?;
    let data: Members = serde_json::from_str(document(&value)?.get())
        .map_err(|_| Fault::invalid("the secret is not an object"))?;
    let duration = ["ttl", "lease"].iter().find_map(|name| {
        let text = data.get(*name)?.get();
        crate::duration::seconds(text.trim_matches('"')).filter(|seconds| *seconds > 0)
    });
    let lease = Lease { duration: duration.unwrap_or(LEASE), ..Lease::default() };
    Ok(Reply::Full(Box::new(Envelope { data: Some(data), lease, ..Envelope::default() })))
}

async fn write(dialect: &Dialect, ask: &Ask) -> Answer {
    if ask.fields.members().is_empty() {
        return Err(Fault::invalid("missing data fields"));
    }
    let known = exists(dialect, ask, &place(ask, &ask.rest)?).await?;
    let caller = ask.caller_to_write(known)?;
    let value = stored(&raw(ask.fields.members()))?;
    let keeping = Keeping { max_versions: Some(1), ..Keeping::default() };
    let new =
        NewSecret { keeping, ..NewSecret::new(Some(environment(ask)), path(ask, &ask.rest)?, Some(value)) };
    dialect.vault().put(&caller, new, None).await.map_err(in_its_words)?;
    Ok(Reply::Nothing)
}

async fn delete(dialect: &Dialect, ask: &Ask) -> Answer {
    let caller = ask.caller_as_asked()?;
    absent_is_fine(dialect.vault().destroy(&caller, &place(ask, &ask.rest)?).await)?;
    Ok(Reply::Nothing)
}
