//! C2SP tlog-checkpoint, and which checkpoints are believed.

use proptest::prelude::*;
use writ_crypto::sign::Algorithm;
use writ_merkle::{
    Error, Head, Note, Policy, SignatureType, Signer, Verifier,
    checkpoint::{open, sign},
};

use crate::log::{Log, ORIGIN, TIME, key, log_signers, log_verifier, log_verifiers};

fn signed() -> String {
    sign(&head(), TIME, &log_signers().unwrap()).unwrap().to_string()
}

fn head() -> Head {
    Log::new(300).unwrap().head().unwrap()
}

fn open_all(text: &str) -> Result<writ_merkle::Checkpoint, Error> {
    open(text.as_bytes(), &log_verifiers().unwrap(), &Policy::default())
}

fn witness(number: u8, algorithm: Algorithm) -> Signer {
    Signer::witness(format!("witness.example/w{number}").parse().unwrap(), key(algorithm, number).unwrap())
        .unwrap()
}

#[test]
fn a_checkpoint_is_three_lines_and_a_signature_line_for_each_key() {
    let (text, head) = (signed(), head());
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[..4], [ORIGIN, "300", &head.root.to_string(), ""]);
    assert_eq!(lines.len(), 7);
    assert!(lines[4..].iter().all(|line| line.starts_with("— log.example/evidence/t1 ")));
}

#[test]
fn an_opened_checkpoint_says_what_was_signed_by_whom_and_when() {
    let checkpoint = open_all(&signed()).unwrap();
    assert_eq!(*checkpoint.head(), head());
    let signatures: Vec<_> =
        checkpoint.signatures().iter().map(|signed| (signed.kind, signed.time)).collect();
    assert_eq!(
        signatures,
        [
            (SignatureType::Ed25519, None),
            (SignatureType::MlDsa44, Some(TIME)),
            (SignatureType::MlDsa65, Some(TIME)),
        ]
    );
}

#[test]
fn one_classical_and_one_post_quantum_signature_are_enough_by_default() {
    let all = log_signers().unwrap();
    let with = |kept: &[usize]| {
        let note = sign(&head(), TIME, &all).unwrap();
        let lines = kept.iter().map(|place| note.signatures()[*place].clone()).collect();
        open_all(&Note::new(note.text(), lines).unwrap().to_string())
    };
    for enough in [&[0, 1][..], &[0, 2], &[0, 1, 2]] {
        with(enough).unwrap();
    }
    for (too_few, missing) in
        [(&[0][..], "no ML-DSA-44 or ML-DSA-65 signature"), (&[1, 2], "no Ed25519 signature")]
    {
        let error = with(too_few).unwrap_err();
        assert!(matches!(&error, Error::PolicyUnmet { missing: said } if said.contains(missing)), "{error}");
    }
}

#[test]
fn a_verifier_with_one_key_is_served_by_a_policy_that_asks_for_it_alone() {
    let policy = Policy::requiring([vec![SignatureType::MlDsa44]]);
    let verifiers = log_verifier(SignatureType::MlDsa44).unwrap();
    assert_eq!(open(signed().as_bytes(), &verifiers, &policy).unwrap().signatures().len(), 1);
}

#[test]
fn an_invalid_signature_by_a_known_key_spoils_the_rest() {
    let note = sign(&head(), TIME, &log_signers().unwrap()).unwrap();
    for place in 0..3 {
        let mut lines = note.signatures().to_vec();
        *lines[place].bytes.last_mut().unwrap() ^= 1;
        let altered = Note::new(note.text(), lines).unwrap().to_string();
        let error = open_all(&altered).unwrap_err();
        assert!(
            matches!(&error, Error::BadSignature { id, .. } if *id == note.signatures()[place].id),
            "{error}"
        );
    }
}

#[test]
fn a_checkpoint_without_a_known_key_is_not_believed() {
    for policy in [Policy::default(), Policy::requiring([])] {
        assert!(matches!(open(signed().as_bytes(), &[], &policy), Err(Error::PolicyUnmet { .. })));
    }
}

