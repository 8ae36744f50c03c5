//! The files of a configuration: bounded, and surprises named.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use super::Report;

/// The most entries of all directories together.
const ENTRIES: usize = 20_000;
/// How deep directories may nest.
const DEPTH: usize = 24;
/// The largest file that is parsed.
const FILE: u64 = 1024 * 1024;
/// The most text that is parsed in all.
const TOTAL: u64 = 16 * 1024 * 1024;

/// What the tool would load.
pub(super) struct Sources {
    root: PathBuf,
    pub(super) files: Vec<Source>,
}

/// One file of the configuration.
pub(super) struct Source {
    /// Relative to the root, with `/`.
    pub(super) path: String,
    pub(super) text: String,
    pub(super) syntax: Syntax,
}

/// How a file is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    Hcl,
    Json,
}

impl Source {
    /// The directory of the file, empty for the root.
    pub(super) fn directory(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(directory, _)| directory)
    }
}

impl Sources {
    /// The text of the file at `path`, relative to the root and known to be within it; nothing when it is not there
    /// or no regular file.
    pub(super) fn text(&self, path: &str) -> Option<Result<String, &'static str>> {
        let file = self.root.join(path);
        fs::symlink_metadata(&file).ok().filter(fs::Metadata::is_file).map(|_| read_text(&file))
    }
}

/// Reads what the tool would load under `root`.
pub(super) fn read(root: &Path, report: &mut Report) -> Sources {
    let mut walk = Walk { files: Vec::new(), entries: 0, total: 0, report };
    walk.directory(root, "", 0);
    Sources { root: root.to_owned(), files: walk.files }
}

struct Walk<'a> {
    files: Vec<Source>,
    entries: usize,
    total: u64,
    report: &'a mut Report,
}

impl Walk<'_> {
    fn directory(&mut self, directory: &Path, relative: &str, depth: usize) {
        let at = if relative.is_empty() { "." } else { relative };
        if depth > DEPTH {
            return self.limit(at, format!("directories nest deeper than {DEPTH}"));
        }
        let Ok(listing) = fs::read_dir(directory) else {
            return self.limit(at, "the directory cannot be read");
        };
        let mut entries: Vec<fs::DirEntry> = Vec::new();
        for entry in listing {
            let Ok(entry) = entry else { return self.limit(at, "the directory cannot be read") };
            self.entries += 1;
            if self.entries > ENTRIES {
                return self.limit(at, format!("there are more than {ENTRIES} files and directories"));
            }
            entries.push(entry);
        }
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in &entries {
            self.entry(entry, relative, depth);
        }
    }

    fn entry(&mut self, entry: &fs::DirEntry, parent: &str, depth: usize) {
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            return self.limit(&format!("{parent}/{}", name.to_string_lossy()), "the name is not UTF-8");
        };
        let path = if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") };
        self.surprises(&path, name);
        // The type of the entry itself: a link is never followed.
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => self.directory(&entry.path(), &path, depth + 1),
            Ok(kind) if kind.is_file() => self.file(&entry.path(), path, name),
            Ok(kind) if kind.is_symlink() => self.report.block(
                "symlink",
                (&path, 0),
                "a symbolic link",
                "put the file itself into the configuration",
            ),
            _ => self.limit(&path, "neither a file nor a directory"),
        }
    }

    fn file(&mut self, file: &Path, path: String, name: &str) {
        let Some(syntax) = syntax(name) else { return };
        let text = match read_text(file) {
            Ok(text) => text,
            Err(why) => return self.limit(&path, why),
        };
        self.total += text.len() as u64;
        if self.total > TOTAL {
            return self.limit(&path, format!("the configuration has more than {TOTAL} bytes"));
        }
        self.files.push(Source { path, text, syntax });
    }

    fn surprises(&mut self, path: &str, name: &str) {
        let at = (path, 0);
        if TOOL_SETTINGS.contains(&name) {
            self.report.block(
                "tool-settings",
                at,
                format!("`{name}` changes how the tool or its helpers work"),
                "the runner sets the tool up; remove it",
            );
        } else if name.split('.').next() == Some(OWN_STEM) {
            self.report.block(
                "reserved-name",
                at,
                format!("files called `{OWN_STEM}` are the runner's own"),
                "rename it",
            );
        } else if name.contains(".tfstate") {
            self.report.block(
                "state-file",
                at,
                "a state file, which holds secrets",
                "keep state in the backend only",
            );
        } else if name == "terraform.tfvars"
            || name == "terraform.tfvars.json"
            || name.ends_with(".auto.tfvars")
            || name.ends_with(".auto.tfvars.json")
        {
            self.report.warn(
                "implicit-variables",
                at,
                "values that are loaded without being asked for",
                "give variables to the deployment instead",
            );
        }
    }

    fn limit(&mut self, path: &str, why: impl Into<String>) {
        self.report.block("unreadable", (path, 0), why, "make the configuration smaller and simpler");
    }
}

/// The name, up to the first dot, of the files by which the runner says where state is kept.
const OWN_STEM: &str = "writ_backend_override";

/// Files and directories that tools read on their own.
const TOOL_SETTINGS: &[&str] = &[
    ".terraformrc",
    "terraform.rc",
    ".tofurc",
    "tofu.rc",
    ".terraform",
    ".terraform.d",
    ".opentofu.d",
    ".aws",
    ".azure",
    ".kube",
    ".netrc",
    ".gitconfig",
    ".ssh",
    ".gcloud",
];

fn syntax(name: &str) -> Option<Syntax> {
    let ends = |ends: [&str; 2]| ends.iter().any(|end| name.ends_with(end));
    if ends([".tf.json", ".tofu.json"]) {
        Some(Syntax::Json)
    } else {
        ends([".tf", ".tofu"]).then_some(Syntax::Hcl)
    }
}

fn read_text(file: &Path) -> Result<String, &'static str> {
    let mut bytes = Vec::new();
    let opened = fs::File::open(file).map_err(|_| "the file cannot be read")?;
    opened.take(FILE + 1).read_to_end(&mut bytes).map_err(|_| "the file cannot be read")?;
    if bytes.len() as u64 > FILE {
        return Err("the file is larger than 1 MiB");
    }
    let text = String::from_utf8(bytes).map_err(|_| "the file is not UTF-8")?;
    // The tool skips a byte order mark too.
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}
