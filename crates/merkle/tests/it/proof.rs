//! RFC 9162, sections 2.1.3 and 2.1.4: proofs are made for what is so, and verify for nothing else.

use proptest::prelude::*;
use writ_merkle::{
    Error, Hash, Result, leaf_hash,
    proof::{consistency, inclusion, verify_consistency, verify_inclusion},
};

use crate::tree::{defined_root, hash, hashes, known_root, leaves};

/// Reads perfect subtrees straight out of the leaves.
fn reader(leaves: &[Hash]) -> impl Fn(u8, u64) -> Result<Hash> {
    move |level, index| {
        let width = 1_usize << level;
        let begin = usize::try_from(index).unwrap() * width;
        Ok(defined_root(&leaves[begin..begin + width]))
    }
}

#[test]
fn the_published_inclusion_proofs_come_out() {
    let cases: [(u64, usize, &[&str]); 5] = [
        (0, 1, &[]),
        (
            0,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            5,
            8,
            &[
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
        (2, 3, &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
        (
            1,
            5,
            &[
                "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ],
        ),
    ];
    let leaves: Vec<_> = leaves().iter().map(|leaf| leaf_hash(leaf)).collect();
    for (index, size, published) in cases {
        let proof = inclusion(index, size as u64, reader(&leaves)).unwrap();
        assert_eq!(proof, published.iter().map(|hex| hash(hex)).collect::<Vec<_>>(), "{index} in {size}");
        let leaf = leaves[usize::try_from(index).unwrap()];
        verify_inclusion(index, &leaf, size as u64, &known_root(size), &proof).unwrap();
    }
}

#[test]
fn the_published_consistency_proofs_come_out() {
    let cases: [(usize, usize, &[&str]); 4] = [
        (1, 1, &[]),
        (
            1,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            6,
            8,
            &[
                "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
        (
            2,
            5,
            &[
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ],
        ),
    ];
    let leaves: Vec<_> = leaves().iter().map(|leaf| leaf_hash(leaf)).collect();
    for (old, new, published) in cases {
        let proof = consistency(old as u64, new as u64, reader(&leaves)).unwrap();
        assert_eq!(proof, published.iter().map(|hex| hash(hex)).collect::<Vec<_>>(), "{old} to {new}");
        verify_consistency(old as u64, &known_root(old), new as u64, &known_root(new), &proof).unwrap();
    }
}

#[test]
fn every_leaf_of_every_small_tree_is_proven() {
    let leaves = hashes(130);
    for size in 1..=leaves.len() {
        let root = defined_root(&leaves[..size]);
        for (index, leaf) in leaves[..size].iter().enumerate() {
            let proof = inclusion(index as u64, size as u64, reader(&leaves)).unwrap();
            verify_inclusion(index as u64, leaf, size as u64, &root, &proof).unwrap();
        }
    }
}

#[test]
fn every_pair_of_small_trees_is_proven_consistent() {
    let leaves = hashes(90);
    let roots: Vec<_> = (0..=leaves.len()).map(|size| defined_root(&leaves[..size])).collect();
    for new in 1..=leaves.len() {
        for old in 1..=new {
            let proof = consistency(old as u64, new as u64, reader(&leaves)).unwrap();
            verify_consistency(old as u64, &roots[old], new as u64, &roots[new], &proof).unwrap();
        }
    }
}

#[test]
fn the_empty_tree_is_a_prefix_of_every_tree_and_needs_no_proof() {
    verify_consistency(0, &known_root(0), 8, &known_root(8), &[]).unwrap();
    assert!(matches!(
        verify_consistency(0, &known_root(1), 8, &known_root(8), &[]),
        Err(Error::OldRootMismatch { .. })
    ));
    assert!(matches!(
        verify_consistency(0, &known_root(0), 8, &known_root(8), &[known_root(1)]),
        Err(Error::ProofTooLong)
    ));
    assert!(matches!(consistency(0, 8, reader(&[])), Err(Error::SizesOutOfOrder { old: 0, new: 8 })));
}

#[test]
fn what_is_not_in_the_tree_cannot_be_asked_for() {
    assert!(matches!(inclusion(8, 8, reader(&[])), Err(Error::IndexBeyondTree { index: 8, size: 8 })));
    assert!(matches!(consistency(9, 8, reader(&[])), Err(Error::SizesOutOfOrder { old: 9, new: 8 })));
    let (leaf, root) = (known_root(1), known_root(8));
    assert!(matches!(
        verify_inclusion(8, &leaf, 8, &root, &[]),
        Err(Error::IndexBeyondTree { index: 8, size: 8 })
    ));
    assert!(matches!(
        verify_consistency(9, &root, 8, &root, &[]),
        Err(Error::SizesOutOfOrder { old: 9, new: 8 })
    ));
}

#[test]
fn a_reader_that_fails_fails_the_proof() {
    let failing = |level, index| Err(Error::MissingHash { level, index });
    assert!(matches!(inclusion(0, 8, failing), Err(Error::MissingHash { level: 2, index: 1 })));
}

/// `proof` with one hash altered, dropped, doubled or added.
fn altered(proof: &[Hash], place: prop::sample::Index, how: u8) -> Vec<Hash> {
    let mut proof = proof.to_vec();
    let place = place.index(proof.len().max(1));
    match how {
        _ if proof.is_empty() => proof.push(known_root(1)),
        0 => proof[place] = leaf_hash(proof[place].as_bytes()),
        1 => drop(proof.remove(place)),
        2 => proof.insert(place, proof[place]),
        _ => proof.push(proof[place]),
    }
    proof
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn an_altered_inclusion_proof_fails(
        size in 1_usize..3000,
        at in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        how in 0_u8..4,
        other in any::<u64>(),
    ) {
        let leaves = hashes(size);
        let (index, size, root) = (at.index(size), size as u64, defined_root(&leaves));
        let (leaf, place_in_tree) = (leaves[index], index as u64);
        let proof = inclusion(place_in_tree, size, reader(&leaves)).unwrap();
        verify_inclusion(place_in_tree, &leaf, size, &root, &proof).unwrap();

        prop_assert!(verify_inclusion(place_in_tree, &leaf, size, &root, &altered(&proof, place, how)).is_err());
        prop_assert!(verify_inclusion(place_in_tree, &root, size, &root, &proof).is_err() || size == 1);
        prop_assert!(verify_inclusion(place_in_tree, &leaf, size, &leaf_hash(b"other"), &proof).is_err());
        let elsewhere = other % size;
        prop_assert!(elsewhere == place_in_tree || verify_inclusion(elsewhere, &leaf, size, &root, &proof).is_err());
    }

    #[test]
    fn an_altered_consistency_proof_fails(
        new in 2_usize..2000,
        old in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        how in 0_u8..4,
    ) {
        let leaves = hashes(new);
        let old = 1 + old.index(new - 1);
        let (old_root, root) = (defined_root(&leaves[..old]), defined_root(&leaves));
        let (old, new) = (old as u64, new as u64);
        let proof = consistency(old, new, reader(&leaves)).unwrap();
        verify_consistency(old, &old_root, new, &root, &proof).unwrap();

        prop_assert!(verify_consistency(old, &old_root, new, &root, &altered(&proof, place, how)).is_err());
        prop_assert!(verify_consistency(old, &leaf_hash(b"other"), new, &root, &proof).is_err());
        prop_assert!(verify_consistency(old, &old_root, new, &leaf_hash(b"other"), &proof).is_err());
        prop_assert!(verify_consistency(old, &root, new, &old_root, &proof).is_err());
    }

    #[test]
    fn trees_too_large_to_hold_are_proven_alike(size in 1_u64..1 << 62, at in any::<u64>(), old in any::<u64>()) {
        // All leaves are alike, so a perfect subtree of each level has one root.
        let mut perfect = vec![leaf_hash(b"leaf")];
        for level in 0..63 {
            perfect.push(writ_merkle::tree::node_hash(&perfect[level], &perfect[level]));
        }
        let root = |size: u64| {
            let levels = (0..64_u32).filter(|level| size >> level & 1 == 1);
            let peaks = levels.map(|level| perfect[level as usize]);
            peaks.reduce(|right, left| writ_merkle::tree::node_hash(&left, &right)).unwrap()
        };
        let (index, old) = (at % size, 1 + old % size);
        let read = |level: u8, _| Ok(perfect[usize::from(level)]);
        let proof = inclusion(index, size, read).unwrap();
        verify_inclusion(index, &perfect[0], size, &root(size), &proof).unwrap();
        let proof = consistency(old, size, read).unwrap();
        verify_consistency(old, &root(old), size, &root(size), &proof).unwrap();
    }

    #[test]
    fn no_proof_makes_a_verifier_panic(
        numbers in any::<(u64, u64)>(),
        proof in proptest::collection::vec(any::<[u8; 32]>(), 0..80),
    ) {
        let proof: Vec<_> = proof.into_iter().map(Hash::from_bytes).collect();
        let root = known_root(1);
        prop_assert!(verify_inclusion(numbers.0, &root, numbers.1, &root, &proof).is_err() || numbers == (0, 1));
        prop_assert!(verify_consistency(numbers.0, &root, numbers.1, &root, &proof).is_err() || numbers.0 == numbers.1);
    }
}
