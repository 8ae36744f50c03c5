//! Sharing a key among people.

use proptest::prelude::*;
use writ_crypto::{SecretBytes, SecretKey, shamir};

use crate::{code, flipped, seed, world};

fn copy(share: &SecretBytes) -> SecretBytes {
    SecretBytes::new(share.expose().to_vec())
}

fn chosen(shares: &[SecretBytes], indices: &[usize]) -> Vec<SecretBytes> {
    indices.iter().map(|index| copy(&shares[*index])).collect()
}

#[test]
fn every_three_of_five_recover_the_key() {
    let shares = shamir::split(&world(), &seed("root"), 3, 5).unwrap();
    for a in 0..5 {
        for b in (0..5).filter(|b| *b != a) {
            for c in (0..5).filter(|c| *c != a && *c != b) {
                let key = shamir::combine(&chosen(&shares, &[a, b, c])).unwrap();
                assert!(key.ct_eq(seed("root").expose()));
            }
        }
    }
}

#[test]
fn no_two_of_three_are_enough_and_a_share_counts_once() {
    let shares = shamir::split(&world(), &seed("root"), 3, 5).unwrap();
    assert_eq!(code(shamir::combine(&[])), "too_few_shares");
    assert_eq!(code(shamir::combine(&chosen(&shares, &[0, 1]))), "too_few_shares");
    assert_eq!(code(shamir::combine(&chosen(&shares, &[0, 1, 1, 0]))), "too_few_shares");
    assert!(shamir::combine(&chosen(&shares, &[0, 1, 1, 2])).is_ok());
}

#[test]
fn too_few_shares_do_not_recover_the_key_even_when_they_claim_to_be_enough() {
    let shares = shamir::split(&world(), &seed("root"), 3, 5).unwrap();
    let claim: Vec<_> = chosen(&shares, &[0, 1])
        .iter()
        .map(|share| {
            let mut bytes = share.expose().to_vec();
            assert_eq!(bytes[9], 3, "the threshold");
            bytes[9] = 2;
            SecretBytes::new(bytes)
        })
        .collect();
    assert_eq!(code(shamir::combine(&claim)), "wrong_shares");
}

#[test]
fn shares_of_two_sets_do_not_mix() {
    let world = world();
    let (a, b) = (shamir::split(&world, &seed("root"), 2, 3), shamir::split(&world, &seed("root"), 2, 3));
    assert_eq!(code(shamir::combine(&[copy(&a.unwrap()[0]), copy(&b.unwrap()[1])])), "mixed_shares");
}

#[test]
fn counts_that_make_no_sense_are_refused() {
    for (threshold, shares) in [(0, 0), (0, 3), (1, 3), (4, 3)] {
        assert_eq!(code(shamir::split(&world(), &seed("root"), threshold, shares)), "share_counts");
    }
    assert_eq!(shamir::split(&world(), &seed("root"), 2, 255).unwrap().len(), 255);
}

#[test]
fn a_share_is_read_back_from_its_text_however_it_was_copied() {
    let shares = shamir::split(&world(), &seed("root"), 2, 12).unwrap();
    let text = shamir::encode(&shares[11]).unwrap();
    assert!(text.expose().starts_with("writ_share_12_"), "{}", text.expose());
    for copied in [text.expose().to_owned(), format!(" {}\n", text.expose()), text.expose().to_uppercase()] {
        assert!(shamir::decode(&copied).unwrap().ct_eq(shares[11].expose()));
    }
}

#[test]
fn a_mistyped_share_is_noticed() {
    let shares = shamir::split(&world(), &seed("root"), 2, 3).unwrap();
    let text = shamir::encode(&shares[0]).unwrap();
    for (index, old) in text.expose().char_indices() {
        let mut typed = text.expose().to_owned();
        typed.replace_range(index..=index, if old == 'a' { "b" } else { "a" });
        assert_eq!(code(shamir::decode(&typed)), "malformed_share", "{typed}");
    }
}

proptest! {
    #[test]
    fn any_threshold_of_any_number_recovers_any_key(key: [u8; 32], threshold in 2..=8_u8, more in 0..=8_u8) {
        let shares = shamir::split(&world(), &SecretKey::new(key), threshold, threshold + more).unwrap();
        let last = &shares[usize::from(more)..];
        prop_assert!(shamir::combine(last).unwrap().ct_eq(&key));
        prop_assert!(shamir::combine(&last[1..]).is_err());
    }

    #[test]
    fn an_altered_share_is_noticed(index in 0..59_usize) {
        let mut shares = shamir::split(&world(), &seed("root"), 2, 2).unwrap();
        prop_assert_eq!(shares[0].len(), 59);
        shares[0] = SecretBytes::new(flipped(shares[0].expose(), index));
        prop_assert!(shamir::combine(&shares).is_err());
    }
}
