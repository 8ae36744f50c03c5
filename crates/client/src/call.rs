//! Calls.

use std::{
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use bytes::Bytes;
use reqwest::{
    Body, Method, Request, Response, StatusCode, Url,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER},
    redirect::Policy,
};
use serde::{Serialize, de::DeserializeOwned};
use writ_kernel::Chance;

use crate::{Error, Problem, Result, Token, Trust, retry, trust::tls};

/// The longest problem document that is read.
const LONGEST_PROBLEM: usize = 64 * 1024;

/// How to reach a server.
pub struct Config {
    /// Where it is: `https://host:port`, or `http://` on a loopback address. A path is kept as a prefix.
    pub base_url: String,
    /// Who it must be.
    pub trust: Trust,
    /// What we show; `None` for the few calls that need nothing.
    pub token: Option<Token>,
    /// How long one attempt of a call may take, to the last byte of the answer. A download may take longer in
    /// all, but not between two pieces.
    pub timeout: Duration,
    /// How often a call is attempted in all, where repeating is safe; at least once.
    pub attempts: u32,
    /// A server that asks for more patience than this before the next attempt is not waited for.
    pub patience: Duration,
    /// The longest answer that is read into memory, in bytes.
    pub longest_answer: usize,
    /// Who we are, for the server's log.
    pub user_agent: String,
    /// What every call brings along beside its own headers. Mark those that are secret.
    pub headers: HeaderMap,
    /// Spreads retries of many clients.
    pub chance: Arc<dyn Chance>,
}

impl Config {
    /// A configuration with the usual limits: 30 s, 4 attempts, a minute of patience, 16 MiB; and without a token.
    pub fn new(base_url: impl Into<String>, trust: Trust, chance: Arc<dyn Chance>) -> Self {
        Self {
            base_url: base_url.into(),
            trust,
            token: None,
            timeout: Duration::from_secs(30),
            attempts: 4,
            patience: Duration::from_mins(1),
            longest_answer: 16 * 1024 * 1024,
            user_agent: concat!("writ-client/", env!("CARGO_PKG_VERSION")).into(),
            headers: HeaderMap::new(),
            chance,
        }
    }
}

/// Calls one server. Paths begin with `/`; path segments and queries are encoded by the caller.
///
/// GET, PUT and DELETE, and a POST with an idempotency key, are repeated when there was no connection or the
/// server said 429, 502, 503 or 504, after what `Retry-After` says and a random wait. Redirects are not
/// followed and no proxy is used.
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: RwLock<Option<Token>>,
    receipt: Mutex<Option<String>>,
    timeout: Duration,
    attempts: u32,
    patience: Duration,
    longest_answer: usize,
    chance: Arc<dyn Chance>,
}

impl Client {
    /// A client; nothing is connected yet.
    ///
    /// # Errors
    /// [`Error::Setup`] for a malformed address, plain HTTP to another machine, TLS without trust, or an
    /// unreadable authority file.
    pub fn new(config: Config) -> Result<Self> {
        let base = base(&config.base_url, &config.trust)?;
        let builder = reqwest::Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .referer(false)
            .user_agent(config.user_agent)
            .default_headers(config.headers)
            .connect_timeout(config.timeout.min(Duration::from_secs(10)))
            .read_timeout(config.timeout)
            .tls_backend_preconfigured(tls(&config.trust)?);
        let http =
            builder.build().map_err(|source| Error::setup_because("cannot make an HTTP client", source))?;
        Ok(Self {
            http,
            base,
            token: RwLock::new(config.token),
            receipt: Mutex::new(None),
            timeout: config.timeout,
            attempts: config.attempts.max(1),
            patience: config.patience,
            longest_answer: config.longest_answer,
            chance: config.chance,
        })
    }

    /// Shows `token` from the next call on.
    pub fn renew(&self, token: Token) {
        *self.token.write().unwrap_or_else(PoisonError::into_inner) = Some(token);
    }

