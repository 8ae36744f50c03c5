#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod extract;
mod json;
mod manners;
pub mod openapi;
mod problem;
mod reply;
mod serve;
pub mod tls;
mod trace;

pub use extract::{Bytes, Path, Query, body_limit};
pub use json::Json;
pub use manners::{Guard, Manners, Served};
pub use problem::{Document, Outcome, Problem};
pub use reply::{API_KEY, IDEMPOTENCY_KEY, RECEIPT, TRACEPARENT, TRACERESPONSE, created, listing, paging};
pub use serve::{Event, Limits, Peer, Secured, Terms, Transport, serve};
pub use trace::Trace;
