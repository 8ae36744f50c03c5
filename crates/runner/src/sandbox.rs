//! Programs shut in: started through a launcher that gives up every right first, watched, and killed with
//! everything they started.
//!
//! [`Sandbox::launch`] re-executes the runner's own binary as a launcher ([`launcher_main`]), which makes
//! namespaces, takes an identity of its own, closes files, ports and system calls, sets limits, says what it
//! reached ([`Isolation`]) and becomes the program. It does not limit memory beyond the address space of
//! each process, nor disk beyond the size of each file.

mod account;
mod confine;
mod descendants;
mod files;
mod isolation;
mod launcher;
mod message;
mod process;
mod seccomp;

pub use account::{ACCOUNTS, Account};
pub use isolation::{Isolation, Level, Limits};
pub use launcher::launcher_main;
pub use message::Exit;
pub use process::{Job, Launcher, Process, Sandbox};
