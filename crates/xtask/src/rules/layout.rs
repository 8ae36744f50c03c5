//! Files are short, and each crate introduces itself.

use crate::house::{Finding, House};

const LONGEST: usize = 600;

pub(super) fn files_are_short(house: &House) -> Vec<Finding> {
    let long = |text: &str| text.lines().count() > LONGEST;
    let files = house.files.iter().filter(|file| file.has_ending("rs") && long(&file.text));
    files
        .map(|file| {
            file.finding(LONGEST, format!("a file has at most {LONGEST} lines: split it along a seam"))
        })
        .collect()
}

pub(super) fn crates_have_a_readme(house: &House) -> Vec<Finding> {
    let has_readme =
        |path: &str| house.files.iter().any(|file| file.path == path && file.text.lines().count() >= 3);
    let readmes = house.crates.iter().map(|member| format!("crates/{}/README.md", member.name));
    readmes
        .filter(|path| !has_readme(path))
        .map(|path| Finding {
            path,
            line: 0,
            what: "say the nouns, the verbs, the invariants and what it does not do".into(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::house::fixture::{house, places};

    #[test]
    fn six_hundred_lines_are_enough() {
        let (enough, much) = ("\n".repeat(600), "\n".repeat(601));
        let house = house(&[("crates/a/src/b.rs", &enough), ("crates/a/src/c.rs", &much), ("a.md", &much)]);
        assert_eq!(places(&files_are_short(&house)), ["crates/a/src/c.rs:600"]);
    }

    #[test]
    fn a_crate_without_a_readme_or_with_an_empty_one_is_found() {
        let house = house(&[
            ("crates/gate/Cargo.toml", ""),
            ("crates/gate/README.md", "# gate\n\nThe one door."),
            ("crates/seal/Cargo.toml", ""),
            ("crates/seal/README.md", "# seal"),
            ("crates/store/Cargo.toml", ""),
        ]);
        assert_eq!(
            places(&crates_have_a_readme(&house)),
            ["crates/seal/README.md:0", "crates/store/README.md:0"]
        );
    }
}
