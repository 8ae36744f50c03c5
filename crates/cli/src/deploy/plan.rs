//! Plans, as people read them.

use serde_json::Value;
use writ_wire::deployments::Plan;

/// What a plan would do: a line for each change, and the counts.
pub(crate) fn changes(plan: &Plan) -> String {
    let resources = plan.projection.get("resources").and_then(Value::as_array).into_iter().flatten();
    let outputs = plan.projection.get("outputs").and_then(Value::as_object).into_iter().flatten();
    let mut lines: Vec<String> = resources.filter_map(resource).collect();
    lines.extend(outputs.filter_map(|(name, output)| {
        let symbol = symbol(output)?;
        Some(format!("{symbol:>5} output {name}"))
    }));
    if lines.is_empty() {
        lines.push("      nothing changes".to_owned());
    }
    if plan.projection.get("truncated") == Some(&Value::Bool(true)) {
        lines.push("      … and more: the plan is too long to show whole".to_owned());
    }
    let facts = &plan.facts;
    lines.push(format!(
        "plan: {} to create, {} to change, {} to delete, {} to replace",
        facts.create, facts.update, facts.delete, facts.replace
    ));
    lines.join("\n")
}

/// What an approval of the plan binds.
pub(crate) fn bound(plan: &Plan) -> String {
    let bound = &plan.bound;
    let state = bound.state_lineage.as_ref().map_or_else(
        || "none yet".to_owned(),
        |lineage| format!("lineage {lineage}, serial {}", bound.state_serial),
    );
    let lock = bound.lock_file.as_deref().unwrap_or("none");
    crate::output::details(&[
        ("binding", plan.binding.clone()),
        ("configuration", bound.configuration.clone()),
        ("lock file", lock.to_owned()),
        ("tool", format!("{} {}", bound.tool, bound.tool_version)),
        ("state", state),
    ])
}

fn resource(resource: &Value) -> Option<String> {
    let symbol = symbol(resource)?;
    let address = resource.get("address").and_then(Value::as_str).unwrap_or("?");
    let changed = resource.get("changed").and_then(Value::as_array).into_iter().flatten();
    let changed: Vec<&str> = changed.filter_map(Value::as_str).collect();
    // What is new or gone changes in every attribute.
    if changed.is_empty() || symbol == "+" || symbol == "-" {
        return Some(format!("{symbol:>5} {address}"));
    }
    Some(format!("{symbol:>5} {address} ({})", changed.join(", ")))
}

fn symbol(change: &Value) -> Option<&'static str> {
    let actions = change.get("actions").and_then(Value::as_array)?;
    let actions: Vec<&str> = actions.iter().filter_map(Value::as_str).collect();
    match actions.as_slice() {
        ["create"] => Some("+"),
        ["update"] => Some("~"),
        ["delete"] => Some("-"),
        ["read"] => Some("<="),
        ["forget"] => Some("."),
        ["delete", "create"] => Some("-/+"),
        ["create", "delete"] => Some("+/-"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_change_has_its_line() {
        let projection = json!({
            "resources": [
                { "address": "a.new", "actions": ["create"], "changed": ["x"] },
                { "address": "a.other", "actions": ["update"], "changed": ["tags", "acl"] },
                { "address": "a.again", "actions": ["delete", "create"], "changed": ["name"] },
                { "address": "a.same", "actions": ["no-op"], "changed": [] },
            ],
            "outputs": { "url": { "actions": ["create"] } },
            "truncated": false,
        });
        let plan: Plan = serde_json::from_value(json!({
            "binding": "sha256:00", "facts": { "create": 1, "update": 1, "replace": 1 }, "projection": projection,
            "bound": { "plan": "", "configuration": "", "tool": "opentofu", "toolVersion": "1", "toolDigest": "",
                "runnerDigest": "", "stateSerial": 0 },
        }))
        .unwrap();
        let lines = "    + a.new\n    ~ a.other (tags, acl)\n  -/+ a.again (name)\n    + output url\n\
            plan: 1 to create, 1 to change, 0 to delete, 1 to replace";
        assert_eq!(changes(&plan), lines);
    }
}
