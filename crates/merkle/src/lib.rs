//! The mathematics of a transparency log: tiles, proofs, signed notes; verifies offline
