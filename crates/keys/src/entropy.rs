//! Randomness for clients.

use serde_json::json;
use writ_crypto::{SecretBytes, entropy::State};
use writ_gate::{Done, Receipt, Resource};
use writ_kernel::{Action, Caller, Error, Result};

use crate::{find::placed, model::Place, room::Keys};

/// As many bytes are given at once.
pub const MOST_BYTES: usize = 65_536;

/// Random bytes, and where they come from.
#[expect(missing_debug_implementations, reason = "holds what may become a key")]
pub struct Drawn {
    /// The bytes.
    pub bytes: SecretBytes,
    /// The names of the sources that were mixed in, beside the operating system, which always is.
    pub sources: Vec<String>,
}

impl Keys {
    /// Draws `count` bytes, 1 to 65536, from the mixer.
    ///
    /// # Errors
    /// `invalid_request` for another number; `qrng_unavailable` when only the operating system contributes and the
    /// caller says that this is not enough; `environment_required`; `Forbidden`.
    pub async fn draw(
        &self,
        caller: &Caller,
        place: &Place,
        count: usize,
        system_suffices: bool,
    ) -> Result<(Drawn, Receipt)> {
        let entry = self.gate().enter_to_read(caller, Action::EntropyRead).await?;
        let (environment, entry) = placed(entry, place).await?;
        let grant = entry.admit(Resource::all("entropy").within(environment)).await?;
        if !(1..=MOST_BYTES).contains(&count) {
            let error =
                Error::invalid("invalid_request", "between 1 and 65536 bytes can be drawn").at("bytes");
            return Err(grant.refuse(error).await);
        }
        let mut bytes = vec![0; count];
        grant.world().fill(&mut bytes);
        let bytes = SecretBytes::new(bytes);
        let contributes = |source: &writ_crypto::entropy::SourceStatus| source.state == State::Active;
        let sources: Vec<String> =
            self.entropy().status().into_iter().filter(contributes).map(|source| source.name).collect();
        if sources.is_empty() && !system_suffices {
            let error =
                Error::unavailable("qrng_unavailable", "no source beside the operating system contributes");
            return Err(grant.refuse(error).await);
        }
        let receipt = grant.record(Done::with(json!({ "bytes": count, "sources": sources }))).await?;
        Ok((Drawn { bytes, sources }, receipt))
    }
}
