//! Public keys: reading never panics, and what is read is written back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use writ_crypto::{Algorithm, HybridPublic, VerifyingKey};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(key) = HybridPublic::from_bytes(bytes) {
        assert_eq!(key.to_bytes(), bytes);
    }
    for algorithm in Algorithm::ALL {
        let (public, signature) = bytes.split_at(bytes.len().min(algorithm.public_len()));
        if let Ok(key) = VerifyingKey::from_bytes(algorithm, public) {
            assert_eq!(key.as_bytes(), public);
            let _ = key.verify(b"message", signature);
        }
    }
});
