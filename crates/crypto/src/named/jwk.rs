//! JSON Web Keys (RFC 7517, 7518, 8037): key type `AKP` for ML-DSA (RFC 9964), and for ML-KEM as in
//! draft-ietf-jose-pqc-kem, with the bare name of the parameter set as `alg`.

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rsa::{KeyPair, KeyPairComponents, PublicKeyComponents},
};
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use writ_kernel::{Error, Result};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::{KeyType, Material, PublicKey, asn1, material::secret_len, public::malformed};
use crate::{hash, secret::SecretBytes};

/// The members that are understood. One that holds a secret is wiped with the rest.
#[derive(Default, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct Jwk {
    kty: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    alg: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crv: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    x: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    y: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    n: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    e: Option<String>,
    #[serde(default, rename = "pub", skip_serializing_if = "Option::is_none")]
    public: Option<String>,
    #[serde(default, rename = "priv", skip_serializing_if = "Option::is_none")]
    private: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    d: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    p: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    q: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dp: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dq: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    qi: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    k: Option<String>,
}

/// `kty`, and `alg` or `crv`, of every type but RSA and HMAC, whose sizes are in the key.
const NAMES: [(KeyType, &str, &str); 13] = [
    (KeyType::MlKem512, "AKP", "ML-KEM-512"),
    (KeyType::MlKem768, "AKP", "ML-KEM-768"),
    (KeyType::MlKem1024, "AKP", "ML-KEM-1024"),
    (KeyType::MlDsa44, "AKP", "ML-DSA-44"),
    (KeyType::MlDsa65, "AKP", "ML-DSA-65"),
    (KeyType::MlDsa87, "AKP", "ML-DSA-87"),
    (KeyType::Ed25519, "OKP", "Ed25519"),
    (KeyType::EcdsaP256, "EC", "P-256"),
    (KeyType::EcdsaP384, "EC", "P-384"),
    (KeyType::EcdsaP521, "EC", "P-521"),
    (KeyType::Aes128Gcm, "oct", "A128GCM"),
    (KeyType::Aes256Gcm, "oct", "A256GCM"),
    (KeyType::ChaCha20Poly1305, "oct", "C20P"),
];

impl PublicKey {
    /// The JWK, as JSON.
    ///
    /// # Errors
    /// `Internal` when it cannot be written.
    pub fn to_jwk(&self) -> Result<String> {
        let jwk = public(self).ok_or_else(|| Error::internal("a public key was not written"))?;
        serde_json::to_string(&jwk).map_err(|error| Error::internal("a JWK was not written").because(error))
    }

    /// Reads a JWK; what it has besides the public key is not looked at.
    ///
    /// # Errors
    /// `malformed_public_key`.
    pub fn from_jwk(json: &str) -> Result<Self> {
        let jwk: Jwk = serde_json::from_str(json).map_err(|_| malformed("in JWK"))?;
        let (key_type, raw) = raw(&jwk).ok_or_else(|| malformed("in JWK"))?;
        Self::from_raw(key_type, &raw)
    }

    /// The thumbprint (RFC 7638) with SHA-256, base64url.
    ///
    /// # Errors
    /// `Internal` when it cannot be written.
    pub fn thumbprint(&self) -> Result<String> {
        let failed = || Error::internal("a thumbprint was not made");
        let mut jwk = public(self).ok_or_else(failed)?;
        if jwk.kty != "AKP" {
            jwk.alg = None;
        }
        let text = serde_json_canonicalizer::to_vec(&jwk).map_err(|_| failed())?;
        Ok(BASE64URL_NOPAD.encode(&hash::sha256(&text)))
    }
}

/// The private JWK, as JSON.
pub(super) fn export(material: &Material, public_key: Option<&PublicKey>) -> Option<SecretBytes> {
    let secret = material.secret().expose();
    let key_type = material.key_type();
    let mut jwk = public_key.map_or_else(|| Some(symmetric(key_type)), public)?;
    match jwk.kty.as_str() {
        "AKP" => jwk.private = Some(b64(secret)),
        "OKP" | "EC" => jwk.d = Some(b64(secret)),
        "oct" => jwk.k = Some(b64(secret)),
        _ => {
            let [_, _, _, d, p, q, dp, dq, qi] = asn1::rsa_private(secret)?;
            let fields = [&mut jwk.d, &mut jwk.p, &mut jwk.q, &mut jwk.dp, &mut jwk.dq, &mut jwk.qi];
            fields.into_iter().zip([d, p, q, dp, dq, qi]).for_each(|(to, from)| *to = Some(b64(from)));
        }
    }
    serde_json::to_vec(&jwk).ok().map(SecretBytes::new)
}

