//! Keys: their types, how they are made, sealed, exported and imported.

use std::collections::BTreeSet;

use writ_crypto::{
    Entropy,
    named::{KeyType, Material, Options, PrivateFormat, PublicKey, Scheme},
};
use writ_kernel::Chance as _;

use super::{NAME, key, material, types};
use crate::{code, flipped, world, world_of};

const FORMATS: [PrivateFormat; 4] =
    [PrivateFormat::Raw, PrivateFormat::Pkcs8Der, PrivateFormat::Pkcs8Pem, PrivateFormat::Jwk];

#[test]
fn a_type_has_one_name_and_is_read_from_what_dialects_call_it() {
    for key_type in KeyType::all() {
        assert_eq!(key_type.as_str().parse::<KeyType>().unwrap(), key_type);
        assert_eq!(key_type.as_str().to_uppercase().replace('-', "_").parse::<KeyType>().unwrap(), key_type);
    }
    let aliases = [
        ("ML-KEM-768", KeyType::MlKem768),
        ("mldsa-65", KeyType::MlDsa65),
        ("AES-256-GCM", KeyType::Aes256Gcm),
        ("aes256-gcm96", KeyType::Aes256Gcm),
        ("ed-25519", KeyType::Ed25519),
        ("EdDSA", KeyType::Ed25519),
        ("ecdsa-p-521", KeyType::EcdsaP521),
        ("rsa-4096", KeyType::Rsa4096),
    ];
    for (alias, key_type) in aliases {
        assert_eq!(alias.parse::<KeyType>().unwrap(), key_type, "{alias}");
    }
    assert_eq!(KeyType::with_parameter_set("ml-dsa", "87").unwrap(), KeyType::MlDsa87);
    for text in ["", "rsa", "rsa-1024", "ml-kem", "slh-dsa-128s", "des", "ml-dsa-65 "] {
        assert_eq!(code(text.parse::<KeyType>()), "unknown_key_type", "{text}");
    }
}

#[test]
fn keys_are_made_of_the_bytes_of_the_world() {
    for key_type in types(|it| !super::RSA_TYPES.contains(&it)) {
        let one = Material::generate(&world(), key_type).unwrap().to_sealed_bytes();
        let same = Material::generate(&world(), key_type).unwrap().to_sealed_bytes();
        assert!(one.ct_eq(same.expose()), "{key_type}");
    }
    let given = world_of(&[7; 64]);
    let sealed = Material::generate(&given, KeyType::MlKem768).unwrap().to_sealed_bytes();
    assert_eq!(sealed.expose()[2..], [7; 64], "the seed is what the world gave");
}

#[test]
fn a_scalar_out_of_range_is_drawn_again() {
    let order_or_more = [0xff; 32];
    let sealed =
        Material::generate(&world_of(&[order_or_more, [0; 32], [1; 32]].concat()), KeyType::EcdsaP256)
            .unwrap();
    assert_eq!(sealed.to_sealed_bytes().expose()[2..], [1; 32]);
}

#[test]
fn a_world_names_the_sources_of_its_bytes() {
    let mut bytes = [0; 32];
    assert_eq!(Entropy::os().fill_named(&mut bytes), ["os"]);
    assert_ne!(bytes, [0; 32]);
    let external = writ_crypto::entropy::Source::External {
        name: "qrng".into(),
        fetch: Box::new(|bytes| {
            Entropy::os().fill(bytes);
            Ok(())
        }),
    };
    let broken = writ_crypto::entropy::Source::External {
        name: "broken".into(),
        fetch: Box::new(|_| Err(std::io::Error::other("gone"))),
    };
    assert_eq!(Entropy::new(vec![external, broken]).fill_named(&mut bytes), ["os", "qrng"]);
}

#[test]
fn sealed_bytes_come_back_and_say_their_type() {
    for key_type in KeyType::all() {
        let material = material(key_type);
        let bytes = material.to_sealed_bytes();
        let back = Material::from_sealed_bytes(bytes.expose()).unwrap();
        assert_eq!(back.key_type(), key_type);
        assert_eq!(back.prepare(NAME).unwrap().public(), material.prepare(NAME).unwrap().public());
        assert!(back.to_sealed_bytes().ct_eq(bytes.expose()));
        let header_and_length =
            [flipped(bytes.expose(), 0), bytes.expose()[..bytes.len().min(17)].to_vec(), vec![], vec![1]];
        for broken in header_and_length {
            assert_eq!(code(Material::from_sealed_bytes(&broken)), "malformed_key_material", "{key_type}");
        }
    }
}

