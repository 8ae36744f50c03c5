//! Each strong thing has one home: where a library may be a dependency, and where its name may be written.

use crate::house::{Finding, House};

const ROOMS_AND_DOOR: &[&str] =
    &["gate", "identity", "vault", "keys", "pki", "deploy", "quantum", "evidence", "supply", "govern"];

/// The law: a library, and the crates that may depend on it beside rooms and the door where they are named.
struct Home {
    library: &'static str,
    crates: &'static [&'static str],
    rooms: bool,
}

const HOMES: [Home; 16] = [
    // `targets` speaks to databases of others, never to ours: it makes and unmakes roles there.
    // `compat` keeps tokens, path policies and mounts, which no room knows.
    Home { library: "sqlx", crates: &["store", "seal", "targets", "compat", "testkit"], rooms: true },
    Home {
        library: "axum",
        crates: &["web", "compat", "console", "server", "runner", "testkit"],
        rooms: true,
    },
    Home { library: "utoipa", crates: &["wire", "web", "compat", "server"], rooms: true },
    Home { library: "cedar-policy", crates: &["gate"], rooms: false },
    Home { library: "aws-lc-rs", crates: &["crypto", "web", "client"], rooms: false },
    Home { library: "aws-lc-sys", crates: &["crypto"], rooms: false },
    Home { library: "argon2", crates: &["crypto"], rooms: false },
    Home { library: "ml-kem", crates: &["crypto"], rooms: false },
    Home { library: "ml-dsa", crates: &[], rooms: false },
    Home { library: "cryptoki", crates: &["seal"], rooms: false },
    Home { library: "vsss-rs", crates: &["crypto"], rooms: false },
    // `aws` and `compat` call others by `reqwest`, which takes the process's provider and brings none.
    Home { library: "rustls", crates: &["web", "client", "runner", "aws", "compat"], rooms: false },
    Home { library: "tokio-rustls", crates: &["web", "client"], rooms: false },
    Home { library: "rcgen", crates: &["web"], rooms: false },
    Home { library: "landlock", crates: &["runner"], rooms: false },
    Home { library: "seccompiler", crates: &["runner"], rooms: false },
];

/// Development dependencies are free: a test may look at a thing from outside.
pub(super) fn libraries_are_named_at_home(house: &House) -> Vec<Finding> {
    let mut findings = Vec::new();
    for member in &house.crates {
        for name in member.dependencies() {
            let Some(home) = HOMES.iter().find(|home| home.library == name) else { continue };
            let room = home.rooms && ROOMS_AND_DOOR.contains(&member.name.as_str());
            if !room && !home.crates.contains(&member.name.as_str()) {
                let what = format!("`{name}` is at home in {:?}, not in `{}`", home.crates, member.name);
                findings.push(Finding { path: format!("crates/{}/Cargo.toml", member.name), line: 0, what });
            }
        }
    }
    findings
}

/// The law inside a crate: a word, the module it may be written in, and the crates that may write it anywhere.
const MODULES: [(&str, &str, &[&str]); 2] = [
    ("sqlx", "sql", &["store", "testkit"]),
    ("axum", "http", &["web", "compat", "console", "server", "runner", "testkit"]),
];

pub(super) fn words_are_used_at_home(house: &House) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, code) in house.rust().filter(|(file, _)| file.is_production()) {
        for (word, module, crates) in MODULES {
            if file.owner().is_some_and(|owner| crates.contains(&owner)) || file.is_module(module) {
                continue;
            }
            if let Some((line, _)) = code.words().find(|(_, used)| *used == word) {
                findings.push(file.finding(line, format!("`{word}` belongs in `{module}.rs`")));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::house::fixture::{house, places};

    #[test]
    fn a_library_is_at_home_in_its_crate_and_in_tests() {
        let house = house(&[
            ("crates/crypto/Cargo.toml", "[dependencies]\nargon2.workspace = true"),
            (
                "crates/deploy/Cargo.toml",
                "[dependencies]\nsqlx.workspace = true\ncedar-policy.workspace = true",
            ),
            ("crates/merkle/Cargo.toml", "[dev-dependencies]\nml-dsa.workspace = true"),
            ("crates/seal/Cargo.toml", "[dependencies]\nargon2.workspace = true"),
        ]);
        assert_eq!(
            places(&libraries_are_named_at_home(&house)),
            ["crates/deploy/Cargo.toml:0", "crates/seal/Cargo.toml:0"]
        );
    }

    #[test]
    fn a_room_speaks_to_the_database_in_one_module() {
        let house = house(&[
            ("crates/deploy/src/sql.rs", "use sqlx::Row;"),
            ("crates/deploy/src/sql/runs.rs", "use sqlx::Row;"),
            ("crates/deploy/src/runs.rs", "// not sqlx\n\nuse sqlx::Row;"),
            ("crates/deploy/tests/it/main.rs", "use sqlx::Row;"),
            ("crates/store/src/tx.rs", "use sqlx::Row;"),
        ]);
        assert_eq!(places(&words_are_used_at_home(&house)), ["crates/deploy/src/runs.rs:3"]);
    }
}
