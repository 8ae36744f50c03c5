//! A plan: the file that is applied, and the document that is read.

use std::{fs::File, io::Read, path::PathBuf};

use rustix::fs::{FileType, Mode, OFlags};
use serde::{Deserialize, Serialize};
use writ_crypto::{
    SecretBytes,
    hash::{Sha256, hex},
};
use writ_kernel::{Error, Result};

/// A saved plan. It holds the values of variables in clear and never leaves the runner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanFile {
    /// Where it is, in the workspace.
    pub path: PathBuf,
    /// SHA-256 of the file, in lower-case hexadecimal.
    pub sha256: String,
}

impl PlanFile {
    /// The plan at `path` as it is now. The tool could write there, so nothing but a regular file is read.
    pub(super) fn at(path: PathBuf) -> Result<Self> {
        let failed = |error: std::io::Error| {
            Error::internal(format!("read the plan `{}`", path.display())).because(error)
        };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::open(&path, flags, Mode::empty()).map_err(|error| failed(error.into()))?;
        let stat = rustix::fs::fstat(&file).map_err(|error| failed(error.into()))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Error::internal("the saved plan is not a regular file"));
        }
        let mut file = File::from(file);
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 1 << 16];
        loop {
            let read = file.read(&mut buffer).map_err(failed)?;
            match buffer.get(..read) {
                Some(bytes) if read > 0 => hash.update(bytes),
                _ => return Ok(Self { sha256: hex(&hash.finish()), path }),
            }
        }
    }

    /// Whether the file is still the one that was hashed. `plan_changed` when it is not.
    pub(super) fn recheck(&self) -> Result<()> {
        if Self::at(self.path.clone())? == *self {
            return Ok(());
        }
        Err(Error::conflict("plan_changed", "the saved plan is not the one that was made")
            .hint("plan again; a provider or provisioner may have written to it"))
    }
}

/// What a plan would do, by counting the actions of its resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanChanges {
    /// Created.
    pub create: u64,
    /// Changed in place.
    pub update: u64,
    /// Destroyed, and not made anew.
    pub delete: u64,
    /// Destroyed and made anew.
    pub replace: u64,
    /// Root outputs that change.
    pub outputs: u64,
    /// Resources found different from the state.
    pub drift: u64,
}

impl PlanChanges {
    /// Applying would change something.
    pub fn any(&self) -> bool {
        self.create + self.update + self.delete + self.replace + self.outputs > 0
    }
}

/// The plan as JSON, with every secret value in it; for the redactor and the policy projection only.
#[expect(missing_debug_implementations, reason = "a plan holds secrets")]
pub struct PlanDocument {
    /// The document, as the tool wrote it.
    pub json: SecretBytes,
    /// What it would do.
    pub changes: PlanChanges,
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    resource_changes: Vec<Resource>,
    #[serde(default)]
    resource_drift: Vec<Resource>,
    #[serde(default)]
    output_changes: std::collections::BTreeMap<String, Change>,
}

#[derive(Deserialize)]
struct Resource {
    change: Change,
}

#[derive(Deserialize)]
struct Change {
    actions: Vec<String>,
}

impl Change {
    fn changes(&self) -> bool {
        self.actions.iter().any(|action| !matches!(action.as_str(), "no-op" | "read"))
    }
}

impl PlanDocument {
    /// Reads what `show -json` printed.
    pub(super) fn parse(json: Vec<u8>) -> Result<Self> {
        // The cause would quote the document.
        let document: Document = serde_json::from_slice(&json)
            .map_err(|_| Error::internal("the tool's plan document is malformed"))?;
        let mut changes = PlanChanges {
            outputs: document.output_changes.values().filter(|change| change.changes()).count() as u64,
            drift: document.resource_drift.iter().filter(|resource| resource.change.changes()).count() as u64,
            ..PlanChanges::default()
        };
        for resource in &document.resource_changes {
            let has = |action: &str| resource.change.actions.iter().any(|a| a == action);
            match (has("create"), has("delete"), has("update")) {
                (true, true, _) => changes.replace += 1,
                (true, ..) => changes.create += 1,
                (_, true, _) => changes.delete += 1,
                (.., true) => changes.update += 1,
                _ => {}
            }
        }
        Ok(Self { json: SecretBytes::new(json), changes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_counted_by_what_they_come_to() {
        let json = br#"{"format_version":"1.2","resource_changes":[
            {"change":{"actions":["create"]}},{"change":{"actions":["delete","create"]}},
            {"change":{"actions":["create","delete"]}},{"change":{"actions":["update"]}},
            {"change":{"actions":["delete"]}},{"change":{"actions":["no-op"]}},{"change":{"actions":["read"]}}],
            "resource_drift":[{"change":{"actions":["update"]}}],
            "output_changes":{"a":{"actions":["no-op"]},"b":{"actions":["create"]}}}"#;
        let counted = PlanDocument::parse(json.to_vec()).unwrap().changes;
        let expected = PlanChanges { create: 1, update: 1, delete: 1, replace: 2, outputs: 1, drift: 1 };
        assert_eq!(counted, expected);
        assert!(counted.any());
    }

    #[test]
    fn drift_alone_is_no_change_to_apply() {
        let json = br#"{"resource_drift":[{"change":{"actions":["update"]}}]}"#;
        assert!(!PlanDocument::parse(json.to_vec()).unwrap().changes.any());
    }
}