    /// Names the evidence of the latest answered call that has some.
    pub fn last_receipt(&self) -> Option<String> {
        self.receipt.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the resource at `path`.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.json(self.request(Method::GET, path)?, true).await
    }

    /// Posts `body`, once.
    pub async fn post<B: Serialize + ?Sized, T: DeserializeOwned>(&self, path: &str, body: &B) -> Result<T> {
        self.json(with_json(self.request(Method::POST, path)?, body)?, false).await
    }

    /// Posts `body` under an idempotency key: the server acts at most once on it, so it may be repeated.
    pub async fn post_once<B: Serialize + ?Sized, T: DeserializeOwned>(
        &self,
        path: &str,
        key: &str,
        body: &B,
    ) -> Result<T> {
        let mut request = with_json(self.request(Method::POST, path)?, body)?;
        let key =
            HeaderValue::from_str(key).map_err(|e| Error::setup_because("the key is no header value", e))?;
        request.headers_mut().insert("idempotency-key", key);
        self.json(request, true).await
    }

    /// Posts raw bytes, once.
    pub async fn post_bytes<T: DeserializeOwned>(
        &self,
        path: &str,
        content_type: &str,
        body: Bytes,
    ) -> Result<T> {
        self.upload(path, content_type, body).await
    }

    /// Posts a body that may be a stream ([`Body::wrap_stream`]), once.
    pub async fn upload<T: DeserializeOwned>(
        &self,
        path: &str,
        content_type: &str,
        body: impl Into<Body>,
    ) -> Result<T> {
        let mut request = self.request(Method::POST, path)?;
        let content_type = HeaderValue::from_str(content_type)
            .map_err(|e| Error::setup_because("the content type is no header value", e))?;
        request.headers_mut().insert(CONTENT_TYPE, content_type);
        *request.body_mut() = Some(body.into());
        self.json(request, false).await
    }

    /// Replaces the resource at `path`.
    pub async fn put<B: Serialize + ?Sized, T: DeserializeOwned>(&self, path: &str, body: &B) -> Result<T> {
        self.json(with_json(self.request(Method::PUT, path)?, body)?, true).await
    }

    /// Changes a part of the resource at `path`, once.
    pub async fn patch<B: Serialize + ?Sized, T: DeserializeOwned>(&self, path: &str, body: &B) -> Result<T> {
        self.json(with_json(self.request(Method::PATCH, path)?, body)?, false).await
    }

    /// Removes the resource at `path`.
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.json(self.request(Method::DELETE, path)?, true).await
    }

    /// Reads the resource at `path` piece by piece, however long it is.
    pub async fn download(&self, path: &str) -> Result<Download> {
        let mut request = self.request(Method::GET, path)?;
        request.headers_mut().remove(ACCEPT);
        // The whole may take any time; `read_timeout` still bounds each piece.
        *request.timeout_mut() = None;
        self.send(request, true).await.map(Download)
    }

    fn request(&self, method: Method, path: &str) -> Result<Request> {
        if !path.starts_with('/') {
            return Err(Error::setup("a path begins with `/`"));
        }
        let url = format!("{}{path}", self.base.as_str().trim_end_matches('/'));
        let url = Url::parse(&url).map_err(|source| Error::setup_because("the path is malformed", source))?;
        let mut request = Request::new(method, url);
        *request.timeout_mut() = Some(self.timeout);
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        Ok(request)
    }

    async fn json<T: DeserializeOwned>(&self, request: Request, safe: bool) -> Result<T> {
        let mut response = self.send(request, safe).await?;
        let body = bounded(&mut response, self.longest_answer).await?;
        // 204 No Content stands for `()`.
        let body = if body.is_empty() { b"null" } else { body.as_slice() };
        serde_json::from_slice(body).map_err(|error| {
            // Its own message may quote the answer.
            let place = format!("line {} column {}", error.line(), error.column());
            Error::Answer(format!("not the expected JSON, at {place}").into())
        })
    }

    /// Sends `request`, again if that is `safe` and may help, until an answer below 300.
    async fn send(&self, request: Request, safe: bool) -> Result<Response> {
        for attempt in 1.. {
            let again = if safe && attempt < self.attempts { request.try_clone() } else { None };
            let Some(this) = again else { break };
            let error = match self.attempt(this).await {
                Err(error) if error.is_passing() => error,
                done => return done,
            };
            let asked = error.problem().and_then(Problem::wait);
            let Some(wait) = retry::wait(attempt, asked, self.patience, &*self.chance) else {
                return Err(error);
            };
            tracing::debug!(attempt, wait_ms = wait.as_secs_f64() * 1e3, %error, "call failed, trying again");
            tokio::time::sleep(wait).await;
        }
        self.attempt(request).await
    }

    async fn attempt(&self, mut request: Request) -> Result<Response> {
        if let Some(token) = &*self.token.read().unwrap_or_else(PoisonError::into_inner) {
            request.headers_mut().insert(AUTHORIZATION, token.header()?);
        }
        let response = self.http.execute(request).await.map_err(Error::transport)?;
        let receipt = text(response.headers(), "writ-receipt");
        if receipt.is_some() {
            self.receipt.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&receipt);
        }
        if response.status().is_success() {
            return Ok(response);
        }
        Err(Error::Problem(Box::new(problem(response, receipt).await)))
    }
}

