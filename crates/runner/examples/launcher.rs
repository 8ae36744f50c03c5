//! The launcher as a program of its own, for the tests of the sandbox: they start this where the product
//! starts itself.

fn main() -> std::process::ExitCode {
    writ_runner::sandbox::launcher_main(std::env::args_os().skip(1))
}
