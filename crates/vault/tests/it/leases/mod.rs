//! Credentials made on demand at a real PostgreSQL server, lent, renewed and ended.

mod databases;
mod stage;
