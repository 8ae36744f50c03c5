//! The two servers, started alike: their own directory, their own certificate, sealed with one share, unsealed.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::{
    DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    cases::{self, Case},
    load::Connection,
};

/// A server under load.
pub(crate) struct Peer {
    child: Child,
    address: String,
    tls: Arc<rustls::ClientConfig>,
    root: String,
    /// The token of the load: the policies `default` and `app`.
    pub(crate) token: String,
    /// What the case at hand needs to know from an earlier answer.
    pub(crate) learnt: Vec<String>,
    /// From exec until a request is served.
    pub(crate) started_in: Duration,
    _files: TempDir,
}

impl Peer {
    pub(crate) async fn writ() -> Self {
        let (files, port) = (tempfile::tempdir().unwrap(), free_port());
        let mut command = Command::new(env!("CARGO_BIN_EXE_writ"));
        command
            .arg("server")
            .env("WRIT_DATA_DIR", files.path().join("data"))
            .env("WRIT_SERVER_LISTEN", format!("127.0.0.1:{port}"))
            .env("WRIT_LOG_FILTER", "error");
        for limit in ["TENANT_PER_SECOND", "TENANT_BURST", "PRINCIPAL_PER_SECOND", "PRINCIPAL_BURST"] {
            command.env(format!("WRIT_LIMITS_{limit}"), "10000000");
        }
        Self::start(command, port, files).await
    }

    pub(crate) async fn bao() -> Self {
        let (files, port) = (tempfile::tempdir().unwrap(), free_port());
        let configuration = files.path().join("bao.json");
        fs::create_dir(files.path().join("raft")).unwrap();
        let (certificate, key) = certificate(files.path());
        let text = json!({
            "disable_mlock": true,
            "api_addr": format!("https://127.0.0.1:{port}"),
            "cluster_addr": format!("https://127.0.0.1:{}", free_port()),
            "storage": { "raft": { "path": files.path().join("raft"), "node_id": "one" } },
            "listener": { "tcp": {
                "address": format!("127.0.0.1:{port}"),
                "tls_cert_file": certificate,
                "tls_key_file": key,
            } },
            "audit": [{ "type": "file", "path": "file", "options": { "file_path": files.path().join("audit.log") } }],
        });
        fs::write(&configuration, text.to_string()).unwrap();
        let program = std::env::var_os("WRIT_BAO").unwrap_or_else(|| "bao".into());
        let mut command = Command::new(program);
        command.arg("server").arg("-log-level=error").arg(format!("-config={}", configuration.display()));
        Self::start(command, port, files).await
    }

    async fn start(mut command: Command, port: u16, files: TempDir) -> Self {
        let begun = Instant::now();
        let log = fs::File::create(files.path().join("server.log")).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the server starts");
        let mut peer = Self {
            child,
            address: format!("127.0.0.1:{port}"),
            tls: Arc::new(trusting()),
            root: String::new(),
            token: String::new(),
            learnt: Vec::new(),
            started_in: Duration::ZERO,
            _files: files,
        };
        let mut connection = loop {
            match Connection::open(&peer.address, &peer.tls).await {
                Ok(connection) => break connection,
                Err(_) if begun.elapsed() < Duration::from_secs(30) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        };
        peer.started_in = begun.elapsed();
        let shares = json!({ "secret_shares": 1, "secret_threshold": 1 });
        let init = connection.must(None, ("PUT", "sys/init".to_owned(), Some(shares))).await;
        peer.root = text(&init["root_token"]);
        let key = json!({ "key": init["keys_base64"][0] });
        connection.must(None, ("PUT", "sys/unseal".to_owned(), Some(key))).await;
        while connection.ask(None, ("GET", "sys/health".to_owned(), None)).await.0 != 200 {}
        for call in cases::house() {
            connection.must(Some(&peer.root), call).await;
        }
        let wanted = json!({ "policies": ["default", "app"], "ttl": "24h" });
        let token =
            connection.must(Some(&peer.root), ("POST", "auth/token/create".to_owned(), Some(wanted))).await;
        peer.token = text(&token["auth"]["client_token"]);
        peer
    }

    pub(crate) async fn connect(&self) -> Connection {
        Connection::open(&self.address, &self.tls).await.unwrap()
    }

    /// Brings about what `case` needs.
    pub(crate) async fn prepare(&mut self, case: &Case) {
        let mut connection = self.connect().await;
        for call in (case.prepare)() {
            connection.must(Some(&self.token), call).await;
        }
        self.learnt.clear();
        if let Some((call, place)) = case.learn {
            let answer = connection.must(Some(&self.token), call()).await;
            self.learnt.push(text(place.iter().fold(&answer, |value, member| &value[*member])));
        }
        if case.name.starts_with("approle") {
            let role = "auth/approle/role/app";
            let id = connection.must(Some(&self.root), ("GET", format!("{role}/role-id"), None)).await;
            let secret = connection
                .must(Some(&self.root), ("POST", format!("{role}/secret-id"), Some(json!({}))))
                .await;
            self.learnt = vec![text(&id["data"]["role_id"]), text(&secret["data"]["secret_id"])];
        }
    }

    /// Seconds of processor time used so far.
    pub(crate) fn cpu(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let after = stat.rsplit(')').next().unwrap();
        let fields: Vec<&str> = after.split_whitespace().collect();
        let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
        ticks / 100.0
    }

    pub(crate) fn resident_mb(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a text is missing: {value}")).to_owned()
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn certificate(directory: &Path) -> (std::path::PathBuf, std::path::PathBuf) {
    let now =
        writ_kernel::World::new(Arc::new(writ_kernel::SystemClock), Arc::new(writ_crypto::Entropy::os()))
            .now();
    let pem =
        writ_web::tls::Pem::self_made(&["localhost".to_owned()], now, Duration::from_hours(24)).unwrap();
    let (chain, key) = (directory.join("chain.pem"), directory.join("key.pem"));
    pem.save(&chain, &key).unwrap();
    (chain, key)
}

/// Both servers are ours, on this machine, for a few minutes: whatever certificate they show is the right one.
fn trusting() -> rustls::ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth()
}

#[derive(Debug)]
struct Anybody(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("only TLS 1.3 is offered".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