/// An answer that is read piece by piece.
#[derive(Debug)]
pub struct Download(Response);

impl Download {
    /// The next piece; `None` after the last one.
    ///
    /// # Errors
    /// [`Error::Unreachable`] or [`Error::Timeout`] when the answer breaks off.
    pub async fn piece(&mut self) -> Result<Option<Bytes>> {
        loop {
            // The last frame of an HTTP/2 answer may be empty.
            match self.0.chunk().await.map_err(Error::transport)? {
                Some(piece) if piece.is_empty() => {}
                piece => return Ok(piece),
            }
        }
    }
}

fn base(text: &str, trust: &Trust) -> Result<Url> {
    let malformed = "a server's address is like `https://host:port`";
    let url = Url::parse(text).map_err(|source| Error::setup_because(malformed, source))?;
    let bare = url.username().is_empty() && url.password().is_none() && url.query().is_none();
    if !bare || url.fragment().is_some() || !url.has_host() {
        return Err(Error::setup(malformed));
    }
    match (url.scheme(), trust) {
        ("https", Trust::Pin(_) | Trust::Authority(_)) => Ok(url),
        ("https", Trust::Loopback) => {
            Err(Error::setup("TLS needs a certificate pin or an authority to trust"))
        }
        ("http", Trust::Loopback) if is_loopback(&url) => Ok(url),
        ("http", _) => Err(Error::setup("plain HTTP is spoken on loopback only, and with nothing to trust")),
        _ => Err(Error::setup(malformed)),
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn with_json<B: Serialize + ?Sized>(mut request: Request, body: &B) -> Result<Request> {
    let body =
        serde_json::to_vec(body).map_err(|source| Error::setup_because("cannot serialise a body", source))?;
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    *request.body_mut() = Some(body.into());
    Ok(request)
}

/// What an answer that is no success says: its problem document if it is one, else its status.
async fn problem(mut response: Response, receipt: Option<String>) -> Problem {
    let status = response.status();
    let retry_after = text(response.headers(), RETRY_AFTER.as_str()).and_then(|seconds| seconds.parse().ok());
    let body = bounded(&mut response, LONGEST_PROBLEM).await.unwrap_or_default();
    let told: Problem = serde_json::from_slice(&body).unwrap_or_default();
    let retry_after = retry_after.or(told.retry_after);
    Problem { status: StatusCode::as_u16(&status), retry_after, receipt, ..told }
}

async fn bounded(response: &mut Response, longest: usize) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(Error::transport)? {
        if body.len() + piece.len() > longest {
            return Err(Error::Answer(format!("it is longer than {longest} bytes").into()));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("base_url", &self.base_url)
            .field("trust", &self.trust)
            .finish_non_exhaustive()
    }
}
