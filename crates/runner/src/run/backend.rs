//! Where the tool keeps its state: told by the connection, whatever the configuration says.

use std::{
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use rustix::mount::UnmountFlags;
use serde_json::json;
use writ_kernel::{Error, Result};
use writ_wire::connections::StateBackend;

use crate::{static_gate::Backend, workspace::PrivateMounts};

/// The files that say which backend it is. An override file adds the block to a configuration without one, and
/// replaces any other. OpenTofu reads the second name in place of the first, which Terraform passes over.
pub const OVERRIDES: [&str; 2] = ["writ_backend_override.tf.json", "writ_backend_override.tofu.json"];
/// The name of the state below the target's.
const STATE: &str = "terraform.tfstate";

/// The content of each of [`OVERRIDES`].
pub fn override_file(backend: &StateBackend) -> Vec<u8> {
    let kind = kind_word(backend);
    json!({ "terraform": { "backend": { kind: {} } } }).to_string().into_bytes()
}

/// `-backend-config` pairs: places only, never a credential. `local` is the path of a local state, and `emulated`
/// whether the services are not Amazon's own.
///
/// # Errors
/// `Invalid` when the state is local and there is no place for it.
pub fn settings(
    backend: &StateBackend,
    target: &str,
    local: Option<&Path>,
    emulated: bool,
) -> Result<Vec<(String, String)>> {
    let key = |prefix: &str| {
        let prefix = prefix.trim_matches('/');
        if prefix.is_empty() { format!("{target}/{STATE}") } else { format!("{prefix}/{target}/{STATE}") }
    };
    let mut pairs: Vec<(&str, String)> = Vec::new();
    match backend {
        StateBackend::S3 { bucket, region, prefix, lock_table } => {
            pairs.extend([("bucket", bucket.clone()), ("region", region.clone()), ("key", key(prefix))]);
            pairs.push(("encrypt", "true".to_owned()));
            match lock_table {
                Some(table) => pairs.push(("dynamodb_table", table.clone())),
                None => pairs.push(("use_lockfile", "true".to_owned())),
            }
            if emulated {
                let skipped = [
                    "use_path_style",
                    "skip_credentials_validation",
                    "skip_requesting_account_id",
                    "skip_metadata_api_check",
                    "skip_region_validation",
                ];
                pairs.extend(skipped.map(|name| (name, "true".to_owned())));
            }
        }
        StateBackend::Azurerm { storage_account, container, prefix, resource_group } => pairs.extend([
            ("storage_account_name", storage_account.clone()),
            ("container_name", container.clone()),
            ("resource_group_name", resource_group.clone()),
            ("key", key(prefix)),
        ]),
        StateBackend::Gcs { bucket, prefix } => {
            let prefix = format!("{}/{target}", prefix.trim_matches('/'));
            pairs.extend([("bucket", bucket.clone()), ("prefix", prefix.trim_matches('/').to_owned())]);
        }
        StateBackend::Local {} => {
            let path = local.and_then(Path::to_str).ok_or_else(|| {
                Error::invalid("no_local_state", "the runner was given no place for a local state")
                    .hint("local state is for environments of kind dev")
            })?;
            pairs.push(("path", path.to_owned()));
        }
    }
    Ok(pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// The backend as the check of the configuration knows it.
pub(super) const fn kind(backend: &StateBackend) -> Backend {
    match backend {
        StateBackend::S3 { .. } => Backend::S3,
        StateBackend::Azurerm { .. } => Backend::Azurerm,
        StateBackend::Gcs { .. } => Backend::Gcs,
        StateBackend::Local {} => Backend::Local,
    }
}

fn kind_word(backend: &StateBackend) -> String {
    json!(kind(backend)).as_str().unwrap_or_default().to_owned()
}

/// A local state, at a place the tool's identity can reach.
#[derive(Debug)]
pub(super) struct LocalState {
    dir: PathBuf,
    file: PathBuf,
    mounted: bool,
}

impl LocalState {
    /// Makes the directory of the state file `path` reachable. The server keeps states below directories that are
    /// closed to others, so with `mounts` the one directory is mounted a second time, where only this process and
    /// what it starts see it.
    pub(super) fn open(path: &Path, mounts: Option<&PrivateMounts>, near: &Path) -> Result<Self> {
        let failed = |error: std::io::Error| {
            Error::unavailable("no_local_state", "the place of the local state cannot be used").because(error)
        };
        let (Some(real), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Error::invalid("no_local_state", "the path of the local state names no file"));
        };
        DirBuilder::new().recursive(true).mode(0o700).create(real).map_err(failed)?;
        if mounts.is_none() {
            return Ok(Self { dir: real.to_owned(), file: path.to_owned(), mounted: false });
        }
        let mut place = near.as_os_str().to_owned();
        place.push("-state");
        let place = PathBuf::from(place);
        DirBuilder::new().mode(0o700).create(&place).map_err(failed)?;
        let mounted = rustix::mount::mount_bind(real, &place).is_ok();
        if !mounted {
            // Empty, and ours.
            let _ = fs::remove_dir(&place);
        }
        let dir = if mounted { place } else { real.to_owned() };
        Ok(Self { file: dir.join(name), dir, mounted })
    }

    /// The directory, as the tool sees it.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The state file, as the tool sees it.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }
}

impl Drop for LocalState {
    fn drop(&mut self) {
        if self.mounted && rustix::mount::unmount(&self.dir, UnmountFlags::DETACH).is_ok() {
            // Only ever an empty directory: what was mounted there is not touched.
            let _ = fs::remove_dir(&self.dir);
        }
    }
}
