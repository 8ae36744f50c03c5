//! Wrapped keys, and keys brought from outside.

use writ_crypto::{
    KeyRef,
    named::{KeyType, Material, OaepHash, PrivateFormat, wrap_for_import},
};

use super::{NAME, key, material, types};
use crate::{code, flipped, world};

#[test]
fn a_wrapped_key_is_unwrapped_by_the_same_key_only() {
    for key_type in types(KeyType::wraps_keys) {
        let kek = key(key_type);
        for length in [1, 7, 8, 16, 32, 2400, 16 << 10] {
            let secret = vec![0x5a; length];
            let wrapped = kek.wrap_key(&secret).unwrap();
            assert_eq!(wrapped.len(), length.next_multiple_of(8) + 8);
            assert!(kek.unwrap_key(&wrapped).unwrap().ct_eq(&secret));
        }
        let wrapped = kek.wrap_key(&[1; 32]).unwrap();
        for index in 0..wrapped.len() {
            assert_eq!(code(kek.unwrap_key(&flipped(&wrapped, index))), "unwrap_failed");
        }
        for broken in [&wrapped[..39], &wrapped[..32], &wrapped[..8], b""] {
            assert_eq!(code(kek.unwrap_key(broken)), "unwrap_failed");
        }
        assert_eq!(code(kek.wrap_key(b"")), "invalid_key_size");
        assert_eq!(code(kek.wrap_key(&vec![0; (16 << 10) + 1])), "invalid_key_size");
    }
    for key_type in types(|it| !it.wraps_keys()) {
        assert_eq!(code(key(key_type).wrap_key(&[1; 32])), "unsupported_operation", "{key_type}");
    }
}

#[test]
fn a_key_is_brought_under_a_wrapping_key() {
    let wrapping =
        [KeyType::MlKem512, KeyType::MlKem768, KeyType::MlKem1024, KeyType::Rsa2048, KeyType::Rsa4096];
    for key_type in wrapping {
        let wrapping_key = key(key_type);
        let public = wrapping_key.public().unwrap();
        for hash in [OaepHash::Sha1, OaepHash::Sha256, OaepHash::Sha384, OaepHash::Sha512] {
            let theirs = material(KeyType::MlDsa65).export(PrivateFormat::Pkcs8Der).unwrap();
            let blob = wrap_for_import(&world(), public, NAME, hash, theirs.expose()).unwrap();
            let brought = wrapping_key.unwrap_import(hash, &blob).unwrap();
            assert!(brought.ct_eq(theirs.expose()), "{key_type} {hash:?}");
            Material::import_any(KeyType::MlDsa65, brought.expose()).unwrap();
        }
    }
}

#[test]
fn a_brought_key_that_was_altered_is_refused() {
    for key_type in [KeyType::MlKem768, KeyType::Rsa2048] {
        let wrapping_key = key(key_type);
        let hash = OaepHash::Sha256;
        let blob = wrap_for_import(&world(), wrapping_key.public().unwrap(), NAME, hash, &[1; 32]).unwrap();
        for index in (0..blob.len()).step_by(37) {
            assert_eq!(code(wrapping_key.unwrap_import(hash, &flipped(&blob, index))), "unwrap_failed");
        }
        for length in [0, 1, 2, 256, 1090, blob.len() - 1] {
            assert_eq!(
                code(wrapping_key.unwrap_import(hash, &blob[..length.min(blob.len() - 1)])),
                "unwrap_failed"
            );
        }
    }
}

#[test]
fn what_is_brought_to_one_wrapping_key_is_not_taken_by_another() {
    let material = material(KeyType::MlKem768);
    let public = material.prepare(NAME).unwrap().public().unwrap().clone();
    let blob = wrap_for_import(&world(), &public, NAME, OaepHash::Sha256, &[1; 32]).unwrap();
    let later = material.prepare(KeyRef { version: NAME.version + 1, ..NAME }).unwrap();
    assert_eq!(code(later.unwrap_import(OaepHash::Sha256, &blob)), "unwrap_failed");
}

#[test]
fn only_keys_that_encrypt_to_a_public_half_take_keys_in() {
    for key_type in types(|it| !(it.is_asymmetric() && it.encrypts())) {
        assert_eq!(code(key(key_type).unwrap_import(OaepHash::Sha256, b"")), "unsupported_operation");
    }
    let public = key(KeyType::Ed25519).public().unwrap().clone();
    let wrapped = wrap_for_import(&world(), &public, NAME, OaepHash::Sha256, &[1; 32]);
    assert_eq!(code(wrapped), "unsupported_operation");
}
