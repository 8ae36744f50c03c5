//! Signed notes (C2SP signed-note): text, a blank line, and signature lines.
//!
//! This is the form only. Who may sign, and what a signature must cover, is said in [`crate::signer`] and
//! [`crate::checkpoint`]; a note that parses is not to be believed.

use std::{fmt, str::FromStr};

use crate::{Error, Result, base64};

/// The longest note read, in bytes: room for more than 30 of the longest post-quantum signatures.
pub const MAX_BYTES: usize = 256 * 1024;

/// The most signature lines read.
pub const MAX_SIGNATURES: usize = 64;

/// The longest key name in bytes: cosignatures carry it after a single length byte.
const MAX_NAME: usize = 255;

/// The name of a key: 1 to 255 bytes without spaces, control characters or `+`; by custom a URL without its scheme.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(Box<str>);

impl KeyName {
    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let forbidden = |c: char| c.is_whitespace() || c.is_control() || c == '+';
        if !(1..=MAX_NAME).contains(&text.len()) || text.contains(forbidden) {
            return Err(Error::malformed("key name", "it is not 1 to 255 bytes without spaces and `+`"));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// One signature line. Text form: `— <name> <base64 of key id and signature>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The name of the key.
    pub name: KeyName,
    /// The identifier of the key, which with the name says which key and which type of signature it is.
    pub id: u32,
    /// What the type of signature defines.
    pub bytes: Vec<u8>,
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [self.id.to_be_bytes().as_slice(), &self.bytes].concat();
        write!(f, "— {} {}", self.name, base64::encode(&bytes))
    }
}

impl FromStr for Signature {
    type Err = Error;
    fn from_str(line: &str) -> Result<Self> {
        let malformed = Error::malformed("signed note", "a signature line is not `— <name> <base64>`");
        let Some((name, encoded)) = line.strip_prefix("— ").and_then(|rest| rest.split_once(' ')) else {
            return Err(malformed);
        };
        let bytes = base64::decode(encoded).unwrap_or_default();
        let Some((id, bytes)) = bytes.split_first_chunk().filter(|(_, bytes)| !bytes.is_empty()) else {
            return Err(malformed);
        };
        Ok(Self { name: name.parse()?, id: u32::from_be_bytes(*id), bytes: bytes.to_vec() })
    }
}

/// A note: text and the signatures it carries. Text form: the note itself.
///
/// INVARIANT: the text ends in a newline and holds no other control character; there is a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

impl Note {
    /// A note of `text` with `signatures`.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the text or the number of signatures is not allowed in a note.
    pub fn new(text: impl Into<String>, signatures: Vec<Signature>) -> Result<Self> {
        let text = text.into();
        if !text.ends_with('\n') || text.contains(|c: char| c < ' ' && c != '\n') {
            return Err(Error::malformed(
                "signed note",
                "the text does not end a line, or has control characters",
            ));
        }
        if signatures.is_empty() || signatures.len() > MAX_SIGNATURES {
            return Err(Error::malformed("signed note", "it has no signatures, or too many"));
        }
        Ok(Self { text, signatures })
    }

    /// Reads a note.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it is longer than [`MAX_BYTES`], not UTF-8, or not of the form of a note.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        if bytes.len() > MAX_BYTES {
            return Err(Error::malformed("signed note", "it is longer than 256 KiB"));
        }
        let whole = str::from_utf8(bytes).map_err(|_| Error::malformed("signed note", "it is not UTF-8"))?;
        let (above, below) =
            whole.rsplit_once("\n\n").ok_or(Error::malformed("signed note", "it has no signatures"))?;
        let lines = below
            .strip_suffix('\n')
            .ok_or(Error::malformed("signed note", "it does not end in a newline"))?;
        let signatures =
            lines.split('\n').take(MAX_SIGNATURES + 1).map(str::parse).collect::<Result<Vec<_>>>()?;
        Self::new(format!("{above}\n"), signatures)
    }

    /// The signed text, with its last newline.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signatures, in the order of the note. None is to be believed before it is verified.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// The same note with one more signature, such as a witness's.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it would have too many.
    pub fn with(mut self, signature: Signature) -> Result<Self> {
        self.signatures.push(signature);
        Self::new(self.text, self.signatures)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(f, "{signature}"))
    }
}
