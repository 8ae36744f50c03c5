//! The outbox: events are written in the transaction of what they tell of, and told afterwards.

mod courier;
mod http;
mod outbox;
mod sql;

pub use courier::Courier;
pub use http::routes;
pub use outbox::{Events, NewEvent, emit};
pub use writ_targets::webhook::Reach;
