//! Keys from passphrases.

use writ_crypto::{
    SecretString,
    hash::hex,
    password::{Params, derive},
};

use crate::{code, unhex};

fn derived(passphrase: &str, salt: &str, memory_kib: u32, passes: u32, lanes: u32) -> String {
    let salt: [u8; 16] = unhex(salt).try_into().unwrap();
    let params = Params { memory_kib, passes, lanes };
    hex(derive(&SecretString::new(passphrase.to_owned()), &salt, params).unwrap().expose())
}

/// Answers of the reference implementation in C (argon2-cffi).
#[test]
fn argon2id_agrees_with_the_reference_implementation() {
    let cases = [
        (
            "correct horse battery staple",
            "000102030405060708090a0b0c0d0e0f",
            65536,
            3,
            1,
            "0d1a3c6523c8f06e4e0af9c515aa5b5448cfebd6838f2d52c3d8b6ef8ddc3c2e",
        ),
        (
            "",
            "ffffffffffffffffffffffffffffffff",
            64,
            2,
            1,
            "2e64224d3e72f93e3c8e6cdde52d56a20ee812c34921974c427a19101f529f88",
        ),
        (
            "pässwörd",
            "73616c7473616c7473616c7473616c74",
            256,
            2,
            4,
            "e81d3ce4342864cbd07e39c35877c7d7012a47828243e84d6e1a0f036f009ede",
        ),
        (
            "x",
            "00000000000000000000000000000000",
            8,
            1,
            1,
            "9262d7840f0f3e06a6ac7111c9bdc50d3a392eaec9a281b717aff2dcf6476157",
        ),
    ];
    for (passphrase, salt, memory_kib, passes, lanes, expected) in cases {
        assert_eq!(derived(passphrase, salt, memory_kib, passes, lanes), expected);
    }
}

#[test]
fn the_default_costs_64_mib_and_three_passes() {
    assert_eq!(Params::default(), Params { memory_kib: 65536, passes: 3, lanes: 1 });
}

#[test]
fn params_are_stored_as_json() {
    let text = serde_json::to_string(&Params::default()).unwrap();
    assert_eq!(text, r#"{"memory_kib":65536,"passes":3,"lanes":1}"#);
    assert_eq!(serde_json::from_str::<Params>(&text).unwrap(), Params::default());
}

#[test]
fn params_that_are_void_or_would_exhaust_the_server_are_refused() {
    let passphrase = SecretString::new("passphrase".to_owned());
    for (memory_kib, passes, lanes) in [
        (0, 1, 1),
        (7, 1, 1),
        (8, 0, 1),
        (8, 1, 0),
        (u32::MAX, 1, 1),
        (8, u32::MAX, 1),
        (1 << 20, 1, u32::MAX),
    ] {
        let params = Params { memory_kib, passes, lanes };
        assert_eq!(code(derive(&passphrase, &[0; 16], params)), "passphrase_params", "{params:?}");
    }
}
