//! The face: one route, one way through.

use std::time::Duration;

use axum::{
    extract::{FromRequest as _, FromRequestParts as _, Request, State},
    response::Response,
    routing::any,
};
use http::{HeaderMap, Method, header::AUTHORIZATION, request::Parts};
use writ_crypto::SecretString;
use writ_kernel::Result;
use writ_web::{Bytes, From, Peer, Trace, body_limit, openapi::OpenApiRouter};

use crate::{
    ask::{Ask, Operation},
    body::Fields,
    dialect::Dialect,
    dispatch, duration,
    fault::{Answer, Fault},
    path::{self, Parsed},
    place, reply, sys, tokens, wrap,
};

/// The routes as they are declared. A sealed server lets them through: the dialect says itself what works then.
const ROUTES: &[&str] = &["/v1", "/v1/", "/v1/{*path}"];

/// The most bytes a body may have.
const BODY: usize = 32 * 1024 * 1024;

/// Everything below `/v1`. Not in the OpenAPI document: the dialect is documented by its own.
pub fn routes(dialect: Dialect) -> OpenApiRouter {
    let mut router = OpenApiRouter::new();
    for route in ROUTES {
        router = router.route(route, any(serve));
    }
    router.layer(body_limit(BODY)).with_state(dialect)
}

async fn serve(State(dialect): State<Dialect>, request: Request) -> Response {
    let parsed = path::parse(request.uri().path());
    let request_id = dialect.world().uuid().to_string();
    match parsed {
        Ok(Parsed::Elsewhere(clean)) => reply::elsewhere(&clean),
        Ok(Parsed::Path(path)) => reply::render(answer(&dialect, request, path).await, &request_id),
        Err(fault) => reply::render(Err(fault), &request_id),
    }
}

/// A request, taken apart.
struct Taken {
    operation: Operation,
    path: String,
    fields: Fields,
    wrap: Option<Duration>,
    shown: Option<SecretString>,
    namespace: String,
    from: From,
}

async fn answer(dialect: &Dialect, request: Request, path: String) -> Answer {
    let query = Fields::of_pairs(request.uri().query().unwrap_or_default().as_bytes());
    let early = sys::early::is(&path);
    let sealed = dialect.seal().is_closed();
    if sealed && !early {
        return Err(writ_kernel::Error::sealed().into());
    }
    let (method, taken) = take(request, path, query).await?;
    if early && let Some(answer) = sys::early::handle(dialect, &method, &taken.path, &taken.fields).await {
        return answer;
    }
    if sealed {
        return Err(writ_kernel::Error::sealed().into());
    }
    let ask = ask(dialect, taken).await?;
    let reply = dispatch::dispatch(dialect, &ask).await?;
    wrap::wrapped(dialect, &ask, reply).await
}

