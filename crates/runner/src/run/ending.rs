//! How a run ended, in the words of the protocol.

use std::collections::BTreeMap;

use serde_json::Value;
use writ_kernel::Error;
use writ_redact::{Redactor, json};
use writ_wire::{
    connections::PreflightCheck,
    deployments::{Mode, Outcome},
    runner::StateMark,
};

use super::control::Why;
use crate::tool::{StepOutcome, Verdict};

/// How a run ended.
pub(super) struct Ending {
    /// Whether the tool did what it was to do.
    pub(super) succeeded: bool,
    /// What is told about it.
    pub(super) outcome: Outcome,
    /// The state after it, when it is known.
    pub(super) state: Option<StateMark>,
    /// What a validation has found out.
    pub(super) report: Vec<PreflightCheck>,
}

impl Ending {
    /// It did what it was to do.
    pub(super) fn good(code: &str, detail: impl Into<String>) -> Self {
        Self { succeeded: true, ..Self::bad(code, detail, None) }
    }

    /// It did not.
    pub(super) fn bad(code: &str, detail: impl Into<String>, hint: Option<&str>) -> Self {
        let (code, hint) = (code.to_owned(), hint.map(str::to_owned));
        let outcome = Outcome { code, detail: detail.into(), hint, outputs: BTreeMap::new() };
        Self { succeeded: false, outcome, state: None, report: Vec::new() }
    }

    /// It failed before, between or after the steps of the tool.
    pub(super) fn of(error: &Error) -> Self {
        Self::bad(error.code(), error.public(), error.advice())
    }

    /// A step of the tool failed; `because` is the redacted first error it spoke of.
    pub(super) fn of_step(outcome: &StepOutcome, because: Option<String>) -> Self {
        let error = outcome.error();
        let failed = format!("{}_failed", outcome.step.replace('-', "_"));
        let code = match error.code() {
            "tool_timeout" => "timed_out",
            "tool_failed" => &failed,
            other => other,
        };
        let detail = match because {
            Some(because) => format!("{}: {because}", error.public()),
            None => error.public().to_owned(),
        };
        Self::bad(code, detail, error.advice())
    }

    /// An apply has ended.
    pub(super) fn of_apply(
        mode: Mode,
        outcome: &StepOutcome,
        verdict: Verdict,
        because: Option<String>,
    ) -> Self {
        if verdict == Verdict::Done {
            return match mode {
                Mode::Destroy => Self::good("destroyed", "everything in the state was removed"),
                Mode::Plan | Mode::Apply => Self::good("applied", "the plan was carried out"),
            };
        }
        let mut ending = Self::of_step(outcome, because);
        let (left, hint) = match verdict {
            Verdict::Done | Verdict::Untouched => ("nothing was changed", None),
            Verdict::Partial => (
                "a part of the plan was carried out, and the state knows which",
                Some("deploy again to go on"),
            ),
            Verdict::Unknown => (
                "nobody knows how far the plan was carried out",
                Some("plan again to compare the state with reality"),
            ),
        };
        ending.outcome.detail = format!("{}; {left}", ending.outcome.detail);
        ending.outcome.hint = hint.map(str::to_owned).or(ending.outcome.hint);
        ending
    }

    /// The same, when the run was stopped for `why` before it had done its work.
    pub(super) fn stopped(mut self, why: Option<Why>) -> Self {
        if self.succeeded {
            return self;
        }
        let (code, detail) = match why {
            None => return self,
            Some(Why::Cancelled) => ("cancelled", "the run was cancelled"),
            Some(Why::Interrupted) => ("interrupted", "the machine of the runner told it to end"),
            Some(Why::Over) => ("run_over", "the control plane knows the run no more"),
        };
        // What an apply left behind stays told.
        let left =
            self.outcome.detail.split_once("; ").map(|(_, left)| format!("; {left}")).unwrap_or_default();
        self.outcome.detail = format!("{detail}{left}");
        code.clone_into(&mut self.outcome.code);
        self
    }
}

/// The outputs of a `state` document as it is kept (format 4) that are not sensitive, redacted.
pub(super) fn outputs(state: &Value, redactor: &mut Redactor) -> BTreeMap<String, Value> {
    let all = state.get("outputs").and_then(Value::as_object).into_iter().flatten();
    let open = all.filter(|(_, output)| {
        output.get("sensitive").is_none_or(|sensitive| *sensitive == Value::Bool(false))
    });
    open.map(|(name, output)| {
        // By its name, too, a value can be a secret.
        let mut named = serde_json::json!({ name: output.get("value") });
        json::redact(&mut named, redactor);
        let value = named.as_object_mut().and_then(|named| named.values_mut().next().map(Value::take));
        (redactor.text(name), value.unwrap_or(Value::Null))
    })
    .collect()
}
