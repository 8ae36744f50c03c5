//! Envelopes: parsing never panics, what is parsed is written back the same, and nothing forged opens.
#![no_main]

use libfuzzer_sys::fuzz_target;
use writ_crypto::{DataKey, KeyRing, SecretKey, envelope::Envelope};

fuzz_target!(|bytes: &[u8]| {
    let Ok(envelope) = Envelope::parse(bytes) else { return };
    assert_eq!([&envelope.header.to_bytes()[..], envelope.body].concat(), bytes);
    let ring = KeyRing::new(envelope.header.key, DataKey::from_secret(SecretKey::new([7; 32])), 0);
    assert!(ring.open(b"", bytes).is_err());
});
