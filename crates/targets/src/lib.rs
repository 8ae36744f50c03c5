#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod aws;
pub mod password;
pub mod postgres;
#[cfg(feature = "testing")]
pub mod testing;
pub mod webhook;
