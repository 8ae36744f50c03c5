//! New values for secrets, also where they are used.
//!
//! A rotation is two-phase: the new value is made and kept sealed as *pending*, with an intent on record; it is applied
//! where it is used and tried there; only then does it become the current version, with the outcome on record. Applying
//! is idempotent, so a crash in between is mended by doing it again. A value that does not work is taken back.

mod http;
mod sql;
mod turning;
mod verbs;

pub use http::routes;
pub use sql::{RotationRecord, RotatorRecord};
pub(crate) use sql::{forget, under_way};
pub use turning::Turner;
pub use verbs::{Answered, Rotations};
