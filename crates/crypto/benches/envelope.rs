//! Sealing and opening an envelope, beside bare AES-256-GCM of AWS-LC over the same bytes.
//!
//! `cargo bench -p writ-crypto` prints the median of 21 rounds for each size, and the ratio. Both sides draw a
//! random nonce and copy the plaintext once, as storing a value must; only ours overwrites what it opened.
#![expect(clippy::print_stdout, clippy::expect_used, reason = "a benchmark talks to a person")]

use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand,
};
use writ_crypto::{DataKey, Entropy, HybridPrivate, KeyRef, KeyRing, SecretKey};
use writ_kernel::{Clock, Timestamp, World};

const AAD: &[u8] = b"tenant|table|row|column|version";

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::default()
    }
}

fn main() {
    let world = World::new(Arc::new(Still), Arc::new(Entropy::os()));
    let secret = SecretKey::generate(&world);
    let bare = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, secret.expose()).expect("32 bytes"));
    let ring = KeyRing::new(KeyRef { id: world.uuid(), version: 1 }, DataKey::from_secret(secret), 0);

    println!("{:>9}  {:>22}  {:>22}", "bytes", "seal µs (bare, ratio)", "open µs (bare, ratio)");
    for size in [64, 1 << 10, 64 << 10, 1 << 20] {
        let plaintext = vec![0x5a; size];
        let (ours, theirs) = (ring.seal(&world, AAD, &plaintext), bare_seal(&bare, &plaintext));
        let seal =
            compare(|| ring.seal(&world, AAD, &plaintext).len(), || bare_seal(&bare, &plaintext).len());
        let open = compare(
            || ring.open(AAD, &ours).expect("it was just sealed").len(),
            || bare_open(&bare, &theirs).len(),
        );
        println!("{size:>9}  {seal:>22}  {open:>22}");
    }

    let private = HybridPrivate::generate(&world).expect("a key pair");
    let key = SecretKey::generate(&world);
    let wrapped = private.public().wrap(&world, AAD, &key).expect("wrapped");
    println!(
        "wrap   {:>8.2} µs",
        micros(median(|| private.public().wrap(&world, AAD, &key).expect("wrapped").len()))
    );
    println!(
        "unwrap {:>8.2} µs",
        micros(median(|| private.unwrap(AAD, &wrapped).map_or(0, |key| key.expose().len())))
    );
}

fn bare_seal(key: &LessSafeKey, plaintext: &[u8]) -> Vec<u8> {
    let mut nonce = [0; NONCE_LEN];
    rand::fill(&mut nonce).expect("random bytes");
    let mut sealed = Vec::with_capacity(NONCE_LEN + plaintext.len() + AES_256_GCM.tag_len());
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(plaintext);
    let (_, body) = sealed.split_at_mut(NONCE_LEN);
    let tag = key
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(AAD), body)
        .expect("sealed");
    sealed.extend_from_slice(tag.as_ref());
    sealed
}

fn bare_open(key: &LessSafeKey, sealed: &[u8]) -> Vec<u8> {
    let (nonce, body) = sealed.split_first_chunk::<NONCE_LEN>().expect("a nonce");
    let mut body = body.to_vec();
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let length = key.open_in_place(nonce, Aad::from(AAD), &mut body).expect("opened").len();
    body.truncate(length);
    body
}

fn compare(ours: impl FnMut() -> usize, theirs: impl FnMut() -> usize) -> String {
    let (ours, theirs) = (micros(median(ours)), micros(median(theirs)));
    format!("{ours:.2} ({theirs:.2}, {:.2})", ours / theirs)
}

/// The median time of one `run` over 21 rounds of some milliseconds.
fn median(mut run: impl FnMut() -> usize) -> Duration {
    let once = Instant::now();
    black_box(run());
    let repeat = (Duration::from_millis(4).as_nanos() / once.elapsed().as_nanos().max(100)).clamp(1, 20_000);
    let repeat = u32::try_from(repeat).unwrap_or(1);
    let mut times: Vec<_> = (0..21)
        .map(|_| {
            let start = Instant::now();
            (0..repeat).for_each(|_| {
                black_box(run());
            });
            start.elapsed() / repeat
        })
        .collect();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
