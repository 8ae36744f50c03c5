//! Proofs that travel alone: reading never panics, what is read has one spelling, and nothing forged verifies.
#![no_main]

use libfuzzer_sys::fuzz_target;
use writ_merkle::{Policy, TlogProof};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(proof) = TlogProof::from_bytes(bytes) {
        assert_eq!(proof.to_string().as_bytes(), bytes);
        let key = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
        let verifiers = [key.parse().expect("the key of the specification's example")];
        assert!(proof.verify(b"leaf", &verifiers, &Policy::requiring([])).is_err());
    }
});
