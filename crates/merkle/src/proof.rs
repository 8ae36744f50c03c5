//! Inclusion and consistency proofs.
//!
//! Proofs are made by the recursive definitions of RFC 9162, sections 2.1.3.1 and 2.1.4.1, and verified by the
//! iterative algorithms of sections 2.1.3.2 and 2.1.4.2: the two share no code, so each checks the other.

use crate::{
    Error, Hash, Result,
    tree::{empty_root, node_hash},
};

/// Makes the proof that leaf `index` is in the tree of `size`: the hashes from the leaf's sibling up to the
/// root's child.
///
/// `read(level, index)` gives the root of the perfect subtree over leaves `index · 2^level` to
/// `(index + 1) · 2^level`; it is asked only for subtrees that lie wholly within the tree.
///
/// # Errors
/// [`Error::IndexBeyondTree`], and whatever `read` fails with.
pub fn inclusion(index: u64, size: u64, mut read: impl FnMut(u8, u64) -> Result<Hash>) -> Result<Vec<Hash>> {
    if index >= size {
        return Err(Error::IndexBeyondTree { index, size });
    }
    let (mut begin, mut end) = (0, size);
    let mut path = Vec::new();
    while end - begin > 1 {
        let middle = begin + split(end - begin);
        if index < middle {
            path.push(range_root(middle, end, &mut read)?);
            end = middle;
        } else {
            path.push(range_root(begin, middle, &mut read)?);
            begin = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// Makes the proof that the tree of `old` is a prefix of the tree of `new`; empty when they are of one size.
/// `read` is as for [`inclusion`].
///
/// # Errors
/// [`Error::SizesOutOfOrder`] unless `0 < old ≤ new` (from the empty tree there is nothing to prove), and
/// whatever `read` fails with.
pub fn consistency(old: u64, new: u64, mut read: impl FnMut(u8, u64) -> Result<Hash>) -> Result<Vec<Hash>> {
    if old == 0 || old > new {
        return Err(Error::SizesOutOfOrder { old, new });
    }
    let (mut begin, mut end) = (0, new);
    let mut proof = Vec::new();
    while old != end {
        let middle = begin + split(end - begin);
        if old <= middle {
            proof.push(range_root(middle, end, &mut read)?);
            end = middle;
        } else {
            proof.push(range_root(begin, middle, &mut read)?);
            begin = middle;
        }
    }
    // The verifier knows the whole old tree's root already; of a part of it, it must be told.
    if begin != 0 {
        proof.push(range_root(begin, end, &mut read)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Verifies that `leaf` is the hash of leaf `index` in the tree of `size` with this `root`
/// (RFC 9162, section 2.1.3.2).
///
/// # Errors
/// Says what is wrong: [`Error::IndexBeyondTree`], [`Error::ProofTooShort`], [`Error::ProofTooLong`] or
/// [`Error::RootMismatch`].
pub fn verify_inclusion(index: u64, leaf: &Hash, size: u64, root: &Hash, proof: &[Hash]) -> Result<()> {
    if index >= size {
        return Err(Error::IndexBeyondTree { index, size });
    }
    let (mut place, mut last, mut computed) = (index, size - 1, *leaf);
    for sibling in proof {
        if last == 0 {
            return Err(Error::ProofTooLong);
        }
        if place % 2 == 1 || place == last {
            computed = node_hash(sibling, &computed);
            while place % 2 == 0 && place != 0 {
                (place, last) = (place / 2, last / 2);
            }
        } else {
            computed = node_hash(&computed, sibling);
        }
        (place, last) = (place / 2, last / 2);
    }
    if last != 0 {
        return Err(Error::ProofTooShort);
    }
    equal(computed, *root)
}

/// Verifies that the tree of `old` with `old_root` is a prefix of the tree of `new` with `new_root`
/// (RFC 9162, section 2.1.4.2). The empty tree is a prefix of every tree, shown by the empty proof.
///
/// # Errors
/// Says what is wrong: [`Error::SizesOutOfOrder`], [`Error::ProofTooShort`], [`Error::ProofTooLong`],
/// [`Error::OldRootMismatch`] or [`Error::RootMismatch`].
pub fn verify_consistency(
    old: u64,
    old_root: &Hash,
    new: u64,
    new_root: &Hash,
    proof: &[Hash],
) -> Result<()> {
    if old > new {
        return Err(Error::SizesOutOfOrder { old, new });
    }
    if old == 0 || old == new {
        if !proof.is_empty() {
            return Err(Error::ProofTooLong);
        }
        let earlier = if old == 0 { empty_root() } else { *new_root };
        return equal_old(earlier, *old_root);
    }
    let (first, rest) = if old.is_power_of_two() {
        (old_root, proof)
    } else {
        proof.split_first().ok_or(Error::ProofTooShort)?
    };
    let shift = (old - 1).trailing_ones();
    let (mut place, mut last) = ((old - 1) >> shift, (new - 1) >> shift);
    let (mut earlier, mut later) = (*first, *first);
    for hash in rest {
        if last == 0 {
            return Err(Error::ProofTooLong);
        }
        if place % 2 == 1 || place == last {
            earlier = node_hash(hash, &earlier);
            later = node_hash(hash, &later);
            while place % 2 == 0 && place != 0 {
                (place, last) = (place / 2, last / 2);
            }
        } else {
            later = node_hash(&later, hash);
        }
        (place, last) = (place / 2, last / 2);
    }
    if last != 0 {
        return Err(Error::ProofTooShort);
    }
    equal_old(earlier, *old_root)?;
    equal(later, *new_root)
}

/// The largest power of two below `width`, which is at least 2: where RFC 9162 splits a tree.
const fn split(width: u64) -> u64 {
    1 << (width - 1).ilog2()
}

/// The root over leaves `begin` to `end` (exclusive), where `begin` is a multiple of every perfect subtree in it.
fn range_root(begin: u64, end: u64, read: &mut impl FnMut(u8, u64) -> Result<Hash>) -> Result<Hash> {
    let width = end - begin;
    if width.is_power_of_two() {
        let level = width.trailing_zeros();
        return read(u8::try_from(level).unwrap_or(u8::MAX), begin >> level);
    }
    let middle = begin + split(width);
    let left = range_root(begin, middle, read)?;
    Ok(node_hash(&left, &range_root(middle, end, read)?))
}

fn equal(computed: Hash, expected: Hash) -> Result<()> {
    if computed == expected { Ok(()) } else { Err(Error::RootMismatch { computed, expected }) }
}

fn equal_old(computed: Hash, expected: Hash) -> Result<()> {
    if computed == expected { Ok(()) } else { Err(Error::OldRootMismatch { computed, expected }) }
}
