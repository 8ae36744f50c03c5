//! A fake of the AWS Security Token Service, for the answers that emulators do not give: it checks the external id
//! and the lifetime, and can be slow, busy, oversized or redirect. It follows the wire format of the STS API
//! reference (query API, version 2011-06-15) and does not check signatures, only that there is one where one is
//! needed.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use tokio::net::TcpListener;

/// The external id that the fake's role demands.
pub(crate) const EXTERNAL_ID: &str = "writ-external-id-7f3a";
/// What the fake's role gives at most, in seconds.
pub(crate) const MAX_DURATION: u32 = 1800;
/// When the fake's leases end.
pub(crate) const EXPIRATION: &str = "2026-11-22T12:30:00Z";

/// How the fake behaves.
#[derive(Clone)]
pub(crate) enum Mood {
    /// As the service does.
    Proper,
    /// Refuses this many requests as throttled, then is proper.
    Busy(u32),
    /// Refuses each request with this status, code and message.
    Refusing(u16, &'static str, String),
    /// Redirects to this address.
    Redirecting(String),
    /// Answers with this body.
    Saying(String),
    /// Answers after this long.
    Slow(Duration),
}

/// A running fake and what it was asked.
pub(crate) struct FakeSts {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<Asked>>>,
}

/// One request.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) fields: BTreeMap<String, String>,
    pub(crate) authorization: Option<String>,
}

type Shared = (Arc<Mutex<Mood>>, Arc<Mutex<Vec<Asked>>>);

impl FakeSts {
    /// Starts a fake on a loopback port.
    pub(crate) async fn start(mood: Mood) -> Self {
        let requests: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let state: Shared = (Arc::new(Mutex::new(mood)), Arc::clone(&requests));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let app = Router::new().route("/", post(answer)).with_state(state);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, requests }
    }

    pub(crate) fn requests(&self) -> Vec<Asked> {
        self.requests.lock().unwrap().clone()
    }
}

async fn answer(State((mood, requests)): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let fields: BTreeMap<String, String> = form_urlencoded::parse(&body).into_owned().collect();
    let authorization = headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
    let asked = Asked { fields, authorization };
    requests.lock().unwrap().push(asked.clone());
    let now = {
        let mut mood = mood.lock().unwrap();
        let now = mood.clone();
        if let Mood::Busy(left) = &mut *mood {
            *left = left.saturating_sub(1);
        }
        now
    };
    match now {
        Mood::Proper | Mood::Busy(0) => proper(&asked),
        Mood::Busy(_) => error(400, "Throttling", "Rate exceeded"),
        Mood::Refusing(status, code, message) => error(status, code, &message),
        Mood::Redirecting(to) => (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to)]).into_response(),
        Mood::Saying(body) => body.into_response(),
        Mood::Slow(wait) => {
            tokio::time::sleep(wait).await;
            proper(&asked)
        }
    }
}

fn proper(asked: &Asked) -> Response {
    let field = |name: &str| asked.fields.get(name).map_or("", String::as_str);
    let action = field("Action");
    if field("DurationSeconds").parse::<u32>().unwrap() > MAX_DURATION {
        let message = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
        return error(400, "ValidationError", message);
    }
    match action {
        "AssumeRoleWithWebIdentity" if asked.authorization.is_none() => {
            if field("WebIdentityToken") == "expired" {
                return error(
                    400,
                    "ExpiredTokenException",
                    "Token expired: current date/time must be before the expiration",
                );
            }
        }
        "AssumeRole" => {
            if !asked.authorization.as_deref().is_some_and(|value| value.starts_with("AWS4-HMAC-SHA256 ")) {
                return error(403, "MissingAuthenticationToken", "Request is missing Authentication Token");
            }
            if field("ExternalId") != EXTERNAL_ID {
                let message = "User: arn:aws:sts::111122223333:assumed-role/runner/x is not authorized to perform: \
                               sts:AssumeRole on resource: arn:aws:iam::123456789012:role/deploy";
                return error(403, "AccessDenied", message);
            }
        }
        _ => return error(400, "InvalidAction", "Could not find operation"),
    }
    success(action)
}

/// The answer of the API reference, with values of the fake's own.
pub(crate) fn success(action: &str) -> Response {
    format!(
        r#"<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <{action}Result>
    <AssumedRoleUser>
      <Arn>arn:aws:sts::123456789012:assumed-role/deploy/session</Arn>
      <AssumedRoleId>AROA123EXAMPLE123:session</AssumedRoleId>
    </AssumedRoleUser>
    <Credentials>
      <AccessKeyId>ASIAFAKE{action}</AccessKeyId>
      <SecretAccessKey>fake/secret+{action}</SecretAccessKey>
      <SessionToken>fake//token=={action}</SessionToken>
      <Expiration>{EXPIRATION}</Expiration>
    </Credentials>
    <PackedPolicySize>6</PackedPolicySize>
  </{action}Result>
  <ResponseMetadata><RequestId>c6104cbe-af31-11e0-8154-cbc7ccf896c7</RequestId></ResponseMetadata>
</{action}Response>"#
    )
    .into_response()
}

fn error(status: u16, code: &str, message: &str) -> Response {
    let body = format!(
        r#"<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>
  <RequestId>c6104cbe-af31-11e0-8154-cbc7ccf896c7</RequestId>
</ErrorResponse>"#
    );
    (StatusCode::from_u16(status).unwrap(), body).into_response()
}
