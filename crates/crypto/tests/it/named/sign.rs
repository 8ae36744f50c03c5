//! Signatures and message authentication codes.

use std::str::FromStr as _;

use writ_crypto::named::{
    Hash, KeyType, Mac, Marshaling, Material, Padding, PrivateFormat, PublicKey, SaltLength, Scheme,
    Signature,
};

use super::{NAME, key, material, types};
use crate::{code, flipped, seed};

const MESSAGE: &[u8] = b"transfer 10 to alice";

fn schemes(key_type: KeyType) -> Vec<Scheme> {
    let plain = Scheme::default();
    if RSA.contains(&key_type) {
        let hashes = [Hash::Sha2_256, Hash::Sha2_384, Hash::Sha2_512];
        let paddings = [
            (Padding::Pss, SaltLength::Auto),
            (Padding::Pss, SaltLength::Hash),
            (Padding::Pkcs1v15, SaltLength::Auto),
        ];
        return hashes
            .iter()
            .flat_map(|hash| paddings.map(|(padding, salt)| Scheme { hash: *hash, padding, salt, ..plain }))
            .collect();
    }
    if ECDSA.contains(&key_type) {
        let both = [Marshaling::Asn1, Marshaling::Jws];
        return Hash::ALL
            .iter()
            .flat_map(|hash| both.map(|marshaling| Scheme { hash: *hash, marshaling, ..plain }))
            .collect();
    }
    vec![plain]
}

const RSA: [KeyType; 3] = super::RSA_TYPES;
const ECDSA: [KeyType; 3] = [KeyType::EcdsaP256, KeyType::EcdsaP384, KeyType::EcdsaP521];

#[test]
fn what_is_signed_verifies_and_nothing_else_does() {
    for key_type in types(KeyType::signs) {
        let key = key(key_type);
        for scheme in schemes(key_type) {
            let signature = key.sign(&scheme, MESSAGE).unwrap();
            let verdict = |message: &[u8], signature: &[u8]| key.verify(&scheme, message, signature).unwrap();
            assert!(verdict(MESSAGE, &signature), "{key_type} {scheme:?}");
            assert!(!verdict(b"transfer 99 to alice", &signature), "{key_type} {scheme:?}");
            assert!(!verdict(MESSAGE, &flipped(&signature, signature.len() / 2)), "{key_type} {scheme:?}");
            assert!(!verdict(MESSAGE, &signature[1..]), "{key_type} {scheme:?}");
            assert!(!verdict(MESSAGE, b""), "{key_type} {scheme:?}");
        }
    }
}

#[test]
fn the_hash_of_a_message_is_signed_like_the_message() {
    for key_type in RSA.into_iter().chain(ECDSA) {
        let key = key(key_type);
        for scheme in schemes(key_type) {
            let prehashed = Scheme { prehashed: true, ..scheme };
            let digest = scheme.hash.digest(MESSAGE);
            let signature = key.sign(&prehashed, &digest).unwrap();
            assert!(key.verify(&scheme, MESSAGE, &signature).unwrap(), "{key_type} {scheme:?}");
            let signature = key.sign(&scheme, MESSAGE).unwrap();
            assert!(key.verify(&prehashed, &digest, &signature).unwrap(), "{key_type} {scheme:?}");
            assert_eq!(code(key.sign(&prehashed, &digest[1..])), "wrong_digest_length");
        }
    }
}

#[test]
fn a_signature_of_one_scheme_is_none_of_another() {
    let key = key(KeyType::Rsa2048);
    let pss = Scheme::default();
    let pkcs1 = Scheme { padding: Padding::Pkcs1v15, ..pss };
    let longer = Scheme { hash: Hash::Sha2_512, ..pss };
    let short_salt = Scheme { salt: SaltLength::Hash, ..pss };
    let signature = key.sign(&pss, MESSAGE).unwrap();
    for other in [pkcs1, longer, short_salt] {
        assert!(!key.verify(&other, MESSAGE, &signature).unwrap(), "{other:?}");
    }
}

#[test]
fn the_salt_of_pss_may_be_given_in_bytes_where_it_has_a_name() {
    let key = key(KeyType::Rsa2048);
    let salted = |salt| Scheme { salt, ..Scheme::default() };
    let (hash, longest) = (salted(SaltLength::Bytes(32)), salted(SaltLength::Bytes(256 - 32 - 2)));
    let signature = key.sign(&hash, MESSAGE).unwrap();
    assert!(key.verify(&salted(SaltLength::Hash), MESSAGE, &signature).unwrap());
    assert!(key.verify(&salted(SaltLength::Auto), MESSAGE, &signature).unwrap());
    let signature = key.sign(&longest, MESSAGE).unwrap();
    assert!(key.verify(&salted(SaltLength::Auto), MESSAGE, &signature).unwrap());
    assert_eq!(code(key.sign(&salted(SaltLength::Bytes(17)), MESSAGE)), "unsupported_operation");
    assert_eq!(code(key.sign(&salted(SaltLength::Bytes(usize::MAX)), MESSAGE)), "unsupported_operation");
}

