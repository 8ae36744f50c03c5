//! How a step went: never from the exit code alone.

use serde::{Deserialize, Serialize};
use writ_kernel::{Error, Kind};

use super::{Diagnostic, LockHeld, Stop, Summary};
use crate::sandbox::{Exit, Isolation};

/// Everything known about how a step went. Diagnostics are not redacted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepOutcome {
    /// The step, as the tool calls it.
    pub step: &'static str,
    /// How the tool ended.
    pub exit: Exit,
    /// Why it was stopped, when it was.
    pub stopped: Option<Stop>,
    /// What it said about failures and warnings, the first hundred.
    pub diagnostics: Vec<Diagnostic>,
    /// How many errors it spoke of.
    pub errors: u64,
    /// What it says it planned or did.
    pub summary: Option<Summary>,
    /// Resources it began to change.
    pub started: u64,
    /// Resources it finished changing.
    pub completed: u64,
    /// Who holds the state lock, when it failed for that.
    pub lock: Option<LockHeld>,
    /// Output was lost because nobody took it in time.
    pub truncated: bool,
    /// The walls around the tool.
    pub isolation: Isolation,
}

impl StepOutcome {
    /// It ended by itself, with code 0, and spoke of no error.
    pub fn succeeded(&self) -> bool {
        self.exit.clean() && self.stopped.is_none() && self.errors == 0
    }

    /// The failure as an error that quotes nothing of the tool's output.
    pub fn error(&self) -> Error {
        let step = self.step;
        match (&self.lock, self.stopped) {
            (Some(_), _) => Error::conflict("state_locked", "the state is locked by another run")
                .hint("the output names the lock and its holder: wait, or see `writ state unlock` if nobody is there"),
            (_, Some(Stop::TimedOut)) => {
                Error::timeout("tool_timeout", format!("`{step}` took longer than allowed"))
                    .hint("allow it more time, or split the configuration")
            }
            (_, Some(Stop::Cancelled)) => Error::conflict("cancelled", format!("`{step}` was cancelled")),
            (_, Some(Stop::OutputLimit)) => {
                Error::new(Kind::TooLarge, "output_limit", format!("`{step}` printed more than allowed"))
                    .hint("look for a provisioner or provider that floods its output")
            }
            (None, None) => Error::invalid("tool_failed", format!("`{step}` failed"))
                .hint("read the step's log")
                .context(format!("exit {:?}, {} errors", self.exit, self.errors)),
        }
    }

    /// What an apply has come to, seen together with the state before and after it; `None` where the state
    /// could not be read.
    pub fn verdict(&self, before: Option<&StateFacts>, after: Option<&StateFacts>) -> Verdict {
        let told = self.summary.as_ref().is_some_and(|summary| summary.operation != "plan");
        if self.succeeded() && told {
            return Verdict::Done;
        }
        let moved = match (before, after) {
            (Some(before), Some(after)) => before != after,
            _ => return Verdict::Unknown,
        };
        let by_itself = self.exit.code.is_some();
        match (moved, by_itself, self.started) {
            (false, _, 0) => Verdict::Untouched,
            (true | false, true, _) => Verdict::Partial,
            // Killed while it worked: what it did last is in no state.
            (_, false, _) => Verdict::Unknown,
        }
    }
}

/// What an apply has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// All of the plan was carried out, and the state says so.
    Done,
    /// It failed before it began to change anything.
    Untouched,
    /// It failed on the way; the state knows what was done.
    Partial,
    /// Nobody knows: the tool was killed at work, or the state cannot be read. Compare with reality.
    Unknown,
}

/// What identifies a version of a state, without anything of its contents.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StateFacts {
    /// The identity of the state over its versions; `None` when there is no state yet.
    pub lineage: Option<String>,
    /// Counts its versions.
    pub serial: u64,
    /// SHA-256 of the state document, in lower-case hexadecimal; of nothing when there is no state yet.
    pub sha256: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome() -> StepOutcome {
        StepOutcome {
            step: "apply",
            exit: Exit { code: Some(0), signal: None },
            stopped: None,
            diagnostics: Vec::new(),
            errors: 0,
            summary: Some(Summary { operation: "apply".into(), add: 1, change: 0, remove: 0, import: 0 }),
            started: 1,
            completed: 1,
            lock: None,
            truncated: false,
            isolation: Isolation::default(),
        }
    }

    fn state(serial: u64) -> StateFacts {
        StateFacts { lineage: Some("l".into()), serial, sha256: serial.to_string() }
    }

    #[test]
    fn code_zero_alone_is_no_success() {
        let silent = StepOutcome { summary: None, ..outcome() };
        assert_eq!(silent.verdict(None, None), Verdict::Unknown);
        let contradicted = StepOutcome { errors: 1, ..outcome() };
        assert_eq!(contradicted.verdict(Some(&state(1)), Some(&state(2))), Verdict::Partial);
        assert_eq!(outcome().verdict(None, None), Verdict::Done);
    }

    #[test]
    fn a_failure_is_untouched_only_if_nothing_was_begun_and_the_state_stands() {
        let failed = StepOutcome { exit: Exit { code: Some(1), signal: None }, summary: None, ..outcome() };
        let early = StepOutcome { started: 0, completed: 0, ..failed.clone() };
        assert_eq!(early.verdict(Some(&state(1)), Some(&state(1))), Verdict::Untouched);
        assert_eq!(early.verdict(Some(&state(1)), Some(&state(2))), Verdict::Partial);
        assert_eq!(failed.verdict(Some(&state(1)), Some(&state(1))), Verdict::Partial);
        assert_eq!(early.verdict(Some(&state(1)), None), Verdict::Unknown);
    }

    #[test]
    fn a_tool_killed_at_work_leaves_the_unknown() {
        let killed = StepOutcome { exit: Exit { code: None, signal: Some(9) }, summary: None, ..outcome() };
        assert_eq!(killed.verdict(Some(&state(1)), Some(&state(1))), Verdict::Unknown);
        assert_eq!(killed.verdict(Some(&state(1)), Some(&state(2))), Verdict::Unknown);
    }
}
