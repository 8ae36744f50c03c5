//! How far a secret reaches once its start is known.

use crate::view::{View, between};

/// The bytes that belong to a token or key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// `A–Z a–z 0–9`
    Alnum,
    /// `A–Z 0–9`
    Upper,
    /// `0–9 a–f A–F`
    Hex,
    /// Letters, digits, `_` and `-`.
    Word,
    /// [`Class::Word`] and `.`.
    Dotted,
    /// Both alphabets of base64 with padding, and percent-escapes of them.
    Base64,
    /// A shared access signature as a whole: anything but blanks, quotes and `;`.
    Signature,
}

impl Class {
    /// Whether `byte` belongs.
    pub(crate) fn has(self, byte: u8) -> bool {
        match self {
            Self::Alnum => byte.is_ascii_alphanumeric(),
            Self::Upper => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Self::Hex => byte.is_ascii_hexdigit(),
            Self::Word => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'),
            Self::Dotted => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'),
            Self::Base64 => {
                byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'_' | b'-' | b'%')
            }
            Self::Signature => {
                byte > b' ' && byte != 0x7f && !matches!(byte, b'"' | b'\'' | b'`' | b';' | b'<')
            }
        }
    }
}

/// What else than a blank or a quote ends a value that stands without quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Stops {
    /// `&` and `#`: a parameter of a URL or form.
    pub(crate) query: bool,
    /// `;`: a field of a connection string.
    pub(crate) field: bool,
    /// `,`, `}` and `]`: a member of an object or list.
    pub(crate) member: bool,
}

impl Stops {
    fn has(self, byte: u8) -> bool {
        match byte {
            b'"' | b'\'' | b'`' => true,
            b'&' | b'#' => self.query,
            b';' => self.field,
            b',' | b'}' | b']' => self.member,
            _ => byte <= b' ' || byte == 0x7f,
        }
    }
}

/// The shape of a secret from its start on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Exactly so many bytes.
    Exactly(usize),
    /// As long as bytes are of this class.
    Run(Class),
    /// Up to the closing quote, itself behind `depth` backslashes as the opening one was, or the end of line.
    Quoted { quote: u8, depth: usize },
    /// Up to a blank, a quote or a stop.
    Bare(Stops),
    /// Up to and including the line that holds the marker (a heredoc of HCL or a shell).
    Heredoc { marker: [u8; MARKER], length: usize },
    /// Lines indented deeper than `indent` blanks (a block scalar of YAML).
    Block { indent: usize },
    /// A private-key block, up to and including its END line; or, if that never comes, up to where
    /// [`QUIET`] lines in succession look nothing like key material.
    Pem { run: usize, dense: bool, quiet: u8 },
}

/// The longest heredoc marker that is followed, in bytes.
pub(crate) const MARKER: usize = 32;
/// How far back an extent looks behind where it resumes, in bytes.
pub(crate) const LOOK_BEHIND: usize = 96;
/// The longest run of backslashes that is taken for part of a closing quote.
const ESCAPE: usize = 16;
/// After so many lines without key material an unfinished private-key block is over.
const QUIET: u8 = 8;
/// A run of so many base64 characters is key material.
const DENSE: usize = 16;

/// How far an extent was followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The secret ends before this position.
    Closed(usize),
    /// All before this position belongs to the secret; go on from here when there is more text.
    Open(usize),
}

impl Extent {
    pub(crate) const PEM: Self = Self::Pem { run: 0, dense: false, quiet: 0 };

    /// Follows the secret on from `from`, which is its start or where it was last left [`Reach::Open`].
    pub(crate) fn follow(&mut self, view: View<'_>, from: usize) -> Reach {
        let reach = match self {
            Self::Exactly(length) => exactly(length, view, from),
            Self::Run(class) => until(view, from, |byte| !class.has(byte)),
            Self::Quoted { quote, depth } => quoted(*quote, *depth, view, from),
            Self::Bare(stops) => bare(*stops, view, from),
            Self::Heredoc { marker, length } => heredoc(between(marker, 0, *length), view, from),
            Self::Block { indent } => block(*indent, view, from),
            Self::Pem { run, dense, quiet } => pem(run, dense, quiet, view, from),
        };
        match reach {
            Reach::Open(_) if view.finished => Reach::Closed(view.text.len()),
            reach => reach,
        }
    }
}

fn exactly(left: &mut usize, view: View<'_>, from: usize) -> Reach {
    let taken = (*left).min(view.text.len().saturating_sub(from));
    *left -= taken;
    if *left == 0 { Reach::Closed(from + taken) } else { Reach::Open(from + taken) }
}

