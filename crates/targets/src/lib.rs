#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod password;
pub mod postgres;
#[cfg(feature = "testing")]
pub mod testing;
