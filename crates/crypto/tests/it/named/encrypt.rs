//! Encryption and decryption.

use proptest::prelude::*;
use writ_crypto::{
    KeyRef,
    named::{Ciphertext, KeyType, Options, PublicKey},
};

use super::{NAME, key, material, types};
use crate::{code, flipped, world};

const PLAIN: Options<'static> = Options { aad: b"", context: None, convergent: false };

fn aad(aad: &[u8]) -> Options<'_> {
    Options { aad, ..PLAIN }
}

fn context(context: &[u8]) -> Options<'_> {
    Options { context: Some(context), ..PLAIN }
}

#[test]
fn what_is_encrypted_is_decrypted_and_its_text_is_short() {
    for key_type in types(KeyType::encrypts) {
        let key = key(key_type);
        let body = key.encrypt(&world(), &PLAIN, b"4111 1111 1111 1111").unwrap();
        assert!(key.decrypt(&PLAIN, &body).unwrap().ct_eq(b"4111 1111 1111 1111"), "{key_type}");
        let expected = match key_type {
            KeyType::MlKem512 => 2 + 768 + 12 + 19 + 16,
            KeyType::MlKem768 => 2 + 1088 + 12 + 19 + 16,
            KeyType::MlKem1024 => 2 + 1568 + 12 + 19 + 16,
            KeyType::Rsa2048 => 256,
            KeyType::Rsa3072 => 384,
            KeyType::Rsa4096 => 512,
            _ => 12 + 19 + 16,
        };
        assert_eq!(body.len(), expected, "{key_type}");
    }
}

#[test]
fn equal_plaintexts_have_unequal_ciphertexts() {
    let world = world();
    for key_type in types(KeyType::encrypts) {
        let key = key(key_type);
        assert_ne!(
            key.encrypt(&world, &PLAIN, b"same").unwrap(),
            key.encrypt(&world, &PLAIN, b"same").unwrap(),
            "{key_type}"
        );
    }
}

#[test]
fn nothing_encrypts_to_something() {
    for key_type in types(KeyType::encrypts) {
        let key = key(key_type);
        let body = key.encrypt(&world(), &PLAIN, b"").unwrap();
        assert!(key.decrypt(&PLAIN, &body).unwrap().is_empty(), "{key_type}");
    }
}

#[test]
fn other_associated_data_does_not_open_it() {
    for key_type in types(KeyType::takes_aad) {
        let key = key(key_type);
        let body = key.encrypt(&world(), &aad(b"order 7"), b"secret").unwrap();
        assert!(key.decrypt(&aad(b"order 7"), &body).unwrap().ct_eq(b"secret"));
        for other in [&b"order 8"[..], b"", b"order 7\0", b"order "] {
            assert_eq!(code(key.decrypt(&aad(other), &body)), "decryption_failed", "{key_type}");
        }
    }
}

#[test]
fn a_flipped_bit_anywhere_does_not_open() {
    for key_type in types(KeyType::encrypts) {
        let key = key(key_type);
        let body = key.encrypt(&world(), &PLAIN, b"secret").unwrap();
        // RSA is slow: a few places of it; of the others, every byte.
        let step = if key_type.takes_aad() { 1 } else { 61 };
        for index in (0..body.len()).step_by(step) {
            let code = code(key.decrypt(&PLAIN, &flipped(&body, index)));
            let header = key_type.is_asymmetric() && key_type.takes_aad() && index < 2;
            let expected = if header { "invalid_ciphertext" } else { "decryption_failed" };
            assert_eq!(code, expected, "{key_type} byte {index}");
        }
    }
}

