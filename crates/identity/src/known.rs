//! Callers that were authenticated a moment ago, so that not every request asks the database who they are.
//!
//! What is known holds while nothing has changed who may do what in the tenant ([`writ_gate::Gate::generation`]), for a
//! minute at most, and never beyond the end of the credential or of a role. Where other processes can change the
//! database, nothing is remembered.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use writ_gate::{Gate, Generation};
use writ_kernel::{Caller, Timestamp};

/// As many callers are remembered.
const CALLERS: usize = 16_384;

/// The hash of a token: SHA-256, so the tokens themselves are not kept.
pub(crate) type TokenHash = [u8; 32];

#[derive(Debug, Default)]
pub(crate) struct Known(Mutex<HashMap<TokenHash, Authenticated>>);

#[derive(Debug)]
struct Authenticated {
    caller: Caller,
    generation: Generation,
    until: Timestamp,
}

impl Known {
    /// The caller this token proved, if that still holds.
    pub(crate) fn find(&self, gate: &Gate, token: &TokenHash) -> Option<Caller> {
        let mut callers = self.callers();
        let known = callers.get(token)?;
        let holds = gate.generation(known.caller.tenant) == Some(known.generation)
            && gate.world().now() < known.until;
        if holds {
            return Some(known.caller.clone());
        }
        callers.remove(token);
        None
    }

    /// Remembers what was found out since `generation` was looked at.
    pub(crate) fn remember(
        &self,
        token: TokenHash,
        caller: &Caller,
        generation: Option<Generation>,
        until: Timestamp,
    ) {
        let Some(generation) = generation else { return };
        let mut callers = self.callers();
        if callers.len() >= CALLERS {
            callers.clear();
        }
        callers.insert(token, Authenticated { caller: caller.clone(), generation, until });
    }

    fn callers(&self) -> MutexGuard<'_, HashMap<TokenHash, Authenticated>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
