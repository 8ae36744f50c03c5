//! Named keys: encryption, decryption, signatures and a row of fields.
//!
//! `cargo bench -p writ-crypto --bench named` prints the median of 21 rounds in microseconds. Each round opens or makes
//! complete bodies, as the service does, without text and without the evidence around them.
#![expect(clippy::print_stdout, clippy::expect_used, reason = "a benchmark talks to a person")]

use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use writ_crypto::{
    Entropy, KeyRef,
    named::{KeyType, Material, Options, PreparedKey, Scheme},
};
use writ_kernel::{SystemClock, World};

const BOUND: Options<'static> = Options { aad: b"tenant 1 | order 7", context: None, convergent: false };

fn main() {
    let world = World::new(Arc::new(SystemClock), Arc::new(Entropy::os()));
    let key = |key_type| {
        let name = KeyRef { id: world.uuid(), version: 1 };
        Material::generate(&world, key_type).and_then(|it| it.prepare(name)).expect("a key")
    };
    println!("{:<20}{:>12}{:>12}{:>12}{:>12}", "µs", "encrypt 64", "decrypt 64", "encrypt 1k", "decrypt 1k");
    for key_type in KeyType::all().filter(|it| it.takes_aad()) {
        let key = key(key_type);
        let [small, large] = [64, 1024].map(|size| encryption(&world, &key, size));
        println!("{key_type:<20}{:>12}{:>12}{:>12}{:>12}", small[0], small[1], large[0], large[1]);
    }
    println!("{:<20}{:>12}{:>12}", "µs, 128 bytes", "sign", "verify");
    for key_type in KeyType::all().filter(|it| it.signs()) {
        let [sign, verify] = signature(&key(key_type));
        println!("{key_type:<20}{sign:>12}{verify:>12}");
    }
    println!("{:<20}{:>12}{:>12}", "µs, row of 8 fields", "seal", "open");
    for key_type in KeyType::all().filter(|it| it.seals_fields()) {
        let [seal, open] = row(&world, &key(key_type));
        println!("{key_type:<20}{seal:>12}{open:>12}");
    }
}

fn encryption(world: &World, key: &PreparedKey, size: usize) -> [String; 2] {
    let plaintext = vec![0x5a; size];
    let body = key.encrypt(world, &BOUND, &plaintext).expect("encrypted");
    let encrypt = median(|| key.encrypt(world, &BOUND, &plaintext).expect("encrypted").len());
    [encrypt, median(|| key.decrypt(&BOUND, &body).expect("decrypted").len())]
}

fn signature(key: &PreparedKey) -> [String; 2] {
    let (scheme, message) = (Scheme::default(), [0x5a; 128]);
    let signature = key.sign(&scheme, &message).expect("signed");
    let sign = median(|| key.sign(&scheme, &message).expect("signed").len());
    let verify = median(|| usize::from(key.verify(&scheme, &message, &signature).expect("verified")));
    [sign, verify]
}

fn row(world: &World, key: &PreparedKey) -> [String; 2] {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let seal = || {
        let sealer = key.row_sealer(world, BOUND.aad).expect("a row");
        let fields = names.map(|name| sealer.seal(world, name, &[0x5a; 32]).expect("sealed"));
        (sealer.row_key().clone(), fields)
    };
    let (row_key, fields) = seal();
    let open = || {
        let opener = key.row_opener(BOUND.aad, &row_key).expect("a row");
        names.iter().zip(&fields).map(|(name, field)| opener.open(name, field).expect("opened").len()).sum()
    };
    [median(|| seal().1.len()), median(open)]
}

/// The median of 21 rounds, each repeated for 20 ms, in microseconds.
fn median(mut once: impl FnMut() -> usize) -> String {
    let started = Instant::now();
    black_box(once());
    let single = started.elapsed().max(Duration::from_nanos(50));
    let repeats = u32::try_from(Duration::from_millis(20).as_nanos() / single.as_nanos()).unwrap_or(1).max(1);
    let mut rounds: Vec<Duration> = (0..21)
        .map(|_| {
            let started = Instant::now();
            (0..repeats).for_each(|_| {
                black_box(once());
            });
            started.elapsed() / repeats
        })
        .collect();
    rounds.sort_unstable();
    let middle = rounds.get(rounds.len() / 2).copied().unwrap_or_default();
    format!("{:.2}", middle.as_secs_f64() * 1e6)
}
