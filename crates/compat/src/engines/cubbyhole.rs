//! What a token keeps for itself. Nobody else sees it, and it ends with the token.

use writ_gate::{Done, ReadGrant};
use writ_kernel::{Action, Error};

use crate::{
    ask::{Ask, Operation},
    dialect::Dialect,
    entries,
    fault::{Answer, Fault},
    reply::{Members, Reply},
    tokens::Kind,
};

/// Answers for `cubbyhole/`.
pub(crate) async fn handle(dialect: &Dialect, ask: &Ask) -> Answer {
    let token = ask.token().filter(|token| token.kind == Kind::Service);
    let token =
        token.ok_or_else(|| Fault::invalid("cubbyhole operations are only supported by service tokens"))?;
    let place = format!("{}/{}", token.id, ask.rest);
    match ask.operation {
        Operation::Read => read(dialect, ask, &place).await,
        Operation::Write => write(dialect, ask, &place).await,
        Operation::Delete => delete(dialect, ask, &place).await,
        Operation::List => list(dialect, ask, &place).await,
        Operation::Patch | Operation::Scan => Err(Fault::unsupported_operation()),
    }
}

async fn enter(dialect: &Dialect, ask: &Ask) -> Result<ReadGrant, Fault> {
    let entry = dialect.gate().enter_to_read(&ask.caller_as_asked()?, Action::CubbyholeRead).await?;
    Ok(entry.admit(ask.resource("cubbyhole")).await?)
}

async fn read(dialect: &Dialect, ask: &Ask, place: &str) -> Answer {
    let mut grant = enter(dialect, ask).await?;
    let keys = dialect.seal().tenant(grant.tx()).await?;
    let found: Option<Members> = entries::find(grant.tx(), &keys, ask.mount.id, place).await?;
    grant.record(Done::plain()).await?;
    found.map(Reply::members).ok_or_else(Fault::not_found)
}

async fn write(dialect: &Dialect, ask: &Ask, place: &str) -> Answer {
    if ask.rest.is_empty() || ask.rest.ends_with('/') {
        return Err(Fault::invalid("a value has a name"));
    }
    if ask.fields.members().is_empty() {
        return Err(Fault::invalid("missing data fields"));
    }
    let exists = {
        let mut tx = dialect.gate().db().read(ask.view.tenant).await?;
        !entries::paths(&mut tx, ask.mount.id, place).await?.iter().all(|path| path != place)
    };
    let caller = ask.caller_to_write(exists)?;
    let mut grant = dialect.gate().grant(&caller, Action::CubbyholeWrite, ask.resource("cubbyhole")).await?;
    let keys = dialect.seal().tenant(grant.tx()).await?;
    entries::put(grant.tx(), &keys, ask.mount.id, place, ask.fields.members()).await?;
    grant.commit(Done::plain()).await?;
    Ok(Reply::Nothing)
}

async fn delete(dialect: &Dialect, ask: &Ask, place: &str) -> Answer {
    let caller = ask.caller_as_asked()?;
    let mut grant = dialect.gate().grant(&caller, Action::CubbyholeWrite, ask.resource("cubbyhole")).await?;
    let gone: Result<bool, Error> = entries::remove(grant.tx(), ask.mount.id, place).await;
    grant.commit(Done::with(serde_json::json!({ "deleted": gone? }))).await?;
    Ok(Reply::Nothing)
}

async fn list(dialect: &Dialect, ask: &Ask, place: &str) -> Answer {
    let mut grant = enter(dialect, ask).await?;
    let names = entries::list(grant.tx(), ask.mount.id, place).await?;
    grant.record(Done::plain()).await?;
    Reply::keys(&names)
}