fn until(view: View<'_>, from: usize, stop: impl Fn(u8) -> bool) -> Reach {
    let rest = between(view.text, from, view.text.len());
    rest.iter()
        .position(|byte| stop(*byte))
        .map_or(Reach::Open(view.text.len()), |at| Reach::Closed(from + at))
}

/// With a quote behind `depth` backslashes, each level of quoting doubles the backslashes and adds one, so a
/// run of `n` before a quote closes exactly when `n mod 2(depth + 1) = depth`. Of a run that goes on no more is
/// held back than tells this.
fn quoted(quote: u8, depth: usize, view: View<'_>, from: usize) -> Reach {
    let period = 2 * (depth + 1);
    let mut at = from;
    loop {
        let stop = match until(view, at, |byte| byte == b'\\' || byte == quote || byte == b'\n') {
            Reach::Closed(stop) => stop,
            open @ Reach::Open(_) => return open,
        };
        if view.text.get(stop) == Some(&b'\n') {
            return Reach::Closed(stop);
        }
        let after = match until(view, stop, |byte| byte != b'\\') {
            Reach::Closed(after) => after,
            Reach::Open(end) => {
                return Reach::Open(stop + ((end - stop) / period).saturating_sub(1) * period);
            }
        };
        let slashes = after - stop;
        if view.text.get(after) == Some(&quote) && slashes % period == depth {
            return Reach::Closed(after - depth);
        }
        at = if view.text.get(after) == Some(&quote) { after + 1 } else { after };
    }
}

/// Backslashes just before a closing quote belong to that quote, [`ESCAPE`] of them at the most.
fn bare(stops: Stops, view: View<'_>, from: usize) -> Reach {
    let mut at = from;
    loop {
        let stop = match until(view, at, |byte| byte == b'\\' || stops.has(byte)) {
            Reach::Closed(stop) => stop,
            open @ Reach::Open(_) => return open,
        };
        let after = match until(view, stop, |byte| byte != b'\\') {
            Reach::Closed(after) => after,
            Reach::Open(end) => return Reach::Open(stop.max(end.saturating_sub(ESCAPE))),
        };
        if after == stop || matches!(view.text.get(after), Some(b'"' | b'\'' | b'`')) {
            return Reach::Closed(stop.max(after.saturating_sub(ESCAPE)));
        }
        at = after;
    }
}

fn heredoc(marker: &[u8], view: View<'_>, from: usize) -> Reach {
    let mut at = from;
    loop {
        let end = match until(view, at, |byte| byte == b'\n') {
            Reach::Closed(end) => end,
            Reach::Open(end) => return Reach::Open(end),
        };
        let tail = between(view.text, end.saturating_sub(LOOK_BEHIND), end);
        let line =
            tail.iter().rposition(|byte| *byte == b'\n').map(|start| between(tail, start + 1, tail.len()));
        if line.is_some_and(|line| line.trim_ascii() == marker) {
            return Reach::Closed(end);
        }
        at = end + 1;
    }
}

fn block(indent: usize, view: View<'_>, from: usize) -> Reach {
    let mut at = from;
    loop {
        let end = match until(view, at, |byte| byte == b'\n') {
            Reach::Closed(end) => end,
            open @ Reach::Open(_) => return open,
        };
        let Ok(content) = view.run(end + 1, indent + 1, |byte| byte == b' ') else {
            return Reach::Open(end);
        };
        let deeper = content > end + 1 + indent;
        match view.byte(content) {
            _ if deeper => at = content,
            Ok(Some(b'\n')) => at = content,
            Ok(_) => return Reach::Closed(end),
            Err(_) => return Reach::Open(end),
        }
    }
}

fn pem(run: &mut usize, dense: &mut bool, quiet: &mut u8, view: View<'_>, from: usize) -> Reach {
    const END: &[u8] = b"-----END ";
    for at in from..view.text.len() {
        let byte = view.text.get(at).copied().unwrap_or_default();
        *run = if byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=') { *run + 1 } else { 0 };
        *dense |= *run >= DENSE;
        if byte == b'\n' {
            *quiet = if *dense { 0 } else { *quiet + 1 };
            *dense = false;
            if *quiet >= QUIET {
                return Reach::Closed(at);
            }
        }
        let line = between(view.text, (at + 1).saturating_sub(LOOK_BEHIND), at + 1);
        if byte == b'-' && line.ends_with(b" KEY-----") && line.windows(END.len()).any(|window| window == END)
        {
            return Reach::Closed(at + 1);
        }
    }
    Reach::Open(view.text.len())
}
