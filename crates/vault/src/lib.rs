#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod bindings;
mod each;
pub mod events;
mod http;
pub mod leases;
pub mod ports;
mod readers;
mod room;
pub mod rotation;
mod secrets;
mod sharing;

pub use bindings::{BindingRecord, Fetch, NewBinding, WantedBindings};
pub use http::routes;
pub use room::Vault;
pub use secrets::{
    change::{Fate, Update},
    import::Fared,
    insights::{Insights, Reader, Strength},
    list::{Names, Numbered, Stored, Wanted},
    model::{
        Absence, Classification, Facts, Format, KEPT_VERSIONS, Keeping, LONGEST_VALUE, Notes, Place, Reading,
        SecretRecord, Value, VersionRecord,
    },
    path::{Folder, SecretPath},
    write::{NewSecret, NewVersion},
};
pub use sharing::model::{LinkRecord, NewLink, Opened, Stranger};
