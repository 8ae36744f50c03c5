//! C2SP tlog-tiles: names, bytes, and proofs out of tiles.

use std::collections::BTreeSet;

use proptest::prelude::*;
use writ_merkle::{
    Error, Layer, Tile, leaf_hash,
    proof::{verify_consistency, verify_inclusion},
    tile::{
        consistency, decode, decode_entries, encode, encode_entries, for_consistency, for_inclusion,
        inclusion, published,
    },
};

use crate::{
    log::{Log, root},
    tree::hashes,
};

fn tile(layer: Layer, index: u64, width: u16) -> Tile {
    Tile::new(layer, index, width).unwrap()
}

#[test]
fn a_tile_is_named_by_its_path() {
    let cases = [
        (tile(Layer::Hashes(0), 0, 256), "tile/0/000"),
        (tile(Layer::Hashes(1), 1_234_067, 256), "tile/1/x001/x234/067"),
        (tile(Layer::Hashes(2), 999, 1), "tile/2/999.p/1"),
        (tile(Layer::Hashes(0), 1000, 255), "tile/0/x001/000.p/255"),
        (tile(Layer::Entries, 273, 112), "tile/entries/273.p/112"),
        (tile(Layer::Entries, 1_000_000, 256), "tile/entries/x001/x000/000"),
    ];
    for (tile, path) in cases {
        assert_eq!(tile.to_string(), path);
        assert_eq!(path.parse::<Tile>().unwrap(), tile);
    }
}

#[test]
fn no_other_spelling_of_a_path_is_accepted() {
    for path in [
        "",
        "tile",
        "tile/",
        "tile/0",
        "tile/0/",
        "/tile/0/000",
        "tile/0/000/",
        "tile//0/000",
        "tile/00/000",
        "tile/0/0",
        "tile/0/0000",
        "tile/0/1",
        "tile/0/x000/001",
        "tile/0/x001/x000",
        "tile/0/001/000",
        "tile/0/x1/000",
        "tile/+1/000",
        "tile/0/+01",
        "tile/0/000.p",
        "tile/0/000.p/",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/257",
        "tile/0/000.p/01",
        "tile/0/000.p/+1",
        "tile/0/000.p/1/..",
        "tile/8/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/data/000",
        "tile/entries/../000",
        "tile/entries/..%2f000",
        "tile/0/../../etc/passwd",
        "tile/0/x../000",
        "tile/0/000\0",
        "tile/0/٠٠٠",
        "Tile/0/000",
        "tile/0/x036/x028/x797/x018/x963/968",
        "tile/0/x999/x999/x999/x999/x999/x999/x999/x999/999",
    ] {
        assert!(path.parse::<Tile>().is_err(), "{path:?}");
    }
}

#[test]
fn the_tiles_of_the_example_in_the_specification_come_out() {
    let tiles: Vec<_> = published(0, 70_000).collect();
    let full = |layer| tiles.iter().filter(|tile| tile.layer() == layer && !tile.is_partial()).count();
    let partial: Vec<_> = tiles.iter().filter(|tile| tile.is_partial()).map(Tile::to_string).collect();
    assert_eq!((full(Layer::Entries), full(Layer::Hashes(0)), full(Layer::Hashes(1))), (273, 273, 1));
    assert_eq!(partial, ["tile/entries/273.p/112", "tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"]);
    assert_eq!(tiles.len(), 273 + 273 + 1 + partial.len());
}

#[test]
fn growing_publishes_only_what_is_new() {
    let paths = |old, new| published(old, new).map(|tile| tile.to_string()).collect::<Vec<_>>();
    assert_eq!(paths(0, 0), [""; 0]);
    assert_eq!(paths(5, 5), [""; 0]);
    assert_eq!(paths(0, 1), ["tile/entries/000.p/1", "tile/0/000.p/1"]);
    assert_eq!(paths(255, 256), ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]);
    assert_eq!(paths(256, 257), ["tile/entries/001.p/1", "tile/0/001.p/1"]);
    assert_eq!(
        paths(500, 513),
        ["tile/entries/001", "tile/entries/002.p/1", "tile/0/001", "tile/0/002.p/1", "tile/1/000.p/2",]
    );
}

#[test]
fn hashes_survive_being_encoded() {
    let hashes = hashes(256);
    let bytes = encode(&hashes);
    assert_eq!(bytes.len(), 8192);
    assert_eq!(decode(&bytes, 256).unwrap(), hashes);
    for (bytes, width) in [(&bytes[..8191], 256), (&bytes[..8160], 256), (&bytes[..], 255), (&[][..], 1)] {
        assert!(decode(bytes, width).is_err());
    }
}

#[test]
fn a_bundle_is_entries_after_their_lengths() {
    let bytes = encode_entries([b"a".as_slice(), b"", b"xyz"]).unwrap();
    assert_eq!(bytes, b"\x00\x01a\x00\x00\x00\x03xyz");
    assert_eq!(decode_entries(&bytes, 3).unwrap(), [b"a".as_slice(), b"", b"xyz"]);
}

