//! Emptying a directory that a hostile program has filled.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    path::Path,
};

/// Removes everything in `root`. Subdirectories are moved up next to each other and emptied there, so that
/// neither recursion nor the length of a path limits how deep a tree may be; directories are made writable
/// first; symbolic links are removed, not followed. Nothing may write below `root` meanwhile.
pub(super) fn empty(root: &Path) -> io::Result<()> {
    let mut moved: u64 = 0;
    let mut pending = vec![root.to_owned()];
    while let Some(dir) = pending.pop() {
        open_up(&dir)?;
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            let path = entry.path();
            if !entry.file_type()?.is_dir() {
                fs::remove_file(&path)?;
            } else if dir == root {
                pending.push(path);
            } else {
                open_up(&path)?;
                let target = loop {
                    moved += 1;
                    let target = root.join(format!(".wipe-{moved}"));
                    if fs::symlink_metadata(&target).is_err() {
                        break target;
                    }
                };
                fs::rename(&path, &target)?;
                pending.push(target);
            }
        }
        if dir != root {
            fs::remove_dir(&dir)?;
        }
    }
    Ok(())
}

fn open_up(dir: &Path) -> io::Result<()> {
    fs::set_permissions(dir, Permissions::from_mode(0o700))
}
