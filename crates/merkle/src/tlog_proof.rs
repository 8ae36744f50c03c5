//! Proofs that travel alone (C2SP tlog-proof, files `*.tlog-proof`): where a leaf is in which signed tree.

use std::{fmt, str::FromStr};

use crate::{
    Checkpoint, Error, Hash, Policy, Result, Verifier, base64, checkpoint, note, proof::verify_inclusion,
    tree::leaf_hash,
};

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";

/// The most hashes a path through a tree can have.
const MAX_HASHES: usize = 64;

/// The longest extra data, in bytes of base64.
const MAX_EXTRA: usize = 64 * 1024;

/// An inclusion proof with the checkpoint it leads to. Text form: the file itself.
///
/// A proof that parses is not to be believed before [`TlogProof::verify`]; the extra data is never authenticated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogProof {
    /// The index of the leaf.
    pub index: u64,
    /// Data for the application, not authenticated.
    pub extra: Option<Vec<u8>>,
    /// The inclusion proof, from the leaf's sibling up.
    pub hashes: Vec<Hash>,
    /// The checkpoint, verbatim.
    pub checkpoint: String,
}

impl TlogProof {
    /// Verifies that the leaf with the bytes `leaf` is in a log of `verifiers`, under `policy`; returns the
    /// checkpoint that says so.
    ///
    /// # Errors
    /// As [`checkpoint::open`] and [`verify_inclusion`].
    pub fn verify(&self, leaf: &[u8], verifiers: &[Verifier], policy: &Policy) -> Result<Checkpoint> {
        let checkpoint = checkpoint::open(self.checkpoint.as_bytes(), verifiers, policy)?;
        let head = checkpoint.head();
        verify_inclusion(self.index, &leaf_hash(leaf), head.size, &head.root, &self.hashes)?;
        Ok(checkpoint)
    }

    /// Reads a proof from the bytes of a file.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        str::from_utf8(bytes).map_err(|_| Error::malformed("tlog proof", "it is not UTF-8"))?.parse()
    }
}

impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST_LINE}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", base64::encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.hashes.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

impl FromStr for TlogProof {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let malformed = |why| Error::malformed("tlog proof", why);
        let (above, checkpoint) = text.split_once("\n\n").ok_or(malformed("it has no checkpoint"))?;
        if checkpoint.len() > note::MAX_BYTES || above.len() > MAX_EXTRA + 64 * MAX_HASHES {
            return Err(malformed("it is too long"));
        }
        let above = above.strip_prefix(FIRST_LINE).ok_or(malformed("it is not of version 1"))?;
        let mut lines = above.strip_prefix('\n').unwrap_or_default().split('\n').peekable();
        let extra =
            lines.next_if(|line| line.starts_with("extra ")).and_then(|line| line.strip_prefix("extra "));
        let extra = extra
            .map(|extra| base64::decode(extra).ok_or(malformed("the extra data is not base64")))
            .transpose()?;
        let index = lines
            .next()
            .and_then(|line| line.strip_prefix("index "))
            .and_then(|digits| digits.parse::<u64>().ok().filter(|index| index.to_string() == digits))
            .ok_or(malformed("the line `index` is not there or not a plain number"))?;
        let hashes = lines.take(MAX_HASHES + 1).map(str::parse).collect::<Result<Vec<Hash>>>()?;
        if hashes.len() > MAX_HASHES {
            return Err(malformed("it has more hashes than any tree is high"));
        }
        Ok(Self { index, extra, hashes, checkpoint: checkpoint.to_owned() })
    }
}
