//! Rows encrypted field by field, and blind indexes.

use writ_crypto::{
    KeyRef,
    named::{FieldText, IndexKey, KeyType, RowKeyText, normalise, plain_index},
};

use super::{NAME, key, material, types};
use crate::{code, flipped, seed, unhex, world};

const ROW: &[u8] = b"tenant 1 | customers | row 7";

#[test]
fn a_row_opens_field_by_field() {
    for key_type in types(KeyType::seals_fields) {
        let (key, world) = (key(key_type), world());
        let sealer = key.row_sealer(&world, ROW).unwrap();
        let mail = sealer.seal(&world, "mail", b"ada@example.org").unwrap();
        let phone = sealer.seal(&world, "phone", b"").unwrap();
        let row_key = RowKeyText::parse(&sealer.row_key().to_string()).unwrap();
        let opener = key.row_opener(ROW, &row_key).unwrap();
        let open =
            |name, field: &FieldText| opener.open(name, &FieldText::parse(&field.to_string()).unwrap());
        assert!(open("mail", &mail).unwrap().ct_eq(b"ada@example.org"), "{key_type}");
        assert!(open("phone", &phone).unwrap().is_empty());
    }
}

#[test]
fn a_field_that_stands_alone_opens_alone() {
    for key_type in types(KeyType::seals_fields) {
        let (key, world) = (key(key_type), world());
        let sealer = key.row_sealer(&world, ROW).unwrap();
        let field = sealer.seal_alone(&world, "mail", b"ada@example.org").unwrap();
        assert!(field.stands_alone());
        assert!(key.open_field(ROW, "mail", &field).unwrap().ct_eq(b"ada@example.org"));
        let beside = sealer.seal(&world, "mail", b"ada@example.org").unwrap();
        assert!(!beside.stands_alone());
        assert_eq!(code(key.open_field(ROW, "mail", &beside)), "invalid_ciphertext");
        let opener = key.row_opener(ROW, sealer.row_key()).unwrap();
        assert_eq!(code(opener.open("mail", &field)), "invalid_ciphertext");
    }
}

#[test]
fn a_compact_field_costs_29_bytes() {
    let (key, world) = (key(KeyType::MlKem768), world());
    let sealer = key.row_sealer(&world, ROW).unwrap();
    assert_eq!(sealer.seal(&world, "mail", b"").unwrap().bytes.len(), 1 + 12 + 16);
    assert_eq!(sealer.seal_alone(&world, "mail", b"").unwrap().bytes.len(), 1 + 2 + 1088 + 12 + 16);
}

#[test]
fn a_field_is_not_moved_to_another_field_row_tenant_key_or_version() {
    for key_type in types(KeyType::seals_fields) {
        let (material, world) = (material(key_type), world());
        let key = material.prepare(NAME).unwrap();
        let sealer = key.row_sealer(&world, ROW).unwrap();
        let field = sealer.seal(&world, "mail", b"secret").unwrap();
        let refused = |key: &writ_crypto::named::PreparedKey,
                       row: &[u8],
                       row_key: &RowKeyText,
                       name: &str| {
            assert_eq!(code(key.row_opener(row, row_key).unwrap().open(name, &field)), "decryption_failed");
        };
        refused(&key, ROW, sealer.row_key(), "phone");
        refused(&key, b"tenant 1 | customers | row 8", sealer.row_key(), "mail");
        refused(&key, b"tenant 2 | customers | row 7", sealer.row_key(), "mail");
        refused(&key, ROW, key.row_sealer(&world, ROW).unwrap().row_key(), "mail");
        for name in [KeyRef { version: 4, ..NAME }, KeyRef { id: uuid::Uuid::nil(), ..NAME }] {
            refused(&material.prepare(name).unwrap(), ROW, sealer.row_key(), "mail");
        }
    }
}

