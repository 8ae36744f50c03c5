//! TLS for our own listeners: version 1.3 only, X25519MLKEM768 first, no resumption.

use std::{
    fmt, fs,
    io::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use aws_lc_rs::digest::{SHA256, digest};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
};
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs as provider},
    server::{ClientHello, NoServerSessionStorage, ResolvesServerCert},
    sign::CertifiedKey,
    version::TLS13,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use time::OffsetDateTime;
use writ_kernel::{Error, Result, Timestamp};
use zeroize::Zeroizing;

/// Which key exchanges a listener accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyExchange {
    /// X25519MLKEM768 alone: a client without it is refused.
    Hybrid,
    /// X25519MLKEM768 where the client has it, else X25519.
    HybridOrClassical,
}

/// A certificate chain, the server's own first, and its private key, both PEM.
pub struct Pem {
    chain: String,
    key: Zeroizing<String>,
}

impl Pem {
    /// A fresh ECDSA P-256 key with a certificate signed by itself, for `localhost`, the loopback addresses
    /// and `hosts` (names or addresses), valid from `now`. The key comes from the cryptographic library's own
    /// generator. Clients trust it by its [`pin`](Tls::pin).
    ///
    /// # Errors
    /// `Invalid` when a host cannot be in a certificate.
    pub fn self_made(hosts: &[String], now: Timestamp, valid: Duration) -> Result<Self> {
        let own = ["localhost".into(), Ipv4Addr::LOCALHOST.to_string(), Ipv6Addr::LOCALHOST.to_string()];
        let names: Vec<_> = own.iter().chain(hosts).cloned().collect();
        let mut params = CertificateParams::new(names).map_err(|source| {
            Error::invalid("malformed_host", "a host of the certificate is neither a name nor an address")
                .because(source)
        })?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "Writ, self-made");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.not_before = calendar(now)?;
        params.not_after = calendar(now.plus(valid))?;
        let failed = |source| Error::internal("cannot make a certificate").because(source);
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(failed)?;
        let certificate = params.self_signed(&key).map_err(failed)?;
        Ok(Self { chain: certificate.pem(), key: Zeroizing::new(key.serialize_pem()) })
    }

    /// Reads both from files.
    ///
    /// # Errors
    /// `Invalid` when a file cannot be read. What is in them is judged by [`Tls::new`].
    pub fn load(chain: &Path, key: &Path) -> Result<Self> {
        let read = |path: &Path| {
            fs::read_to_string(path).map_err(|source| {
                Error::invalid("unreadable_file", format!("cannot read `{}`", path.display())).because(source)
            })
        };
        Ok(Self { chain: read(chain)?, key: Zeroizing::new(read(key)?) })
    }

    /// Writes both to files that do not exist yet; the key is readable by its owner alone.
    ///
    /// # Errors
    /// `Conflict` when a file exists or cannot be written.
    pub fn save(&self, chain: &Path, key: &Path) -> Result<()> {
        let write = |path: &Path, mode, text: &str| {
            let file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
            file.and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all())).map_err(
                |source| {
                    Error::conflict("unwritable_file", format!("cannot write `{}`", path.display()))
                        .because(source)
                },
            )
        };
        write(key, 0o600, &self.key)?;
        write(chain, 0o644, &self.chain)
    }

    /// The certificates, for clients that trust by file.
    pub fn chain(&self) -> &str {
        &self.chain
    }

    fn certified(&self, provider: &CryptoProvider) -> Result<CertifiedKey> {
        let malformed = |what| Error::invalid("malformed_pem", what);
        let chain = CertificateDer::pem_slice_iter(self.chain.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|source| malformed("the certificate file is not PEM").because(source))?;
        if chain.is_empty() {
            return Err(malformed("the certificate file holds no certificate"));
        }
        // Its error is not kept: it may hold pieces of the file.
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes())
            .map_err(|_| malformed("the key file holds no PEM private key"))?;
        CertifiedKey::from_der(chain, key, provider).map_err(|source| {
            Error::invalid("unusable_certificate", "the certificate and the key cannot be used together")
                .because(source)
        })
    }
}

/// The TLS side of a listener. Clones share one certificate.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ServerConfig>,
    current: Arc<Current>,
}

impl Tls {
    /// TLS with this certificate.
    ///
    /// # Errors
    /// `Invalid` when the PEM is malformed, empty, or the key does not belong to the certificate.
    pub fn new(pem: &Pem, exchange: KeyExchange) -> Result<Self> {
        let provider = Arc::new(provider(exchange));
        let current = Arc::new(Current(RwLock::new(Arc::new(pem.certified(&provider)?))));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(|source| Error::internal("cannot set up TLS 1.3").because(source))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&current) as _);
        // A resumed session would skip the checks of a full handshake, so there is none.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config), current })
    }

    /// Uses another certificate for every handshake from now on.
    ///
    /// # Errors
    /// As [`Tls::new`]; then the old one stays.
    pub fn reload(&self, pem: &Pem) -> Result<()> {
        let certified = pem.certified(self.config.crypto_provider())?;
        *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(certified);
        Ok(())
    }

    /// SHA-256 of the server's certificate (DER), by which a client can know it.
    pub fn pin(&self) -> [u8; 32] {
        let certified = self.current.certificate();
        let certificate = certified.cert.first().map_or(&[][..], |certificate| certificate.as_ref());
        let mut pin = [0; 32];
        pin.copy_from_slice(digest(&SHA256, certificate).as_ref());
        pin
    }

    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }
}

fn provider(exchange: KeyExchange) -> CryptoProvider {
    let hybrid = provider::kx_group::X25519MLKEM768;
    let kx_groups = match exchange {
        KeyExchange::Hybrid => vec![hybrid],
        KeyExchange::HybridOrClassical => vec![hybrid, provider::kx_group::X25519],
    };
    CryptoProvider { kx_groups, ..provider::default_provider() }
}

fn calendar(time: Timestamp) -> Result<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(time.seconds())
        .map_err(|source| Error::internal("a validity is out of range").because(source))
}

/// The certificate to show now.
struct Current(RwLock<Arc<CertifiedKey>>);

impl Current {
    fn certificate(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.certificate())
    }
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Current")
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pem").field("chain", &self.chain).finish_non_exhaustive()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("key_exchanges", &self.config.crypto_provider().kx_groups)
            .finish_non_exhaustive()
    }
}

/// Whether plain HTTP to or from `address` stays on this machine.
pub(crate) fn stays_here(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}