#[test]
fn a_bundle_holds_exactly_its_entries() {
    let bytes = b"\x00\x01a\x00\x03xyz";
    for (bytes, width) in
        [(&bytes[..], 1), (&bytes[..], 3), (&bytes[..7], 2), (&bytes[..4], 2), (&bytes[..3], 2)]
    {
        assert!(decode_entries(bytes, width).is_err(), "{bytes:?} as {width}");
    }
}

#[test]
fn an_entry_has_at_most_65535_bytes() {
    let longest = vec![7; 65_535];
    let bytes = encode_entries([longest.as_slice()]).unwrap();
    assert_eq!(decode_entries(&bytes, 1).unwrap(), [longest.as_slice()]);
    let longer = vec![7; 65_536];
    assert!(matches!(encode_entries([longer.as_slice()]), Err(Error::EntryTooLong { length: 65_536 })));
}

#[test]
fn tiles_prove_every_kind_of_place() {
    let log = Log::new(66_000).unwrap();
    let head = log.head().unwrap();
    for index in [0, 1, 255, 256, 65_535, 65_536, 65_791, 65_792, 65_999] {
        let proof = inclusion(index, head.size, |tile| log.tile(tile)).unwrap();
        let leaf = leaf_hash(&log.leaves[usize::try_from(index).unwrap()]);
        verify_inclusion(index, &leaf, head.size, &head.root, &proof).unwrap();
    }
    for old in [1, 2, 255, 256, 257, 511, 65_535, 65_536, 65_537, 65_999, 66_000] {
        let proof = consistency(old, head.size, |tile| log.tile(tile)).unwrap();
        let old_root = root(&log.leaves[..usize::try_from(old).unwrap()]);
        verify_consistency(old, &old_root, head.size, &head.root, &proof).unwrap();
    }
}

#[test]
fn a_full_tile_serves_in_the_place_of_a_partial_one() {
    let (old, new) = (Log::new(300).unwrap(), Log::new(512).unwrap());
    let head = old.head().unwrap();
    let proof = inclusion(299, 300, |tile| new.tile(tile.full()).or_else(|_| old.tile(tile))).unwrap();
    assert_eq!(proof, inclusion(299, 300, |tile| old.tile(tile)).unwrap());
    verify_inclusion(299, &leaf_hash(b"leaf 299"), 300, &head.root, &proof).unwrap();
}

#[test]
fn the_tiles_a_proof_needs_are_known_beforehand_and_are_published() {
    let all: BTreeSet<_> = published(0, 66_000).collect();
    let needed = for_inclusion(65_999, 66_000).unwrap();
    assert!(needed.is_subset(&all) && needed.len() <= 4, "{needed:?}");
    let log = Log::new(66_000).unwrap();
    let read = |tile| {
        if needed.contains(&tile) { log.tile(tile) } else { Err(Error::MissingHash { level: 0, index: 0 }) }
    };
    inclusion(65_999, 66_000, read).unwrap();
    assert!(for_consistency(300, 66_000).unwrap().is_subset(&all));
    assert!(matches!(for_inclusion(5, 5), Err(Error::IndexBeyondTree { .. })));
}

#[test]
fn a_tile_that_is_too_short_proves_nothing() {
    let short = |tile: Tile| Ok(hashes(usize::from(tile.width()) - 1));
    assert!(matches!(inclusion(0, 200, short), Err(Error::MissingHash { .. })));
}

proptest! {
    #[test]
    fn every_tile_of_any_log_has_a_path_that_names_it(level in 0_u8..8, index in any::<u64>(), width in 1_u16..=256) {
        let layer = Layer::Hashes(level);
        if let Ok(tile) = Tile::new(layer, index >> (level * 8), width) {
            prop_assert_eq!(tile.to_string().parse::<Tile>().unwrap(), tile);
        }
    }

    #[test]
    fn no_text_makes_the_path_parser_panic(text in "(tile/)?[0-9xp./enris\u{0}-\u{ff}]{0,40}") {
        if let Ok(tile) = text.parse::<Tile>() {
            prop_assert_eq!(tile.to_string(), text);
        }
    }

    #[test]
    fn no_bytes_make_the_bundle_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600), width in 0_u16..300) {
        if let Ok(entries) = decode_entries(&bytes, width) {
            prop_assert_eq!(encode_entries(entries).unwrap(), bytes);
        }
    }

    #[test]
    fn bundles_round_trip(entries in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..100), 1..=256)) {
        let bytes = encode_entries(entries.iter().map(Vec::as_slice)).unwrap();
        prop_assert_eq!(decode_entries(&bytes, u16::try_from(entries.len()).unwrap()).unwrap(), entries);
    }

    #[test]
    fn what_is_published_step_by_step_is_what_is_published_at_once(sizes in proptest::collection::btree_set(1_u64..70_000, 1..6)) {
        let last = *sizes.last().unwrap();
        let mut steps = BTreeSet::new();
        sizes.iter().fold(0, |old, new| { steps.extend(published(old, *new)); *new });
        prop_assert!(published(0, last).all(|tile| steps.contains(&tile)));
    }
}
