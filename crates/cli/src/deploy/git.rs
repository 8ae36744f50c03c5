//! Configurations out of git, by the git of this machine.

use std::{ffi::OsStr, path::Path};

use tokio::process::Command;

use crate::output::Failure;

/// A place in a git repository: `git+<URL or path>#<ref>[:<directory>]`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct GitSource {
    url: String,
    reference: String,
    directory: Option<String>,
}

/// The files of a commit.
pub(crate) struct Commit {
    /// An uncompressed tar archive.
    pub(crate) archive: Vec<u8>,
    /// The repository without credentials, and the commit: for people.
    pub(crate) origin: String,
}

/// Reads what follows `git+`.
pub(crate) fn parse(text: &str) -> Result<GitSource, Failure> {
    let malformed = || {
        Failure::usage("a git source is `git+<URL or path>#<branch, tag or commit>[:<directory>]`")
            .hint("like `git+https://git.example/infra.git#v1.4.0:network`")
    };
    let (url, rest) = text.split_once('#').ok_or_else(malformed)?;
    let (reference, directory) = match rest.split_once(':') {
        Some((reference, directory)) => (reference, Some(directory.trim_matches('/').to_owned())),
        None => (rest, None),
    };
    let odd = |text: &str| text.is_empty() || text.starts_with('-') || text.chars().any(char::is_control);
    let outside = |directory: &String| odd(directory) || directory.split('/').any(|part| part == "..");
    if odd(url) || odd(reference) || reference.contains(' ') || directory.as_ref().is_some_and(outside) {
        return Err(malformed());
    }
    Ok(GitSource { url: url.to_owned(), reference: reference.to_owned(), directory })
}

/// Fetches the one commit that is meant, into a repository of its own in which nothing of it can run: no hooks, no
/// working tree, and none of the transports that start programs.
pub(crate) async fn fetch(source: &GitSource) -> Result<Commit, Failure> {
    let failed = |error: std::io::Error| Failure::internal("a temporary directory cannot be made", &error);
    let place = tempfile::Builder::new().prefix("writ-git-").tempdir().map_err(failed)?;
    let place = place.path();
    git(place, ["init", "--quiet", "--bare", "."]).await?;
    // A path is meant from here, not from the temporary directory.
    let url = match std::fs::canonicalize(&source.url) {
        Ok(path) if !source.url.contains("://") => path.display().to_string(),
        _ => source.url.clone(),
    };
    let fetch = [
        "fetch",
        "--quiet",
        "--depth=1",
        "--no-tags",
        "--no-recurse-submodules",
        "--",
        &url,
        &source.reference,
    ];
    git(place, fetch).await?;
    let commit =
        String::from_utf8_lossy(&git(place, ["rev-parse", "FETCH_HEAD^{commit}"]).await?).trim().to_owned();
    let tree = match &source.directory {
        Some(directory) => format!("{commit}:{directory}"),
        None => commit.clone(),
    };
    let archive = git(place, ["archive", "--format=tar", &tree]).await?;
    Ok(Commit { archive, origin: format!("{}@{commit}", without_credentials(&source.url)) })
}

async fn git<'a>(place: &Path, arguments: impl IntoIterator<Item = &'a str>) -> Result<Vec<u8>, Failure> {
    let mut command = Command::new("git");
    let arguments: Vec<&str> = arguments.into_iter().collect();
    command
        .args(["-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "gc.auto=0"])
        .args(&arguments)
        .current_dir(place)
        .env("GIT_DIR", place)
        .env("GIT_ALLOW_PROTOCOL", "file:https:ssh")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_TEMPLATE_DIR", OsStr::new(""))
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE")
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true);
    let output = command.output().await.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            Failure::usage("`git` is not installed").hint("install it, or give a directory or an archive")
        }
        _ => Failure::internal("`git` cannot be started", &error),
    })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said: Vec<String> =
        said.lines().filter(|line| !line.trim().is_empty()).map(without_credentials).collect();
    let verb = arguments.first().copied().unwrap_or_default();
    Err(Failure::new(1, "git", format!("`git {verb}` failed: {}", said.join("; "))).hint(
        "is the address right, does the branch, tag or commit exist, and can you read it with `git fetch`?",
    ))
}

/// The text without the user and password of an address in it.
fn without_credentials(text: &str) -> String {
    let mut words = Vec::new();
    for word in text.split(' ') {
        let clean = word.split_once("://").and_then(|(scheme, rest)| {
            let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
            authority.rsplit_once('@').map(|(_, host)| format!("{scheme}://{host}/{path}"))
        });
        words.push(clean.unwrap_or_else(|| word.to_owned()));
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_has_a_place_a_reference_and_perhaps_a_directory() {
        let source = parse("https://git.example/infra.git#v1:net/eu").unwrap();
        let expected = GitSource {
            url: "https://git.example/infra.git".into(),
            reference: "v1".into(),
            directory: Some("net/eu".into()),
        };
        assert_eq!(source, expected);
        for text in ["x", "#v1", "x#", "--upload-pack=x#v1", "x#--force", "x#v1:../y", "x#v1:", "x#a b"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn credentials_in_an_address_are_not_repeated() {
        let said =
            without_credentials("fatal: unable to access 'https://zoe:hunter2@git.example/x.git/': no");
        assert_eq!(said, "fatal: unable to access 'https://git.example/x.git/': no");
        assert_eq!(without_credentials("/srv/a@b"), "/srv/a@b");
    }

    /// A repository with one commit on `main`, which the tag `v1` names.
    fn repository() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("net")).unwrap();
        std::fs::write(root.path().join("net/main.tf"), "a").unwrap();
        std::fs::write(root.path().join("README.md"), "b").unwrap();
        let run = |arguments: &[&str]| {
            let mut git = std::process::Command::new("git");
            git.args(["-c", "user.name=t", "-c", "user.email=t@example.org", "-C"])
                .arg(root.path())
                .args(arguments);
            assert!(git.output().unwrap().status.success(), "{arguments:?}");
        };
        run(&["init", "--quiet", "--initial-branch=main"]);
        run(&["add", "."]);
        run(&["commit", "--quiet", "--message=first"]);
        run(&["tag", "v1"]);
        root
    }

    #[tokio::test]
    async fn a_branch_a_tag_and_a_directory_are_fetched() {
        let root = repository();
        let url = root.path().display();
        for (text, paths) in [
            (format!("{url}#main"), vec!["README.md", "net/main.tf"]),
            (format!("{url}#v1:net"), vec!["main.tf"]),
        ] {
            let commit = fetch(&parse(&text).unwrap()).await.unwrap();
            let files = crate::deploy::pack::archive(&commit.archive, "git").unwrap();
            assert_eq!(files.keys().collect::<Vec<_>>(), paths, "{text}");
            assert!(commit.origin.starts_with(&format!("{url}@")), "{}", commit.origin);
        }
    }

    #[tokio::test]
    async fn a_reference_that_is_not_there_is_an_error_of_git() {
        let root = repository();
        let failure = fetch(&parse(&format!("{}#v2", root.path().display())).unwrap()).await.err().unwrap();
        assert_eq!((failure.exit, failure.code.as_str()), (1, "git"));
    }

    #[tokio::test]
    async fn a_transport_that_starts_programs_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let mark = root.path().join("mark");
        let source = parse(&format!("ext::touch {}#main", mark.display())).unwrap();
        assert!(fetch(&source).await.is_err());
        assert!(!mark.exists());
    }
}