async fn take(request: Request, mut path: String, query: Fields) -> Result<(Method, Taken), Fault> {
    let (mut parts, body) = request.into_parts();
    let operation = Operation::of(&parts.method, &query).ok_or_else(Fault::unsupported_operation)?;
    if operation.lists() && !path.ends_with('/') {
        path.push('/');
    }
    let (peer, trace) = (peer(&mut parts).await?, trace(&mut parts).await?);
    let headers = parts.headers.clone();
    let fields = match operation {
        Operation::Write | Operation::Patch => {
            let body = Bytes::from_request(Request::from_parts(parts.clone(), body), &()).await;
            Fields::of_body(&headers, &body.map_err(|problem| problem.0)?.0)?
        }
        _ => query,
    };
    if operation == Operation::Patch {
        let kind =
            headers.get(http::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if kind.split(';').next().map(str::trim) != Some("application/merge-patch+json") {
            return Err(Fault::unsupported_type(
                "PATCH requires Content-Type to be \"application/merge-patch+json\"",
            ));
        }
    }
    let taken = Taken {
        operation,
        path,
        fields,
        wrap: wrap_ttl(&headers)?,
        shown: shown(&headers),
        namespace: text(&headers, "x-vault-namespace").unwrap_or_default().to_owned(),
        from: From { peer, trace: trace.id() },
    };
    Ok((parts.method, taken))
}

async fn peer(parts: &mut Parts) -> Result<Peer, Fault> {
    Ok(Peer::from_request_parts(parts, &()).await.map_err(|problem| problem.0)?)
}

async fn trace(parts: &mut Parts) -> Result<Trace, Fault> {
    Ok(Trace::from_request_parts(parts, &()).await.map_err(|problem| problem.0)?)
}

/// Who asks, where, and what engine is to answer.
async fn ask(dialect: &Dialect, taken: Taken) -> Result<Ask, Fault> {
    let Taken { operation, mut path, fields, wrap, shown, namespace, from } = taken;
    let who = match &shown {
        Some(text) => match tokens::authenticate(dialect, text, from).await {
            Ok(who) => Some(who),
            // Nobody signs in with a token that has ended.
            Err(_) if anyone(&path, operation) => None,
            Err(error) => return Err(error.into()),
        },
        None => None,
    };
    let view = if namespace.trim_matches('/').is_empty() {
        let (view, rest) = by_prefix(dialect, who.as_ref(), &path).await?;
        path = rest;
        view
    } else {
        place::find(dialect, who.as_ref(), &namespace).await?
    };
    let Some((mount, rest)) = view.mount_of(&path) else {
        return Err(if who.is_none() {
            Fault::nobody()
        } else {
            unmounted(dialect, who, &view, &path).await
        });
    };
    let (mount, rest) = (std::sync::Arc::clone(mount), dispatch::one_form(mount.kind, operation, rest));
    let path = format!("{}{rest}", mount.whole_path());
    if who.is_none() && !dispatch::open(mount.kind, operation, &rest) {
        return Err(Fault::nobody());
    }
    let sudo = dispatch::sudo(mount.kind, &rest);
    Ok(Ask { operation, path, rest, mount, fields, wrap, view, who, shown, from, sudo })
}

/// Whether the path looks like one for signing in, whatever is mounted there, or for taking out what was wrapped.
fn anyone(path: &str, operation: Operation) -> bool {
    let unwraps = path.split_once("sys/wrapping/").is_some();
    unwraps || operation == Operation::Write && path.split('/').any(|segment| segment == "login")
}

/// The environment a path without a namespace is about: the caller's own, unless no mount of it contains the path and
/// the path begins with the name of another.
async fn by_prefix(
    dialect: &Dialect,
    who: Option<&tokens::Who>,
    path: &str,
) -> Result<(std::sync::Arc<crate::view::View>, String), Fault> {
    let own = place::find(dialect, who, "").await;
    if let Ok(view) = &own
        && view.mount_of(path).is_some()
    {
        return Ok((std::sync::Arc::clone(view), path.to_owned()));
    }
    let cuts = path.match_indices('/').map(|(at, _)| at).take(2);
    for (namespace, rest) in cuts.filter_map(|at| path.split_at_checked(at)) {
        let rest = rest.trim_start_matches('/');
        if let Ok(view) = place::find(dialect, who, namespace).await
            && view.mount_of(rest).is_some()
        {
            return Ok((view, rest.to_owned()));
        }
    }
    own.map(|view| (view, path.to_owned()))
}

/// Nothing is mounted at `path`. Whoever may not go there does not learn that.
async fn unmounted(
    dialect: &Dialect,
    who: Option<tokens::Who>,
    view: &crate::view::View,
    path: &str,
) -> Fault {
    let reaches = who.as_ref().and_then(|who| who.caller.fence.as_ref()).is_none_or(|fence| {
        !matches!(fence.rules().reach(path), writ_kernel::Reach::Nothing | writ_kernel::Reach::Denied)
    });
    if let (false, Some(who)) = (reaches, who) {
        let caller = writ_kernel::Caller {
            fence: who.caller.fence.as_ref().map(|fence| fence.at(path, writ_kernel::Capability::Read)),
            ..who.caller
        };
        debug_assert_eq!(caller.tenant, view.tenant, "a place is of its caller's tenant");
        return match dialect.gate().enter(&caller, writ_kernel::Action::CredentialUse).await {
            Ok(_) => Fault::denied(),
            Err(error) => error.into(),
        };
    }
    Fault::nowhere(format!("no handler for route \"{path}\". route entry not found."))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim).filter(|value| !value.is_empty())
}

/// The token of `X-Vault-Token`, or of `Authorization: Bearer`.
fn shown(headers: &HeaderMap) -> Option<SecretString> {
    let bearer = || {
        let (scheme, token) = text(headers, AUTHORIZATION.as_str())?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    };
    let token = text(headers, "x-vault-token").or_else(bearer)?;
    (!token.is_empty()).then(|| SecretString::new(token.to_owned()))
}

fn wrap_ttl(headers: &HeaderMap) -> Result<Option<Duration>, Fault> {
    let Some(wanted) = text(headers, "x-vault-wrap-ttl") else { return Ok(None) };
    let seconds = duration::seconds(wanted).and_then(|seconds| u64::try_from(seconds).ok());
    let seconds = seconds.ok_or_else(|| Fault::invalid("requested wrap ttl is not a duration"))?;
    Ok((seconds > 0).then(|| Duration::from_secs(seconds).min(wrap::LONGEST)))
}