/// Type and secret of a private JWK, and the public key it says it has. `oct` keys are of the type that is asked for.
pub(super) fn import(expected: KeyType, json: &[u8]) -> Option<(KeyType, SecretBytes, Option<Vec<u8>>)> {
    let jwk: Jwk = serde_json::from_slice(json).ok()?;
    if jwk.kty == "oct" {
        let agrees = jwk.alg.is_none() || name(expected).is_none() || jwk.alg.as_deref() == name(expected);
        return agrees.then(|| unb64(jwk.k.as_ref()?)).flatten().map(|k| (expected, k, None));
    }
    let (key_type, public) = raw(&jwk)?;
    let secret = match jwk.kty.as_str() {
        "AKP" => unb64(jwk.private.as_ref()?)?,
        "OKP" | "EC" => unb64(jwk.d.as_ref()?)?,
        _ => rsa_pkcs8(&jwk)?,
    };
    Some((key_type, secret, Some(public)))
}

fn symmetric(key_type: KeyType) -> Jwk {
    let mut jwk = Jwk::default();
    (jwk.kty, jwk.alg) = ("oct".into(), name(key_type).map(Into::into));
    jwk
}

fn public(key: &PublicKey) -> Option<Jwk> {
    let raw = key.as_raw();
    let mut jwk = Jwk::default();
    if key.key_type().is_rsa() {
        let [n, e] = asn1::rsa_integers::<2>(raw)?;
        (jwk.kty, jwk.n, jwk.e) = ("RSA".into(), Some(b64(n)), Some(b64(e)));
        return Some(jwk);
    }
    let (_, kty, name) = NAMES.iter().find(|row| row.0 == key.key_type())?;
    jwk.kty = (*kty).into();
    match *kty {
        "AKP" => (jwk.alg, jwk.public) = (Some((*name).into()), Some(b64(raw))),
        "OKP" => (jwk.crv, jwk.x) = (Some((*name).into()), Some(b64(raw))),
        _ => {
            let (_, point) = raw.split_first()?;
            let (x, y) = point.split_at_checked(secret_len(key.key_type()))?;
            (jwk.crv, jwk.x, jwk.y) = (Some((*name).into()), Some(b64(x)), Some(b64(y)));
        }
    }
    Some(jwk)
}

/// Type and raw public key.
fn raw(jwk: &Jwk) -> Option<(KeyType, Vec<u8>)> {
    let bytes = |text: &Option<String>| BASE64URL_NOPAD.decode(text.as_ref()?.as_bytes()).ok();
    if jwk.kty == "RSA" {
        let (n, e) = (bytes(&jwk.n)?, bytes(&jwk.e)?);
        return Some((asn1::rsa_type(&n)?, asn1::rsa_public(&n, &e)?));
    }
    let name = if jwk.kty == "AKP" { jwk.alg.as_ref()? } else { jwk.crv.as_ref()? };
    let (key_type, ..) = NAMES.iter().find(|(_, kty, known)| *kty == jwk.kty && known == name)?;
    let raw = match jwk.kty.as_str() {
        "AKP" => bytes(&jwk.public)?,
        "OKP" => bytes(&jwk.x)?,
        "EC" => {
            let (x, y) = (bytes(&jwk.x)?, bytes(&jwk.y)?);
            (x.len() == secret_len(*key_type) && y.len() == x.len()).then_some(())?;
            [&[4][..], &x, &y].concat()
        }
        _ => return None,
    };
    Some((*key_type, raw))
}

fn rsa_pkcs8(jwk: &Jwk) -> Option<SecretBytes> {
    let part = |text: &Option<String>| unb64(text.as_ref()?);
    let (modulus, exponent) = (part(&jwk.n)?, part(&jwk.e)?);
    let [d, p, q] = [part(&jwk.d)?, part(&jwk.p)?, part(&jwk.q)?];
    let [dp, dq, qi] = [part(&jwk.dp)?, part(&jwk.dq)?, part(&jwk.qi)?];
    let components = KeyPairComponents {
        public_key: PublicKeyComponents { n: modulus.expose(), e: exponent.expose() },
        d: d.expose(),
        p: p.expose(),
        q: q.expose(),
        dP: dp.expose(),
        dQ: dq.expose(),
        qInv: qi.expose(),
    };
    let key = KeyPair::from_components(&components).ok()?;
    AsDer::<Pkcs8V1Der<'_>>::as_der(&key).ok().map(|der| SecretBytes::new(der.as_ref().to_vec()))
}

fn name(key_type: KeyType) -> Option<&'static str> {
    NAMES.iter().find(|row| row.0 == key_type).map(|row| row.2)
}

fn b64(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

fn unb64(text: &str) -> Option<SecretBytes> {
    BASE64URL_NOPAD.decode(text.as_bytes()).ok().map(SecretBytes::new)
}
