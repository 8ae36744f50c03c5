//! Bounded requests to whoever vouches for those who sign in: an issuer's keys, a cluster's API server.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use reqwest::{
    Certificate, Client, Method, Url,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::Policy,
};
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
    /// Whether it may be on this machine or in a private network.
    pub(crate) private_networks: bool,
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
    let here = literal(&url).is_some_and(|address| address.is_loopback());
    if url.scheme() != "https" && !(url.scheme() == "http" && here) {
        return Err(refuse("is neither `https` nor on this machine"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("holds a credential"));
    }
    Ok(url)
}

fn literal(url: &Url) -> Option<IpAddr> {
    url.host_str().and_then(|host| host.trim_matches(['[', ']']).parse::<IpAddr>().ok())
}

/// Whether anybody on the Internet could be at `address`.
fn public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            let shared = a == 100 && b & 0xc0 == 64;
            let special =
                a == 0 || a >= 224 || (a == 192 && b == 0 && c == 0) || (a == 198 && b & 0xfe == 18);
            !(address.is_loopback() || address.is_private() || address.is_link_local() || shared || special)
        }
        // Global unicast, without what carries an address of version 4 inside (6to4, Teredo).
        IpAddr::V6(address) => {
            let [first, second, ..] = address.segments();
            first & 0xe000 == 0x2000 && first != 0x2002 && (first, second) != (0x2001, 0)
        }
    }
}

/// Resolves a name, unless any of its addresses is not public: what is resolved is what is connected to.
struct Public;

impl Resolve for Public {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            if found.iter().any(|address| !public(address.ip())) {
                return Err("an address of a private network".into());
            }
            let found: Addrs = Box::new(found.into_iter());
            Ok(found)
        })
    }
}

/// The JSON that `request` is answered with. No redirect is followed, no proxy used. Whatever goes wrong on the way is
/// told in the same words: who configures a way to sign in learns nothing about networks that are not theirs.
///
/// # Errors
/// `Invalid` for the address or the authorities, `Unavailable`.
pub(crate) async fn json(request: Request<'_>) -> Result<Value> {
    let url = address(request.url)?;
    if !request.private_networks && literal(&url).is_some_and(|address| !public(address)) {
        return Err(unreachable().context("an address of a private network"));
    }
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Losing a race to another thread's installation leaves a provider installed all the same.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    }
    let mut client =
        Client::builder().redirect(Policy::none()).no_proxy().connect_timeout(CONNECT).timeout(TOTAL);
    if !request.private_networks {
        client = client.dns_resolver(Arc::new(Public));
    }
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
        return Err(unreachable().context(format!("answered with status {status}")));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        if body.len() + chunk.len() > LONGEST {
            return Err(unreachable().context("the answer is too large"));
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body).map_err(|_| unreachable().context("the answer is not JSON"))
}

fn broken(error: reqwest::Error) -> Error {
    unreachable().because(error.without_url())
}

fn unreachable() -> Error {
    Error::unavailable("unreachable", "who vouches for them cannot be asked")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_in_a_private_network_is_public() {
        for address in [
            "127.0.0.1",
            "10.0.0.1",
            "192.168.1.1",
            "172.16.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "::1",
            "fe80::1",
            "fc00::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
            "224.0.0.1",
        ] {
            assert!(!public(address.parse().unwrap()), "{address}");
        }
        for address in ["8.8.8.8", "2606:4700::1111", "100.128.0.1"] {
            assert!(public(address.parse().unwrap()), "{address}");
        }
    }

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
