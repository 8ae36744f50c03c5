//! Signatures.

use ml_dsa::{Keypair as _, Signer as _, Verifier as _};
use proptest::prelude::*;
use writ_crypto::{Algorithm, SecretKey, SigningKey, VerifyingKey};

use crate::{code, flipped, seed, world};

#[test]
fn a_signature_verifies_under_its_own_key_and_message_alone() {
    for algorithm in Algorithm::ALL {
        let key = SigningKey::generate(&world(), algorithm).unwrap();
        let other = SigningKey::from_seed(algorithm, seed("other")).unwrap();
        let signature = key.sign(b"message").unwrap();
        assert_eq!(signature.len(), algorithm.signature_len());
        assert!(key.verifying_key().verify(b"message", &signature).is_ok());
        assert_eq!(code(key.verifying_key().verify(b"massage", &signature)), "wrong_signature");
        assert_eq!(code(other.verifying_key().verify(b"message", &signature)), "wrong_signature");
    }
}

#[test]
fn keys_survive_storage() {
    for algorithm in Algorithm::ALL {
        let key = SigningKey::from_seed(algorithm, seed("a")).unwrap();
        assert!(key.seed().ct_eq(seed("a").expose()));
        let public = VerifyingKey::from_bytes(algorithm, key.verifying_key().as_bytes()).unwrap();
        assert_eq!(public, key.verifying_key());
        assert_eq!(public.as_bytes().len(), algorithm.public_len());
        assert!(public.verify(b"message", &key.sign(b"message").unwrap()).is_ok());
    }
}

#[test]
fn names_of_algorithms_are_read_back() {
    for algorithm in Algorithm::ALL {
        assert_eq!(algorithm.to_string().parse::<Algorithm>().unwrap(), algorithm);
    }
    assert_eq!(code("rsa".parse::<Algorithm>()), "unknown_algorithm");
}

#[test]
fn public_keys_of_another_length_are_refused() {
    for algorithm in Algorithm::ALL {
        for length in [0, 1, algorithm.public_len() - 1, algorithm.public_len() + 1] {
            let key = VerifyingKey::from_bytes(algorithm, &vec![1; length]);
            assert_eq!(code(key), "malformed_public_key", "{algorithm} {length}");
        }
    }
}

#[test]
fn an_ml_dsa_signature_is_hedged_and_an_ed25519_one_deterministic() {
    for algorithm in Algorithm::ALL {
        let key = SigningKey::from_seed(algorithm, seed("a")).unwrap();
        let same = key.sign(b"message").unwrap() == key.sign(b"message").unwrap();
        assert_eq!(same, algorithm == Algorithm::Ed25519);
    }
}

macro_rules! agrees_with_a_second_implementation {
    ($name:ident, $algorithm:expr, $parameters:ty) => {
        #[test]
        fn $name() {
            for name in ["a", "b", "c", "d"] {
                let ours = SigningKey::from_seed($algorithm, seed(name)).unwrap();
                let theirs = ml_dsa::SigningKey::<$parameters>::from_seed(&(*seed(name).expose()).into());
                let public = theirs.verifying_key();
                assert_eq!(ours.verifying_key().as_bytes(), &public.encode()[..]);
                let signature = ours.sign(b"message").unwrap();
                let signature = ml_dsa::Signature::<$parameters>::try_from(&signature[..]).unwrap();
                assert!(public.verify(b"message", &signature).is_ok());
                let signature = theirs.sign(b"message").encode();
                assert!(ours.verifying_key().verify(b"message", &signature).is_ok());
            }
        }
    };
}
agrees_with_a_second_implementation!(
    ml_dsa_44_agrees_with_a_second_implementation,
    Algorithm::MlDsa44,
    ml_dsa::MlDsa44
);
agrees_with_a_second_implementation!(
    ml_dsa_65_agrees_with_a_second_implementation,
    Algorithm::MlDsa65,
    ml_dsa::MlDsa65
);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_flipped_bit_is_noticed(bytes: [u8; 32], index: prop::sample::Index) {
        for algorithm in Algorithm::ALL {
            let key = SigningKey::from_seed(algorithm, SecretKey::new(bytes)).unwrap();
            let signature = key.sign(b"message").unwrap();
            let broken = flipped(&signature, index.index(signature.len()));
            prop_assert!(key.verifying_key().verify(b"message", &broken).is_err(), "{algorithm}");
        }
    }
}
