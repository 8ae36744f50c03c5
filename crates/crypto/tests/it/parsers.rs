//! No parser panics, whatever the bytes.

use proptest::prelude::*;
use writ_crypto::{
    Algorithm, DataKey, HybridPrivate, HybridPublic, KeyRef, KeyRing, SecretBytes, Token, VerifyingKey,
    envelope::{Envelope, Header},
    runner_token, shamir,
};
use writ_kernel::Timestamp;

use crate::{seed, world};

/// Bytes that begin like ours often enough to come past the first check.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let ours = prop::sample::select(vec![&b""[..], b"WRT1\x01\x01", b"WRT1\x01\x02", b"WRT1", b"\x01"]);
    (ours, prop::collection::vec(any::<u8>(), 0..1300)).prop_map(|(prefix, rest)| [prefix, &rest].concat())
}

proptest! {
    #[test]
    fn envelopes(bytes in hostile()) {
        if let Ok(envelope) = Envelope::parse(&bytes) {
            prop_assert_eq!([&envelope.header.to_bytes()[..], envelope.body].concat(), bytes.clone());
        }
        let name = KeyRef { id: uuid::Uuid::nil(), version: 0 };
        prop_assert!(KeyRing::new(name, DataKey::from_secret(seed("a")), 0).open(b"", &bytes).is_err());
        prop_assert!(DataKey::from_secret(seed("a")).open(b"", &bytes).is_err());
    }

    #[test]
    fn shares(bytes in hostile(), text in "(writ_share_)?[a-z0-9_]{0,120}") {
        let (a, b) = (SecretBytes::new(bytes.clone()), SecretBytes::new(bytes));
        prop_assert!(shamir::combine(&[a, b]).is_err());
        prop_assert!(shamir::decode(&text).is_err());
    }

    #[test]
    fn tokens(text in "(writ_run_|writ_key_)?\\PC{0,200}") {
        prop_assert!(Token::hash(&text).is_err());
        prop_assert!(runner_token::verify(&text, &[("a", &seed("a"))], Timestamp::default()).is_err());
    }

    #[test]
    fn public_keys(bytes in hostile()) {
        let _ = HybridPublic::from_bytes(&bytes);
        for algorithm in Algorithm::ALL {
            if let Ok(key) = VerifyingKey::from_bytes(algorithm, &bytes) {
                prop_assert!(key.verify(b"message", &bytes).is_err());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn wrapped_keys(noise in prop::collection::vec(any::<u8>(), 1168), bytes in hostile()) {
        let private = HybridPrivate::generate(&world()).unwrap();
        let wrapped = [b"WRT1\x01\x02", &noise[..]].concat();
        prop_assert_eq!(private.unwrap(b"", &wrapped).err().unwrap().code(), "seal_broken");
        prop_assert!(private.unwrap(b"", &bytes).is_err());
    }
}

#[test]
fn a_header_of_another_magic_version_or_suite_is_refused() {
    let good = [&b"WRT1\x01\x01"[..], &[0; 20]].concat();
    assert!(Header::parse(&good).is_ok());
    for (index, value) in [(0, b'X'), (3, b'2'), (4, 0), (4, 2), (5, 0), (5, 3)] {
        let mut bad = good.clone();
        bad[index] = value;
        assert_eq!(Header::parse(&bad).err().unwrap().code(), "malformed_envelope");
    }
}
