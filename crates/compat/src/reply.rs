//! Answers and their envelope.

use std::collections::BTreeMap;

use axum::{
    body::Body,
    response::{IntoResponse as _, Response},
};
use http::{
    HeaderValue, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, STRICT_TRANSPORT_SECURITY},
};
use serde::Serialize;
use serde_json::{Value, json, value::RawValue, value::to_raw_value};
use writ_kernel::Kind;

use crate::fault::Fault;

/// Members of a JSON object, each as it will be written: what a client stored comes back byte for byte.
pub(crate) type Members = BTreeMap<String, Box<RawValue>>;

/// What a handler answers.
#[derive(Debug)]
pub(crate) enum Reply {
    /// 204.
    Nothing,
    /// 200 with the envelope.
    Full(Box<Envelope>),
    /// A document without envelope.
    Bare(StatusCode, Value),
    /// Bytes of another type.
    Raw(StatusCode, &'static str, Vec<u8>),
}

/// The envelope of an answer. All eight keys are always there.
#[derive(Debug, Default)]
pub(crate) struct Envelope {
    /// What was asked for.
    pub(crate) data: Option<Members>,
    /// The token that a login or a creation gave.
    pub(crate) auth: Option<Auth>,
    /// What to mind.
    pub(crate) warnings: Vec<String>,
    /// The lease under which the data was given.
    pub(crate) lease: Lease,
    /// Whether the members of `data` stand beside it, too, as older clients expect of some `sys` paths.
    pub(crate) doubled: bool,
    /// Where the answer waits instead.
    pub(crate) wrapped: Option<WrapInfo>,
    /// 200, or what the handler says.
    pub(crate) status: Option<StatusCode>,
}

/// For how long, and under what name, something was given.
#[derive(Debug, Default, Clone)]
pub(crate) struct Lease {
    /// Its id; empty when nothing can be renewed or revoked.
    pub(crate) id: String,
    /// Whether it can be renewed.
    pub(crate) renewable: bool,
    /// Seconds.
    pub(crate) duration: i64,
}

/// A token as it is handed out.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Auth {
    pub(crate) client_token: String,
    pub(crate) accessor: String,
    pub(crate) policies: Vec<String>,
    pub(crate) token_policies: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) identity_policies: Option<Vec<String>>,
    pub(crate) metadata: Option<BTreeMap<String, String>>,
    pub(crate) lease_duration: i64,
    pub(crate) renewable: bool,
    pub(crate) entity_id: String,
    pub(crate) token_type: &'static str,
    pub(crate) orphan: bool,
    pub(crate) mfa_requirement: Option<()>,
    pub(crate) num_uses: i64,
}

/// Where a wrapped answer waits.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct WrapInfo {
    pub(crate) token: String,
    pub(crate) accessor: String,
    pub(crate) ttl: i64,
    pub(crate) creation_time: String,
    pub(crate) creation_path: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) wrapped_accessor: String,
}

/// `value` as it will be written.
pub(crate) fn raw(value: &impl Serialize) -> Box<RawValue> {
    to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// The members of a JSON object; none of anything else.
pub(crate) fn members(value: &Value) -> Members {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), raw(value))).collect()
}

impl Reply {
    /// 200 with this data.
    pub(crate) fn data(value: &Value) -> Self {
        Self::members(members(value))
    }

    /// 200 with these members.
    pub(crate) fn members(data: Members) -> Self {
        Self::Full(Box::new(Envelope { data: Some(data), ..Envelope::default() }))
    }

    /// 200 with this data, at the top as well.
    pub(crate) fn doubled(value: &Value) -> Self {
        Self::Full(Box::new(Envelope { data: Some(members(value)), doubled: true, ..Envelope::default() }))
    }

    /// 200 with a token.
    pub(crate) fn auth(auth: Auth, warnings: Vec<String>) -> Self {
        Self::Full(Box::new(Envelope { auth: Some(auth), warnings, ..Envelope::default() }))
    }

    /// The names of a folder; 404 when there are none.
    ///
    /// # Errors
    /// 404 with an empty list.
    pub(crate) fn keys(keys: &[String]) -> Result<Self, Fault> {
        if keys.is_empty() { Err(Fault::not_found()) } else { Ok(Self::data(&json!({ "keys": keys }))) }
    }
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    doubled: Option<&'a Members>,
    request_id: &'a str,
    lease_id: &'a str,
    renewable: bool,
    lease_duration: i64,
    data: Option<&'a Members>,
    wrap_info: Option<&'a WrapInfo>,
    warnings: Option<&'a [String]>,
    auth: Option<&'a Auth>,
}

impl Envelope {
    /// The whole document as JSON.
    pub(crate) fn to_json(&self, request_id: &str) -> Vec<u8> {
        let document = Document {
            doubled: self.data.as_ref().filter(|_| self.doubled),
            request_id: if self.wrapped.is_some() { "" } else { request_id },
            lease_id: &self.lease.id,
            renewable: self.lease.renewable,
            lease_duration: self.lease.duration,
            data: self.data.as_ref(),
            wrap_info: self.wrapped.as_ref(),
            warnings: (!self.warnings.is_empty()).then_some(&*self.warnings),
            auth: self.auth.as_ref(),
        };
        serde_json::to_vec(&document).unwrap_or_default()
    }
}

/// An answer on its way out.
pub(crate) fn render(answer: Result<Reply, Fault>, request_id: &str) -> Response {
    let mut response = match answer {
        Ok(Reply::Nothing) => typed(StatusCode::NO_CONTENT, "application/json", Vec::new()),
        Ok(Reply::Full(envelope)) => {
            typed(envelope.status.unwrap_or(StatusCode::OK), "application/json", envelope.to_json(request_id))
        }
        Ok(Reply::Bare(status, value)) => {
            typed(status, "application/json", serde_json::to_vec(&value).unwrap_or_default())
        }
        Ok(Reply::Raw(status, kind, bytes)) => typed(status, kind, bytes),
        Err(fault) => failed(&fault, request_id),
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let hsts = HeaderValue::from_static("max-age=31536000; includeSubDomains");
    headers.insert(STRICT_TRANSPORT_SECURITY, hsts);
    response
}

fn failed(fault: &Fault, request_id: &str) -> Response {
    let body = match &fault.envelope {
        Some(envelope) => envelope.to_json(request_id),
        None => serde_json::to_vec(&json!({ "errors": fault.errors })).unwrap_or_default(),
    };
    let mut response = typed(fault.status, "application/json", body);
    let Some(error) = &fault.cause else { return response };
    if error.kind() == Kind::Internal {
        tracing::error!(%error, source = ?std::error::Error::source(error), "request failed: our fault");
    }
    if let Some(wait) = error.retry_after() {
        response.headers_mut().insert(RETRY_AFTER, wait.as_secs().max(1).into());
    }
    if let Some(receipt) = error.receipt().and_then(|receipt| receipt.parse().ok()) {
        response.headers_mut().insert(writ_web::RECEIPT, receipt);
    }
    response
}

fn typed(status: StatusCode, kind: &'static str, body: Vec<u8>) -> Response {
    (status, [(CONTENT_TYPE, HeaderValue::from_static(kind))], Body::from(body)).into_response()
}

/// 307 to the path in its one form.
pub(crate) fn elsewhere(location: &str) -> Response {
    let mut response = typed(StatusCode::TEMPORARY_REDIRECT, "text/html; charset=utf-8", Vec::new());
    if let Ok(location) = location.parse() {
        response.headers_mut().insert(http::header::LOCATION, location);
    }
    response
}