#[test]
fn choices_a_type_does_not_have_are_refused() {
    let prehashed = Scheme { prehashed: true, ..Scheme::default() };
    for key_type in [KeyType::MlDsa44, KeyType::MlDsa65, KeyType::MlDsa87, KeyType::Ed25519] {
        assert_eq!(code(key(key_type).sign(&prehashed, &[0; 32])), "unsupported_operation");
        assert_eq!(code(key(key_type).verify(&prehashed, &[0; 32], b"")), "unsupported_operation");
    }
    let sha3 = Scheme { hash: Hash::Sha3_256, ..Scheme::default() };
    assert_eq!(code(key(KeyType::Rsa2048).sign(&sha3, b"")), "unsupported_operation");
    for key_type in types(|it| !it.signs()) {
        assert_eq!(code(key(key_type).sign(&Scheme::default(), b"")), "unsupported_operation");
        assert_eq!(code(key(key_type).verify(&Scheme::default(), b"", b"")), "unsupported_operation");
    }
}

#[test]
fn ml_dsa_agrees_with_another_implementation() {
    use ml_dsa::{Keypair as _, Signer as _, Verifier as _};
    macro_rules! agree {
        ($set:ident) => {{
            let seed = seed(stringify!($set));
            let ours = Material::import(KeyType::$set, PrivateFormat::Raw, seed.expose()).unwrap();
            let ours = ours.prepare(NAME).unwrap();
            let theirs = ml_dsa::SigningKey::<ml_dsa::$set>::from_seed(&(*seed.expose()).into());
            let public = theirs.verifying_key();
            assert_eq!(ours.public().unwrap().as_raw(), &public.encode()[..]);
            let signature = ours.sign(&Scheme::default(), MESSAGE).unwrap();
            public.verify(MESSAGE, &ml_dsa::Signature::try_from(&signature[..]).unwrap()).unwrap();
            let signature = theirs.sign(MESSAGE).encode();
            assert!(ours.verify(&Scheme::default(), MESSAGE, &signature).unwrap());
        }};
    }
    agree!(MlDsa44);
    agree!(MlDsa65);
    agree!(MlDsa87);
}

#[test]
fn a_public_key_verifies_alone() {
    for key_type in types(KeyType::signs) {
        let key = key(key_type);
        let scheme = Scheme::default();
        let signature = key.sign(&scheme, MESSAGE).unwrap();
        let public = PublicKey::from_jwk(&key.public().unwrap().to_jwk().unwrap()).unwrap();
        assert!(public.verify(&scheme, MESSAGE, &signature).unwrap(), "{key_type}");
        assert_eq!(&public, key.public().unwrap());
    }
}

#[test]
fn signatures_have_a_text_for_each_marshaling() {
    let signature = Signature { version: 2, bytes: b"\xfb\xff\xfe!".to_vec() };
    assert_eq!(signature.to_text(Marshaling::Asn1), "vault:v2:+//+IQ==");
    assert_eq!(signature.to_text(Marshaling::Jws), "vault:v2:-__-IQ");
    for marshaling in [Marshaling::Asn1, Marshaling::Jws] {
        assert_eq!(Signature::parse(&signature.to_text(marshaling), marshaling).unwrap(), signature);
    }
    assert_eq!(code(Signature::parse("vault:v2:+//+IQ==", Marshaling::Jws)), "invalid_signature_text");
    assert_eq!(code(Signature::parse("v2:AA==", Marshaling::Asn1)), "invalid_signature_text");
}

#[test]
fn every_key_authenticates_messages_with_a_key_of_its_own() {
    let mut codes = Vec::new();
    for key_type in KeyType::all() {
        let material = material(key_type);
        let key = material.prepare(NAME).unwrap();
        let code = key.mac(Hash::Sha2_256, MESSAGE);
        assert!(key.mac_matches(Hash::Sha2_256, MESSAGE, &code));
        assert!(!key.mac_matches(Hash::Sha2_256, b"other", &code));
        assert!(!key.mac_matches(Hash::Sha3_256, MESSAGE, &code));
        assert!(!key.mac_matches(Hash::Sha2_256, MESSAGE, &code[..31]));
        assert_eq!(code, material.prepare(NAME).unwrap().mac(Hash::Sha2_256, MESSAGE), "it stays the same");
        codes.push(code);
    }
    codes.sort();
    codes.dedup();
    assert_eq!(codes.len(), KeyType::all().count());
}

#[test]
fn codes_have_a_text() {
    let mac = Mac { version: 1, bytes: vec![0xff; 3] };
    assert_eq!(mac.to_string(), "vault:v1:////");
    assert_eq!(Mac::parse("vault:v1:////").unwrap(), mac);
    assert_eq!(code(Mac::parse("vault:v0:////")), "invalid_mac_text");
}

#[test]
fn choices_are_read_as_the_dialects_write_them() {
    for (text, hash) in [
        ("sha2-256", Hash::Sha2_256),
        ("SHA-256", Hash::Sha2_256),
        ("sha256", Hash::Sha2_256),
        ("sha2_512", Hash::Sha2_512),
        ("SHA3-384", Hash::Sha3_384),
        ("sha3-224", Hash::Sha3_224),
    ] {
        assert_eq!(Hash::from_str(text).unwrap(), hash, "{text}");
    }
    for text in ["", "md5", "sha1", "sha2", "sha3", "none"] {
        assert_eq!(code(Hash::from_str(text)), "unknown_hash", "{text}");
    }
    assert_eq!(SaltLength::from_str("hash").unwrap(), SaltLength::Hash);
    assert_eq!(SaltLength::from_str("20").unwrap(), SaltLength::Bytes(20));
    assert_eq!(code(SaltLength::from_str("-2")), "unknown_signature_option");
    assert_eq!(Padding::from_str("pkcs1v15").unwrap(), Padding::Pkcs1v15);
    assert_eq!(code(Padding::from_str("PSS ")), "unknown_signature_option");
    assert_eq!(Marshaling::from_str("jws").unwrap(), Marshaling::Jws);
}
