//! What may not be written: sleeping tests, promises for later, paths of somebody's machine.

use crate::house::{File, Finding, House};

/// A test that sleeps is slow when it is right and wrong when the machine is slow.
pub(super) fn tests_do_not_sleep(house: &House) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, code) in house.rust() {
        let sleeps = code.sequences(&["thread", "::", "sleep"]);
        let in_tests = sleeps.filter(|token| token.test || !file.is_production());
        findings.extend(
            in_tests.map(|token| file.finding(token.line, "wait for the thing itself, not for time to pass")),
        );
    }
    findings
}

const LATER: [&str; 4] = ["TODO", "FIXME", "XXX", "HACK"];

/// Neither in a comment nor by a macro that panics.
pub(super) fn nothing_is_left_for_later(house: &House) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in house.files.iter().filter(|file| !is_law(file)) {
        for (line, text) in numbered(&file.text) {
            if words(text).any(|word| LATER.contains(&word)) {
                findings.push(file.finding(line, "finish it, or leave it out"));
            }
        }
        for (name, code) in file.code.iter().flat_map(|code| [("todo", code), ("unimplemented", code)]) {
            let calls = code.sequences(if name == "todo" { &["todo", "!"] } else { &["unimplemented", "!"] });
            findings.extend(calls.map(|token| file.finding(token.line, "finish it, or leave it out")));
        }
    }
    findings
}

/// Beginnings of paths that exist on one machine only.
const MACHINE: [&str; 4] = ["/home/", "/root/", "/Users/", "/work/"];

/// Where such places are meant, and why.
const MEANT: [(&str, &str); 1] = [("crates/runner/tests/", "what a sandbox must keep closed")];

pub(super) fn no_path_of_a_machine(house: &House) -> Vec<Finding> {
    let mut findings = Vec::new();
    let meant = |file: &File| MEANT.iter().any(|(place, _)| file.path.starts_with(place));
    for file in house.files.iter().filter(|file| !is_law(file) && !meant(file)) {
        for (line, text) in numbered(&file.text) {
            if let Some(place) = MACHINE.iter().find(|place| names_path(text, place)) {
                findings.push(
                    file.finding(line, format!("`{place}…` is a place on one machine: make it relative")),
                );
            }
        }
    }
    findings
}

/// Whether a path in `text` begins with `place`: what goes before it is not part of a longer path.
fn names_path(text: &str, place: &str) -> bool {
    text.match_indices(place).any(|(at, _)| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        before.is_none_or(|c| !c.is_alphanumeric() && !['/', '.', '_', '-', '~', '}', '>'].contains(&c))
    })
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
}

/// The rules name what they forbid, and lock files and vectors are not ours to word.
fn is_law(file: &File) -> bool {
    file.owner() == Some("xtask") || file.has_ending("json") || file.path == "LICENSE"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::house::fixture::{house, places};

    #[test]
    fn a_sleeping_test_is_found_and_a_sleeping_program_is_not() {
        let sleep = "fn a() { std::thread::sleep(b); }";
        let house = house(&[
            ("crates/gate/src/lib.rs", "#[cfg(test)]\nmod tests { fn a() { thread::sleep(b); } }"),
            ("crates/gate/tests/it/main.rs", sleep),
            ("crates/runner/src/lib.rs", sleep),
        ]);
        let places = places(&tests_do_not_sleep(&house));
        assert_eq!(places, ["crates/gate/src/lib.rs:2", "crates/gate/tests/it/main.rs:1"]);
    }

    #[test]
    fn promises_are_found_in_comments_and_in_code() {
        let house = house(&[
            ("crates/gate/src/lib.rs", "// TODO: later\nfn a() { todo!() }"),
            ("docs/a.md", "A to-do list.\nTODO"),
        ]);
        let places = places(&nothing_is_left_for_later(&house));
        assert_eq!(places, ["crates/gate/src/lib.rs:1", "crates/gate/src/lib.rs:2", "docs/a.md:2"]);
    }

    #[test]
    fn a_place_on_one_machine_is_told_from_a_route_and_a_variable() {
        let text = "see /home/ada/writ\n\"${HOME}/work/x\"\nGET /api/v1/work/1\nhttps://a.example/root/x\n";
        assert_eq!(places(&no_path_of_a_machine(&house(&[("docs/a.md", text)]))), ["docs/a.md:1"]);
    }
}