#[test]
fn the_codes_of_types_never_change() {
    let codes: Vec<_> =
        KeyType::all().map(|it| (it.as_str(), material(it).to_sealed_bytes().expose()[1])).collect();
    let expected = [
        ("ml-kem-512", 1),
        ("ml-kem-768", 2),
        ("ml-kem-1024", 3),
        ("aes128-gcm96", 10),
        ("aes256-gcm96", 11),
        ("chacha20-poly1305", 12),
        ("ml-dsa-44", 20),
        ("ml-dsa-65", 21),
        ("ml-dsa-87", 22),
        ("ed25519", 30),
        ("ecdsa-p256", 31),
        ("ecdsa-p384", 32),
        ("ecdsa-p521", 33),
        ("rsa-2048", 40),
        ("rsa-3072", 41),
        ("rsa-4096", 42),
        ("hmac", 50),
    ];
    assert_eq!(codes, expected);
}

#[test]
fn an_exported_key_is_imported_again_in_every_form_it_has() {
    for key_type in KeyType::all() {
        let material = material(key_type);
        let mut forms = 0;
        for format in FORMATS {
            let exported = match material.export(format) {
                Ok(exported) => exported,
                Err(error) => {
                    assert_eq!(error.code(), "unsupported_operation");
                    continue;
                }
            };
            forms += 1;
            let back = Material::import(key_type, format, exported.expose()).unwrap();
            assert!(
                back.to_sealed_bytes().ct_eq(material.to_sealed_bytes().expose()),
                "{key_type} {format:?}"
            );
        }
        let rsa = super::RSA_TYPES.contains(&key_type);
        assert_eq!(
            forms,
            if key_type.is_asymmetric() && !rsa {
                4
            } else if rsa {
                3
            } else {
                2
            },
            "{key_type}"
        );
    }
}

#[test]
fn the_usual_form_of_a_type_need_not_be_named() {
    for key_type in KeyType::all() {
        let material = material(key_type);
        let formats: &[_] = if key_type.is_asymmetric() { &FORMATS[1..] } else { &FORMATS[..1] };
        for format in formats {
            let exported = material.export(*format).unwrap();
            let back = Material::import_any(key_type, exported.expose()).unwrap();
            assert!(
                back.to_sealed_bytes().ct_eq(material.to_sealed_bytes().expose()),
                "{key_type} {format:?}"
            );
        }
    }
}

#[test]
fn a_key_of_another_type_is_not_imported() {
    let exported = material(KeyType::EcdsaP256).export(PrivateFormat::Pkcs8Der).unwrap();
    for key_type in [KeyType::EcdsaP384, KeyType::MlDsa65, KeyType::Rsa2048] {
        assert_eq!(code(Material::import_any(key_type, exported.expose())), "wrong_key_type");
    }
    let jwk = material(KeyType::MlDsa44).export(PrivateFormat::Jwk).unwrap();
    assert_eq!(code(Material::import_any(KeyType::MlDsa65, jwk.expose())), "wrong_key_type");
    let aes = material(KeyType::Aes128Gcm).export(PrivateFormat::Jwk).unwrap();
    let as_256 = Material::import(KeyType::Aes256Gcm, PrivateFormat::Jwk, aes.expose());
    assert_eq!(code(as_256), "malformed_private_key");
    assert_eq!(code(Material::import_any(KeyType::Aes256Gcm, &[1; 31])), "invalid_key_size");
    assert_eq!(code(Material::import_any(KeyType::Hmac, &[1; 15])), "invalid_key_size");
    assert_eq!(code(Material::import_any(KeyType::Hmac, &[1; 513])), "invalid_key_size");
}

#[test]
fn a_private_key_with_the_public_part_of_another_is_refused() {
    for key_type in [KeyType::MlDsa65, KeyType::MlKem768, KeyType::Ed25519, KeyType::EcdsaP256] {
        let (one, two) = (Material::generate(&world_of(&[1; 96]), key_type), material(key_type));
        let mut jwk: serde_json::Value =
            serde_json::from_slice(one.unwrap().export(PrivateFormat::Jwk).unwrap().expose()).unwrap();
        let other: serde_json::Value =
            serde_json::from_slice(two.export(PrivateFormat::Jwk).unwrap().expose()).unwrap();
        for member in ["pub", "x", "y"] {
            if let Some(public) = other.get(member) {
                jwk[member] = public.clone();
            }
        }
        let mixed = serde_json::to_vec(&jwk).unwrap();
        assert_eq!(code(Material::import_any(key_type, &mixed)), "malformed_private_key", "{key_type}");
    }
    // An elliptic curve's PKCS #8 ends with the public point.
    let mut pkcs8 = material(KeyType::EcdsaP384).export(PrivateFormat::Pkcs8Der).unwrap().expose().to_vec();
    *pkcs8.last_mut().unwrap() ^= 1;
    assert_eq!(code(Material::import_any(KeyType::EcdsaP384, &pkcs8)), "malformed_private_key");
}

