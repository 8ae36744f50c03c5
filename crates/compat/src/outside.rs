//! Bounded requests to whoever vouches for those who sign in: an issuer's keys, a cluster's API server.

use std::{net::IpAddr, time::Duration};

use reqwest::{Certificate, Client, Method, Url, redirect::Policy};
use serde_json::Value;
use writ_crypto::SecretString;
use writ_kernel::{Error, Result};

/// The most time to connect, for the whole exchange, and the most bytes of an answer.
const CONNECT: Duration = Duration::from_secs(5);
const TOTAL: Duration = Duration::from_secs(10);
const LONGEST: usize = 1024 * 1024;

/// One request.
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    pub(crate) url: &'a str,
    /// The certificate authorities to trust, in PEM; those of the operating system when it is empty.
    pub(crate) authorities: &'a str,
    pub(crate) bearer: Option<&'a SecretString>,
    pub(crate) body: Option<Value>,
}

/// Whether somebody may be asked at `url`: over TLS, or on this very machine.
///
/// # Errors
/// `Invalid`.
pub(crate) fn address(url: &str) -> Result<Url> {
    let refuse = |why: &str| Error::invalid("untrusted_address", format!("the address {why}"));
    let url: Url = url.parse().map_err(|_| refuse("is not a URL"))?;
    let literal = url.host_str().and_then(|host| host.trim_matches(['[', ']']).parse::<IpAddr>().ok());
    let here = literal.is_some_and(|address| address.is_loopback());
    if url.scheme() != "https" && !(url.scheme() == "http" && here) {
        return Err(refuse("is neither `https` nor on this machine"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("holds a credential"));
    }
    Ok(url)
}

/// The JSON that `request` is answered with. No redirect is followed, no proxy used.
///
/// # Errors
/// `Invalid` for the address or the authorities, `Unavailable`, `Timeout`.
pub(crate) async fn json(request: Request<'_>) -> Result<Value> {
    let url = address(request.url)?;
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Losing a race to another thread's installation leaves a provider installed all the same.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    }
    let mut client =
        Client::builder().redirect(Policy::none()).no_proxy().connect_timeout(CONNECT).timeout(TOTAL);
    if !request.authorities.is_empty() {
        let authorities = Certificate::from_pem_bundle(request.authorities.as_bytes());
        let authorities = authorities.map_err(|error| {
            Error::invalid("malformed_authority", "the certificate authorities are not certificates in PEM")
                .because(error)
        })?;
        client = client.tls_certs_only(authorities);
    }
    let client =
        client.build().map_err(|error| Error::internal("cannot set up an HTTP client").because(error))?;
    let mut sent = client.request(request.method, url);
    if let Some(bearer) = request.bearer {
        sent = sent.bearer_auth(bearer.expose());
    }
    if let Some(body) = &request.body {
        sent = sent.json(body);
    }
    let mut response = sent.send().await.map_err(broken)?;
    if !response.status().is_success() {
        let status = response.status().as_u16();
        return Err(Error::unavailable(
            "refused_outside",
            format!("who vouches for them answered with status {status}"),
        ));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        if body.len() + chunk.len() > LONGEST {
            return Err(Error::unavailable(
                "oversized_answer",
                "the answer of who vouches for them is too large",
            ));
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body)
        .map_err(|_| Error::unavailable("malformed_answer", "the answer of who vouches for them is not JSON"))
}

fn broken(error: reqwest::Error) -> Error {
    let error = error.without_url();
    if error.is_timeout() {
        return Error::timeout("no_answer", "who vouches for them did not answer in time").because(error);
    }
    Error::unavailable("unreachable", "who vouches for them cannot be reached").because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_asked_in_the_clear_or_with_a_password_in_the_address() {
        for url in [
            "http://example.com/",
            "https://u:p@example.com/",
            "file:///etc/passwd",
            "http://169.254.169.254/",
            "x",
        ] {
            assert!(address(url).is_err(), "{url}");
        }
        for url in ["https://example.com/keys", "http://127.0.0.1:8080/", "http://[::1]/"] {
            assert!(address(url).is_ok(), "{url}");
        }
    }
}
