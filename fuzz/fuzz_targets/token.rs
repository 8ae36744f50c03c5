//! Tokens: reading never panics, and no runner token is forged.
#![no_main]

use libfuzzer_sys::fuzz_target;
use writ_crypto::{SecretKey, Token, runner_token};
use writ_kernel::Timestamp;

fuzz_target!(|text: &str| {
    if let Ok((kind, _)) = Token::hash(text) {
        assert!(text.starts_with(&format!("writ_{kind}_")));
    }
    let key = SecretKey::new([7; 32]);
    assert!(runner_token::verify(text, &[("k", &key)], Timestamp::default()).is_err());
    assert!(runner_token::verify(&format!("writ_run_{text}"), &[("k", &key)], Timestamp::default()).is_err());
});
