//! The types of signature of C2SP signed-note and tlog-cosignature, byte for byte.

use writ_crypto::{
    hash::sha256,
    sign::{Algorithm, VerifyingKey},
};
use writ_merkle::{Error, Head, Note, SignatureType, Signer, Verifier};

use crate::log::{TIME, key, root};

const NAME: &str = "log.example/evidence/t1";

fn head() -> Head {
    Head {
        origin: NAME.parse().unwrap(),
        size: 3,
        root: root(&[b"a".to_vec(), b"b".to_vec(), b"c".to_vec()]),
    }
}

/// The structure `cosigned_message`, put together by hand.
fn cosigned_message(cosigner: &str) -> Vec<u8> {
    let mut message = b"subtree/v1\n\0".to_vec();
    message.push(u8::try_from(cosigner.len()).unwrap());
    message.extend(cosigner.as_bytes());
    message.extend(TIME.to_be_bytes());
    message.push(u8::try_from(NAME.len()).unwrap());
    message.extend(NAME.as_bytes());
    message.extend([0; 8]);
    message.extend([0, 0, 0, 0, 0, 0, 0, 3]);
    message.extend(head().root.as_bytes());
    message
}

fn check(signer: &Signer, identifier: &[u8], algorithm: Algorithm, message: &[u8], is_timed: bool) {
    let public = key(algorithm, 1).unwrap().verifying_key();
    let line = signer.sign(&head().to_string(), TIME).unwrap();
    let hash = sha256(&[line.name.as_str().as_bytes(), b"\n", identifier, public.as_bytes()].concat());
    assert_eq!(line.id.to_be_bytes(), hash[..4]);
    let signature =
        if is_timed { line.bytes.strip_prefix(&TIME.to_be_bytes()).unwrap() } else { &line.bytes };
    VerifyingKey::from_bytes(algorithm, public.as_bytes()).unwrap().verify(message, signature).unwrap();
    let vkey = signer.verifier().unwrap().to_string();
    let encoded = data_encoding::BASE64.encode(&[identifier, public.as_bytes()].concat());
    assert_eq!(vkey, format!("{}+{:08x}+{encoded}", line.name, line.id));
    let note = Note::new(head().to_string(), vec![line]).unwrap();
    let found = vkey.parse::<Verifier>().unwrap().verify(&note).unwrap();
    assert_eq!(found.unwrap().time, is_timed.then_some(TIME));
}

fn log(algorithm: Algorithm) -> Signer {
    Signer::log(NAME.parse().unwrap(), key(algorithm, 1).unwrap()).unwrap()
}

fn witness(algorithm: Algorithm) -> Signer {
    Signer::witness("witness.example/w1".parse().unwrap(), key(algorithm, 1).unwrap()).unwrap()
}

#[test]
fn a_log_signs_the_text_with_ed25519() {
    check(&log(Algorithm::Ed25519), &[1], Algorithm::Ed25519, head().to_string().as_bytes(), false);
}

#[test]
fn a_log_signs_the_cosigned_message_with_ml_dsa_44() {
    check(&log(Algorithm::MlDsa44), &[6], Algorithm::MlDsa44, &cosigned_message(NAME), true);
}

#[test]
fn a_log_signs_the_cosigned_message_with_ml_dsa_65_under_a_private_type() {
    let identifier = b"\xffwrit.dev/ml-dsa-65";
    check(&log(Algorithm::MlDsa65), identifier, Algorithm::MlDsa65, &cosigned_message(NAME), true);
}

#[test]
fn a_witness_cosigns_with_ed25519_and_a_time() {
    let message = format!("cosignature/v1\ntime {TIME}\n{}", head());
    check(&witness(Algorithm::Ed25519), &[4], Algorithm::Ed25519, message.as_bytes(), true);
}

#[test]
fn a_witness_cosigns_with_ml_dsa_44_under_its_own_name() {
    check(
        &witness(Algorithm::MlDsa44),
        &[6],
        Algorithm::MlDsa44,
        &cosigned_message("witness.example/w1"),
        true,
    );
}

#[test]
fn a_cosignature_is_bound_to_its_time() {
    let signer = log(Algorithm::MlDsa44);
    let mut line = signer.sign(&head().to_string(), TIME).unwrap();
    line.bytes[7] ^= 1;
    let note = Note::new(head().to_string(), vec![line]).unwrap();
    assert!(matches!(signer.verifier().unwrap().verify(&note), Err(Error::BadSignature { .. })));
}

#[test]
fn a_cosignature_with_an_impossible_time_is_refused() {
    let signer = log(Algorithm::MlDsa44);
    let line = signer.sign(&head().to_string(), 1 << 63).unwrap();
    let note = Note::new(head().to_string(), vec![line]).unwrap();
    assert!(matches!(signer.verifier().unwrap().verify(&note), Err(Error::BadSignature { .. })));
}

#[test]
fn a_truncated_signature_is_refused() {
    for signer in [
        log(Algorithm::Ed25519),
        log(Algorithm::MlDsa44),
        log(Algorithm::MlDsa65),
        witness(Algorithm::Ed25519),
    ] {
        let line = signer.sign(&head().to_string(), TIME).unwrap();
        for length in [1, 7, 8, 9, line.bytes.len() - 1] {
            let line = writ_merkle::note::Signature { bytes: line.bytes[..length].to_vec(), ..line.clone() };
            let note = Note::new(head().to_string(), vec![line]).unwrap();
            assert!(
                matches!(signer.verifier().unwrap().verify(&note), Err(Error::BadSignature { .. })),
                "{length}"
            );
        }
    }
}

#[test]
fn post_quantum_signatures_are_for_checkpoints_only() {
    assert!(matches!(log(Algorithm::MlDsa44).sign("Hello\n", TIME), Err(Error::Malformed { .. })));
    assert!(log(Algorithm::Ed25519).sign("Hello\n", TIME).is_ok());
}

#[test]
fn a_public_key_of_another_algorithm_is_refused() {
    let public = key(Algorithm::MlDsa44, 1).unwrap().verifying_key();
    let verifier = Verifier::new(NAME.parse().unwrap(), SignatureType::MlDsa65, public.as_bytes());
    assert!(matches!(verifier, Err(Error::WrongKey { .. })));
}

#[test]
fn a_signer_does_not_show_its_key() {
    let text = format!("{:?}", log(Algorithm::Ed25519));
    assert!(text.starts_with("Signer(log.example/evidence/t1 ") && text.len() < 60, "{text}");
}
