//! What the tool's machine-readable output says to people.

use serde_json::Value;

/// The text for people of one line of output, not redacted. Source code and the values of outputs, which events
/// carry too, are left out; a line that is no event is itself.
pub(super) fn spoken(line: &[u8]) -> String {
    let event = serde_json::from_slice::<Value>(line.trim_ascii()).ok();
    match event.filter(|event| event.get("type").is_some_and(Value::is_string)) {
        Some(event) => of_event(&event),
        None => String::from_utf8_lossy(line).trim_end_matches(['\r', '\n']).to_owned(),
    }
}

fn of_event(event: &Value) -> String {
    let Some(diagnostic) = event.get("diagnostic") else {
        return text(event, "/@message").to_owned();
    };
    let severity = match text(diagnostic, "/severity") {
        "error" => "Error",
        "warning" => "Warning",
        other => other,
    };
    let mut lines = vec![format!("{severity}: {}", text(diagnostic, "/summary"))];
    let (address, file) = (text(diagnostic, "/address"), text(diagnostic, "/range/filename"));
    if !address.is_empty() {
        lines.push(format!("with {address}"));
    }
    if let Some(line) =
        diagnostic.pointer("/range/start/line").and_then(Value::as_u64).filter(|_| !file.is_empty())
    {
        lines.push(format!("on {file} line {line}"));
    }
    lines.extend(text(diagnostic, "/detail").lines().map(str::to_owned));
    lines.join("\n  ")
}

fn text<'a>(event: &'a Value, at: &str) -> &'a str {
    event.pointer(at).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_says_its_message_and_nothing_else() {
        let line = br#"{"@level":"info","@message":"Outputs: 1","type":"outputs","outputs":{"x":{"value":"hunter22"}}}"#;
        assert_eq!(spoken(line), "Outputs: 1");
    }

    #[test]
    fn a_diagnostic_says_where_and_why_without_source_code() {
        let line =
            br#"{"@message":"Error: No","type":"diagnostic","diagnostic":{"severity":"error","summary":"No",
            "detail":"first\nsecond","address":"a.b","range":{"filename":"main.tf","start":{"line":3}},
            "snippet":{"code":"password = \"hunter22\""}}}"#;
        assert_eq!(spoken(line), "Error: No\n  with a.b\n  on main.tf line 3\n  first\n  second");
    }

    #[test]
    fn other_lines_are_themselves() {
        assert_eq!(spoken(b"Acquiring state lock.\r\n"), "Acquiring state lock.");
        assert_eq!(spoken(b"{\"a\": 1}\n"), "{\"a\": 1}");
    }
}
