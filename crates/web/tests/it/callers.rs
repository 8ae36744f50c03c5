//! Who asks.

use std::{future::Future, net::SocketAddr, pin::Pin, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::Extension,
    http::{Request, header::WWW_AUTHENTICATE},
    routing::get,
};
use tower::ServiceExt as _;
use writ_kernel::{Caller, Error, Id, Result};
use writ_web::{Authenticate, Authenticated, From, Peer};

use crate::{
    requests::{manners, problem, text},
    world::world,
};

/// Knows one token.
struct Porter;

impl Authenticate for Porter {
    fn authenticate<'a>(
        &'a self,
        token: &'a str,
        from: From,
    ) -> Pin<Box<dyn Future<Output = Result<Caller>> + Send + 'a>> {
        Box::pin(async move {
            if token != "writ_key_1" {
                return Err(Error::unauthenticated("unknown_credential", "the credential is not known"));
            }
            let caller = Caller::system(Id::from_uuid(world().uuid()), &world());
            Ok(Caller { source: Some(from.peer.0.ip()), trace: from.trace, ..caller })
        })
    }
}

async fn ask(headers: &[(&str, &str)]) -> axum::http::Response<Body> {
    let told =
        async |Authenticated(caller): Authenticated| format!("{} {}", caller.source.unwrap(), caller.trace);
    let peer = Peer("192.0.2.7:1234".parse::<SocketAddr>().unwrap());
    let router = Router::new().route("/", get(told));
    let router = router.layer(Extension(Arc::new(Porter) as Arc<dyn Authenticate>)).layer(Extension(peer));
    let mut request = Request::get("/");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    manners().teach(router).oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_token_is_shown_in_either_header() {
    for header in [
        ("authorization", "Bearer writ_key_1"),
        ("authorization", "bearer writ_key_1"),
        ("x-api-key", "writ_key_1"),
    ] {
        let answer = text(ask(&[header]).await).await;
        assert_eq!(answer, format!("192.0.2.7 {}", "01".repeat(16)), "{header:?}");
    }
}

#[tokio::test]
async fn nobody_and_somebody_ambiguous_are_told_to_authenticate() {
    for (headers, code) in [
        (&[][..], "no_credential"),
        (&[("authorization", "Basic writ_key_1")], "no_credential"),
        (&[("authorization", "writ_key_1")], "no_credential"),
        (&[("authorization", "Bearer ")], "no_credential"),
        (&[("authorization", "Bearer writ_key_1"), ("x-api-key", "writ_key_1")], "no_credential"),
        (&[("authorization", "Bearer writ_key_1"), ("authorization", "Bearer other")], "no_credential"),
        (&[("x-api-key", "writ_key_1"), ("x-api-key", "other")], "no_credential"),
        (&[("x-api-key", "writ_key_2")], "unknown_credential"),
    ] {
        let response = ask(headers).await;
        assert_eq!(response.headers()[WWW_AUTHENTICATE], "Bearer realm=\"writ\"");
        let (status, document) = problem(response).await;
        assert_eq!((status, &document["code"]), (401, &serde_json::json!(code)), "{headers:?}");
    }
}
