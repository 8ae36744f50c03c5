//! ML-KEM (FIPS 203) in three sizes over AWS-LC. Private keys are kept as their seed `d || z`; AWS-LC cannot expand
//! one, so the `ml-kem` crate does.

use aws_lc_rs::kem;
#[expect(deprecated, reason = "the expanded form only travels to AWS-LC and is never stored")]
use ml_kem::ExpandedKeyEncoding as _;
use ml_kem::{KeyExport as _, TryKeyInit as _};
use writ_kernel::{Error, Result};
use zeroize::{Zeroize as _, Zeroizing};

use super::KeyType;
use crate::secret::SecretBytes;

/// Bytes of a seed.
pub(super) const SEED: usize = 64;

/// The algorithm and the length of ciphertexts of one size.
#[derive(Clone, Copy)]
pub(super) struct Size {
    pub(super) algorithm: &'static kem::Algorithm,
    pub(super) ciphertext: usize,
}

pub(super) fn size(key_type: KeyType) -> Size {
    match key_type {
        KeyType::MlKem512 => Size { algorithm: &kem::ML_KEM_512, ciphertext: 768 },
        KeyType::MlKem1024 => Size { algorithm: &kem::ML_KEM_1024, ciphertext: 1568 },
        _ => Size { algorithm: &kem::ML_KEM_768, ciphertext: 1088 },
    }
}

/// A private key ready for use, and its public half.
pub(super) struct Expanded {
    pub(super) private: kem::DecapsulationKey,
    pub(super) public: Vec<u8>,
}

/// Key generation from a seed (FIPS 203 algorithm 16).
pub(super) fn expand(key_type: KeyType, seed: &[u8]) -> Result<Expanded> {
    let (expanded, public) = expand_bytes(key_type, seed)?;
    let private = kem::DecapsulationKey::new(size(key_type).algorithm, &expanded)
        .map_err(|_| Error::internal(format!("AWS-LC refused an {key_type} key")))?;
    Ok(Expanded { private, public })
}

/// The expanded private key and the public key of a seed.
pub(super) fn expand_bytes(key_type: KeyType, seed: &[u8]) -> Result<(Zeroizing<Vec<u8>>, Vec<u8>)> {
    let mut array =
        ml_kem::Seed::try_from(seed).map_err(|_| Error::internal("an ML-KEM seed has another length"))?;
    macro_rules! grow {
        ($of:ident) => {{
            let key = ml_kem::$of::from_seed(array);
            #[expect(deprecated, reason = "the expanded form only travels to AWS-LC and is never stored")]
            let mut expanded = key.to_expanded_bytes();
            let copy = Zeroizing::new(expanded.to_vec());
            expanded.zeroize();
            (copy, key.encapsulation_key().to_bytes().to_vec())
        }};
    }
    let grown = match key_type {
        KeyType::MlKem512 => grow!(DecapsulationKey512),
        KeyType::MlKem1024 => grow!(DecapsulationKey1024),
        _ => grow!(DecapsulationKey768),
    };
    array.zeroize();
    Ok(grown)
}

/// Reads a public key, with the modulus check of FIPS 203 section 7.2, which AWS-LC makes only when it encapsulates.
pub(super) fn public(key_type: KeyType, bytes: &[u8]) -> Option<kem::EncapsulationKey> {
    macro_rules! in_range {
        ($of:ident) => {
            ml_kem::$of::new_from_slice(bytes).is_ok()
        };
    }
    let in_range = match key_type {
        KeyType::MlKem512 => in_range!(EncapsulationKey512),
        KeyType::MlKem1024 => in_range!(EncapsulationKey1024),
        _ => in_range!(EncapsulationKey768),
    };
    in_range.then(|| kem::EncapsulationKey::new(size(key_type).algorithm, bytes).ok()).flatten()
}

/// A fresh shared secret, and what carries it.
pub(super) fn encapsulate(key: &kem::EncapsulationKey) -> Result<(Vec<u8>, SecretBytes)> {
    let (ciphertext, secret) =
        key.encapsulate().map_err(|_| Error::internal("ML-KEM encapsulation failed"))?;
    Ok((ciphertext.as_ref().to_vec(), SecretBytes::new(secret.as_ref().to_vec())))
}

/// The shared secret in `ciphertext`; of an altered one a different secret, by implicit rejection.
pub(super) fn decapsulate(key: &kem::DecapsulationKey, ciphertext: &[u8]) -> Option<SecretBytes> {
    let secret = key.decapsulate(ciphertext.into()).ok()?;
    Some(SecretBytes::new(secret.as_ref().to_vec()))
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use serde_json::Value;

    use super::*;

    #[test]
    fn decapsulation_of_wycheproof() {
        for (key_type, text) in [
            (KeyType::MlKem512, include_str!("../../tests/vectors/ml_kem_512.json")),
            (KeyType::MlKem768, include_str!("../../tests/vectors/ml_kem_768.json")),
            (KeyType::MlKem1024, include_str!("../../tests/vectors/ml_kem_1024.json")),
        ] {
            let rows: Vec<Value> = serde_json::from_str(text).unwrap();
            assert!(!rows.is_empty());
            for row in rows {
                let bytes = |field: &str| HEXLOWER.decode(row[field].as_str().unwrap().as_bytes()).unwrap();
                let key = expand(key_type, &bytes("seed")).unwrap();
                let secret = decapsulate(&key.private, &bytes("c")).unwrap();
                assert!(secret.ct_eq(&bytes("k")), "{key_type} {}", row["tcId"]);
            }
        }
    }
}
