//! One whole life of a runner: from the one-time token on its standard input to the end it reports.
//!
//! ```text
//! read, harden ─ claim ─ check the configuration ─ isolate ─ borrow ─ init, plan ─ submit ─ apply, if permitted ─ wipe ─ finish
//!                    └── heartbeats, output and events, all the while ──────────────────────────────────────────────────┘
//! ```
//!
//! A run that is no deployment but an errand (`errand`) tries a connection or releases a lock instead, by the same
//! means, and has no output.
//!
//! Everything the tool says goes through the run's redactor before it leaves (`voice`); plans and states never
//! leave, only what [`binding`] and [`facts`] make of them. Reports are numbered and repeated until the control
//! plane has taken them (`uploader`), and the tool waits while they cannot be delivered.

pub mod backend;
pub mod binding;
mod bootstrap;
mod borrowing;
mod control;
pub mod declared;
mod ending;
mod errand;
pub mod facts;
mod life;
mod speech;
mod steps;
mod uploader;
mod voice;

use std::{
    io::{Read, Write as _},
    process::ExitCode,
};

use rustix::process::{DumpableBehavior, Resource, Rlimit};
use serde_json::json;
use writ_kernel::{Error, Result, World};

pub use bootstrap::{AwsEndpoints, Bootstrap, GateKnobs};
pub use life::live;

use crate::{sandbox::Launcher, workspace::PrivateMounts};

/// What the product's hidden command `writ runner` does: reads its [`Bootstrap`] from `input` and lives one run.
/// Must be called before the process has made a second thread.
///
/// The code is 0 when the end of the run, whatever it was, reached the control plane. Only a start that fails is
/// told otherwise, as one line of JSON on standard error.
pub fn runner_main(input: impl Read, world: World) -> ExitCode {
    match begin(input, world) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let line = json!({ "error": error.code(), "detail": error.public(), "hint": error.advice() });
            // With standard error closed there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "{line}");
            ExitCode::FAILURE
        }
    }
}

fn begin(input: impl Read, world: World) -> Result<()> {
    harden()?;
    let bootstrap = Bootstrap::read(input)?;
    let mounts = PrivateMounts::enter();
    // The product's own binary is the launcher, by its hidden command.
    let launcher = Launcher { program: "/proc/self/exe".into(), args: vec!["__exec".to_owned()] };
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Error::internal("start the runtime").because(error))?
        .block_on(live(bootstrap, mounts, launcher, world))
}

/// Makes this process harder to look into: no core files, no reading of its memory by others of the same user, and
/// orphans of the tool come to it.
fn harden() -> Result<()> {
    let failed = |error: rustix::io::Errno| Error::internal("harden the process").because(error);
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(failed)?;
    rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })
        .map_err(failed)?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).map_err(failed)
}
