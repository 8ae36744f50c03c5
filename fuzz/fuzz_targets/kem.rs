//! Wrapped keys: unwrapping never panics and nothing forged unwraps, with and without the right beginning.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use writ_crypto::{HybridPrivate, SecretBytes, kem::SEED_LEN};

static PRIVATE: LazyLock<HybridPrivate> = LazyLock::new(|| {
    HybridPrivate::from_seed(SecretBytes::new(vec![7; SEED_LEN])).expect("a seed of its length")
});

fuzz_target!(|bytes: &[u8]| {
    assert!(PRIVATE.unwrap(b"", bytes).is_err());
    assert!(PRIVATE.unwrap(b"", &[b"WRT1\x01\x02", bytes].concat()).is_err());
});
