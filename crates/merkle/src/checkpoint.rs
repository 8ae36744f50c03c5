//! Checkpoints (C2SP tlog-checkpoint): the signed statement of a log about its tree.

use std::{collections::BTreeSet, fmt};

use crate::{
    Error, Hash, KeyName, Result, SignatureType, Signed, Signer, Verifier, note::Note, tree::MAX_SIZE,
};

/// What a checkpoint says: this log, at this size, has this root. Text form: the text of the note, three lines.
///
/// Extension lines are neither written nor accepted, because ML-DSA signatures of checkpoints do not cover them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Which log it is: the name of its keys.
    pub origin: KeyName,
    /// The number of leaves.
    pub size: u64,
    /// The root of the tree of that size.
    pub root: Hash,
}

impl Head {
    /// Reads the text of a checkpoint. It is not to be believed without the signatures.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn parse(text: &str) -> Result<Self> {
        let malformed = |why| Error::malformed("checkpoint", why);
        let mut lines = text.strip_suffix('\n').unwrap_or(text).split('\n');
        let (Some(origin), Some(size), Some(root), None) =
            (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(malformed("it is not three lines: origin, size and root"));
        };
        let head = Self {
            origin: origin.parse()?,
            size: size
                .parse()
                .ok()
                .filter(|size| *size <= MAX_SIZE)
                .ok_or(malformed("the size is no number"))?,
            root: root.parse()?,
        };
        // One spelling only: no signs, no leading zeroes, no missing newline.
        if head.to_string() == text { Ok(head) } else { Err(malformed("it is not in its one spelling")) }
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, self.root)
    }
}

/// Signs `head` with each of `signers`, at `time` in POSIX seconds.
///
/// A log must never sign two heads that are not consistent; this function does not know the earlier ones.
///
/// # Errors
/// [`Error::Signing`] when a key cannot sign, [`Error::Malformed`] without signers.
pub fn sign(head: &Head, time: u64, signers: &[Signer]) -> Result<Note> {
    let text = head.to_string();
    let signatures = signers.iter().map(|signer| signer.sign(&text, time)).collect::<Result<_>>()?;
    Note::new(text, signatures)
}

/// A checkpoint whose signatures were verified and satisfied a [`Policy`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    head: Head,
    signatures: Vec<Signed>,
}

impl Checkpoint {
    /// What it says.
    pub const fn head(&self) -> &Head {
        &self.head
    }

    /// The signatures by known keys, all valid.
    pub fn signatures(&self) -> &[Signed] {
        &self.signatures
    }
}

/// Reads and verifies a checkpoint. Signatures by keys that are not among `verifiers` are ignored; those by known
/// keys must all be valid and together satisfy `policy`.
///
/// # Errors
/// [`Error::Malformed`], [`Error::BadSignature`], [`Error::RepeatedSignature`] or [`Error::PolicyUnmet`].
pub fn open(bytes: &[u8], verifiers: &[Verifier], policy: &Policy) -> Result<Checkpoint> {
    let note = Note::parse(bytes)?;
    let head = Head::parse(note.text())?;
    let found = verifiers.iter().filter_map(|verifier| verifier.verify(&note).transpose());
    let signatures = found.collect::<Result<Vec<_>>>()?;
    policy.satisfied(&head.origin, &signatures)?;
    Ok(Checkpoint { head, signatures })
}

/// Which signatures make a checkpoint believable.
///
/// A signature is the log's when the name of the key is the origin of the checkpoint, so a key of one log never
/// speaks for another; a cosignature under any other name is a witness's. At least one signature must be the log's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    log: Vec<Vec<SignatureType>>,
    witnesses: usize,
}

impl Default for Policy {
    /// The log's Ed25519 and one of its ML-DSA signatures: believable while either kind of cryptography stands.
    fn default() -> Self {
        use SignatureType::{Ed25519, MlDsa44, MlDsa65};
        Self::requiring([vec![Ed25519], vec![MlDsa44, MlDsa65]])
    }
}

impl Policy {
    /// Demands of the log, for each of `clauses`, a signature of one of its types.
    pub fn requiring(clauses: impl IntoIterator<Item = Vec<SignatureType>>) -> Self {
        Self { log: clauses.into_iter().collect(), witnesses: 0 }
    }

    /// Demands cosignatures of at least `count` witnesses of different names besides.
    #[must_use]
    pub fn with_witnesses(self, count: usize) -> Self {
        Self { witnesses: count, ..self }
    }

    fn satisfied(&self, origin: &KeyName, signatures: &[Signed]) -> Result<()> {
        let (log, others): (Vec<_>, Vec<_>) = signatures.iter().partition(|signed| signed.name == *origin);
        if log.is_empty() {
            return Err(Error::PolicyUnmet { missing: format!("no known key of the log `{origin}` signed") });
        }
        for clause in &self.log {
            if !log.iter().any(|signed| clause.contains(&signed.kind)) {
                let kinds: Vec<_> = clause.iter().map(SignatureType::to_string).collect();
                let missing = format!("no {} signature by the log `{origin}`", kinds.join(" or "));
                return Err(Error::PolicyUnmet { missing });
            }
        }
        let witnesses: BTreeSet<_> =
            others.iter().filter(|signed| signed.kind.is_timed()).map(|signed| &signed.name).collect();
        if witnesses.len() < self.witnesses {
            let missing = format!("{} of {} witnesses", witnesses.len(), self.witnesses);
            return Err(Error::PolicyUnmet { missing });
        }
        Ok(())
    }
}
