//! How large and how deeply nested policies may be. The parser, the validator and the destructor of Cedar recurse,
//! so what is let near them must be bounded, or a text of brackets ends the whole server.

use writ_kernel::{Error, Result};

/// The longest text a tenant's own policies may have, in bytes.
const TEXT: usize = 256 * 1024;
/// The longest text one policy may have, in bytes: it bounds chains of operators and of `if`.
const POLICY: usize = 16 * 1024;
/// How many brackets may be open at once.
const BRACKETS: usize = 32;
/// Stack for what the bounds let pass: the worst of it needs 8 MiB unoptimised.
const STACK: usize = 32 * 1024 * 1024;

/// Does `work` on a stack that anything within the bounds fits in.
///
/// # Errors
/// `TooLarge` or `Invalid` when `text` is out of bounds; whatever `work` says.
pub(crate) fn within<T: Send>(text: &str, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    measure(text)?;
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
        let thread =
            thread.map_err(|error| Error::unavailable("no_thread", "the server is busy").because(error))?;
        thread.join().unwrap_or_else(|_| Err(Error::internal("the policy compiler panicked")))
    })
}

fn measure(text: &str) -> Result<()> {
    if text.len() > TEXT {
        return Err(Error::too_large("policies_too_long", "policies are at most 256 KiB").at("policies"));
    }
    let (mut line, mut begin, mut open) = (1_usize, 0, 0_usize);
    let mut inside = Inside::Code;
    for (at, byte) in text.bytes().enumerate() {
        line += usize::from(byte == b'\n');
        inside = inside.after(byte);
        if !matches!(inside, Inside::Code) {
            continue;
        }
        match byte {
            b'(' | b'[' | b'{' => open += 1,
            b')' | b']' | b'}' => open = open.saturating_sub(1),
            b';' => begin = at,
            _ => {}
        }
        if open > BRACKETS {
            return Err(out_of_bounds(line, "brackets are nested more than 32 deep"));
        }
        if at - begin > POLICY {
            return Err(out_of_bounds(line, "one policy is at most 16 KiB"));
        }
    }
    Ok(())
}

fn out_of_bounds(line: usize, what: &str) -> Error {
    Error::invalid("invalid_policy", format!("line {line}: {what}")).at("policies")
}

/// What a byte of Cedar text is part of.
#[derive(Clone, Copy)]
enum Inside {
    Code,
    Slash,
    Comment,
    Text,
    Escape,
}

impl Inside {
    fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Code | Self::Slash, b'"') | (Self::Escape, _) => Self::Text,
            (Self::Slash, b'/') => Self::Comment,
            (Self::Code, b'/') => Self::Slash,
            (Self::Text, b'\\') => Self::Escape,
            (Self::Comment, b'\n') | (Self::Text, b'"') | (Self::Code | Self::Slash, _) => Self::Code,
            (Self::Comment | Self::Text, _) => self,
        }
    }
}
