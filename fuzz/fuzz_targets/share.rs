//! Key shares: reading and combining never panics, and what is read is written back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use writ_crypto::{SecretBytes, shamir};

fuzz_target!(|bytes: &[u8]| {
    let shares: Vec<_> = bytes.chunks(59).map(|share| SecretBytes::new(share.to_vec())).collect();
    let _ = shamir::combine(&shares);
    for share in &shares {
        if let Ok(text) = shamir::encode(share) {
            assert!(shamir::decode(text.expose()).expect("our own text").ct_eq(share.expose()));
        }
    }
    if let Ok(text) = str::from_utf8(bytes) {
        let _ = shamir::decode(text);
    }
});
