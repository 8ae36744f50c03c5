//! Algorithms are named in `crypto` and nowhere else, so that one crate decides what is strong enough.

use std::collections::BTreeSet;

use crate::house::{File, Finding, House};

/// Names of algorithms, as they appear in identifiers once case and underscores are taken away.
const ALGORITHMS: [&str; 20] = [
    "mlkem",
    "kyber",
    "mldsa",
    "dilithium",
    "slhdsa",
    "x25519",
    "ed25519",
    "ecdsa",
    "secp256",
    "secp384",
    "p256",
    "aes128",
    "aes256",
    "aesgcm",
    "chacha",
    "poly1305",
    "hkdf",
    "pbkdf2",
    "argon2",
    "sha3",
];

/// Where another's name cannot be avoided, and why. This list only shrinks.
const KNOWN: [(&str, &[&str], &str); 4] = [
    ("crates/web/src/", &["mlkem", "x25519", "ecdsa"], "rustls and rcgen name what a listener offers"),
    ("crates/client/src/", &["mlkem"], "rustls names what a connection asks for"),
    ("crates/seal/src/device.rs", &["aesgcm"], "cryptoki names what a device is asked to do"),
    ("crates/merkle/src/", &["ed25519", "mldsa"], "signed notes number their signatures by algorithm"),
];

/// Identifiers are looked at; strings, comments and tests are not: a wire format may well carry a name. Each name is
/// found once a file.
pub(super) fn are_named_in_crypto_only(house: &House) -> Vec<Finding> {
    let mut findings = Vec::new();
    let elsewhere =
        |file: &File| file.is_production() && !["crypto", "xtask"].map(Some).contains(&file.owner());
    for (file, code) in house.rust().filter(|(file, _)| elsewhere(file)) {
        let mut seen = BTreeSet::new();
        for (line, word) in code.words() {
            if let Some(name) = named(word).filter(|name| !is_known(&file.path, name) && seen.insert(*name)) {
                findings.push(
                    file.finding(line, format!("`{word}` names `{name}`: give the deed a name in `crypto`")),
                );
            }
        }
    }
    findings
}

fn named(word: &str) -> Option<&'static str> {
    let plain = word.replace('_', "").to_lowercase();
    ALGORITHMS.into_iter().find(|name| plain.contains(name))
}

fn is_known(path: &str, name: &str) -> bool {
    KNOWN.iter().any(|(place, known, _)| path.starts_with(place) && known.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::house::fixture::{house, places};

    #[test]
    fn an_identifier_gives_an_algorithm_away_in_any_case() {
        let house = house(&[
            (
                "crates/seal/src/lib.rs",
                "struct Aes256Gcm;\nfn ml_kem_768() {}\nconst ML_DSA_65: u8 = 0;\nconst ML_DSA_87: u8 = 1;",
            ),
            ("crates/crypto/src/kem.rs", "struct MlKem768;"),
        ]);
        let places = places(&are_named_in_crypto_only(&house));
        assert_eq!(
            places,
            ["crates/seal/src/lib.rs:1", "crates/seal/src/lib.rs:2", "crates/seal/src/lib.rs:3"]
        );
    }

    #[test]
    fn documents_formats_and_tests_may_name_it() {
        let house = house(&[
            ("crates/merkle/src/note.rs", "//! Ed25519\nconst ALGORITHM: &str = \"Ed25519\";"),
            ("crates/merkle/tests/it/main.rs", "use ml_dsa::MlDsa44;"),
            ("crates/merkle/src/lib.rs", "#[cfg(test)] mod tests { fn ed25519() {} }"),
        ]);
        assert_eq!(are_named_in_crypto_only(&house), []);
    }

    #[test]
    fn a_known_exception_holds_in_its_place_only() {
        let text = "use rustls::crypto::kx_group::X25519MLKEM768;";
        assert_eq!(are_named_in_crypto_only(&house(&[("crates/gate/src/lib.rs", text)])).len(), 1);
    }
}
