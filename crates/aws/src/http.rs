//! One bounded exchange over HTTP: no redirect, no proxy, no cookie, a limit on time and on size.

use std::{net::IpAddr, time::Duration};

use bytes::Bytes;
use reqwest::{Client, RequestBuilder, StatusCode, Url, redirect::Policy};
use writ_crypto::SecretBytes;
use writ_kernel::{Error, Result};

/// How much an exchange may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The most time to connect.
    pub connect: Duration,
    /// The most time for the whole exchange.
    pub total: Duration,
    /// The most bytes of an answer.
    pub body: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), total: Duration::from_secs(15), body: 64 * 1024 }
    }
}

/// Sends requests within [`Limits`].
#[derive(Debug, Clone)]
pub struct Http {
    client: Client,
    limits: Limits,
}

/// What came back. The body may hold credentials.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) body: SecretBytes,
}

impl Http {
    /// A client that obeys `limits`.
    ///
    /// # Errors
    /// `Internal` when TLS cannot be set up.
    pub fn new(limits: Limits) -> Result<Self> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // Losing a race to another thread's installation leaves a provider installed all the same.
            drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        }
        let client = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(limits.connect)
            .timeout(limits.total)
            .user_agent("writ-runner")
            .build()
            .map_err(|error| Error::internal("cannot set up an HTTP client").because(error))?;
        Ok(Self { client, limits })
    }

    pub(crate) fn post(&self, url: Url) -> RequestBuilder {
        self.client.post(url)
    }

    pub(crate) fn head(&self, url: Url) -> RequestBuilder {
        self.client.head(url)
    }

    pub(crate) fn get(&self, url: Url) -> RequestBuilder {
        self.client.get(url)
    }

    /// Sends `request` to the service called `peer` in errors.
    ///
    /// # Errors
    /// `Timeout`, `Unavailable` when there is no connection or the answer is a redirect or too large. Errors never
    /// hold the request.
    pub(crate) async fn send(&self, request: RequestBuilder, peer: &str) -> Result<Reply> {
        let mut response = request.send().await.map_err(|error| broken(error, peer))?;
        let status = response.status();
        if status.is_redirection() {
            return Err(Error::unavailable("redirected", format!("{peer} answered with a redirect"))
                .hint("redirects are never followed: configure the address it really has"));
        }
        let mut body = Vec::with_capacity(self.limits.body.min(8 * 1024));
        while let Some(chunk) = response.chunk().await.map_err(|error| broken(error, peer))? {
            if body.len() + chunk.len() > self.limits.body {
                return Err(Error::unavailable(
                    "oversized_answer",
                    format!("the answer of {peer} is too large"),
                ));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply { status, body: SecretBytes::new(body) })
    }
}

/// Bytes to send, overwritten after the last of them was handed to the system.
pub fn wiped(bytes: SecretBytes) -> Bytes {
    struct Wiped(SecretBytes);
    impl AsRef<[u8]> for Wiped {
        fn as_ref(&self) -> &[u8] {
            self.0.expose()
        }
    }
    Bytes::from_owner(Wiped(bytes))
}

/// The `host` header of a request to `url`.
pub(crate) fn host_of(url: &Url) -> String {
    let name = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"))
}

fn broken(error: reqwest::Error, peer: &str) -> Error {
    let error = error.without_url();
    if error.is_timeout() {
        return Error::timeout("no_answer", format!("{peer} did not answer in time")).because(error);
    }
    Error::unavailable("unreachable", format!("{peer} cannot be reached")).because(error)
}

/// `text` as an address a credential may be sent to: `https`, or `http` on this very machine, without user,
/// password, query or fragment.
///
/// # Errors
/// `Invalid` when it is not one.
pub(crate) fn trusted_url(text: &str, also: &[IpAddr]) -> Result<Url> {
    let refuse = |why: &str| Error::invalid("untrusted_address", format!("`{text}` {why}"));
    let url: Url =
        text.parse().map_err(|_| Error::invalid("malformed_address", "the address is not a URL"))?;
    let plain = !url.username().is_empty() || url.password().is_some();
    if plain || url.query().is_some() || url.fragment().is_some() {
        return Err(Error::invalid(
            "malformed_address",
            "an address has no user, password, query or fragment",
        ));
    }
    let literal = url.host_str().and_then(|host| host.trim_matches(['[', ']']).parse::<IpAddr>().ok());
    let near = literal.is_some_and(|address| address.is_loopback() || also.contains(&address));
    match url.scheme() {
        "https" => Ok(url),
        "http" if near => Ok(url),
        "http" => Err(refuse("is neither https nor a loopback address")),
        _ => Err(refuse("is not https")),
    }
}
