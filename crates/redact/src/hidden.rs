//! Bytes that are overwritten when dropped.

use std::ops::Deref;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// A secret, or a spelling of one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Hidden(Vec<u8>);

impl Hidden {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<&[u8]> for Hidden {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl Deref for Hidden {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
