//! Runner tokens.

use data_encoding::BASE64URL_NOPAD;
use proptest::prelude::*;
use uuid::Uuid;
use writ_crypto::{
    SecretString,
    hash::hmac_sha256,
    runner_token::{RunnerClaims, sign, verify},
};
use writ_kernel::{Id, Timestamp};

use crate::{code, seed};

const ISSUED: i64 = 1_800_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn claims() -> RunnerClaims {
    RunnerClaims {
        tenant: Id::from_uuid(Uuid::from_u128(1)),
        deployment: Id::from_uuid(Uuid::from_u128(2)),
        run: Id::from_uuid(Uuid::from_u128(3)),
        nonce: "n0".to_owned(),
        iat: ISSUED,
        exp: ISSUED + 300,
    }
}

fn signed() -> SecretString {
    sign(&claims(), "k1", &seed("k1")).unwrap()
}

#[test]
fn a_token_yields_its_claims_while_it_is_valid() {
    let keys = [("k1", &seed("k1"))];
    for now in [ISSUED - 60, ISSUED, ISSUED + 299] {
        assert_eq!(verify(signed().expose(), &keys, at(now)).unwrap(), claims());
    }
}

#[test]
fn a_token_is_canonical_json_under_hmac() {
    let json = br#"{"deployment":"00000000-0000-0000-0000-000000000002","exp":1800000300,"iat":1800000000,"kid":"k1","nonce":"n0","run":"00000000-0000-0000-0000-000000000003","tenant":"00000000-0000-0000-0000-000000000001"}"#;
    let mac = hmac_sha256(seed("k1").expose(), &[b"writ/run/v1", json]);
    let text = format!("writ_run_{}.{}", BASE64URL_NOPAD.encode(json), BASE64URL_NOPAD.encode(&mac));
    assert_eq!(signed().expose(), text);
}

#[test]
fn the_previous_key_still_verifies() {
    let keys = [("k2", &seed("k2")), ("k1", &seed("k1"))];
    assert!(verify(signed().expose(), &keys, at(ISSUED)).is_ok());
}

#[test]
fn each_reason_to_refuse_has_its_own_code() {
    let (k1, k2) = (seed("k1"), seed("k2"));
    let verdict =
        |keys: &[(&str, &writ_crypto::SecretKey)], now| code(verify(signed().expose(), keys, at(now)));
    assert_eq!(verdict(&[("k1", &k1)], ISSUED - 61), "token_not_yet_valid");
    assert_eq!(verdict(&[("k1", &k1)], ISSUED + 300), "token_expired");
    assert_eq!(verdict(&[("k2", &k2)], ISSUED), "unknown_key");
    assert_eq!(verdict(&[], ISSUED), "unknown_key");
    assert_eq!(verdict(&[("k1", &k2)], ISSUED), "wrong_signature");
}

#[test]
fn a_forged_token_does_not_learn_that_it_would_have_expired() {
    let forged = sign(&claims(), "k1", &seed("forger")).unwrap();
    assert_eq!(code(verify(forged.expose(), &[("k1", &seed("k1"))], at(ISSUED + 9999))), "wrong_signature");
}

#[test]
fn claims_that_we_do_not_know_are_refused_even_when_signed() {
    let json = br#"{"admin":true,"deployment":"00000000-0000-0000-0000-000000000002","exp":1800000300,"iat":1800000000,"kid":"k1","nonce":"n0","run":"00000000-0000-0000-0000-000000000003","tenant":"00000000-0000-0000-0000-000000000001"}"#;
    let mac = hmac_sha256(seed("k1").expose(), &[b"writ/run/v1", json]);
    let text = format!("writ_run_{}.{}", BASE64URL_NOPAD.encode(json), BASE64URL_NOPAD.encode(&mac));
    assert_eq!(code(verify(&text, &[("k1", &seed("k1"))], at(ISSUED))), "malformed_token");
}

#[test]
fn what_is_no_token_is_refused() {
    let long = format!("writ_run_{}.AA", "A".repeat(5000));
    for text in [
        "",
        "writ_run_",
        "writ_run_.",
        "writ_run_AA.AA",
        "writ_run_e30.AA",
        "eyJhbGciOiJub25lIn0.e30.",
        &long,
    ] {
        assert_eq!(code(verify(text, &[("k1", &seed("k1"))], at(ISSUED))), "malformed_token", "{text}");
    }
}

proptest! {
    #[test]
    fn any_changed_character_is_noticed(index: prop::sample::Index) {
        let mut text = signed().expose().to_owned().into_bytes();
        let index = index.index(text.len());
        text[index] = if text[index] == b'A' { b'B' } else { b'A' };
        let text = String::from_utf8(text).unwrap();
        prop_assert!(verify(&text, &[("k1", &seed("k1"))], at(ISSUED)).is_err());
    }
}
