//! Sealing data at rest.

use proptest::prelude::*;
use uuid::Uuid;
use writ_crypto::{
    Aad, DataKey, KeyRef, KeyRing, SecretKey,
    envelope::{Envelope, Header, Suite},
    hash::hex,
};
use writ_kernel::{Id, TenantId};

use crate::{code, flipped, seed, world};

fn name(version: u32) -> KeyRef {
    KeyRef { id: Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001), version }
}

fn key(name: &str) -> DataKey {
    DataKey::from_secret(seed(name))
}

fn ring() -> KeyRing {
    KeyRing::new(name(1), key("first"), 0)
}

#[test]
fn a_header_is_written_as_documented() {
    let bytes = Header { suite: Suite::DataKey, key: name(0x0102_0304) }.to_bytes();
    assert_eq!(hex(&bytes), "57525431010101900000000070008000000000000001".to_owned() + "01020304");
    assert_eq!(
        Header::parse(&bytes).unwrap(),
        (Header { suite: Suite::DataKey, key: name(0x0102_0304) }, &[][..])
    );
}

#[test]
fn the_body_is_aes_gcm_with_the_header_before_the_associated_data() {
    let sealed = ring().seal(&world(), b"aad", b"plaintext");
    let (header, body) = sealed.split_at(Header::LEN);
    let opened = key("first").open(&[header, b"aad"].concat(), body).unwrap();
    assert_eq!(opened.expose(), b"plaintext");
}

#[test]
fn a_plaintext_is_nowhere_in_what_is_sealed() {
    let sealed = ring().seal(&world(), b"aad", b"correct horse battery staple");
    assert!(
        !sealed
            .windows(7)
            .any(|window| b"correct horse battery staple".windows(7).any(|text| text == window))
    );
}

#[test]
fn the_same_plaintext_seals_to_different_bytes() {
    let (ring, world) = (ring(), world());
    assert_ne!(ring.seal(&world, b"", b"same"), ring.seal(&world, b"", b"same"));
}

#[test]
fn a_retired_key_still_opens_and_the_new_one_seals() {
    let (mut ring, world) = (ring(), world());
    let before = ring.seal(&world, b"aad", b"before");
    ring.activate(name(2), key("second"));
    let after = ring.seal(&world, b"aad", b"after");
    assert_eq!(Envelope::parse(&after).unwrap().header.key, name(2));
    assert_eq!(ring.open(b"aad", &before).unwrap().expose(), b"before");
    assert_eq!(ring.open(b"aad", &after).unwrap().expose(), b"after");
}

#[test]
fn a_key_version_that_the_ring_lacks_is_named_an_unknown_key() {
    let sealed = KeyRing::new(name(2), key("first"), 0).seal(&world(), b"aad", b"text");
    assert_eq!(code(ring().open(b"aad", &sealed)), "unknown_key");
}

#[test]
fn another_key_under_the_same_name_does_not_open() {
    let sealed = KeyRing::new(name(1), key("other"), 0).seal(&world(), b"aad", b"text");
    assert_eq!(code(ring().open(b"aad", &sealed)), "seal_broken");
}

#[test]
fn a_header_cannot_be_pointed_at_another_version_of_the_same_key() {
    let mut ring = ring();
    let mut sealed = ring.seal(&world(), b"aad", b"text");
    ring.activate(name(3), key("first"));
    sealed[25] = 3;
    assert_eq!(code(ring.open(b"aad", &sealed)), "seal_broken");
}

#[test]
fn a_ring_counts_its_seals_and_asks_for_a_new_key_in_time() {
    let (mut ring, world) = (KeyRing::new(name(1), key("first"), KeyRing::ROLL_AFTER - 1), world());
    assert!(!ring.needs_roll());
    ring.seal(&world, b"", b"");
    assert_eq!(ring.seals(), KeyRing::ROLL_AFTER);
    assert!(ring.needs_roll());
    ring.activate(name(2), key("second"));
    assert_eq!(ring.seals(), 0);
    assert!(!ring.needs_roll());
}

#[test]
fn a_cell_opens_in_its_place_alone() {
    let (ring, world) = (ring(), world());
    let tenant = |number| -> TenantId { Id::from_uuid(Uuid::from_u128(number)) };
    let sealed = ring.seal(&world, &Aad::cell(tenant(1), "keys", b"row", "secret", 7), b"text");
    let elsewhere = [
        Aad::cell(tenant(2), "keys", b"row", "secret", 7),
        Aad::cell(tenant(1), "keyz", b"row", "secret", 7),
        Aad::cell(tenant(1), "keys", b"raw", "secret", 7),
        Aad::cell(tenant(1), "keys", b"row", "public", 7),
        Aad::cell(tenant(1), "keys", b"row", "secret", 6),
        Aad::cell(tenant(1), "keysr", b"ow", "secret", 7),
    ];
    assert!(ring.open(&Aad::cell(tenant(1), "keys", b"row", "secret", 7), &sealed).is_ok());
    for aad in elsewhere {
        assert_eq!(code(ring.open(&aad, &sealed)), "seal_broken");
    }
}

#[test]
fn a_secret_key_has_exactly_32_bytes() {
    assert!(SecretKey::from_slice(&[0; 32]).is_ok());
    assert_eq!(code(SecretKey::from_slice(&[0; 31])), "internal");
    assert_eq!(code(SecretKey::from_slice(&[0; 33])), "internal");
}

/// Lists so short and dull that two of them often have the same bytes in a row.
fn short_fields() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(0..2_u8, 0..3), 0..4)
}

proptest! {
    #[test]
    fn open_undoes_seal(aad: Vec<u8>, plaintext: Vec<u8>) {
        let ring = ring();
        let sealed = ring.seal(&world(), &aad, &plaintext);
        prop_assert_eq!(sealed.len(), Header::LEN + 28 + plaintext.len());
        prop_assert!(ring.open(&aad, &sealed).unwrap().ct_eq(&plaintext));
    }

    #[test]
    fn any_flipped_bit_is_noticed(plaintext: Vec<u8>, bit: prop::sample::Index) {
        let ring = ring();
        let mut sealed = ring.seal(&world(), b"aad", &plaintext);
        let bit = bit.index(sealed.len() * 8);
        sealed[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(ring.open(b"aad", &sealed).is_err());
    }

    #[test]
    fn any_cut_is_noticed(plaintext: Vec<u8>, length: prop::sample::Index) {
        let ring = ring();
        let sealed = ring.seal(&world(), b"aad", &plaintext);
        prop_assert!(ring.open(b"aad", &sealed[..length.index(sealed.len())]).is_err());
    }

    #[test]
    fn other_associated_data_does_not_open(aad: Vec<u8>, other: Vec<u8>) {
        prop_assume!(aad != other);
        let ring = ring();
        prop_assert!(ring.open(&other, &ring.seal(&world(), &aad, b"text")).is_err());
    }

    #[test]
    fn no_two_lists_of_fields_are_the_same_bytes(a in short_fields(), b in short_fields()) {
        let bytes = |fields: &[Vec<u8>]| fields.iter().fold(Aad::new(), |aad, field| aad.field(field)).finish();
        prop_assert_eq!(a == b, bytes(&a) == bytes(&b));
    }
}

#[test]
fn every_byte_of_a_header_is_bound() {
    let ring = ring();
    let sealed = ring.seal(&world(), b"aad", b"text");
    for index in 0..Header::LEN {
        assert!(ring.open(b"aad", &flipped(&sealed, index)).is_err(), "byte {index}");
    }
}
