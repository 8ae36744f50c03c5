//! RFC 6962 and RFC 9162, section 2.1: hashes and roots.

use proptest::prelude::*;
use writ_merkle::{Frontier, Hash, leaf_hash, tree};

use crate::log;

/// The eight leaves of the test data of Certificate Transparency, in hexadecimal.
const LEAVES: [&str; 8] =
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];

/// The roots of the trees of the first 0 to 8 of them.
const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

pub(crate) fn leaves() -> Vec<Vec<u8>> {
    LEAVES.map(|leaf| data_encoding::HEXLOWER.decode(leaf.as_bytes()).unwrap()).to_vec()
}

pub(crate) fn hash(hex: &str) -> Hash {
    Hash::try_from(data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap().as_slice()).unwrap()
}

pub(crate) fn known_root(size: usize) -> Hash {
    hash(ROOTS[size])
}

/// The tree hash as RFC 9162, section 2.1.1, defines it, to the letter.
pub(crate) fn defined_root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => tree::empty_root(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            tree::node_hash(&defined_root(left), &defined_root(right))
        }
    }
}

/// The hashes of `size` different leaves.
pub(crate) fn hashes(size: usize) -> Vec<Hash> {
    (0..size).map(|index| leaf_hash(&index.to_be_bytes())).collect()
}

#[test]
fn a_hash_has_one_text() {
    let text = Hash::from_bytes([0; 32]).to_string();
    assert_eq!(text.parse::<Hash>().unwrap(), Hash::from_bytes([0; 32]));
    let padded_in_the_middle = format!("AAA={}", "A".repeat(40));
    assert_eq!(text.len(), padded_in_the_middle.len());
    assert!(padded_in_the_middle.parse::<Hash>().is_err());
}

#[test]
fn the_published_roots_come_out() {
    for size in 0..=LEAVES.len() {
        assert_eq!(log::root(&leaves()[..size]), known_root(size), "{size}");
    }
}

#[test]
fn the_frontier_has_the_root_of_the_definition_at_every_size() {
    let leaves = hashes(600);
    let mut frontier = Frontier::new();
    for size in 0..leaves.len() {
        assert_eq!(frontier.root(), defined_root(&leaves[..size]), "{size}");
        frontier.append(leaves[size]);
    }
}

#[test]
fn appending_hands_out_each_perfect_subtree_once_and_right() {
    let leaves = hashes(256);
    let mut frontier = Frontier::new();
    let mut nodes: Vec<_> = leaves.iter().flat_map(|leaf| frontier.append(*leaf)).collect();
    for node in &nodes {
        let width = 1_usize << node.level;
        let begin = usize::try_from(node.index).unwrap() * width;
        assert_eq!(node.hash, defined_root(&leaves[begin..begin + width]), "{node:?}");
    }
    nodes.sort_by_key(|node| (node.level, node.index));
    nodes.dedup_by_key(|node| (node.level, node.index));
    assert_eq!(nodes.len(), 511, "every node of the perfect tree of 256");
}

#[test]
fn a_frontier_survives_being_stored() {
    for size in [0, 1, 2, 3, 255, 256, 257] {
        let frontier: Frontier = hashes(size).into_iter().collect();
        assert_eq!(Frontier::from_bytes(&frontier.to_bytes()).unwrap(), frontier);
    }
}

#[test]
fn a_stored_frontier_with_the_wrong_number_of_hashes_is_refused() {
    let bytes = hashes(3).into_iter().collect::<Frontier>().to_bytes();
    for broken in [
        &bytes[..bytes.len() - 1],
        &bytes[..8 + 32],
        &[bytes.clone(), vec![0; 32]].concat(),
        &[],
        &[0xff; 8 + 64 * 32],
    ] {
        assert!(Frontier::from_bytes(broken).is_err(), "{} bytes", broken.len());
    }
}

#[test]
fn a_hash_has_one_spelling() {
    let text = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
    assert_eq!(text.parse::<Hash>().unwrap().to_string(), text);
    for other in [
        "",
        "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I",
        "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J=",
        "CsUYapGG",
    ] {
        assert!(other.parse::<Hash>().is_err(), "{other}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_frontier_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(frontier) = Frontier::from_bytes(&bytes) {
            prop_assert_eq!(frontier.to_bytes(), bytes);
        }
    }
}
