#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod http;
pub mod leases;
pub mod ports;
mod readers;
mod room;
mod secrets;

pub use http::routes;
pub use room::Vault;
pub use secrets::{
    change::{Fate, Update},
    list::{Names, Numbered, Wanted},
    model::{
        Absence, Classification, Facts, Format, KEPT_VERSIONS, Keeping, LONGEST_VALUE, Notes, Place, Reading,
        SecretRecord, Value, VersionRecord,
    },
    path::{Folder, SecretPath},
    write::{NewSecret, NewVersion},
};
