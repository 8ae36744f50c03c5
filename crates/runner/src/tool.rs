//! OpenTofu and Terraform: found, checked, driven step by step in a sandbox, and believed only as far as
//! their machine-readable words, the state and the way they ended agree.
//!
//! Output passes through unredacted: what [`Watch::sink`] receives, and what an outcome quotes, must go
//! through the redactor before it leaves the runner.

mod drive;
mod events;
mod find;
mod lock;
mod outcome;
mod plan;
mod supervise;

pub use drive::{Drive, PlanMode, Setting};
pub use events::{Diagnostic, Severity, Summary};
pub use find::{Flavour, Preference, Tool, Version};
pub use lock::LockHeld;
pub use outcome::{StateFacts, StepOutcome, Verdict};
pub use plan::{PlanChanges, PlanDocument, PlanFile};
pub use supervise::{Bounds, Chunk, Stop, Stream, Watch};
