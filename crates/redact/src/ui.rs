//! The machine-readable output of OpenTofu and Terraform (`-json`): one JSON object a line, among plain lines.

use std::time::Duration;

use serde_json::Value;

use crate::{Redactor, json};

/// A line without its secrets, and what it says.
#[derive(Debug, Clone, PartialEq)]
pub struct UiLine {
    /// The redacted line, without a line break.
    pub text: String,
    /// What happened; `None` if the line is not an event.
    pub event: Option<UiEvent>,
}

/// An event of the tool. All texts are redacted.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct UiEvent {
    /// `version`, `planned_change`, `apply_start`, `diagnostic`, …
    pub kind: String,
    /// `info`, `warn` or `error`.
    pub level: String,
    /// For people.
    pub message: String,
    /// The resource it is about.
    pub address: Option<String>,
    /// `create`, `update`, `delete`, `replace`, `read`, …
    pub action: Option<String>,
    /// How long it took so far.
    pub elapsed: Option<Duration>,
    /// What is wrong.
    pub diagnostic: Option<Diagnostic>,
    /// How many resources are or would be changed.
    pub changes: Option<Changes>,
}

/// An error or a warning.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diagnostic {
    /// `error` or `warning`.
    pub severity: String,
    /// One line.
    pub summary: String,
    /// More lines, perhaps none.
    pub detail: String,
    /// The resource it is about.
    pub address: Option<String>,
    /// The file of the configuration and the line in it.
    pub place: Option<(String, u64)>,
}

/// Numbers of resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Changes {
    /// Created.
    pub add: u64,
    /// Updated.
    pub change: u64,
    /// Destroyed.
    pub remove: u64,
    /// Imported.
    pub import: u64,
}

/// Redacts one line of output. In an event the decoded texts are redacted, and source code and sensitive outputs
/// are left out whatever they hold; any other line is plain text.
pub fn redact_ui_line(line: &[u8], redactor: &mut Redactor) -> UiLine {
    match serde_json::from_slice(line.trim_ascii()) {
        Ok(mut event @ Value::Object(_)) => {
            withhold(&mut event);
            json::redact(&mut event, redactor);
            UiLine { text: event.to_string(), event: parse(&event) }
        }
        _ => UiLine {
            text: redactor.text(String::from_utf8_lossy(line).trim_end_matches(['\r', '\n'])),
            event: None,
        },
    }
}

/// A snippet shows source code and the values in it, which no mark tells apart from secrets.
fn withhold(event: &mut Value) {
    if let Some(snippet) = event.pointer_mut("/diagnostic/snippet").and_then(Value::as_object_mut) {
        snippet.insert("code".to_owned(), Value::from("[REDACTED:source]"));
        snippet.remove("values");
    }
    for output in event
        .get_mut("outputs")
        .and_then(Value::as_object_mut)
        .into_iter()
        .flat_map(|outputs| outputs.values_mut())
    {
        let sensitive = output.get("sensitive").is_none_or(|sensitive| *sensitive != Value::Bool(false));
        if let Some(value) = output.get_mut("value").filter(|_| sensitive) {
            *value = Value::from(json::MASKED);
        }
    }
}

fn parse(event: &Value) -> Option<UiEvent> {
    let about = ["/hook", "/change", "/test_run"].iter().find_map(|place| event.pointer(place));
    Some(UiEvent {
        kind: text(event.get("type")?)?,
        level: event.get("@level").and_then(text).unwrap_or_default(),
        message: event.get("@message").and_then(text).unwrap_or_default(),
        address: about.and_then(|about| about.pointer("/resource/addr")).and_then(text),
        action: about.and_then(|about| about.get("action")).and_then(text),
        elapsed: about
            .and_then(|about| about.get("elapsed_seconds")?.as_f64())
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        diagnostic: event.get("diagnostic").map(diagnostic),
        changes: event.get("changes").map(changes),
    })
}

fn diagnostic(diagnostic: &Value) -> Diagnostic {
    let member = |name| diagnostic.get(name).and_then(text);
    let range = diagnostic.get("range");
    let place = range
        .and_then(|range| Some((text(range.get("filename")?)?, range.pointer("/start/line")?.as_u64()?)));
    Diagnostic {
        severity: member("severity").unwrap_or_default(),
        summary: member("summary").unwrap_or_default(),
        detail: member("detail").unwrap_or_default(),
        address: member("address"),
        place,
    }
}

fn changes(changes: &Value) -> Changes {
    let count = |name| changes.get(name).and_then(Value::as_u64).unwrap_or(0);
    Changes { add: count("add"), change: count("change"), remove: count("remove"), import: count("import") }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}
