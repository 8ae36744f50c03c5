//! Giving values away: links that are counted and expire, and wrapping tokens that open once.

pub(crate) mod links;
pub(crate) mod model;
mod password;
mod sql;
pub(crate) mod wrapping;
