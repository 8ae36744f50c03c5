#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod backup;
mod config;
mod db;
mod error;
pub mod jobs;
pub mod leader;
mod lock;
mod migrate;
mod pg_tools;
mod postgres;
mod sqlite;
mod stats;
#[cfg(feature = "testing")]
pub mod testing;
mod tx;

pub use backup::{backup, restore};
pub use config::Config;
pub use db::{Db, retry};
pub use error::{error, is_already_exists, is_unique_violation};
pub use migrate::migrate;
pub use stats::Stats;
#[doc(hidden)]
pub use tx::{Conn, Open};
pub use tx::{SystemTx, Transactional, Tx, serialize_on};
