//! Values that are made up.

use writ_crypto::SecretString;
use writ_kernel::{Error, Result, World};

/// What a made-up value looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    length: usize,
    alphabet: Vec<char>,
}

/// The fewest bits of chance in a value.
const BITS: f64 = 64.0;

impl Recipe {
    /// `length` characters of `alphabet`, each as likely as the others.
    ///
    /// # Errors
    /// `Invalid` when that leaves less than 64 bits of chance, when it is longer than 1024, or when the alphabet has a
    /// character twice or one that is not printable ASCII.
    pub fn new(length: usize, alphabet: &str) -> Result<Self> {
        let mut letters: Vec<char> = alphabet.chars().collect();
        letters.sort_unstable();
        letters.dedup();
        if letters.len() != alphabet.chars().count() || !letters.iter().all(char::is_ascii_graphic) {
            return Err(Error::invalid(
                "malformed_alphabet",
                "an alphabet has printable ASCII characters, each once",
            )
            .at("alphabet"));
        }
        let bits = u32::try_from(letters.len()).map_or(0.0, |count| f64::from(count.max(1)).log2());
        let length_as_number = u32::try_from(length).map_or(f64::MAX, f64::from);
        if length > 1024 || bits * length_as_number < BITS {
            return Err(Error::invalid(
                "weak_recipe",
                "a value has at most 1024 characters and at least 64 bits of chance",
            )
            .at("length"));
        }
        Ok(Self { length, alphabet: letters })
    }

    /// A fresh value.
    pub fn make(&self, world: &World) -> SecretString {
        let count = self.alphabet.len();
        // A byte beyond the last whole multiple of the alphabet would make its first letters likelier.
        let most = 256 - 256 % count;
        let mut text = String::with_capacity(self.length);
        while text.len() < self.length {
            let bytes: [u8; 64] = world.bytes();
            let fair = bytes.into_iter().map(usize::from).filter(|byte| *byte < most);
            let letters = fair.filter_map(|byte| self.alphabet.get(byte % count));
            text.extend(letters.take(self.length - text.len()));
        }
        SecretString::new(text)
    }
}

impl Default for Recipe {
    /// 32 letters and digits: about 190 bits, and nothing that any system must quote.
    fn default() -> Self {
        let alphabet = ('0'..='9').chain('A'..='Z').chain('a'..='z').collect();
        Self { length: 32, alphabet }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use writ_store::testing::Time;

    #[test]
    fn a_value_has_the_length_and_letters_of_its_recipe() {
        let world = Time::default().world();
        let value = Recipe::new(100, "abc-").unwrap().make(&world);
        assert_eq!(value.len(), 100);
        assert!(value.expose().chars().all(|letter| "abc-".contains(letter)));
        assert!(!value.ct_eq(Recipe::new(100, "abc-").unwrap().make(&world).expose()));
    }

    #[test]
    fn a_recipe_that_could_be_guessed_is_none() {
        for (length, alphabet) in
            [(10, "abc"), (64, "a"), (0, "abcdef"), (2000, "abc"), (64, "aab"), (64, "a b")]
        {
            assert!(Recipe::new(length, alphabet).is_err(), "{length} of {alphabet}");
        }
    }

    #[test]
    fn every_letter_comes_up() {
        let value = Recipe::new(1024, "0123456789").unwrap().make(&Time::default().world());
        assert!(('0'..='9').all(|digit| value.expose().contains(digit)));
    }
}
