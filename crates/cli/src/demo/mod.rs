//! The demonstration.

use crate::{args::Demo, output::{Failure, Output}};

pub(crate) async fn run(_: Demo, _: Output) -> Result<(), Failure> {
    Err(Failure::usage("not there yet"))
}
