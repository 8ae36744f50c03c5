//! Known answers of Wycheproof; see `tests/vectors/README.md`.

use serde_json::Value;
use writ_crypto::{
    hash::sha256,
    named::{Hash, KeyType, Material, Options, Padding, PrivateFormat, PublicKey, SaltLength, Scheme},
};

use super::NAME;
use crate::unhex;

fn rows(text: &str) -> Vec<Value> {
    let rows: Vec<Value> = serde_json::from_str(text).unwrap();
    assert!(!rows.is_empty());
    rows
}

fn bytes(row: &Value, field: &str) -> Vec<u8> {
    unhex(row[field].as_str().unwrap())
}

fn text<T: std::str::FromStr<Err = writ_kernel::Error>>(row: &Value, field: &str) -> T {
    row[field].as_str().unwrap().parse().unwrap()
}

fn raw(key_type: KeyType, bytes: &[u8]) -> writ_crypto::named::PreparedKey {
    Material::import(key_type, PrivateFormat::Raw, bytes).unwrap().prepare(NAME).unwrap()
}

#[test]
fn ml_kem_public_keys_of_their_seeds() {
    for (key_type, file) in [
        (KeyType::MlKem512, include_str!("../../vectors/ml_kem_512.json")),
        (KeyType::MlKem768, include_str!("../../vectors/ml_kem_768.json")),
        (KeyType::MlKem1024, include_str!("../../vectors/ml_kem_1024.json")),
    ] {
        for row in rows(file) {
            let key = raw(key_type, &bytes(&row, "seed"));
            let public = sha256(key.public().unwrap().as_raw()).to_vec();
            assert_eq!(public, bytes(&row, "ekSha256"), "{key_type} {}", row["tcId"]);
        }
    }
}

#[test]
fn ml_dsa_87_keys_of_their_seeds() {
    for row in rows(include_str!("../../vectors/ml_dsa_87_keys.json")) {
        let key = raw(KeyType::MlDsa87, &bytes(&row, "seed"));
        assert_eq!(sha256(key.public().unwrap().as_raw()).to_vec(), bytes(&row, "publicSha256"));
        let pkcs8 = bytes(&row, "pkcs8");
        let imported = Material::import(KeyType::MlDsa87, PrivateFormat::Pkcs8Der, &pkcs8).unwrap();
        assert!(imported.export(PrivateFormat::Raw).unwrap().ct_eq(&bytes(&row, "seed")));
        assert!(imported.export(PrivateFormat::Pkcs8Der).unwrap().ct_eq(&pkcs8), "it is written the same");
    }
}

#[test]
fn ml_dsa_87_signatures() {
    for row in rows(include_str!("../../vectors/ml_dsa_87_verify.json")) {
        let valid = PublicKey::from_raw(KeyType::MlDsa87, &bytes(&row, "public")).is_ok_and(|key| {
            key.verify(&Scheme::default(), &bytes(&row, "msg"), &bytes(&row, "sig")).unwrap()
        });
        assert_eq!(Some(valid), row["valid"].as_bool(), "{} {}", row["tcId"], row["comment"]);
    }
}

#[test]
fn hmac_with_every_hash() {
    let rows = rows(include_str!("../../vectors/hmac.json"));
    for row in &rows {
        let Ok(material) = Material::import(KeyType::Hmac, PrivateFormat::Raw, &bytes(row, "key")) else {
            assert!(bytes(row, "key").len() < 16, "too short a key is the only one refused");
            continue;
        };
        let key = material.prepare(NAME).unwrap();
        let valid = key.mac_matches(text::<Hash>(row, "hash"), &bytes(row, "msg"), &bytes(row, "tag"));
        assert_eq!(Some(valid), row["valid"].as_bool(), "{} {}", row["hash"], row["tcId"]);
    }
}

#[test]
fn ecdsa_signatures() {
    for row in rows(include_str!("../../vectors/ecdsa.json")) {
        let scheme =
            Scheme { hash: text(&row, "hash"), marshaling: text(&row, "marshaling"), ..Scheme::default() };
        let key = PublicKey::from_der(&bytes(&row, "der")).unwrap();
        let valid = key.verify(&scheme, &bytes(&row, "msg"), &bytes(&row, "sig")).unwrap();
        assert_eq!(Some(valid), row["valid"].as_bool(), "{} {}", row["file"], row["tcId"]);
    }
}

#[test]
fn rsa_signatures() {
    for row in rows(include_str!("../../vectors/rsa_verify.json")) {
        let scheme = Scheme {
            hash: text(&row, "hash"),
            padding: text::<Padding>(&row, "padding"),
            salt: text::<SaltLength>(&row, "salt"),
            ..Scheme::default()
        };
        let key = PublicKey::from_der(&bytes(&row, "der")).unwrap();
        let valid = key.verify(&scheme, &bytes(&row, "msg"), &bytes(&row, "sig")).unwrap();
        assert_eq!(Some(valid), row["valid"].as_bool(), "{} {}", row["file"], row["tcId"]);
    }
}

#[test]
fn rsa_oaep_ciphertexts() {
    for row in rows(include_str!("../../vectors/rsa_oaep.json")) {
        let key_type =
            if row["file"].as_str().unwrap().contains("2048") { KeyType::Rsa2048 } else { KeyType::Rsa3072 };
        let material = Material::import(key_type, PrivateFormat::Pkcs8Der, &bytes(&row, "pkcs8")).unwrap();
        let key = material.prepare(NAME).unwrap();
        let opened = key.decrypt(&Options::default(), &bytes(&row, "ct"));
        let valid = opened.is_ok_and(|plaintext| plaintext.ct_eq(&bytes(&row, "msg")));
        assert_eq!(Some(valid), row["valid"].as_bool(), "{} {}", row["file"], row["tcId"]);
    }
}

#[test]
fn aes_key_wrap_with_padding() {
    for row in rows(include_str!("../../vectors/aes_kwp.json")) {
        let bytes_of_key = bytes(&row, "key");
        let key_type = if bytes_of_key.len() == 16 { KeyType::Aes128Gcm } else { KeyType::Aes256Gcm };
        let key = raw(key_type, &bytes_of_key);
        let (message, wrapped) = (bytes(&row, "msg"), bytes(&row, "ct"));
        let valid = key.unwrap_key(&wrapped).is_ok_and(|secret| secret.ct_eq(&message));
        assert_eq!(Some(valid), row["valid"].as_bool(), "{}", row["tcId"]);
        if valid {
            assert_eq!(key.wrap_key(&message).unwrap(), wrapped);
        }
    }
}

#[test]
fn symmetric_ciphertexts() {
    for row in rows(include_str!("../../vectors/aead.json")) {
        let key = raw(text(&row, "type"), &bytes(&row, "key"));
        let body = [bytes(&row, "iv"), bytes(&row, "ct"), bytes(&row, "tag")].concat();
        let aad = bytes(&row, "aad");
        let opened = key.decrypt(&Options { aad: &aad, ..Options::default() }, &body);
        let valid = opened.is_ok_and(|plaintext| plaintext.ct_eq(&bytes(&row, "msg")));
        assert_eq!(Some(valid), row["valid"].as_bool(), "{} {}", row["type"], row["tcId"]);
    }
}
