//! What the rules look at.

use std::{
    collections::BTreeSet,
    fmt, fs,
    path::{Path, PathBuf},
};

use crate::{Problem, metadata::Graph, tokens::Code};

/// The repository, read once.
#[derive(Debug, Default)]
pub(crate) struct House {
    /// Our crates, by name without the prefix `writ-`.
    pub(crate) crates: Vec<Crate>,
    /// Every text file, in order of path.
    pub(crate) files: Vec<File>,
    /// Every path there is, files and directories, relative to the top.
    pub(crate) paths: BTreeSet<String>,
    /// Who depends on whom, foreign crates included.
    pub(crate) graph: Graph,
}

/// One of our crates.
#[derive(Debug)]
pub(crate) struct Crate {
    /// Directory name, which is the package name without its prefix.
    pub(crate) name: String,
    /// Its `Cargo.toml`.
    pub(crate) manifest: toml::Table,
}

/// A text file.
#[derive(Debug)]
pub(crate) struct File {
    /// Path from the top, with `/`.
    pub(crate) path: String,
    /// What is in it.
    pub(crate) text: String,
    /// Its tokens, when it is Rust that can be read.
    pub(crate) code: Option<Code>,
}

/// A place where a rule is broken, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Path from the top.
    pub(crate) path: String,
    /// Line, from 1; 0 when it is about the whole file.
    pub(crate) line: usize,
    /// What is wrong and what to do.
    pub(crate) what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.what),
            line => write!(f, "{}:{line}: {}", self.path, self.what),
        }
    }
}

const TEXT: [&str; 13] =
    ["rs", "md", "toml", "sql", "sh", "cedar", "cedarschema", "json", "yaml", "yml", "tf", "go", "py"];
const SKIPPED: [&str; 4] = [".git", "target", "node_modules", "corpus"];

impl House {
    /// Reads the repository under `root`.
    pub(crate) fn load(root: &Path, graph: Graph) -> Result<Self, Problem> {
        let mut house = Self { graph, ..Self::default() };
        house.walk(root, root)?;
        house.files.sort_by(|a, b| a.path.cmp(&b.path));
        for file in &house.files {
            if let Some(name) = file.path.strip_prefix("crates/").and_then(|p| p.strip_suffix("/Cargo.toml"))
            {
                house.crates.push(Crate { name: name.into(), manifest: toml::from_str(&file.text)? });
            }
        }
        Ok(house)
    }

    fn walk(&mut self, root: &Path, directory: &Path) -> Result<(), Problem> {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path.file_name().is_some_and(|name| SKIPPED.iter().any(|skipped| name == *skipped)) {
                continue;
            }
            self.paths.insert(relative(root, &path));
            if path.is_dir() {
                self.walk(root, &path)?;
            } else if is_text(&path)
                && let Ok(text) = fs::read_to_string(&path)
            {
                self.files.push(File::new(&relative(root, &path), text));
            }
        }
        Ok(())
    }

    /// The files in Rust.
    pub(crate) fn rust(&self) -> impl Iterator<Item = (&File, &Code)> {
        self.files.iter().filter_map(|file| Some((file, file.code.as_ref()?)))
    }
}

impl Crate {
    /// Names of the packages it depends on, outside tests, for any target.
    pub(crate) fn dependencies(&self) -> impl Iterator<Item = &str> {
        let targets = self
            .manifest
            .get("target")
            .and_then(toml::Value::as_table)
            .into_iter()
            .flat_map(toml::Table::values);
        let tables = targets.filter_map(toml::Value::as_table).chain([&self.manifest]);
        let sections = tables.flat_map(|table| [table.get("dependencies"), table.get("build-dependencies")]);
        sections
            .flatten()
            .filter_map(toml::Value::as_table)
            .flat_map(|section| section.keys().map(String::as_str))
    }
}

impl File {
    /// A file of `path` with `text`, tokenised when it is Rust.
    pub(crate) fn new(path: &str, text: String) -> Self {
        let code = has_ending(path, "rs").then(|| Code::read(&text)).flatten();
        Self { path: path.into(), text, code }
    }

    /// Whether its name ends in `.ending`.
    pub(crate) fn has_ending(&self, ending: &str) -> bool {
        has_ending(&self.path, ending)
    }

    /// Name of our crate it belongs to.
    pub(crate) fn owner(&self) -> Option<&str> {
        self.path.strip_prefix("crates/")?.split('/').next()
    }

    /// Whether it is part of a program, rather than of its tests, benchmarks or examples.
    pub(crate) fn is_production(&self) -> bool {
        self.path.starts_with("crates/") && self.path.split('/').nth(2) == Some("src")
    }

    /// Whether it is, or lies in a directory, of `stem`: `sql.rs`, or `sql/anything.rs`.
    pub(crate) fn is_module(&self, stem: &str) -> bool {
        self.path.ends_with(&format!("/{stem}.rs")) || self.path.contains(&format!("/{stem}/"))
    }

    /// A finding in this file.
    pub(crate) fn finding(&self, line: usize, what: impl Into<String>) -> Finding {
        Finding { path: self.path.clone(), line, what: what.into() }
    }
}

fn has_ending(path: &str, ending: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found == ending)
}

fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root)
        .map_or_else(|_| PathBuf::from(path), Path::to_path_buf)
        .to_string_lossy()
        .replace('\\', "/")
}

/// Known by its ending, or without one: our scripts have none.
fn is_text(path: &Path) -> bool {
    path.extension().is_none_or(|ending| TEXT.iter().any(|text| ending == *text))
}

#[cfg(test)]
pub(crate) mod fixture {
    use super::*;

    /// A house with these files; manifests among them become crates.
    pub(crate) fn house(files: &[(&str, &str)]) -> House {
        let mut house = House::default();
        for (path, text) in files {
            house.paths.insert((*path).into());
            house.files.push(File::new(path, (*text).into()));
            if let Some(name) = path.strip_prefix("crates/").and_then(|p| p.strip_suffix("/Cargo.toml")) {
                house.crates.push(Crate { name: name.into(), manifest: toml::from_str(text).unwrap() });
            }
        }
        house
    }

    /// Where findings are, as `path:line`.
    pub(crate) fn places(findings: &[Finding]) -> Vec<String> {
        findings.iter().map(|finding| format!("{}:{}", finding.path, finding.line)).collect()
    }
}
