//! Where a path in a configuration leads, without asking the file system: links are refused elsewhere.

use super::tree::{Piece, Text};

/// Where a path leads.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// To this path in the configuration, relative to its root; empty for the root itself.
    Inside(String),
    /// Out of it, and how.
    Outside(&'static str),
    /// That shows only when it is evaluated.
    Unknown,
}

/// Where `path` leads when the tool, in the configuration's root, works on the module in `directory`.
pub(super) fn place(path: &Text, directory: &str) -> Place {
    let module = if directory.is_empty() { "." } else { directory };
    let mut known = String::new();
    let mut unknown = false;
    for (index, piece) in path.0.iter().enumerate() {
        match piece {
            Piece::Known(text) => known.push_str(text),
            Piece::ModulePath if index == 0 => known.push_str(module),
            Piece::RootPath if index == 0 => known.push('.'),
            Piece::ModulePath | Piece::RootPath | Piece::Unknown => {
                unknown = true;
                known.push('?'); // some name
            }
        }
    }
    if known.starts_with('/') {
        return Place::Outside("is absolute");
    }
    if known.starts_with('~') {
        return Place::Outside("is in a home directory");
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in known.split('/') {
        match part {
            "" | "." => {}
            ".." if unknown => return Place::Outside("climbs from a place that is not known"),
            ".." => {
                if parts.pop().is_none() {
                    return Place::Outside("climbs out of the configuration");
                }
            }
            name => parts.push(name),
        }
    }
    if unknown { Place::Unknown } else { Place::Inside(parts.join("/")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(pieces: &[Piece]) -> Place {
        place(&Text(pieces.to_vec()), "modules/a")
    }

    fn known(text: &str) -> Piece {
        Piece::Known(text.to_owned())
    }

    #[test]
    fn a_path_in_the_configuration_is_inside() {
        assert_eq!(at(&[known("x/./y/../z")]), Place::Inside("x/z".into()));
        assert_eq!(at(&[Piece::ModulePath, known("/../b/x.tpl")]), Place::Inside("modules/b/x.tpl".into()));
        assert_eq!(at(&[Piece::RootPath, known("/x")]), Place::Inside("x".into()));
    }

    #[test]
    fn a_path_that_leaves_is_outside_however_it_is_spelled() {
        for pieces in [
            vec![known("/etc/passwd")],
            vec![known("~/.aws/credentials")],
            vec![known("../x")],
            vec![known("a/../../x")],
            vec![Piece::ModulePath, known("/../../../x")],
            vec![Piece::RootPath, known("./x")], // `${path.root}./x` is `../x`
            vec![Piece::Unknown, known("/../../x")],
            vec![Piece::ModulePath, known("/"), Piece::Unknown, known("/../../../../x")],
        ] {
            assert!(matches!(at(&pieces), Place::Outside(_)), "{pieces:?}");
        }
    }

    #[test]
    fn a_path_with_unknown_parts_is_unknown() {
        assert_eq!(at(&[Piece::ModulePath, known("/"), Piece::Unknown]), Place::Unknown);
    }
}