#[test]
fn a_zero_or_too_large_scalar_is_no_key() {
    for scalar in [[0; 32], [0xff; 32]] {
        let imported = Material::import(KeyType::EcdsaP256, PrivateFormat::Raw, &scalar);
        assert_eq!(code(imported), "malformed_private_key");
    }
}

#[test]
fn a_public_key_is_read_in_every_form_it_is_written_in() {
    for key_type in types(KeyType::is_asymmetric) {
        let public = key(key_type).public().unwrap().clone();
        assert_eq!(PublicKey::from_raw(key_type, public.as_raw()).unwrap(), public);
        assert_eq!(PublicKey::from_der(&public.to_der().unwrap()).unwrap(), public);
        assert_eq!(PublicKey::from_pem(&public.to_pem().unwrap()).unwrap(), public);
        assert_eq!(PublicKey::from_jwk(&public.to_jwk().unwrap()).unwrap(), public);
        assert!(public.to_pem().unwrap().starts_with("-----BEGIN PUBLIC KEY-----\n"));
    }
}

#[test]
fn what_is_no_public_key_is_refused() {
    for key_type in types(KeyType::is_asymmetric) {
        let public = key(key_type).public().unwrap().clone();
        let raw = public.as_raw();
        for broken in [&raw[1..], &raw[..raw.len() - 1], &[raw, &[0]].concat(), b""] {
            assert_eq!(code(PublicKey::from_raw(key_type, broken)), "malformed_public_key", "{key_type}");
        }
        let der = public.to_der().unwrap();
        for broken in [&der[1..], &der[..der.len() - 1], &[&der[..], &[0]].concat(), b""] {
            assert_eq!(code(PublicKey::from_der(broken)), "malformed_public_key", "{key_type}");
        }
    }
    for json in [
        "",
        "{}",
        "[]",
        r#"{"kty":"AKP"}"#,
        r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#,
        r#"{"kty":"OKP","crv":"P-256","x":"AA"}"#,
        r#"{"kty":"oct","k":"AAAA"}"#,
    ] {
        assert_eq!(code(PublicKey::from_jwk(json)), "malformed_public_key", "{json}");
    }
    let point_off_curve = [&[4][..], &[1; 64]].concat();
    assert_eq!(code(PublicKey::from_raw(KeyType::EcdsaP256, &point_off_curve)), "malformed_public_key");
    let coefficients_too_large = vec![0xff; 1184];
    assert_eq!(code(PublicKey::from_raw(KeyType::MlKem768, &coefficients_too_large)), "malformed_public_key");
}

#[test]
fn a_public_jwk_shows_nothing_private() {
    for key_type in types(KeyType::is_asymmetric) {
        let jwk: serde_json::Value =
            serde_json::from_str(&key(key_type).public().unwrap().to_jwk().unwrap()).unwrap();
        let members: BTreeSet<_> = jwk.as_object().unwrap().keys().map(String::as_str).collect();
        let expected: &[&str] = match jwk["kty"].as_str().unwrap() {
            "AKP" => &["alg", "kty", "pub"],
            "OKP" => &["crv", "kty", "x"],
            "EC" => &["crv", "kty", "x", "y"],
            _ => &["e", "kty", "n"],
        };
        assert_eq!(members, expected.iter().copied().collect(), "{key_type}");
    }
}

