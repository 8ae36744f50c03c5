//! What signed tokens call algorithms (JOSE).

use super::{Hash, KeyType, Marshaling, Padding, SaltLength, Scheme};

/// The types of key that sign by the JWS algorithm of this name, and how (RFC 7518, RFC 8037, RFC 9864, RFC 9964).
/// `None` for all others: `none` and codes of authenticity are never a signature.
pub fn jose(algorithm: &str) -> Option<(&'static [KeyType], Scheme)> {
    const RSA: &[KeyType] = &[KeyType::Rsa2048, KeyType::Rsa3072, KeyType::Rsa4096];
    let rsa = |hash, padding| (RSA, Scheme { hash, padding, salt: SaltLength::Hash, ..Scheme::default() });
    let ec = |types: &'static [KeyType], hash| {
        (types, Scheme { hash, marshaling: Marshaling::Jws, ..Scheme::default() })
    };
    Some(match algorithm {
        "RS256" => rsa(Hash::Sha2_256, Padding::Pkcs1v15),
        "RS384" => rsa(Hash::Sha2_384, Padding::Pkcs1v15),
        "RS512" => rsa(Hash::Sha2_512, Padding::Pkcs1v15),
        "PS256" => rsa(Hash::Sha2_256, Padding::Pss),
        "PS384" => rsa(Hash::Sha2_384, Padding::Pss),
        "PS512" => rsa(Hash::Sha2_512, Padding::Pss),
        "ES256" => ec(&[KeyType::EcdsaP256], Hash::Sha2_256),
        "ES384" => ec(&[KeyType::EcdsaP384], Hash::Sha2_384),
        "ES512" => ec(&[KeyType::EcdsaP521], Hash::Sha2_512),
        "EdDSA" | "Ed25519" => (&[KeyType::Ed25519], Scheme::default()),
        "ML-DSA-44" => (&[KeyType::MlDsa44], Scheme::default()),
        "ML-DSA-65" => (&[KeyType::MlDsa65], Scheme::default()),
        "ML-DSA-87" => (&[KeyType::MlDsa87], Scheme::default()),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_algorithm_takes_keys_of_its_own_type_only() {
        assert_eq!(jose("ES384").map(|(types, _)| types), Some(&[KeyType::EcdsaP384][..]));
        let (types, scheme) = jose("PS256").unwrap();
        assert!(types.contains(&KeyType::Rsa2048) && scheme.padding == Padding::Pss);
    }

    #[test]
    fn what_proves_no_origin_is_no_algorithm() {
        for name in ["", "none", "None", "HS256", "HS512", "es256", "ES256K", "RS1"] {
            assert!(jose(name).is_none(), "{name}");
        }
    }
}