#[test]
fn the_keys_of_one_log_do_not_speak_for_another() {
    let other = Head { origin: "log.example/evidence/t2".parse().unwrap(), ..head() };
    let forged = sign(&other, TIME, &log_signers().unwrap()).unwrap().to_string();
    assert!(matches!(open_all(&forged), Err(Error::PolicyUnmet { .. })));
}

#[test]
fn witnesses_are_counted_by_name() {
    let mut verifiers = log_verifiers().unwrap();
    let witnesses =
        [witness(1, Algorithm::Ed25519), witness(1, Algorithm::MlDsa44), witness(2, Algorithm::MlDsa44)];
    verifiers.extend(witnesses.iter().map(|witness| witness.verifier().unwrap()));
    let note =
        witnesses.iter().fold(sign(&head(), TIME, &log_signers().unwrap()).unwrap(), |note, witness| {
            let cosignature = witness.sign(note.text(), TIME + 1).unwrap();
            note.with(cosignature).unwrap()
        });
    let open =
        |count| open(note.to_string().as_bytes(), &verifiers, &Policy::default().with_witnesses(count));
    assert_eq!(open(2).unwrap().signatures().len(), 6);
    assert!(matches!(open(3), Err(Error::PolicyUnmet { missing }) if missing == "2 of 3 witnesses"));
}

#[test]
fn a_plain_signature_is_no_cosignature() {
    let plain =
        Signer::log("witness.example/w1".parse().unwrap(), key(Algorithm::Ed25519, 1).unwrap()).unwrap();
    let note = sign(&head(), TIME, &log_signers().unwrap()).unwrap();
    let line = plain.sign(note.text(), TIME).unwrap();
    let verifiers = [log_verifiers().unwrap(), vec![plain.verifier().unwrap()]].concat();
    let text = note.with(line).unwrap().to_string();
    assert!(open(text.as_bytes(), &verifiers, &Policy::default().with_witnesses(1)).is_err());
    assert!(open(text.as_bytes(), &verifiers, &Policy::default()).is_ok());
}

#[test]
fn a_head_has_one_spelling() {
    let root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
    let good = format!("example.com/behind-the-sofa\n20852163\n{root}\n");
    assert_eq!(Head::parse(&good).unwrap().to_string(), good);
    for text in [
        String::new(),
        "\n".to_owned(),
        "a\n1\n".to_owned(),
        format!("a\n1\n{root}"),
        format!("a\n01\n{root}\n"),
        format!("a\n+1\n{root}\n"),
        format!("a\n-1\n{root}\n"),
        format!("a\n1 \n{root}\n"),
        format!("\n1\n{root}\n"),
        format!("a\n1\n{root}\n\n"),
        format!("a\n1\n{root}\nextension\n"),
        format!("a\n9223372036854775808\n{root}\n"),
        format!("a b\n1\n{root}\n"),
        format!("a\n1\n{root:.43}\n"),
    ] {
        assert!(Head::parse(&text).is_err(), "{text:?}");
    }
}

#[test]
fn a_checkpoint_needs_a_signer() {
    assert!(sign(&head(), TIME, &[]).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_flipped_bit_is_noticed(place in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let verifiers: Vec<Verifier> = log_verifiers().unwrap();
        let mut bytes = sign(&head(), TIME, &log_signers().unwrap()).unwrap().to_string().into_bytes();
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << bit;
        let strict = Policy::requiring([vec![SignatureType::Ed25519], vec![SignatureType::MlDsa44], vec![SignatureType::MlDsa65]]);
        prop_assert!(open(&bytes, &verifiers, &strict).is_err());
    }

    #[test]
    fn no_text_makes_the_head_parser_panic(text in "\\PC{0,10}\n[0-9+-]{0,22}\n[A-Za-z0-9+/=]{40,46}\n{0,2}") {
        if let Ok(head) = Head::parse(&text) {
            prop_assert_eq!(head.to_string(), text);
        }
    }
}
