//! Opaque tokens.

use proptest::prelude::*;
use writ_crypto::{Token, hash::sha256};

use crate::{code, world};

#[test]
fn a_token_looks_as_documented_and_yields_its_hash() {
    let (text, hash) = Token::generate(&world(), "key");
    let parts: Vec<_> = text.expose().split('_').collect();
    assert_eq!(parts[..2], ["writ", "key"]);
    assert_eq!((parts[2].len(), parts[3].len(), parts.len()), (40, 6, 4));
    assert_eq!(hash, sha256(text.expose().as_bytes()));
    assert_eq!(Token::hash(text.expose()).unwrap(), ("key".to_owned(), hash));
}

#[test]
fn no_two_tokens_are_the_same() {
    let world = world();
    assert_ne!(Token::generate(&world, "key").1, Token::generate(&world, "key").1);
}

#[test]
fn every_mistyped_character_is_noticed_before_any_look_up() {
    let (text, _) = Token::generate(&world(), "session");
    for (index, old) in text.expose().char_indices() {
        let mut typed = text.expose().to_owned();
        typed.replace_range(index..=index, if old == 'a' { "b" } else { "a" });
        assert_eq!(code(Token::hash(&typed)), "malformed_token", "{typed}");
    }
}

#[test]
fn what_is_no_token_is_refused() {
    let (text, _) = Token::generate(&world(), "key");
    let (upper, padded) = (text.expose().to_uppercase(), format!("{} ", text.expose()));
    for text in ["", "_", "writ_", "writ_key", "writ_key__", "ghp_0123456789", &upper, &padded] {
        assert_eq!(code(Token::hash(text)), "malformed_token", "{text}");
    }
}

#[test]
fn an_error_never_repeats_the_token() {
    let (text, _) = Token::generate(&world(), "key");
    let cut = text.expose().get(..50).unwrap();
    let error = Token::hash(cut).err().unwrap();
    let said = format!("{error:?} {} {:?}", error.public(), error.advice());
    assert!(!said.contains(cut.get(10..30).unwrap()), "{said}");
}

proptest! {
    #[test]
    fn every_kind_is_read_back(kind in "[a-z0-9]{1,16}") {
        let (text, hash) = Token::generate(&world(), &kind);
        prop_assert_eq!(Token::hash(text.expose()).unwrap(), (kind, hash));
    }
}
