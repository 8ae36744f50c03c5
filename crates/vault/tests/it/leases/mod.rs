//! Credentials made on demand, lent, renewed and ended, and what consumers are told of it.

mod databases;
mod hook;
mod others;
mod rotation;
mod stage;
