#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod anchors;
mod canary;
mod detect;
mod exact;
mod extent;
mod hidden;
pub mod json;
pub mod plan;
pub mod scan;
mod spans;
mod stream;
pub mod ui;
mod values;
mod variants;
mod view;

pub use canary::Canary;
pub use spans::Summary;
pub use stream::{HELD_BACK, Redactor, Rules};
pub use values::Values;
