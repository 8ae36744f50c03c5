//! The runner and its launcher as one program, as they are in the product: for the tests of whole runs.

use std::{process::ExitCode, sync::Arc};

use writ_crypto::Entropy;
use writ_kernel::{SystemClock, World};

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|arg| arg == "__exec") {
        return writ_runner::sandbox::launcher_main(args);
    }
    writ_runner::run::runner_main(
        std::io::stdin().lock(),
        World::new(Arc::new(SystemClock), Arc::new(Entropy::os())),
    )
}
