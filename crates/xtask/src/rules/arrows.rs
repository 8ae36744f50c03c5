//! Arrows between our crates point down, and there is none between rooms.

use crate::house::{Crate, Finding, House};

const WORDS: &[&str] = &["kernel", "crypto", "merkle", "redact", "wire"];
const GROUND: &[&str] = &["store", "seal", "web", "client", "aws", "targets"];
const DOOR: &[&str] = &["gate"];
const ROOMS: &[&str] =
    &["identity", "vault", "keys", "pki", "deploy", "quantum", "evidence", "supply", "govern"];
const FACES: &[&str] = &["compat", "console"];
const HOUSE: &[&str] = &["server", "runner"];

/// The law: what each crate may depend on, of ours. `None` for a crate that is not in it.
fn allowed(name: &str) -> Option<Vec<&'static str>> {
    Some(match name {
        "kernel" | "xtask" => vec![],
        "crypto" | "redact" | "wire" | "store" => vec!["kernel"],
        "merkle" => vec!["crypto"],
        "seal" => vec!["kernel", "crypto", "store"],
        "web" | "client" => vec!["kernel", "wire"],
        "aws" => vec!["kernel", "crypto", "wire"],
        "targets" => vec!["kernel", "crypto", "aws"],
        "gate" => vec!["kernel", "crypto", "store", "seal"],
        "runner" => vec!["kernel", "crypto", "redact", "wire", "client", "aws"],
        "cli" => [WORDS, GROUND, DOOR, ROOMS, FACES, HOUSE].concat(),
        "server" => [WORDS, GROUND, DOOR, ROOMS, FACES].concat(),
        "testkit" => [WORDS, GROUND, DOOR, ROOMS, FACES, &["server"]].concat(),
        name if ROOMS.contains(&name) => [WORDS, GROUND, DOOR].concat(),
        name if FACES.contains(&name) => [WORDS, GROUND, DOOR, ROOMS].concat(),
        _ => return None,
    })
}

/// Development dependencies are free: `testkit` is one, and a test may use what its crate may not.
pub(super) fn point_down(house: &House) -> Vec<Finding> {
    house.crates.iter().flat_map(broken).collect()
}

fn broken(member: &Crate) -> Vec<Finding> {
    let finding = |what| Finding { path: format!("crates/{}/Cargo.toml", member.name), line: 0, what };
    let Some(allowed) = allowed(&member.name) else {
        return vec![finding(
            "this crate has no place in the house: give it one in `xtask`'s rule `arrows`".into(),
        )];
    };
    ours(member)
        .filter(|name| !allowed.contains(&name.as_str()))
        .map(|name| {
            finding(format!("`{}` may not depend on `{name}`: declare a port, or move the code", member.name))
        })
        .collect()
}

fn ours(member: &Crate) -> impl Iterator<Item = String> {
    member.dependencies().filter_map(|name| name.strip_prefix("writ-").map(Into::into))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::house::fixture::{house, places};

    #[test]
    fn an_arrow_down_is_fine_and_an_arrow_up_is_not() {
        let house = house(&[
            ("crates/store/Cargo.toml", "[dependencies]\nwrit-kernel.workspace = true"),
            ("crates/kernel/Cargo.toml", "[dependencies]\nwrit-store.workspace = true"),
        ]);
        assert_eq!(places(&point_down(&house)), ["crates/kernel/Cargo.toml:0"]);
    }

    #[test]
    fn rooms_do_not_know_each_other_even_for_one_target() {
        let manifest = "[target.'cfg(unix)'.dependencies]\nwrit-evidence.workspace = true";
        assert_eq!(point_down(&house(&[("crates/deploy/Cargo.toml", manifest)])).len(), 1);
    }

    #[test]
    fn tests_may_use_more() {
        let manifest = "[dev-dependencies]\nwrit-testkit.workspace = true";
        assert_eq!(point_down(&house(&[("crates/gate/Cargo.toml", manifest)])), []);
    }

    #[test]
    fn a_crate_nobody_knows_is_named() {
        assert_eq!(point_down(&house(&[("crates/utils/Cargo.toml", "")])).len(), 1);
    }
}