#[test]
fn every_bit_of_the_header_counts() {
    let key = key(KeyType::MlKem768);
    let body = key.encrypt(&world(), &PLAIN, b"secret").unwrap();
    for bit in 0..16 {
        let mut other = body.clone();
        other[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(code(key.decrypt(&PLAIN, &other)), "invalid_ciphertext", "bit {bit}");
    }
}

#[test]
fn what_is_cut_does_not_open() {
    for key_type in types(KeyType::takes_aad) {
        let key = key(key_type);
        let body = key.encrypt(&world(), &PLAIN, b"secret").unwrap();
        for length in 0..body.len() {
            key.decrypt(&PLAIN, &body[..length]).err().unwrap();
        }
        key.decrypt(&PLAIN, &[&body[..], b"\0"].concat()).err().unwrap();
    }
}

#[test]
fn two_messages_spliced_do_not_open() {
    let world = world();
    let key = key(KeyType::MlKem768);
    let (one, two) =
        (key.encrypt(&world, &PLAIN, b"one").unwrap(), key.encrypt(&world, &PLAIN, b"two").unwrap());
    let spliced = [&one[..2 + 1088], &two[2 + 1088..]].concat();
    assert_eq!(code(key.decrypt(&PLAIN, &spliced)), "decryption_failed");
}

#[test]
fn hybrid_encryption_binds_the_key_and_its_version() {
    let material = material(KeyType::MlKem768);
    let body = material.prepare(NAME).unwrap().encrypt(&world(), &PLAIN, b"secret").unwrap();
    let elsewhere = [KeyRef { version: NAME.version + 1, ..NAME }, KeyRef { id: uuid::Uuid::nil(), ..NAME }];
    for name in elsewhere {
        let same_material = material.prepare(name).unwrap();
        assert_eq!(code(same_material.decrypt(&PLAIN, &body)), "decryption_failed");
    }
}

#[test]
fn who_knows_the_public_key_encrypts_to_it() {
    for key_type in types(|it| it.encrypts() && it.is_asymmetric()) {
        let key = key(key_type);
        let public = PublicKey::from_pem(&key.public().unwrap().to_pem().unwrap()).unwrap();
        let body = public.encrypt(&world(), NAME, &PLAIN, b"from outside").unwrap();
        assert!(key.decrypt(&PLAIN, &body).unwrap().ct_eq(b"from outside"), "{key_type}");
    }
}

#[test]
fn a_context_has_a_key_of_its_own() {
    for key_type in types(KeyType::derives) {
        let key = key(key_type);
        let body = key.encrypt(&world(), &context(b"customer 1"), b"secret").unwrap();
        assert!(key.decrypt(&context(b"customer 1"), &body).unwrap().ct_eq(b"secret"));
        for other in [context(b"customer 2"), PLAIN] {
            assert_eq!(code(key.decrypt(&other, &body)), "decryption_failed");
        }
    }
}

#[test]
fn convergent_encryption_repeats_itself_within_a_context() {
    let convergent = |context| Options { context: Some(context), convergent: true, aad: b"" };
    for key_type in types(KeyType::converges) {
        let key = key(key_type);
        let seal = |context, text| key.encrypt(&world(), &convergent(context), text).unwrap();
        assert_eq!(seal(b"a", b"same"), seal(b"a", b"same"));
        assert_ne!(seal(b"a", b"same")[..12], seal(b"a", b"other")[..12], "nonces differ with the plaintext");
        assert_ne!(seal(b"a", b"same"), seal(b"b", b"same"));
        assert!(key.decrypt(&convergent(b"a"), &seal(b"a", b"same")).unwrap().ct_eq(b"same"));
    }
}

#[test]
fn options_a_type_cannot_keep_are_refused() {
    let world = world();
    let encrypt = |key_type, options: Options<'_>| code(key(key_type).encrypt(&world, &options, b"x"));
    let convergent = Options { convergent: true, ..PLAIN };
    let convergent_bound = Options { convergent: true, context: Some(b"c"), aad: b"a" };
    assert_eq!(encrypt(KeyType::Ed25519, PLAIN), "unsupported_operation");
    assert_eq!(encrypt(KeyType::Hmac, PLAIN), "unsupported_operation");
    assert_eq!(encrypt(KeyType::Rsa2048, aad(b"a")), "unsupported_operation");
    assert_eq!(encrypt(KeyType::MlKem768, context(b"c")), "unsupported_operation");
    assert_eq!(encrypt(KeyType::MlKem768, convergent), "unsupported_operation");
    assert_eq!(encrypt(KeyType::Aes256Gcm, convergent), "context_required");
    assert_eq!(encrypt(KeyType::Aes256Gcm, convergent_bound), "unsupported_operation");
}

#[test]
fn rsa_takes_what_fits() {
    let key = key(KeyType::Rsa2048);
    let most = 256 - 2 * 32 - 2;
    assert!(key.encrypt(&world(), &PLAIN, &vec![1; most]).is_ok());
    assert_eq!(code(key.encrypt(&world(), &PLAIN, &vec![1; most + 1])), "plaintext_too_long");
}

#[test]
fn the_text_form_says_the_version() {
    let text = Ciphertext { version: 12, body: b"\xfb\xff\xfe!".to_vec() }.to_string();
    assert_eq!(text, "vault:v12:+//+IQ==");
    assert_eq!(
        Ciphertext::parse(&text).unwrap(),
        Ciphertext { version: 12, body: b"\xfb\xff\xfe!".to_vec() }
    );
}

#[test]
fn text_in_another_form_is_refused_in_the_words_of_the_dialect() {
    let reason = |text: &str| Ciphertext::parse(text).unwrap_err().public().to_owned();
    for text in ["", "vault", "vault:", "Vault:v1:AA==", " vault:v1:AA==", "v1:AA==", "vault:1:AA=="] {
        assert_eq!(reason(text), "invalid ciphertext: no prefix", "{text}");
    }
    for text in ["vault:v", "vault:v1", "vault:vAA=="] {
        assert_eq!(reason(text), "invalid ciphertext: wrong number of fields", "{text}");
    }
    for version in ["", "0", "01", "-1", "+1", "1 ", "4294967296", "1.0", "\u{661}"] {
        let text = format!("vault:v{version}:AA==");
        assert_eq!(reason(&text), "invalid ciphertext: version number could not be decoded", "{text}");
    }
    for body in ["AA", "AA=", "A===", "AB==", "AA==\n", "AA==AA==", "A A=", "_-8=", "AA==:"] {
        let text = format!("vault:v1:{body}");
        assert_eq!(reason(&text), "invalid ciphertext: could not decode base64", "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_message_with_any_associated_data_comes_back(
        plaintext in proptest::collection::vec(any::<u8>(), 0..300),
        bound in proptest::collection::vec(any::<u8>(), 0..64),
        version in 1_u32..,
    ) {
        let world = world();
        for key_type in types(KeyType::takes_aad) {
            let key = material(key_type).prepare(KeyRef { version, ..NAME }).unwrap();
            let body = key.encrypt(&world, &aad(&bound), &plaintext).unwrap();
            let text = Ciphertext { version, body }.to_string();
            let back = Ciphertext::parse(&text).unwrap();
            prop_assert_eq!(back.version, version);
            prop_assert!(key.decrypt(&aad(&bound), &back.body).unwrap().ct_eq(&plaintext));
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,40}", body in "(vault:v[0-9]{0,11}:)?[A-Za-z0-9+/=]{0,40}") {
        for text in [text, body] {
            if let Ok(read) = Ciphertext::parse(&text) {
                prop_assert_eq!(read.to_string(), text);
            }
        }
    }
}
