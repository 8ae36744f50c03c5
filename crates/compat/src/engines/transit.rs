//! Nothing here answers yet.

use crate::{
    ask::Ask,
    dialect::Dialect,
    fault::{Answer, Fault},
};

/// Answers for the engine.
#[expect(clippy::unused_async, reason = "every engine has this form")]
pub(crate) async fn handle(_dialect: &Dialect, _ask: &Ask) -> Answer {
    Err(Fault::unsupported_path())
}
