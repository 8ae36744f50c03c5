//! Named keys: the algorithms behind encryption, signatures and message authentication as a service. Pure functions
//! over bytes; who may use which key, and where its versions are kept, is the business of the room.
//!
//! ```text
//! KeyType ─ Material::generate ─▶ Material (secret, sealed at rest) ─ prepare(KeyRef) ─▶ PreparedKey (hot, shared)
//! PreparedKey: encrypt · decrypt · sign · verify · mac · wrap_key · unwrap_key · row_sealer · row_opener · public
//! ```
//!
//! Every byte format is in `docs/formats/encryption.md`.

mod asn1;
mod digest;
mod encrypt;
mod fields;
mod index;
mod jose;
mod jwk;
mod key_type;
mod mac;
mod material;
mod ml_kem;
mod prepared;
mod public;
mod sign;
mod text;
mod transfer;
mod wrap;

pub use digest::Hash;
pub use encrypt::Options;
pub use fields::{FieldText, RowKeyText, RowOpener, RowSealer};
pub use index::{IndexKey, normalise, plain_index};
pub use jose::jose;
pub use key_type::KeyType;
pub use material::Material;
pub use prepared::PreparedKey;
pub use public::PublicKey;
pub use sign::{Marshaling, Padding, SaltLength, Scheme};
pub use text::{Ciphertext, Mac, Signature};
pub use transfer::PrivateFormat;
pub use wrap::{OaepHash, wrap_for_import};
