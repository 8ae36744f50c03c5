//! Modules: the files of one directory together, and the calls to other modules.

use std::collections::BTreeMap;

use super::{
    GatePolicy, Report,
    files::{Sources, Syntax},
    hcl, json,
    paths::{Place, place},
    tree::{Block, Text, Tree},
};

/// The files of one directory, which the tool loads as one.
pub(super) struct Module<'a> {
    pub(super) sources: &'a Sources,
    /// Relative to the root; empty for the root.
    pub(super) directory: String,
    /// Each file's path and content.
    pub(super) files: Vec<(String, Tree)>,
}

/// Parses `sources` and puts them together. What cannot be parsed cannot be checked, and blocks.
pub(super) fn assemble<'a>(sources: &'a Sources, report: &mut Report) -> Vec<Module<'a>> {
    let mut modules: BTreeMap<&str, Vec<(String, Tree)>> = BTreeMap::new();
    for source in &sources.files {
        let parsed = match source.syntax {
            Syntax::Hcl => hcl::parse(&source.text),
            Syntax::Json => json::parse(&source.text),
        };
        match parsed {
            Ok(tree) => modules.entry(source.directory()).or_default().push((source.path.clone(), tree)),
            Err(malformed) => report.block(
                "unparsable",
                (&source.path, malformed.line),
                format!("cannot be parsed: {}", malformed.message),
                "a configuration that cannot be read cannot be checked",
            ),
        }
    }
    let module = |(directory, files): (&str, _)| Module { sources, directory: directory.to_owned(), files };
    modules.into_iter().map(module).collect()
}

/// Checks where the modules called by `module` come from.
pub(super) fn check(module: &Module<'_>, policy: &GatePolicy, report: &mut Report) {
    for (file, tree) in &module.files {
        tree.body.blocks("module").for_each(|call| check_call(module, file, call, policy, report));
    }
}

fn check_call(module: &Module<'_>, file: &str, call: &Block, policy: &GatePolicy, report: &mut Report) {
    let Some(source) = call.body.attribute("source") else { return };
    let at = (file, source.line);
    let Some(address) = source.value.constant() else {
        return report.block(
            "module-source",
            at,
            format!("the source of module `{}` is not written out", call.label(0)),
            "write the module's source as plain text",
        );
    };
    if address.starts_with("./") || address.starts_with("../") || address.contains('\\') {
        let from = if module.directory.is_empty() { "." } else { &module.directory };
        let path = Text::known(format!("{from}/{address}"));
        if address.contains('\\') || !matches!(place(&path, ""), Place::Inside(_)) {
            report.block(
                "module-outside",
                at,
                format!("module `{}` is outside the configuration", call.label(0)),
                "deploy the directory that holds all of its modules",
            );
        }
        return;
    }
    if !allowed(&address, &policy.allowed_module_sources) {
        return report.block(
            "module-not-allowed",
            at,
            format!("module `{}` comes from `{}`", call.label(0), without_secrets(&address)),
            "copy it into the configuration, or have its source allowed",
        );
    }
    check_pin(at, call, &address, report);
}

/// A fetched module that can change under the same configuration is not the one that was approved.
fn check_pin(at: (&str, usize), call: &Block, address: &str, report: &mut Report) {
    let name = call.label(0);
    let hint = "name one release, or one commit with `?ref=`";
    if is_registry(address) {
        let version = call.body.attribute("version").and_then(|version| version.value.constant());
        if !version.is_some_and(|version| is_exact(&version)) {
            report.block("module-unpinned", at, format!("module `{name}` has no exact version"), hint);
        }
        return;
    }
    let reference = address.split_once('?').and_then(|(_, query)| {
        form_urlencoded::parse(query.as_bytes())
            .find(|(key, _)| key == "ref")
            .map(|(_, value)| value.into_owned())
    });
    match reference.as_deref() {
        Some(commit) if matches!(commit.len(), 40 | 64) && commit.bytes().all(|b| b.is_ascii_hexdigit()) => {}
        Some("") | None => report.block("module-unpinned", at, format!("module `{name}` has no `ref`"), hint),
        Some(_) => report.warn(
            "module-movable",
            at,
            format!("module `{name}` is pinned to a branch or tag, which can move"),
            "pin it to a commit",
        ),
    }
}

/// `namespace/name/provider`, with a host before it or not, and a subdirectory behind it or not.
fn is_registry(address: &str) -> bool {
    let whole = address.split_once("//").map_or(address, |(package, _)| package);
    let parts: Vec<&str> = whole.split('/').collect();
    let word = |part: &&str| -> bool {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    match parts.as_slice() {
        [first, rest @ ..] if rest.len() == 3 => {
            first.contains('.') && !matches!(*first, "github.com" | "bitbucket.org") && rest.iter().all(word)
        }
        rest if rest.len() == 3 => rest.iter().all(word),
        _ => false,
    }
}

fn is_exact(version: &str) -> bool {
    let version = version.trim();
    let version = version.strip_prefix('=').unwrap_or(version).trim();
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<&str> = core.split('.').collect();
    numbers.len() == 3 && numbers.iter().all(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// Whether `address` is one of `sources`, or below one. An address that climbs is below nothing.
fn allowed(address: &str, sources: &[String]) -> bool {
    let whole = address.split('?').next().unwrap_or_default();
    !whole.split('/').any(|part| part == "..")
        && !whole.contains(['%', '@'])
        && sources.iter().map(|source| source.trim_end_matches('/')).filter(|source| !source.is_empty()).any(
            |source| whole.strip_prefix(source).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
        )
}

/// `address` without what may be a credential: the user and the query.
fn without_secrets(address: &str) -> String {
    let whole = address.split('?').next().unwrap_or_default();
    match whole.rsplit_once('@') {
        Some((before, after)) => {
            let scheme = before.split_once("://").map_or("", |(scheme, _)| scheme);
            format!("{scheme}…@{after}")
        }
        None => whole.to_owned(),
    }
}
