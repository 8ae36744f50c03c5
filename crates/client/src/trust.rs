//! Who the server must be.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER_PERMISSIVE;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs as provider, verify_tls13_signature},
    version::TLS13,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject};

use crate::{Error, Result};

/// How the server is recognised. The certificate authorities of the operating system are never consulted.
#[derive(Debug, Clone)]
pub enum Trust {
    /// By this one certificate, whatever names and dates are in it.
    Pin(Pin),
    /// By a certificate that one of the authorities in this PEM file signed, with the right name and dates.
    Authority(PathBuf),
    /// Not at all: plain HTTP, to a loopback address only.
    Loopback,
}

/// The SHA-256 of a certificate (DER). Text form: 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Pin(pub [u8; 32]);

impl FromStr for Pin {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok();
        let pin = bytes.and_then(|bytes| bytes.try_into().ok()).map(Self);
        pin.ok_or_else(|| Error::setup("a certificate pin is 64 hexadecimal digits"))
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// TLS 1.3 with X25519MLKEM768 and nothing else, to a server recognised by `trust`.
pub(crate) fn tls(trust: &Trust) -> Result<ClientConfig> {
    let hybrid = vec![provider::kx_group::X25519MLKEM768];
    let provider = Arc::new(CryptoProvider { kx_groups: hybrid, ..provider::default_provider() });
    let verifier: Arc<dyn ServerCertVerifier> = match trust {
        Trust::Pin(pin) => Arc::new(Pinned { pin: *pin, provider: Arc::clone(&provider) }),
        Trust::Authority(file) => {
            let roots = Arc::new(authorities(file)?);
            WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build().map_err(
                |source| Error::setup_because("the certificate authorities cannot be used", source),
            )?
        }
        // No certificate has this pin: where no TLS is asked for, none is spoken.
        Trust::Loopback => Arc::new(Pinned { pin: Pin([0; 32]), provider: Arc::clone(&provider) }),
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(|source| Error::setup_because("cannot set up TLS 1.3", source))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    // reqwest leaves a configuration it is given as it is, so without this there would be no HTTP/2.
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn authorities(file: &Path) -> Result<RootCertStore> {
    let what = format!("`{}` holds no usable certificate authority", file.display());
    let mut roots = RootCertStore::empty();
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    for certificate in read.map_err(|source| Error::setup_because(what.clone(), source))? {
        roots.add(certificate).map_err(|source| Error::setup_because(what.clone(), source))?;
    }
    if roots.is_empty() {
        return Err(Error::setup(what));
    }
    Ok(roots)
}

/// Accepts one certificate. That the server holds its key is proved by the handshake's signature, as always.
#[derive(Debug)]
struct Pinned {
    pin: Pin,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // Both are public, so the comparison need not take constant time.
        if digest(&SHA256, certificate).as_ref() == self.pin.0 {
            return Ok(ServerCertVerified::assertion());
        }
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2 is not spoken".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_round_trips_as_hexadecimal() {
        let pin = Pin(std::array::from_fn(|index| u8::try_from(index).unwrap()));
        assert_eq!(pin.to_string().to_uppercase().parse::<Pin>().unwrap(), pin);
        for text in ["", "00", &"0".repeat(63), &"0".repeat(66), &"g".repeat(64)] {
            assert!(text.parse::<Pin>().is_err(), "{text}");
        }
    }
}
