//! C2SP signed-note: form, keys and signatures.

use proptest::prelude::*;
use writ_merkle::{Error, KeyName, Note, SignatureType, Verifier};

/// The example of the specification.
const EXAMPLE: &str = "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
const EXAMPLE_KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";

fn parse(text: &str) -> Result<Note, Error> {
    Note::parse(text.as_bytes())
}

#[test]
fn the_example_of_the_specification_verifies() {
    let verifier: Verifier = EXAMPLE_KEY.parse().unwrap();
    assert_eq!(verifier.to_string(), EXAMPLE_KEY);
    let note = parse(EXAMPLE).unwrap();
    assert_eq!(note.to_string(), EXAMPLE);
    assert_eq!(note.text(), "This is an example message.\n");
    let signed = verifier.verify(&note).unwrap().unwrap();
    assert_eq!(
        (signed.name.as_str(), signed.kind, signed.time),
        ("example.com/foo", SignatureType::Ed25519, None)
    );
}

#[test]
fn an_altered_text_or_signature_does_not_verify() {
    let verifier: Verifier = EXAMPLE_KEY.parse().unwrap();
    for altered in [
        EXAMPLE.replace("message", "massage"),
        EXAMPLE.replace("Okn8", "Okn9"),
        EXAMPLE.replacen("This", "\nThis", 1),
    ] {
        assert!(
            matches!(verifier.verify(&parse(&altered).unwrap()), Err(Error::BadSignature { .. })),
            "{altered}"
        );
    }
}

#[test]
fn signatures_by_unknown_keys_are_ignored() {
    let verifier: Verifier = EXAMPLE_KEY.parse().unwrap();
    let other_name = EXAMPLE.replace("example.com/foo", "example.com/bar");
    let other_id = EXAMPLE.replace("Uw2Q", "Uw2R");
    for unknown in [other_name, other_id] {
        assert_eq!(verifier.verify(&parse(&unknown).unwrap()).unwrap(), None, "{unknown}");
    }
}

#[test]
fn a_key_that_signed_twice_is_refused() {
    let line = EXAMPLE.lines().last().unwrap();
    let twice = parse(&format!("{EXAMPLE}{line}\n")).unwrap();
    let verifier: Verifier = EXAMPLE_KEY.parse().unwrap();
    assert!(matches!(verifier.verify(&twice), Err(Error::RepeatedSignature { .. })));
}

#[test]
fn the_last_blank_line_ends_the_text() {
    let note = parse("a\n\n— b\n\n— k AAAAAAA=\n").unwrap();
    assert_eq!(note.text(), "a\n\n— b\n");
    assert_eq!(note.signatures().len(), 1);
}

#[test]
fn what_is_not_of_the_form_of_a_note_is_refused() {
    for text in [
        "",
        "\n",
        "\n\n",
        "a\n",
        "a\n\n",
        "a\n— k AAAAAAA=\n",
        "a\n\n— k AAAAAAA=",
        "a\n\n- k AAAAAAA=\n",
        "a\n\n—k AAAAAAA=\n",
        "a\n\n—  AAAAAAA=\n",
        "a\n\n— k AAAAAAA\n",
        "a\n\n— k AAAAAA==\n",
        "a\n\n— k AAAA\n",
        "a\n\n— k  AAAAAAA=\n",
        "a\n\n— k+ AAAAAAA=\n",
        "a\n\n— k AAAAAAA= \n",
        "a\n\n— k AAAAAAA=\nmore\n",
        "a\r\n\n— k AAAAAAA=\n",
        "a\tb\n\n— k AAAAAAA=\n",
        "a\0\n\n— k AAAAAAA=\n",
        "a\n\n— k\u{a0}x AAAAAAA=\n",
    ] {
        assert!(parse(text).is_err(), "{text:?}");
    }
    assert!(Note::parse(b"a\xff\n\n\xe2\x80\x94 k AAAAAAA=\n").is_err());
}

#[test]
fn bytes_have_one_text() {
    for line in ["— k AAAAAA==AAAAAA==", "— k AA==AAAAAAA=", "— k AAAAAAA=====", "— k AAAAAAB="] {
        assert!(parse(&format!("a\n\n{line}\n")).is_err(), "{line}");
    }
    // 33 bytes of a key, the first alone in its block.
    let (name, key) = EXAMPLE_KEY.split_once("+A").unwrap();
    assert!(format!("{name}+A{key}").parse::<Verifier>().is_ok());
    let key = data_encoding::BASE64.decode(format!("A{key}").as_bytes()).unwrap();
    let split = [&key[..1], &key[1..]].map(|part| data_encoding::BASE64.encode(part)).concat();
    assert!(format!("{name}+{split}").parse::<Verifier>().is_err(), "{split}");
}

#[test]
fn a_note_has_a_limited_size_and_number_of_signatures() {
    let with = |count| parse(&format!("a\n\n{}", "— k AAAAAAA=\n".repeat(count)));
    assert_eq!(with(64).unwrap().signatures().len(), 64);
    assert!(with(65).is_err());
    let long = format!("{}\n\n— k AAAAAAA=\n", "a".repeat(256 * 1024));
    assert!(parse(&long).is_err());
}

#[test]
fn sixteen_of_the_longest_post_quantum_signatures_fit() {
    let line = writ_merkle::note::Signature { name: "k".parse().unwrap(), id: 7, bytes: vec![1; 5000] };
    let note = Note::new("a\n", vec![line; 16]).unwrap();
    assert_eq!(parse(&note.to_string()).unwrap(), note);
}

#[test]
fn a_key_name_has_no_spaces_and_no_plus() {
    for text in ["", " ", "a b", "a+b", "a\u{2003}b", "a\nb", &"x".repeat(256)] {
        assert!(text.parse::<KeyName>().is_err(), "{text:?}");
    }
    assert_eq!("log.example/évidence".parse::<KeyName>().unwrap().as_str(), "log.example/évidence");
}

#[test]
fn a_verifier_key_that_does_not_add_up_is_refused() {
    for text in [
        "",
        "example.com/foo",
        "example.com/foo+530d903a",
        "example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/bar+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530D903A+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+AukyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U0=",
        "example.com/foo+530d903a+",
        "example.com/foo+0530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
    ] {
        assert!(text.parse::<Verifier>().is_err(), "{text:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(note) = Note::parse(&bytes) {
            prop_assert_eq!(note.to_string().into_bytes(), bytes);
        }
    }

    #[test]
    fn whatever_parses_has_one_spelling(text in "[a-b\n—]{0,20}\n\n(— [k+ ]{1,2} [A-D]{6,9}={0,2}\n){0,3}") {
        if let Ok(note) = parse(&text) {
            prop_assert_eq!(note.to_string(), text);
        }
    }

    #[test]
    fn no_text_makes_the_key_parser_panic(text in "\\PC{0,20}\\+[0-9a-f]{8}\\+[A-Za-z0-9+/]{0,60}=?") {
        prop_assert!(text.parse::<Verifier>().is_err());
    }
}
