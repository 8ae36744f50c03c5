#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod ask;
mod auth;
mod body;
mod dialect;
mod dispatch;
mod duration;
mod engines;
mod entity;
mod entries;
mod fault;
mod http;
mod identity;
mod kept;
mod mounts;
mod outside;
mod path;
mod place;
mod policy;
mod reply;
mod sql;
mod sys;
mod tokens;
mod view;
mod wrap;

pub use dialect::{Dialect, Terms};
pub use http::routes;
