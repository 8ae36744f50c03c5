//! Wrapping keys to a hybrid public key.

use aws_lc_rs::agreement;
use ml_kem::kem::Decapsulate as _;
use proptest::prelude::*;
use writ_crypto::{
    Aad, DataKey, HybridPrivate, HybridPublic, SecretBytes, SecretKey,
    hash::hkdf_sha256,
    kem::{PUBLIC_LEN, SEED_LEN, WRAPPED_LEN},
};

use crate::{code, flipped, seed, world};

fn private(name: &str) -> HybridPrivate {
    let part = |label: &str| *seed(&format!("{name} {label}")).expose();
    HybridPrivate::from_seed(SecretBytes::new([part("x"), part("d"), part("z")].concat())).unwrap()
}

fn wrapped(to: &HybridPrivate) -> Vec<u8> {
    to.public().wrap(&world(), b"context", &seed("key")).unwrap()
}

#[test]
fn unwrap_undoes_wrap() {
    let private = HybridPrivate::generate(&world()).unwrap();
    let wrapped = wrapped(&private);
    assert_eq!(wrapped.len(), WRAPPED_LEN);
    assert!(private.unwrap(b"context", &wrapped).unwrap().ct_eq(seed("key").expose()));
}

#[test]
fn a_key_pair_grows_from_its_seed() {
    let private = private("a");
    assert_eq!(private.seed().len(), SEED_LEN);
    let again = HybridPrivate::from_seed(SecretBytes::new(private.seed().expose().to_vec())).unwrap();
    assert_eq!(again.public(), private.public());
    assert!(again.unwrap(b"context", &wrapped(&private)).is_ok());
}

#[test]
fn a_public_key_survives_storage() {
    let private = private("a");
    let bytes = private.public().to_bytes();
    assert_eq!(bytes.len(), PUBLIC_LEN);
    let public = HybridPublic::from_bytes(&bytes).unwrap();
    assert_eq!(&public, private.public());
    assert!(private.unwrap(b"", &public.wrap(&world(), b"", &seed("key")).unwrap()).is_ok());
}

#[test]
fn another_private_key_does_not_unwrap() {
    assert_eq!(code(private("b").unwrap(b"context", &wrapped(&private("a")))), "seal_broken");
}

#[test]
fn neither_half_of_the_private_key_unwraps_alone() {
    let (a, b) = (private("a"), private("b"));
    let (right, wrong) = (a.seed().expose(), b.seed().expose());
    for mixed in [[&right[..32], &wrong[32..]].concat(), [&wrong[..32], &right[32..]].concat()] {
        let half = HybridPrivate::from_seed(SecretBytes::new(mixed)).unwrap();
        assert_eq!(code(half.unwrap(b"context", &wrapped(&a))), "seal_broken");
    }
}

#[test]
fn another_context_does_not_unwrap() {
    let private = private("a");
    for context in [&b""[..], b"contex", b"context ", b"Context"] {
        assert_eq!(code(private.unwrap(context, &wrapped(&private))), "seal_broken");
    }
}

#[test]
fn a_point_of_low_order_is_refused_on_both_sides() {
    let private = private("a");
    let mut public = private.public().to_bytes();
    public[..32].fill(0);
    let public = HybridPublic::from_bytes(&public).unwrap();
    assert_eq!(code(public.wrap(&world(), b"", &seed("key"))), "malformed_public_key");
    let mut wrapped = wrapped(&private);
    wrapped[6..38].fill(0);
    assert_eq!(code(private.unwrap(b"context", &wrapped)), "seal_broken");
}

#[test]
fn lengths_are_exact() {
    let private = private("a");
    let wrapped = wrapped(&private);
    for bytes in [&wrapped[..WRAPPED_LEN - 1], &[&wrapped[..], &[0]].concat(), &wrapped[..5], &[]] {
        assert_eq!(code(private.unwrap(b"context", bytes)), "malformed_envelope");
    }
    let public = private.public().to_bytes();
    for bytes in [&public[1..], &[&public[..], &[0]].concat(), &[]] {
        assert_eq!(code(HybridPublic::from_bytes(bytes)), "malformed_public_key");
    }
    for length in [0, SEED_LEN - 1, SEED_LEN + 1] {
        assert_eq!(code(HybridPrivate::from_seed(SecretBytes::new(vec![1; length]))), "internal");
    }
}

/// The construction once more, from its documentation and with another ML-KEM.
#[test]
fn the_construction_is_as_documented() {
    let private = private("a");
    let (public, wrapped) = (private.public().to_bytes(), wrapped(&private));
    let (for_x, for_m) = private.seed().expose().split_at(32);
    let (pk_x, pk_m) = public.split_at(32);
    assert_eq!(wrapped[..6], *b"WRT1\x01\x02");
    let (ct_x, ct_m, sealed) = (&wrapped[6..38], &wrapped[38..38 + 1088], &wrapped[38 + 1088..]);

    let oracle = ml_kem::DecapsulationKey768::from_seed(ml_kem::Seed::try_from(for_m).unwrap());
    let ss_m = oracle.decapsulate(&ml_kem::ml_kem_768::Ciphertext::try_from(ct_m).unwrap());
    let x = agreement::PrivateKey::from_private_key(&agreement::X25519, for_x).unwrap();
    let peer = agreement::UnparsedPublicKey::new(&agreement::X25519, ct_x);
    let ss_x = agreement::agree(&x, peer, (), |secret| Ok(secret.to_vec())).unwrap();

    let fields = [&b"key"[..], ct_m, ct_x, pk_m, pk_x, b"context"];
    let info = fields.into_iter().fold(Aad::new(), Aad::field).finish();
    let kek = hkdf_sha256(b"writ/hybrid-wrap/x25519-mlkem768/v1", &[&ss_m[..], &ss_x].concat(), &info);
    let opened = DataKey::from_secret(kek).open(&wrapped[..6], &[&[0; 12], sealed].concat()).unwrap();
    assert!(opened.ct_eq(seed("key").expose()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_flipped_bit_is_noticed(index in 0..WRAPPED_LEN) {
        let private = private("a");
        prop_assert!(private.unwrap(b"context", &flipped(&wrapped(&private), index)).is_err());
    }

    #[test]
    fn any_key_and_context_come_back(key: [u8; 32], context: Vec<u8>) {
        let private = private("a");
        let wrapped = private.public().wrap(&world(), &context, &SecretKey::new(key)).unwrap();
        prop_assert!(private.unwrap(&context, &wrapped).unwrap().ct_eq(&key));
    }
}
