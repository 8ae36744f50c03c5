//! How a secret fares: who reads it, whether it is stale or due, how hard its value is to guess.

use std::{collections::HashSet, time::Duration};

use uuid::Uuid;
use writ_gate::{Done, ReadGrant, Receipt};
use writ_kernel::{Action, Caller, Id, Principal, Result, Timestamp};

use super::{
    door,
    model::{Place, SecretRecord},
    sql, write,
};
use crate::{Vault, readers::Tally};

/// Nobody has read it for so long: it is stale.
pub(crate) const STALE: Duration = Duration::from_hours(30 * 24);

/// How hard a value is to guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strength {
    /// Only who may read the value is told.
    Unknown,
    /// Within reach of guessing.
    Weak,
    /// Beyond casual guessing.
    Medium,
    /// Beyond guessing.
    Strong,
}

/// Somebody who read a secret.
#[derive(Debug, Clone)]
pub struct Reader {
    /// Who.
    pub principal: Id<Principal>,
    /// What sort of principal.
    pub kind: String,
    /// How often.
    pub reads: u64,
    /// Since when.
    pub first_at: Timestamp,
    /// Last.
    pub last_at: Timestamp,
    /// Which version last.
    pub last_version: u32,
}

/// How a secret fares.
#[derive(Debug, Clone)]
pub struct Insights {
    /// The secret.
    pub secret: SecretRecord,
    /// How hard its value is to guess.
    pub strength: Strength,
    /// Who read it, the latest first.
    pub readers: Vec<Reader>,
    /// Whether nobody has read it for 30 days.
    pub stale: bool,
    /// Whether a new value is due.
    pub due: bool,
    /// When this was found.
    pub at: Timestamp,
}

impl Insights {
    /// When it was last read.
    pub fn last_read_at(&self) -> Option<Timestamp> {
        self.readers.first().map(|reader| reader.last_at)
    }

    /// What to do about it.
    pub fn recommendations(&self) -> Vec<String> {
        let advice = [
            (self.secret.exposed_at.is_some(), "strangers know it: replace it now"),
            (self.secret.has_expired(self.at), "it has expired: replace it, or destroy it"),
            (self.due, "a new value is due"),
            (self.strength == Strength::Weak, "the value is easy to guess: use a generated one"),
            (self.stale, "nobody has read it for 30 days: is it still needed?"),
            (
                !self.secret.assumed.is_empty(),
                "state who answers for it, what it is for and how long it lasts",
            ),
        ];
        advice.into_iter().filter(|(holds, _)| *holds).map(|(_, text)| text.to_owned()).collect()
    }

    /// `low`, `medium` or `high`.
    pub fn risk(&self) -> &'static str {
        if self.secret.exposed_at.is_some() || self.strength == Strength::Weak {
            "high"
        } else if self.due || self.stale {
            "medium"
        } else {
            "low"
        }
    }
}

impl Vault {
    /// How a secret fares. How hard its value is to guess is told to who may read it.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn insights(&self, caller: &Caller, place: &Place) -> Result<(Insights, Receipt)> {
        let mut entry = self.gate().enter_to_read(caller, Action::SecretList).await?;
        let Some(found) = door::find(entry.tx(), place).await? else {
            return Err(entry.not_found("secret").await);
        };
        if !door::may_know(&entry, Action::SecretList, &found.resource())? {
            return Err(entry.not_found("secret").await);
        }
        let readable = entry.permits(Action::SecretRead, &found.resource())?;
        let mut grant = entry.admit(found.resource()).await?;
        let (secret, at) = (found.secret, grant.world().now());
        let strength = if readable { judge(&mut grant, &secret).await? } else { Strength::Unknown };
        let readers: Vec<_> = sql::readers::of(grant.tx(), secret.id).await?;
        let readers = readers.into_iter().map(sql::readers::ReaderRow::parse).collect();
        let readers = with_waiting(readers, self.0.readers.of(grant.keys().tenant(), secret.id));
        let seen = readers.first().map_or(secret.created_at, |reader| reader.last_at);
        let stale = at.since(seen) >= STALE;
        let due = secret.due_at().is_some_and(|due| due <= at);
        let receipt = grant.record(Done::plain()).await?;
        Ok((Insights { secret, strength, readers, stale, due, at }, receipt))
    }
}

/// Readers that are written down, with what is not written down yet; the latest first.
fn with_waiting(mut readers: Vec<Reader>, waiting: Vec<(Uuid, Tally)>) -> Vec<Reader> {
    for (principal, tally) in waiting {
        let principal = Id::from_uuid(principal);
        let reads = u64::try_from(tally.reads).unwrap_or(0);
        match readers.iter_mut().find(|reader| reader.principal == principal) {
            Some(known) => {
                known.reads += reads;
                known.last_at = known.last_at.max(tally.last_at);
                known.last_version = tally.version;
            }
            None => readers.push(Reader {
                principal,
                kind: tally.kind.to_owned(),
                reads,
                first_at: tally.first_at,
                last_at: tally.last_at,
                last_version: tally.version,
            }),
        }
    }
    readers.sort_by_key(|reader| std::cmp::Reverse(reader.last_at));
    readers
}

async fn judge(grant: &mut ReadGrant, secret: &SecretRecord) -> Result<Strength> {
    let now = grant.world().now();
    let version = sql::version(grant.tx(), secret.id, secret.current).await?;
    if version.is_none_or(|version| version.absent(now).is_some()) {
        return Ok(Strength::Unknown);
    }
    let sealed = sql::sealed(grant.tx(), secret.id, secret.current).await?;
    let value = write::open(grant.keys(), secret.id, secret.current, &sealed)?;
    Ok(strength(value.expose()))
}

/// A rough estimate from length and variety: it tells a word from random text, not a good word from a bad one.
fn strength(value: &[u8]) -> Strength {
    let has = |class: fn(&u8) -> bool| usize::from(value.iter().any(class));
    let sorts = has(u8::is_ascii_lowercase)
        + has(u8::is_ascii_uppercase)
        + has(u8::is_ascii_digit)
        + has(|byte| !byte.is_ascii_alphanumeric());
    let distinct = value.iter().collect::<HashSet<_>>().len();
    // So many bits a byte: digits have 3, letters of one case 4, and every further sort gives about one more.
    let bits = value.len().min(distinct * 3) * (2 + sorts);
    match bits {
        0..50 => Strength::Weak,
        50..80 => Strength::Medium,
        _ => Strength::Strong,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_weak_and_random_text_is_strong() {
        assert_eq!(strength(b"hunter2"), Strength::Weak);
        assert_eq!(strength(b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), Strength::Weak);
        assert_eq!(strength(b"Xk7-pQ2w.Rt9z!Lm4"), Strength::Strong);
    }
}
