//! What named keys make, as text and as bytes: reading never panics, what is read is written back the same, and nothing
//! forged opens.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use writ_crypto::{
    KeyRef,
    named::{
        Ciphertext, FieldText, KeyType, Mac, Marshaling, Material, OaepHash, Options, PreparedKey,
        PrivateFormat, RowKeyText, Signature,
    },
};

static KEYS: LazyLock<Vec<PreparedKey>> = LazyLock::new(|| {
    let of = |key_type, length| {
        let material = Material::import(key_type, PrivateFormat::Raw, &[7; 64][..length]).expect("a key");
        material.prepare(KeyRef { id: uuid::Uuid::nil(), version: 1 }).expect("a key")
    };
    vec![of(KeyType::MlKem768, 64), of(KeyType::Aes256Gcm, 32), of(KeyType::ChaCha20Poly1305, 32)]
});

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        texts(text);
    }
    for key in &*KEYS {
        assert!(key.decrypt(&Options::default(), bytes).is_err());
        let field = FieldText { version: 1, bytes: bytes.to_vec() };
        assert!(key.open_field(b"row", "name", &field).is_err());
        if let Ok(opener) = key.row_opener(b"row", &RowKeyText { version: 1, bytes: bytes.to_vec() }) {
            assert!(opener.open("name", &field).is_err());
        }
        let _ = key.unwrap_key(bytes).is_ok();
        let _ = key.unwrap_import(OaepHash::Sha256, bytes).is_ok();
    }
});

fn texts(text: &str) {
    if let Ok(read) = Ciphertext::parse(text) {
        assert_eq!(read.to_string(), text);
    }
    if let Ok(read) = Mac::parse(text) {
        assert_eq!(read.to_string(), text);
    }
    if let Ok(read) = RowKeyText::parse(text) {
        assert_eq!(read.to_string(), text);
    }
    if let Ok(read) = FieldText::parse(text) {
        assert_eq!(read.to_string(), text);
    }
    for marshaling in [Marshaling::Asn1, Marshaling::Jws] {
        if let Ok(read) = Signature::parse(text, marshaling) {
            assert_eq!(read.to_text(marshaling), text);
        }
    }
}
