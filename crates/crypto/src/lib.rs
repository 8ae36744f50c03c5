#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod aead;
pub mod entropy;
pub mod envelope;
pub mod hash;
mod health;
pub mod kem;
pub mod named;
pub mod password;
pub mod runner_token;
pub mod secret;
pub mod shamir;
pub mod sign;
pub mod token;

pub use aead::DataKey;
pub use entropy::Entropy;
pub use envelope::{Aad, KeyRef, KeyRing};
pub use kem::{HybridPrivate, HybridPublic};
pub use secret::{SecretBytes, SecretKey, SecretString, ct_eq};
pub use sign::{Algorithm, SigningKey, VerifyingKey};
pub use token::Token;
