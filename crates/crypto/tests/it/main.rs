//! What the cryptography promises, through its public surface.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod entropy;
mod envelope;
mod kem;
mod named;
mod parsers;
mod password;
mod runner_token;
mod shamir;
mod sign;
mod token;
mod vectors;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use writ_crypto::hash::{hkdf_sha256, sha256};
use writ_kernel::{Chance, Clock, Result, Timestamp, World};

/// Whatever holds a key can be shared among threads.
const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<writ_crypto::Entropy>();
    shared::<writ_crypto::KeyRing>();
    shared::<writ_crypto::HybridPrivate>();
    shared::<writ_crypto::SigningKey>();
    shared::<writ_crypto::VerifyingKey>();
};

/// A clock that stands still.
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(1_800_000_000_000_000)
    }
}

/// The same bytes in every run, different ones with every call.
struct Seeded(AtomicU64);

impl Chance for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(32) {
            let count = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
            chunk.copy_from_slice(&sha256(&count)[..chunk.len()]);
        }
    }
}

/// Exactly these bytes, once.
struct Given(Mutex<Vec<u8>>);

impl Chance for Given {
    fn fill(&self, bytes: &mut [u8]) {
        let mut given = self.0.lock().unwrap();
        assert!(given.len() >= bytes.len(), "more bytes were drawn than given");
        bytes.copy_from_slice(&given.drain(..bytes.len()).collect::<Vec<_>>());
    }
}

fn world() -> World {
    World::new(Arc::new(Still), Arc::new(Seeded(AtomicU64::new(0))))
}

fn world_of(bytes: &[u8]) -> World {
    World::new(Arc::new(Still), Arc::new(Given(Mutex::new(bytes.to_vec()))))
}

/// 32 bytes that stand for `name`.
fn seed(name: &str) -> writ_crypto::SecretKey {
    hkdf_sha256(b"test", name.as_bytes(), b"seed")
}

/// The code of the error that `result` must be.
fn code<T>(result: Result<T>) -> &'static str {
    result.err().expect("this must fail").code()
}

fn unhex(text: &str) -> Vec<u8> {
    data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).unwrap()
}

/// `bytes` with one bit of byte `index` flipped.
fn flipped(bytes: &[u8], index: usize) -> Vec<u8> {
    let mut other = bytes.to_vec();
    other[index] ^= 1 << (index % 8);
    other
}
