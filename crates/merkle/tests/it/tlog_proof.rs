//! C2SP tlog-proof: proofs that travel alone.

use proptest::prelude::*;
use writ_merkle::{Error, Policy, TlogProof};

use crate::log::{Log, log_verifiers};

fn verify(proof: &TlogProof, leaf: &[u8]) -> Result<writ_merkle::Checkpoint, Error> {
    proof.verify(leaf, &log_verifiers().unwrap(), &Policy::default())
}

#[test]
fn a_proof_is_a_file_that_verifies_its_leaf() {
    let log = Log::new(300).unwrap();
    for index in [0, 255, 256, 299] {
        let file = log.proof(index).unwrap().to_string();
        let proof = TlogProof::from_bytes(file.as_bytes()).unwrap();
        assert_eq!(proof.to_string(), file);
        let checkpoint = verify(&proof, format!("leaf {index}").as_bytes()).unwrap();
        assert_eq!(*checkpoint.head(), log.head().unwrap());
    }
}

#[test]
fn a_proof_is_laid_out_as_specified() {
    let proof = TlogProof { extra: Some(b"context".to_vec()), ..Log::new(3).unwrap().proof(2).unwrap() };
    let text = proof.to_string();
    let sibling = proof.hashes[0].to_string();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines[..7],
        [
            "c2sp.org/tlog-proof@v1",
            "extra Y29udGV4dA==",
            "index 2",
            &sibling,
            "",
            "log.example/evidence/t1",
            "3"
        ]
    );
    assert_eq!(text.parse::<TlogProof>().unwrap(), proof);
}

#[test]
fn the_only_leaf_of_a_log_needs_no_hashes() {
    let proof = Log::new(1).unwrap().proof(0).unwrap();
    assert!(proof.hashes.is_empty());
    verify(&proof.to_string().parse().unwrap(), b"leaf 0").unwrap();
}

#[test]
fn a_proof_of_another_leaf_index_or_tree_fails() {
    let log = Log::new(300).unwrap();
    let proof = log.proof(7).unwrap();
    assert!(matches!(verify(&proof, b"leaf 8"), Err(Error::RootMismatch { .. })));
    assert!(matches!(
        verify(&TlogProof { index: 8, ..proof.clone() }, b"leaf 7"),
        Err(Error::RootMismatch { .. })
    ));
    assert!(matches!(
        verify(&TlogProof { index: 300, ..proof.clone() }, b"leaf 7"),
        Err(Error::IndexBeyondTree { .. })
    ));
    let later = Log::new(301).unwrap().proof(7).unwrap().checkpoint;
    assert!(verify(&TlogProof { checkpoint: later, ..proof.clone() }, b"leaf 7").is_err());
    let short = TlogProof { hashes: proof.hashes[1..].to_vec(), ..proof };
    assert!(matches!(verify(&short, b"leaf 7"), Err(Error::ProofTooShort)));
}

#[test]
fn a_proof_is_worth_no_more_than_its_checkpoint() {
    let proof = Log::new(300).unwrap().proof(7).unwrap();
    assert!(matches!(proof.verify(b"leaf 7", &[], &Policy::default()), Err(Error::PolicyUnmet { .. })));
    let forged = TlogProof { checkpoint: proof.checkpoint.replacen("\n300\n", "\n301\n", 1), ..proof };
    assert!(matches!(verify(&forged, b"leaf 7"), Err(Error::BadSignature { .. })));
}

#[test]
fn what_is_not_of_the_form_is_refused() {
    let hash = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
    let first = "c2sp.org/tlog-proof@v1\n";
    for text in [
        String::new(),
        first.to_owned(),
        format!("{first}index 0\n"),
        format!("{first}\nx\n"),
        format!("{first}index 00\n\nx\n"),
        format!("{first}index +1\n\nx\n"),
        format!("{first}index 1\nextra AA==\n\nx\n"),
        format!("{first}extra A\nindex 1\n\nx\n"),
        format!("{first}extra AA==AAAA\nindex 1\n\nx\n"),
        format!("{first}extra AA==\nextra AA==\nindex 1\n\nx\n"),
        "c2sp.org/tlog-proof@v2\nindex 1\n\nx\n".to_owned(),
        "c2sp.org/tlog-proof@v1index 1\n\nx\n".to_owned(),
        format!("{first}index 1\nAAAA\n\nx\n"),
        format!("{first}index 1\n{}\nx\n", hash.repeat(65)),
        format!("{first}extra {}\nindex 1\n\nx\n", "AAAA".repeat(20_000)),
    ] {
        assert!(text.parse::<TlogProof>().is_err(), "{text:.80}");
    }
    assert!(TlogProof::from_bytes(b"\xff").is_err());
}

proptest! {
    #[test]
    fn whatever_parses_has_one_spelling(
        text in "c2sp.org/tlog-proof@v1\n(extra [A-C]{0,5}={0,2}\n)?index [0-9]{1,3}\n([A-C]{42,43}={0,2}\n){0,2}\n{1,2}[a-c\n]{0,9}",
    ) {
        if let Ok(proof) = text.parse::<TlogProof>() {
            prop_assert_eq!(proof.to_string(), text);
        }
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let file = [b"c2sp.org/tlog-proof@v1\n".as_slice(), &bytes].concat();
        if let Ok(proof) = TlogProof::from_bytes(&file) {
            prop_assert_eq!(proof.to_string().into_bytes(), file);
        }
    }
}
