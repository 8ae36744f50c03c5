//! Private and public keys in every form: reading never panics, and what is read is read again from what it is written as.
#![no_main]

use libfuzzer_sys::fuzz_target;
use writ_crypto::named::{KeyType, Material, PrivateFormat, PublicKey};

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    let types: Vec<KeyType> = KeyType::all().collect();
    let key_type = types[usize::from(*choice) % types.len()];
    for format in [PrivateFormat::Raw, PrivateFormat::Pkcs8Der, PrivateFormat::Pkcs8Pem, PrivateFormat::Jwk] {
        let Ok(material) = Material::import(key_type, format, bytes) else { continue };
        let written = material.export(format).expect("a form it was read in");
        let again = Material::import(key_type, format, written.expose()).expect("what we wrote");
        assert!(again.to_sealed_bytes().ct_eq(material.to_sealed_bytes().expose()));
    }
    if let Ok(material) = Material::from_sealed_bytes(bytes) {
        assert!(material.to_sealed_bytes().ct_eq(bytes));
    }
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    let read = [
        PublicKey::from_raw(key_type, bytes),
        PublicKey::from_der(bytes),
        PublicKey::from_pem(text),
        PublicKey::from_jwk(text),
    ];
    for public in read.into_iter().flatten() {
        assert_eq!(PublicKey::from_der(&public.to_der().expect("DER")).expect("what we wrote"), public);
        assert_eq!(PublicKey::from_jwk(&public.to_jwk().expect("a JWK")).expect("what we wrote"), public);
    }
});
