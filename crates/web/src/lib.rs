#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod caller;
mod extract;
mod json;
mod manners;
pub mod openapi;
mod problem;
mod reply;
mod serve;
pub mod tls;
mod trace;

pub use caller::{Authenticate, Authenticated, Bearer, From};
pub use extract::{Bytes, IdempotencyKey, Path, Query, body_limit};
pub use json::Json;
pub use manners::{Guard, Manners, Served};
pub use problem::{Document, Outcome, Problem};
pub use reply::{
    API_KEY, IDEMPOTENCY_KEY, RECEIPT, Recorded, TRACEPARENT, TRACERESPONSE, created, listing, paging,
};
pub use serve::{Event, Limits, Peer, Secured, Terms, Transport, serve};
pub use trace::{Trace, belongs_to};
