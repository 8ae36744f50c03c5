//! Who holds a state lock, out of the tool's own words.

use serde::Serialize;

/// The holder of a state lock, as the state backend tells it. All of it was written by whoever took the
/// lock.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct LockHeld {
    /// What `force-unlock` asks for.
    pub id: String,
    /// `user@host`.
    pub who: String,
    /// When it was taken, as the backend writes it.
    pub created: String,
    /// `OperationTypeApply` and the like.
    pub operation: String,
    /// Where the state is.
    pub path: String,
}

impl LockHeld {
    /// Reads the `Lock Info:` block of an error, with or without the frame drawn around errors for people.
    /// `None` when there is no such block, or no identifier in it.
    pub fn parse(text: &str) -> Option<Self> {
        let (_, block) = text.split_once("Lock Info:")?;
        let mut held = Self::default();
        for line in block.lines() {
            let line = line.trim_start_matches(['│', '|', ' ', '\t']).trim();
            let Some((key, value)) = line.split_once(':') else { continue };
            let slot = match key.trim() {
                "ID" => &mut held.id,
                "Who" => &mut held.who,
                "Created" => &mut held.created,
                "Operation" => &mut held.operation,
                "Path" => &mut held.path,
                _ => continue,
            };
            if slot.is_empty() {
                value.trim().clone_into(slot);
            }
        }
        (!held.id.is_empty()).then_some(held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "Error message: resource temporarily unavailable\nLock Info:\n  \
        ID:        6d2f8a4e-1c1f-6f3a-8c7d-2f0e6a4b9d11\n  Path:      terraform.tfstate\n  \
        Operation: OperationTypeApply\n  Who:       ann@host-1\n  Version:   1.11.4\n  \
        Created:   2026-11-22 19:00:00.5 +0000 UTC\n  Info:      \n\n\nTerraform acquires a state lock";

    fn expected() -> LockHeld {
        LockHeld {
            id: "6d2f8a4e-1c1f-6f3a-8c7d-2f0e6a4b9d11".into(),
            who: "ann@host-1".into(),
            created: "2026-11-22 19:00:00.5 +0000 UTC".into(),
            operation: "OperationTypeApply".into(),
            path: "terraform.tfstate".into(),
        }
    }

    #[test]
    fn holder_is_read_from_a_diagnostic() {
        assert_eq!(LockHeld::parse(PLAIN), Some(expected()));
    }

    #[test]
    fn holder_is_read_through_the_frame() {
        let framed = PLAIN.replace('\n', "\n│ ");
        assert_eq!(LockHeld::parse(&framed), Some(expected()));
    }

    #[test]
    fn other_errors_name_no_holder() {
        assert_eq!(LockHeld::parse("Error acquiring the state lock: no bucket"), None);
        assert_eq!(LockHeld::parse("Lock Info:\n  Who: ann"), None);
    }
}
