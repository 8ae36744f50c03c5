//! Signing in and out.

use clap::Args as Group;
use serde_json::json;
use writ_wire::identity::{LoggedIn, Login as Request, WhoAmI};

use crate::{
    commands::Context,
    connect::{self, Profile},
    input,
    output::{Failure, details, when},
};

/// Sign in with an enrolment token or an API key, which is typed or comes in on standard input.
#[derive(Debug, Group)]
pub(crate) struct Login {
    /// Where this session lives, for the listing; this machine's name unless told.
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
}

pub(crate) async fn log_in(context: &Context, options: Login) -> Result<(), Failure> {
    let given = &context.connection;
    let kept = Profile::load().ok().flatten();
    let server = given.server.clone().or_else(|| kept.as_ref().map(|kept| kept.server.clone()));
    let server = server.ok_or_else(|| {
        Failure::usage("no server is named")
            .hint("give --server, and --pin as the server printed it when it started")
    })?;
    let same = kept.filter(|kept| kept.server == server && given.pin.is_none() && given.authority.is_none());
    let (pin, authority) = match same {
        Some(kept) => (kept.pin, kept.authority),
        None => (given.pin.clone(), given.authority.clone()),
    };
    let authority = authority.map(std::path::absolute).transpose();
    let authority = authority.map_err(|error| Failure::usage(format!("--authority: {error}")))?;
    let client = connect::connect(&server, pin.as_deref(), authority.clone(), None)?;
    let token = match &given.token {
        Some(token) => token.clone(),
        None => input::secret("enrolment token or API key")?,
    };
    let label = options.label.or_else(machine);
    let come = client.post("/api/v1/sessions", &Request { token, label }).await;
    let come: LoggedIn = come.map_err(|error| match error.problem() {
        Some(problem) if problem.status == 401 => Failure::from(error).hint(
            "an enrolment token is good once and for a day; an administrator can give you a way in again",
        ),
        _ => error.into(),
    })?;
    Profile { server, pin, authority, token: come.token.clone() }.save()?;
    let said = json!({ "session": come.session, "person": come.person, "tenant": come.tenant });
    context.output.result(&said, |_| {
        let (person, tenant, end) = (&come.person.name, &come.tenant.name, when(come.session.expires_at));
        format!("signed in as {person} of {tenant} until {end}")
    });
    Ok(())
}

fn machine() -> Option<String> {
    let name = rustix::system::uname();
    name.nodename().to_str().ok().filter(|name| !name.is_empty()).map(|name| format!("writ on {name}"))
}

pub(crate) async fn log_out(context: &Context) -> Result<(), Failure> {
    if Profile::load()?.is_none() {
        context.output.done("nobody is signed in");
        return Ok(());
    }
    let ended = context.client()?.delete::<()>("/api/v1/sessions/current").await;
    Profile::remove()?;
    match ended {
        Ok(()) => context.output.done("signed out"),
        // The session is over already: nothing is left to end.
        Err(error) if error.problem().is_some_and(|problem| problem.status == 401) => {
            context.output.done("signed out; the session had ended before");
        }
        Err(error) => {
            let failure = Failure::from(error);
            return Err(failure.hint("the session is forgotten here; it ends on the server when it expires"));
        }
    }
    Ok(())
}

pub(crate) async fn who_am_i(context: &Context) -> Result<(), Failure> {
    let me: WhoAmI = context.client()?.get("/api/v1/whoami").await?;
    context.output.result(&me, |me| {
        let listed = |items: &[String]| if items.is_empty() { "-".to_owned() } else { items.join(" ") };
        details(&[
            ("name", me.name.clone()),
            ("kind", me.kind.clone()),
            ("principal", me.principal.to_string()),
            ("tenant", me.tenant.to_string()),
            ("roles", listed(&me.roles)),
            ("scopes", listed(&me.scopes)),
        ])
    });
    Ok(())
}
