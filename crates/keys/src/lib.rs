#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod backup;
mod bounds;
mod crypt;
mod entropy;
pub mod fields;
mod find;
mod http;
mod job;
mod life;
mod model;
mod name;
mod ready;
mod room;
mod sign;
mod sql;
mod transfer;

pub use crypt::{Binding, DataKeyWanted, Each, Encrypt, MOST_ITEMS, NewDataKey, Plain, Sealed, Work};
pub use entropy::{Drawn, MOST_BYTES};
pub use http::routes;
pub use job::Rotator;
pub use life::{Change, GRACE_DAYS, MOST_GRACE_DAYS, NewKey};
pub use model::{Key, Place, Purpose, State, Version, Wanted, Which};
pub use name::KeyName;
pub use room::Keys;
pub use sign::{Claim, Message, Proof, hash_of};
pub use transfer::{Brought, Exported, Part, Wrapping};