#[test]
fn the_row_and_the_name_of_a_field_do_not_run_together() {
    let (key, world) = (key(KeyType::Aes256Gcm), world());
    let sealer = key.row_sealer(&world, b"row 1").unwrap();
    let field = sealer.seal(&world, "mail", b"secret").unwrap();
    let shifted = key.row_opener(b"row 1m", sealer.row_key()).unwrap();
    assert_eq!(code(shifted.open("ail", &field)), "decryption_failed");
}

#[test]
fn every_byte_of_a_field_and_of_its_row_key_counts() {
    let (key, world) = (key(KeyType::MlKem768), world());
    let sealer = key.row_sealer(&world, ROW).unwrap();
    let field = sealer.seal_alone(&world, "mail", b"secret").unwrap();
    for index in 0..field.bytes.len() {
        let other = FieldText { bytes: flipped(&field.bytes, index), ..field };
        key.open_field(ROW, "mail", &other).err().unwrap();
    }
    for length in 0..field.bytes.len() {
        let other = FieldText { bytes: field.bytes[..length].to_vec(), ..field };
        key.open_field(ROW, "mail", &other).err().unwrap();
    }
    let long = RowKeyText { bytes: [&sealer.row_key().bytes[..], &[0]].concat(), version: 3 };
    assert_eq!(code(key.row_opener(ROW, &long)), "invalid_ciphertext");
}

#[test]
fn an_encrypted_field_is_told_from_other_text() {
    let (key, world) = (key(KeyType::Aes256Gcm), world());
    let field = key.row_sealer(&world, ROW).unwrap().seal(&world, "mail", b"x").unwrap().to_string();
    assert!(field.starts_with("writ-field:v3:"));
    assert!(FieldText::is_one(&field));
    for text in ["", "ada@example.org", "writ-field:v3:", "writ-field:v3:AAAA", "writ-field:v0:AAAA"] {
        assert!(!FieldText::is_one(text), "{text}");
    }
}

#[test]
fn keys_that_only_sign_do_not_seal_rows() {
    for key_type in types(|it| !it.seals_fields()) {
        assert_eq!(code(key(key_type).row_sealer(&world(), ROW)), "unsupported_operation", "{key_type}");
    }
}

#[test]
fn an_index_does_not_see_case_or_space_around() {
    let key = IndexKey::new(seed("index"));
    let index = key.index("ada@example.org");
    for same in [" Ada@Example.ORG ", "\tADA@EXAMPLE.ORG\u{a0}\n", "ada@example.org"] {
        assert_eq!(key.index(same), index, "{same:?}");
        assert_eq!(plain_index(same), plain_index("ada@example.org"));
    }
    for other in ["ada @example.org", "adá@example.org", "", "ada@example.or"] {
        assert_ne!(key.index(other), index, "{other:?}");
    }
}

#[test]
fn normalisation_is_unicode_and_does_not_compose() {
    assert_eq!(normalise("\u{2003}ÄÖÜ SS\u{3000}"), "äöü ss");
    assert_eq!(normalise("ΟΔΟΣ"), "οδος", "the last sigma is a final one");
    assert_eq!(normalise("\u{130}"), "i\u{307}");
    assert_ne!(normalise("\u{e9}"), normalise("e\u{301}"));
}

#[test]
fn an_index_is_of_one_key_and_one_field() {
    let (one, two) = (IndexKey::new(seed("one")), IndexKey::new(seed("two")));
    assert_ne!(one.index("x"), two.index("x"));
    assert_ne!(one.index("x"), one.for_field("mail").index("x"));
    assert_ne!(one.for_field("mail").index("x"), one.for_field("phone").index("x"));
    assert_ne!(one.index("x"), plain_index("x"));
}

#[test]
fn the_plain_index_is_the_hash_that_anybody_computes() {
    // FIPS 202, SHA3-256 of "abc".
    let expected = unhex("3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532");
    assert_eq!(plain_index(" ABC ").to_vec(), expected);
}
