//! Tile paths: reading never panics, and what is read is the one spelling, so it cannot leave the directory.
#![no_main]

use libfuzzer_sys::fuzz_target;
use writ_merkle::Tile;

fuzz_target!(|path: &str| {
    if let Ok(tile) = path.parse::<Tile>() {
        assert_eq!(tile.to_string(), path);
        assert!(path.starts_with("tile/") && !path.contains(".."));
    }
});
