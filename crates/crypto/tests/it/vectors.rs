//! Known answers: see `tests/vectors/README.md`; FIPS 180-4, FIPS 202, RFC 4231 and RFC 5869 besides.

use serde::Deserialize;
use serde_json::Value;
use writ_crypto::{
    Algorithm, DataKey, HybridPublic, SecretKey, SigningKey, VerifyingKey,
    hash::{Sha256, hex, hkdf_sha256, hmac_sha256, hmac_verify, sha3_256, sha256},
};

use crate::{code, seed, unhex, world_of};

fn rows<T: for<'a> Deserialize<'a>>(text: &str) -> Vec<T> {
    let rows: Vec<T> = serde_json::from_str(text).unwrap();
    assert!(!rows.is_empty());
    rows
}

fn bytes(row: &Value, field: &str) -> Vec<u8> {
    unhex(row[field].as_str().unwrap())
}

#[test]
fn sha_256_of_fips_180_4() {
    let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(hex(&sha256(b"abc")), expected);
    let mut pieces = Sha256::new();
    pieces.update(b"a");
    pieces.update(b"");
    pieces.update(b"bc");
    assert_eq!(hex(&pieces.finish()), expected);
}

#[test]
fn sha3_256_of_fips_202() {
    // The examples of the standard: no bits, and 1600 bits of a3; and "abc".
    assert_eq!(hex(&sha3_256(b"")), "a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a");
    assert_eq!(
        hex(&sha3_256(&[0xa3; 200])),
        "79f38adec5c20307a98ef76e8324afbfd46cfd81b22e3973c65fa1bd9de31787"
    );
    assert_eq!(hex(&sha3_256(b"abc")), "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532");
}

#[test]
fn hmac_sha_256_of_rfc_4231() {
    // Test cases 1, 2 and 6.
    let one = hmac_sha256(&[0x0b; 20], &[b"Hi ", b"There"]);
    assert_eq!(hex(&one), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    let two = hmac_sha256(b"Jefe", &[b"what do ya want ", b"", b"for nothing?"]);
    assert_eq!(hex(&two), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    let six = hmac_sha256(&[0xaa; 131], &[b"Test Using Larger Than Block-Size Key - Hash Key First"]);
    assert_eq!(hex(&six), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

#[test]
fn hmac_sha_256_of_wycheproof() {
    for row in rows::<Value>(include_str!("../vectors/hmac_sha256.json")) {
        let verdict = hmac_verify(&bytes(&row, "key"), &[&bytes(&row, "msg")], &bytes(&row, "tag"));
        assert_eq!(Some(verdict), row["valid"].as_bool(), "{}", row["tcId"]);
    }
}

#[test]
fn a_cut_mac_is_no_mac() {
    let mac = hmac_sha256(b"key", &[b"message"]);
    assert!(hmac_verify(b"key", &[b"message"], &mac));
    assert!(!hmac_verify(b"key", &[b"message"], &mac[..31]));
    assert!(!hmac_verify(b"key", &[b"message"], b""));
}

#[test]
fn hkdf_sha_256_of_rfc_5869() {
    // Test case 1, whose first 32 of 42 bytes are the first block.
    let info: Vec<u8> = (0xf0..=0xf9).collect();
    let salt: Vec<u8> = (0x00..=0x0c).collect();
    let key = hkdf_sha256(&salt, &[0x0b; 22], &info);
    assert_eq!(hex(key.expose()), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
}

#[test]
fn aes_256_gcm_of_wycheproof_seals_and_opens() {
    for row in rows::<Value>(include_str!("../vectors/aes_256_gcm.json")) {
        let [key, iv, aad, message] = ["key", "iv", "aad", "msg"].map(|field| bytes(&row, field));
        let key = DataKey::from_secret(SecretKey::from_slice(&key).unwrap());
        let sealed = [&iv[..], &bytes(&row, "ct"), &bytes(&row, "tag")].concat();
        let opened = key.open(&aad, &sealed);
        if row["valid"].as_bool().unwrap() {
            assert!(opened.unwrap().ct_eq(&message), "{}", row["tcId"]);
            assert_eq!(key.seal(&world_of(&iv), &aad, &message), sealed, "{}", row["tcId"]);
        } else {
            assert_eq!(code(opened), "seal_broken", "{}", row["tcId"]);
        }
    }
}

fn verifies(algorithm: Algorithm, row: &Value) -> bool {
    VerifyingKey::from_bytes(algorithm, &bytes(row, "public"))
        .is_ok_and(|key| key.verify(&bytes(row, "msg"), &bytes(row, "sig")).is_ok())
}

#[test]
fn signatures_of_wycheproof_verify_or_do_not() {
    for (algorithm, text) in [
        (Algorithm::Ed25519, include_str!("../vectors/ed25519.json")),
        (Algorithm::MlDsa44, include_str!("../vectors/ml_dsa_44_verify.json")),
        (Algorithm::MlDsa65, include_str!("../vectors/ml_dsa_65_verify.json")),
    ] {
        for row in rows::<Value>(text) {
            assert_eq!(
                Some(verifies(algorithm, &row)),
                row["valid"].as_bool(),
                "{algorithm} {}",
                row["tcId"]
            );
        }
    }
}

#[test]
fn ml_dsa_keys_of_wycheproof_grow_from_their_seeds() {
    for (algorithm, text) in [
        (Algorithm::MlDsa44, include_str!("../vectors/ml_dsa_44_keys.json")),
        (Algorithm::MlDsa65, include_str!("../vectors/ml_dsa_65_keys.json")),
    ] {
        for row in rows::<Value>(text) {
            let seed = SecretKey::from_slice(&bytes(&row, "seed")).unwrap();
            let public = SigningKey::from_seed(algorithm, seed).unwrap().verifying_key();
            assert_eq!(hex(&sha256(public.as_bytes())), row["publicSha256"].as_str().unwrap());
        }
    }
}

#[test]
fn ed25519_of_rfc_8032() {
    // Section 7.1, test 3.
    let seed =
        SecretKey::from_slice(&unhex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7"));
    let key = SigningKey::from_seed(Algorithm::Ed25519, seed.unwrap()).unwrap();
    let public = "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025";
    let signature = "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac\
                     18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a";
    assert_eq!(hex(key.verifying_key().as_bytes()), public);
    assert_eq!(hex(&key.sign(&[0xaf, 0x82]).unwrap()), signature);
}

#[test]
fn an_ml_kem_key_beyond_the_modulus_is_refused() {
    for row in rows::<Value>(include_str!("../vectors/ml_kem_768_bad_ek.json")) {
        let public = [&seed("x25519").expose()[..], &bytes(&row, "ek")].concat();
        assert_eq!(code(HybridPublic::from_bytes(&public)), "malformed_public_key", "{}", row["tcId"]);
    }
}