#[test]
fn the_thumbprint_of_rfc_8037() {
    // Appendix A.3 of RFC 8037.
    let jwk = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let thumbprint = PublicKey::from_jwk(jwk).unwrap().thumbprint().unwrap();
    assert_eq!(thumbprint, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

#[test]
fn hmac_keys_have_the_length_that_is_asked_for() {
    for length in [16, 32, 512] {
        assert_eq!(Material::generate_hmac(&world(), length).unwrap().to_sealed_bytes().len(), 2 + length);
    }
    for length in [0, 15, 513, usize::MAX] {
        assert_eq!(code(Material::generate_hmac(&world(), length)), "invalid_key_size");
    }
}

#[test]
fn an_imported_key_works_like_the_one_it_was() {
    let world = world();
    for key_type in types(KeyType::is_asymmetric) {
        let original = key(key_type);
        let pem = material(key_type).export(PrivateFormat::Pkcs8Pem).unwrap();
        let imported =
            Material::import(key_type, PrivateFormat::Pkcs8Pem, pem.expose()).unwrap().prepare(NAME).unwrap();
        if key_type.encrypts() {
            let body = original.encrypt(&world, &Options::default(), b"x").unwrap();
            assert!(imported.decrypt(&Options::default(), &body).unwrap().ct_eq(b"x"), "{key_type}");
        }
        if key_type.signs() {
            let signature = imported.sign(&Scheme::default(), b"x").unwrap();
            assert!(original.verify(&Scheme::default(), b"x", &signature).unwrap(), "{key_type}");
        }
    }
}

#[test]
fn a_key_with_any_byte_changed_is_refused_or_is_another_whole_key() {
    for key_type in types(|it| !super::RSA_TYPES.contains(&it)) {
        let material = material(key_type);
        for format in FORMATS {
            let Ok(exported) = material.export(format) else { continue };
            let bytes = exported.expose();
            for index in (0..bytes.len()).step_by(bytes.len() / 60 + 1) {
                if let Ok(other) = Material::import(key_type, format, &flipped(bytes, index)) {
                    let written = other.export(format).unwrap();
                    let again = Material::import(key_type, format, written.expose()).unwrap();
                    assert!(again.to_sealed_bytes().ct_eq(other.to_sealed_bytes().expose()));
                }
                if [PrivateFormat::Pkcs8Der, PrivateFormat::Jwk].contains(&format) {
                    Material::import(key_type, format, &bytes[..index]).err().unwrap();
                }
            }
        }
    }
}

#[test]
fn pkcs8_with_seed_and_expanded_form_is_read_if_they_agree() {
    // `both` of RFC 9881 and RFC 9935 is a SEQUENCE of two OCTET STRINGs in place of the seed.
    for (key_type, identifier) in [(KeyType::MlDsa65, [0x03, 0x12]), (KeyType::MlKem768, [0x04, 0x02])] {
        let info = |seed: &[u8], expanded: &[u8]| {
            let both = der(0x30, &[der(0x04, seed), der(0x04, expanded)].concat());
            let oid = [&[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04][..], &identifier].concat();
            der(0x30, &[der(0x02, &[0]), der(0x30, &der(0x06, &oid)), der(0x04, &both)].concat())
        };
        let seed = material(key_type).export(PrivateFormat::Raw).unwrap();
        let expanded = expanded(key_type, seed.expose());
        let read = Material::import_any(key_type, &info(seed.expose(), &expanded)).unwrap();
        assert!(read.export(PrivateFormat::Raw).unwrap().ct_eq(seed.expose()), "{key_type}");
        for (seed, expanded) in
            [(flipped(seed.expose(), 3), expanded.clone()), (seed.expose().to_vec(), flipped(&expanded, 999))]
        {
            let mixed = Material::import_any(key_type, &info(&seed, &expanded));
            assert_eq!(code(mixed), "malformed_private_key", "{key_type}");
        }
    }
}

/// A value of ASN.1 in DER.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    let length = match length {
        [0, short @ ..=0x7f] => vec![short],
        [0, one] => vec![0x81, one],
        two => vec![0x82, two[0], two[1]],
    };
    [&[tag][..], &length, content].concat()
}

/// The expanded private key of a seed, by other implementations.
#[expect(deprecated, reason = "the form that others may send is what is tested")]
fn expanded(key_type: KeyType, seed: &[u8]) -> Vec<u8> {
    use ml_kem::ExpandedKeyEncoding as _;
    if key_type == KeyType::MlKem768 {
        let seed = ml_kem::Seed::try_from(seed).unwrap();
        return ml_kem::DecapsulationKey768::from_seed(seed).to_expanded_bytes().to_vec();
    }
    let seed: [u8; 32] = seed.try_into().unwrap();
    ml_dsa::SigningKey::<ml_dsa::MlDsa65>::from_seed(&seed.into()).expanded_key().to_expanded().to_vec()
}
