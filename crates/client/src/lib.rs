#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod call;
mod error;
mod retry;
mod secrets;
mod token;
mod trust;

pub use call::{Client, Config, Download};
pub use error::{Error, Problem, Result};
pub use reqwest::{
    Body,
    header::{HeaderMap, HeaderName, HeaderValue},
};
pub use secrets::{Renewal, SecretValue, Secrets};
pub use token::Token;
pub use trust::{Pin, Trust};
