//! Sequences evidence into a Merkle log: tiles, checkpoints, proofs, export
