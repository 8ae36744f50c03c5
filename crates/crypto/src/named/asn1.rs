//! The ASN.1 around keys: `SubjectPublicKeyInfo` (RFC 5280), PKCS #8 (RFC 5958), `ECPrivateKey` (RFC 5915),
//! `RSAPublicKey` and `RSAPrivateKey` (RFC 8017), PEM (RFC 7468). the parsers of the `pkcs8` and `sec1` crates read and write it.

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rsa::{KeySize, PrivateDecryptingKey},
};
use pkcs8::{
    LineEnding, ObjectIdentifier, PrivateKeyInfoRef, SecretDocument, SubjectPublicKeyInfoRef,
    der::{
        AnyRef, Decode as _, Document, Encode as _, Error as DerError, Reader as _, SliceReader, Tag,
        TagMode, TagNumber,
        asn1::{BitStringRef, ContextSpecific, OctetStringRef, UintRef},
    },
    spki::AlgorithmIdentifierRef,
};
use sec1::EcPrivateKey;
use writ_kernel::{Error, Result};
use zeroize::Zeroizing;

use super::{KeyType, material::secret_len};
use crate::secret::SecretBytes;

/// The first byte of an ASN.1 sequence.
const SEQUENCE: u8 = 0x30;

const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// Types whose identifier says all: ML-KEM (RFC 9935), ML-DSA (RFC 9881), Ed25519 (RFC 8410).
const SIMPLE: [(KeyType, ObjectIdentifier); 7] = [
    (KeyType::MlKem512, ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.4.1")),
    (KeyType::MlKem768, ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.4.2")),
    (KeyType::MlKem1024, ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.4.3")),
    (KeyType::MlDsa44, ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.17")),
    (KeyType::MlDsa65, ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.18")),
    (KeyType::MlDsa87, ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.19")),
    (KeyType::Ed25519, ObjectIdentifier::new_unwrap("1.3.101.112")),
];

/// The curves, which are parameters of one identifier.
const CURVES: [(KeyType, ObjectIdentifier); 3] = [
    (KeyType::EcdsaP256, ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7")),
    (KeyType::EcdsaP384, ObjectIdentifier::new_unwrap("1.3.132.0.34")),
    (KeyType::EcdsaP521, ObjectIdentifier::new_unwrap("1.3.132.0.35")),
];

/// A private key as PKCS #8 has it: its type and the secret of [`super::Material`]; and, where they are there, what must
/// agree with it: the expanded form, the public point of a curve.
pub(super) struct Pkcs8 {
    pub(super) key_type: KeyType,
    pub(super) secret: SecretBytes,
    pub(super) expanded: Option<SecretBytes>,
    pub(super) point: Option<Vec<u8>>,
}

/// The identifier of a type; `None` for types without a public half.
fn algorithm(key_type: KeyType) -> Option<AlgorithmIdentifierRef<'static>> {
    if key_type.is_rsa() {
        return Some(AlgorithmIdentifierRef { oid: RSA, parameters: Some(AnyRef::NULL) });
    }
    if let Some((_, curve)) = CURVES.iter().find(|row| row.0 == key_type) {
        return Some(AlgorithmIdentifierRef { oid: EC, parameters: Some(curve.into()) });
    }
    let (_, oid) = SIMPLE.iter().find(|row| row.0 == key_type)?;
    Some(AlgorithmIdentifierRef { oid: *oid, parameters: None })
}

/// The type that an identifier means; for RSA the size is in the key.
fn key_type(
    algorithm: &AlgorithmIdentifierRef<'_>,
    modulus: impl FnOnce() -> Option<KeyType>,
) -> Option<KeyType> {
    if algorithm.oid == RSA {
        return algorithm.parameters.is_none_or(AnyRef::is_null).then(modulus).flatten();
    }
    if algorithm.oid == EC {
        let curve = algorithm.parameters?.decode_as::<ObjectIdentifier>().ok()?;
        return CURVES.iter().find(|row| row.1 == curve).map(|row| row.0);
    }
    let simple = SIMPLE.iter().find(|row| row.1 == algorithm.oid).map(|row| row.0);
    simple.filter(|_| algorithm.parameters.is_none())
}

/// `SubjectPublicKeyInfo` of a raw public key.
pub(super) fn spki(key_type: KeyType, raw: &[u8]) -> Option<Vec<u8>> {
    let algorithm = algorithm(key_type)?;
    let info = SubjectPublicKeyInfoRef { algorithm, subject_public_key: BitStringRef::from_bytes(raw).ok()? };
    info.to_der().ok()
}

/// Type and raw public key of a `SubjectPublicKeyInfo`.
pub(super) fn parse_spki(der: &[u8]) -> Option<(KeyType, Vec<u8>)> {
    let info = SubjectPublicKeyInfoRef::from_der(der).ok()?;
    let raw = info.subject_public_key.as_bytes()?;
    let size = || rsa_integers::<2>(raw).and_then(|[n, _]| rsa_type(n));
    Some((key_type(&info.algorithm, size)?, raw.to_vec()))
}

pub(super) fn public_pem(der: &[u8]) -> Option<String> {
    Document::from_der(der).ok()?.to_pem("PUBLIC KEY", LineEnding::LF).ok()
}

/// PEM of a PKCS #8 structure.
pub(super) fn private_pem(der: &[u8]) -> Option<SecretBytes> {
    let mut pem = SecretDocument::try_from(der).ok()?.to_pem("PRIVATE KEY", LineEnding::LF).ok()?;
    Some(SecretBytes::new(std::mem::take(&mut *pem).into_bytes()))
}

/// The content of PEM text, if its label is this one.
pub(super) fn pem_to_der(label: &str, pem: &str) -> Option<SecretBytes> {
    let (found, document) = SecretDocument::from_pem(pem).ok()?;
    (found == label).then(|| SecretBytes::new(document.as_bytes().to_vec()))
}

/// PKCS #8 of a secret in the form of [`super::Material`]: ML-KEM and ML-DSA in the seed form.
pub(super) fn pkcs8(key_type: KeyType, secret: &[u8], public: &[u8]) -> Option<SecretBytes> {
    if key_type.is_rsa() {
        return Some(SecretBytes::new(secret.to_vec()));
    }
    let octets = OctetStringRef::new(secret).ok()?;
    let inner = Zeroizing::new(if key_type.is_ecdsa() {
        EcPrivateKey { private_key: secret, parameters: None, public_key: Some(public) }.to_der().ok()?
    } else if key_type == KeyType::Ed25519 {
        octets.to_der().ok()?
    } else {
        let seed = ContextSpecific { tag_number: TagNumber(0), tag_mode: TagMode::Implicit, value: octets };
        seed.to_der().ok()?
    });
    let info = PrivateKeyInfoRef::new(algorithm(key_type)?, OctetStringRef::new(&inner).ok()?);
    let document = SecretDocument::encode_msg(&info).ok()?;
    Some(SecretBytes::new(document.as_bytes().to_vec()))
}

/// Reads PKCS #8, DER. Of RSA the result is the DER as AWS-LC writes it.
pub(super) fn parse_pkcs8(der: &[u8]) -> Option<Pkcs8> {
    let info = PrivateKeyInfoRef::from_der(der).ok()?;
    let inner = info.private_key.as_bytes();
    let size = || rsa_integers::<9>(inner).and_then(|[_, n, ..]| rsa_type(n));
    let key_type = key_type(&info.algorithm, size)?;
    let (mut expanded, mut point) = (None, None);
    let secret = if key_type.is_rsa() {
        let key = PrivateDecryptingKey::from_pkcs8(der).ok()?;
        AsDer::<Pkcs8V1Der<'_>>::as_der(&key).ok()?.as_ref().to_vec()
    } else if key_type.is_ecdsa() {
        let key = EcPrivateKey::from_der(inner).ok()?;
        point = key.public_key.map(<[u8]>::to_vec);
        key.private_key.to_vec()
    } else if key_type == KeyType::Ed25519 {
        <&OctetStringRef>::from_der(inner).ok()?.as_bytes().to_vec()
    } else {
        let (seed, both) = seed(inner)?;
        expanded = both.map(SecretBytes::new);
        seed
    };
    let secret = SecretBytes::new(secret);
    (key_type.is_rsa() || secret.len() == secret_len(key_type)).then_some(())?;
    Some(Pkcs8 { key_type, secret, expanded, point })
}

/// The seed of `CHOICE { seed [0] IMPLICIT OCTET STRING, both SEQUENCE { seed, expandedKey } }`; the third choice, the
/// expanded key alone, has none.
fn seed(inner: &[u8]) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    let mut reader = SliceReader::new(inner).ok()?;
    if inner.first() == Some(&SEQUENCE) {
        let octets =
            |reader: &mut SliceReader<'_>| <&OctetStringRef>::decode(reader).map(|it| it.as_bytes().to_vec());
        let both = reader.sequence(|inner| Ok::<_, DerError>((octets(inner)?, octets(inner)?))).ok()?;
        return reader.is_finished().then_some((both.0, Some(both.1)));
    }
    let seed = ContextSpecific::<&OctetStringRef>::decode_implicit(&mut reader, TagNumber(0)).ok()??;
    reader.is_finished().then(|| (seed.value.as_bytes().to_vec(), None))
}

/// A sequence of `N` unsigned integers, and nothing else: `RSAPublicKey` has two, `RSAPrivateKey` nine.
pub(super) fn rsa_integers<const N: usize>(der: &[u8]) -> Option<[&[u8]; N]> {
    let mut reader = SliceReader::new(der).ok()?;
    let mut integers = [&[][..]; N];
    let all = reader.sequence(|inner| {
        integers.iter_mut().try_for_each(|integer| {
            *integer = UintRef::decode(inner)?.as_bytes();
            Ok::<_, DerError>(())
        })
    });
    (all.is_ok() && reader.is_finished()).then_some(integers)
}

/// `RSAPublicKey` of modulus and exponent.
pub(super) fn rsa_public(n: &[u8], e: &[u8]) -> Option<Vec<u8>> {
    let integer = |bytes| UintRef::new(bytes).ok()?.to_der().ok();
    let body = [integer(n)?, integer(e)?].concat();
    AnyRef::new(Tag::Sequence, &body).ok()?.to_der().ok()
}

/// The nine integers of the `RSAPrivateKey` inside PKCS #8: version, n, e, d, p, q, d mod p-1, d mod q-1, 1/q mod p.
pub(super) fn rsa_private(pkcs8: &[u8]) -> Option<[&[u8]; 9]> {
    rsa_integers(PrivateKeyInfoRef::from_der(pkcs8).ok()?.private_key.as_bytes())
}

/// The type of a modulus.
pub(super) fn rsa_type(n: &[u8]) -> Option<KeyType> {
    match (n.len(), n.first()?.leading_zeros()) {
        (256, 0) => Some(KeyType::Rsa2048),
        (384, 0) => Some(KeyType::Rsa3072),
        (512, 0) => Some(KeyType::Rsa4096),
        _ => None,
    }
}

/// A fresh RSA key as PKCS #8.
pub(super) fn generate_rsa(key_type: KeyType) -> Result<SecretBytes> {
    let size = match key_type {
        KeyType::Rsa2048 => KeySize::Rsa2048,
        KeyType::Rsa3072 => KeySize::Rsa3072,
        _ => KeySize::Rsa4096,
    };
    let failed = |_| Error::internal("AWS-LC generated no RSA key");
    let key = PrivateDecryptingKey::generate(size).map_err(failed)?;
    AsDer::<Pkcs8V1Der<'_>>::as_der(&key).map(|der| SecretBytes::new(der.as_ref().to_vec())).map_err(failed)
}

/// `ECPrivateKey` of a scalar alone; the curve is known where it is read.
pub(super) fn ec_private_key(scalar: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let key = EcPrivateKey { private_key: scalar, parameters: None, public_key: None };
    key.to_der().ok().map(Zeroizing::new)
}

/// Bytes of an uncompressed point.
pub(super) const fn point_len(key_type: KeyType) -> usize {
    1 + 2 * secret_len(key_type)
}
