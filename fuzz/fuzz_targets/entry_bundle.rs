//! Entry bundles, hash tiles and stored frontiers: reading never panics, and what is read is written back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use writ_merkle::{Frontier, tile};

fuzz_target!(|input: (u16, &[u8])| {
    let (width, bytes) = input;
    if let Ok(entries) = tile::decode_entries(bytes, width) {
        assert_eq!(tile::encode_entries(entries).expect("entries that were read"), bytes);
    }
    if let Ok(hashes) = tile::decode(bytes, width) {
        assert_eq!(tile::encode(&hashes), bytes);
    }
    if let Ok(frontier) = Frontier::from_bytes(bytes) {
        assert_eq!(frontier.to_bytes(), bytes);
    }
});
