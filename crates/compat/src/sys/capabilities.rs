//! What a token may do at paths.

use serde_json::{Map, json};
use writ_crypto::hash;
use writ_gate::Done;
use writ_kernel::{Action, Capability, Reach, Rules};

use crate::{
    ask::Ask,
    dialect::Dialect,
    fault::{Answer, Fault, one},
    reply::Reply,
    sql,
    tokens::Token,
};

/// As many paths are looked at for one request.
const MOST: usize = 256;

/// Answers for `sys/capabilities`, `-self` and `-accessor`.
pub(super) async fn handle(dialect: &Dialect, ask: &Ask, first: &str) -> Answer {
    let paths = match ask.fields.list("paths")?.or(ask.fields.list("path")?) {
        Some(paths) if paths.len() > MOST => {
            return Err(Fault::invalid(format!("at most {MOST} paths can be asked about at once")));
        }
        Some(paths) if !paths.is_empty() => paths,
        _ => return Err(Fault::invalid("paths must be supplied")),
    };
    let entry = dialect.gate().enter_to_read(&ask.caller(Capability::Update)?, Action::TokenRead).await?;
    let mut grant = entry.admit(ask.resource("token")).await?;
    let environment = ask.view.environment.id.uuid();
    let token = match first {
        "capabilities-self" => ask.token().cloned(),
        "capabilities-accessor" => {
            let accessor =
                ask.fields.required("accessor").map_err(|_| Fault::invalid("accessor must be supplied"))?;
            let found = sql::token_of_accessor(grant.tx(), environment, &accessor).await?;
            Some(living(dialect, found).ok_or_else(|| Fault::invalid(one("invalid accessor")))?)
        }
        _ => {
            let text = ask.fields.required("token").map_err(|_| Fault::invalid("token must be supplied"))?;
            let hash = hash::sha256(text.as_bytes());
            let found = sql::token_of_hash(grant.tx(), environment, &hash).await?;
            Some(living(dialect, found).ok_or_else(|| Fault::invalid(one("invalid token")))?)
        }
    };
    let rules = match &token {
        Some(token) => Some(ask.view.rules(dialect, grant.tx(), &token.all_policies(), token.entity).await?),
        None => None,
    };
    grant.record(Done::plain()).await?;
    let mut data = Map::new();
    for path in &paths {
        let words = rules.as_deref().map_or_else(|| vec!["root"], |rules| words(rules, path));
        data.insert(path.clone(), json!(words));
        if paths.len() == 1 {
            data.insert("capabilities".to_owned(), json!(words));
        }
    }
    Ok(Reply::doubled(&data.into()))
}

fn living(dialect: &Dialect, token: Option<Token>) -> Option<Token> {
    token.filter(|token| token.lives(dialect.world().now()))
}

/// The capabilities at `path`, sorted.
fn words(rules: &Rules, path: &str) -> Vec<&'static str> {
    match rules.reach(path.trim_start_matches('/')) {
        Reach::Everything => vec!["root"],
        Reach::Nothing | Reach::Denied => vec!["deny"],
        Reach::Capabilities(capabilities) if capabilities.is_empty() => vec!["deny"],
        Reach::Capabilities(capabilities) => {
            capabilities.iter().map(|capability| capability.as_str()).collect()
        }
    }
}
