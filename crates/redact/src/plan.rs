//! Plans and states as `show -json` of OpenTofu and Terraform prints them (format 1.x).
//!
//! They hold every secret in clear, so they stay where they are made; what leaves is their [`project`]ion.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::{
    Redactor, Values,
    json::{MASKED, collect_sensitive, mask_json, redact},
};

/// At most so many resource changes are described; all are counted.
const RESOURCES: usize = 2000;
/// The described changes take no more than this, in bytes of JSON.
const SIZE: usize = 2 * 1024 * 1024;
/// Longer texts are cut, in characters.
const TEXT: usize = 2048;
/// What stands for a value that only applying the plan will tell.
const UNKNOWN: &str = "(known after apply)";

/// All values that a plan or state marks as sensitive: in changes of resources and outputs, in planned values and
/// state, and of variables.
pub fn sensitive_values(plan: &Value) -> Values {
    let mut values = Values::new();
    for change in changes(plan) {
        for (value, mask) in [("before", "before_sensitive"), ("after", "after_sensitive")] {
            if let (Some(value), Some(mask)) = (change.get(value), change.get(mask)) {
                collect_sensitive(value, mask, &mut values);
            }
        }
    }
    // A plan has planned values and a prior state; a state is `values` itself.
    for state in
        ["/planned_values", "/prior_state/values", "/values"].iter().filter_map(|place| plan.pointer(place))
    {
        for output in members(state.get("outputs"))
            .filter(|(_, output)| output.get("sensitive") == Some(&Value::Bool(true)))
        {
            collect_sensitive(output.1.get("value").unwrap_or(&Value::Null), &Value::Bool(true), &mut values);
        }
        collect_module(state.get("root_module"), &mut values);
    }
    for (_, variable) in members(plan.get("variables")).filter(|(name, _)| is_sensitive_variable(plan, name))
    {
        collect_sensitive(variable.get("value").unwrap_or(&Value::Null), &Value::Bool(true), &mut values);
    }
    for (_, variable) in members(plan.pointer("/configuration/root_module/variables")) {
        let sensitive = variable.get("sensitive").unwrap_or(&Value::Null);
        collect_sensitive(variable.get("default").unwrap_or(&Value::Null), sensitive, &mut values);
    }
    values
}

/// What may be shown of a plan: what changes where, without what is sensitive or a secret, and of bounded size.
///
/// ```json
/// {"toolVersion": "1.11.4", "counts": {"create": 1, "update": 0, "delete": 0, "replace": 0, "read": 0, "noop": 0},
///  "resources": [{"address": "…", "type": "…", "provider": "…", "mode": "managed", "actions": ["create"],
///                 "changed": ["…"], "before": null, "after": {}}],
///  "drift": [], "outputs": {"name": {"actions": ["create"], "sensitive": true, "after": "[REDACTED:sensitive]"}},
///  "types": [], "providers": [], "regions": [], "images": [], "truncated": false}
/// ```
pub fn project(plan: &Value, redactor: &mut Redactor) -> Value {
    let mut counts = Counts::default();
    let mut seen = Seen::default();
    let mut truncated = false;
    let mut room = SIZE;
    let mut resources = Vec::new();
    for change in list(plan.get("resource_changes")) {
        counts.add(change);
        let described = resource(change, redactor);
        seen.add(change, described.get("after").unwrap_or(&Value::Null));
        let size = described.to_string().len();
        if resources.len() < RESOURCES && size <= room && !is_noop(change) {
            room -= size;
            resources.push(described);
        } else {
            truncated |= !is_noop(change);
        }
    }
    let drift: Vec<Value> =
        list(plan.get("resource_drift")).map(|change| brief(change, redactor)).take(RESOURCES).collect();
    for (_, provider) in members(plan.pointer("/configuration/provider_config")) {
        seen.add_provider(provider);
    }
    let outputs = outputs(plan, redactor, &mut room);
    json!({
        "toolVersion": plan.get("terraform_version"),
        "counts": counts.json(),
        "resources": resources,
        "drift": drift,
        "outputs": outputs,
        "types": seen.types,
        "providers": seen.providers,
        "regions": seen.regions,
        "images": seen.images,
        "truncated": truncated,
    })
}

/// How many resources are changed in which way.
#[derive(Debug, Default)]
struct Counts {
    create: u64,
    update: u64,
    delete: u64,
    replace: u64,
    read: u64,
    noop: u64,
}

impl Counts {
    fn add(&mut self, change: &Value) {
        let actions: Vec<&str> = actions(change).filter_map(Value::as_str).collect();
        match actions.as_slice() {
            ["create"] => self.create += 1,
            ["update"] => self.update += 1,
            ["delete"] => self.delete += 1,
            ["read"] => self.read += 1,
            ["delete", "create"] | ["create", "delete"] => self.replace += 1,
            _ => self.noop += 1,
        }
    }

    fn json(&self) -> Value {
        let Self { create, update, delete, replace, read, noop } = self;
        json!({"create": create, "update": update, "delete": delete, "replace": replace, "read": read, "noop": noop})
    }
}

/// What a policy asks about as a whole.
#[derive(Debug, Default)]
struct Seen {
    types: BTreeSet<String>,
    providers: BTreeSet<String>,
    regions: BTreeSet<String>,
    images: BTreeSet<String>,
}

impl Seen {
    fn add(&mut self, change: &Value, after: &Value) {
        self.types.extend(text(change.get("type")));
        self.providers.extend(text(change.get("provider_name")));
        self.walk("", after);
    }

    /// Regions given to a provider as constants.
    fn add_provider(&mut self, provider: &Value) {
        for name in ["region", "location"] {
            self.regions.extend(text(provider.pointer(&format!("/expressions/{name}/constant_value"))));
        }
    }

    fn walk(&mut self, name: &str, value: &Value) {
        match value {
            Value::Object(members) => members.iter().for_each(|(name, member)| self.walk(name, member)),
            Value::Array(items) => items.iter().for_each(|item| self.walk(name, item)),
            Value::String(text) if text.starts_with(['{', '[']) && !text.starts_with("[REDACTED") => {
                // Container definitions are often JSON within a text.
                if let Ok(nested @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str(text) {
                    self.walk(name, &nested);
                }
            }
            Value::String(text) if text.is_empty() || text.starts_with("[REDACTED") || text == UNKNOWN => {}
            Value::String(text) => match name {
                "region" | "location" | "aws_region" => drop(self.regions.insert(text.clone())),
                "image" | "image_uri" | "image_name" | "container_image" | "docker_image" => {
                    self.images.insert(text.clone());
                }
                _ if text.contains("@sha256:") => drop(self.images.insert(text.clone())),
                _ => {}
            },
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

/// Address, type, provider, actions and changed attributes with the values that may be shown.
fn resource(change: &Value, redactor: &mut Redactor) -> Value {
    let mut described = brief(change, redactor);
    let inner = change.get("change").unwrap_or(&Value::Null);
    let before = shown(inner, "before", redactor);
    let mut after = shown(inner, "after", redactor);
    fill_unknown(&mut after, inner.get("after_unknown").unwrap_or(&Value::Null));
    if let Some(described) = described.as_object_mut() {
        described.insert("before".to_owned(), before);
        described.insert("after".to_owned(), after);
    }
    described
}

fn brief(change: &Value, redactor: &mut Redactor) -> Value {
    let inner = change.get("change").unwrap_or(&Value::Null);
    let mut described = json!({
        "address": change.get("address"),
        "type": change.get("type"),
        "provider": change.get("provider_name"),
        "mode": change.get("mode"),
        "actions": inner.get("actions"),
        "reason": change.get("action_reason"),
        "changed": changed(inner),
    });
    redact(&mut described, redactor);
    described
}

/// One side of a change, masked, redacted and cut.
fn shown(change: &Value, side: &str, redactor: &mut Redactor) -> Value {
    let mut value = change.get(side).cloned().unwrap_or(Value::Null);
    if !value.is_null() {
        mask_json(&mut value, change.get(format!("{side}_sensitive")).unwrap_or(&Value::Null));
    }
    redact(&mut value, redactor);
    cut(&mut value);
    value
}

/// The names of the attributes that differ, at the top level.
fn changed(change: &Value) -> Vec<String> {
    let side = |name| change.get(name).and_then(Value::as_object);
    let (before, after, unknown) = (side("before"), side("after"), side("after_unknown"));
    let names: BTreeSet<&String> =
        [before, after, unknown].into_iter().flatten().flat_map(Map::keys).collect();
    let get = |side: Option<&Map<String, Value>>, name: &String| {
        side.and_then(|side| side.get(name)).cloned().unwrap_or(Value::Null)
    };
    let differs = |name: &&String| get(before, name) != get(after, name) || has_true(&get(unknown, name));
    names.into_iter().filter(differs).cloned().collect()
}

fn has_true(mask: &Value) -> bool {
    match mask {
        Value::Bool(set) => *set,
        Value::Array(items) => items.iter().any(has_true),
        Value::Object(members) => members.values().any(has_true),
        _ => false,
    }
}

fn fill_unknown(value: &mut Value, unknown: &Value) {
    match (value, unknown) {
        (value @ Value::Null, Value::Bool(true)) => *value = Value::from(UNKNOWN),
        (Value::Object(members), Value::Object(unknowns)) => {
            for (name, unknown) in unknowns.iter().filter(|(_, unknown)| has_true(unknown)) {
                fill_unknown(members.entry(name.clone()).or_insert(Value::Null), unknown);
            }
        }
        (Value::Array(items), Value::Array(unknowns)) => {
            items.iter_mut().zip(unknowns).for_each(|(item, unknown)| fill_unknown(item, unknown));
        }
        _ => {}
    }
}

fn cut(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Some((end, _)) = text.char_indices().nth(TEXT) {
                text.truncate(end);
                text.push('…');
            }
        }
        Value::Array(items) => items.iter_mut().for_each(cut),
        Value::Object(members) => members.values_mut().for_each(cut),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn outputs(plan: &Value, redactor: &mut Redactor, room: &mut usize) -> Value {
    let mut outputs = Map::new();
    for (name, change) in members(plan.get("output_changes")) {
        let sensitive =
            ["before_sensitive", "after_sensitive"].iter().any(|mask| change.get(mask).is_some_and(has_true));
        let mut described = json!({
            "actions": change.get("actions"),
            "sensitive": sensitive,
            "before": named(name, &shown(change, "before", redactor), redactor),
            "after": named(name, &shown(change, "after", redactor), redactor),
        });
        if let Some(after) = described.get_mut("after") {
            fill_unknown(after, change.get("after_unknown").unwrap_or(&Value::Null));
        }
        let size = described.to_string().len();
        if size > *room {
            described = json!({"actions": change.get("actions"), "sensitive": sensitive, "after": MASKED});
        }
        *room = room.saturating_sub(size);
        outputs.insert(redactor.text(name), described);
    }
    Value::Object(outputs)
}

/// The value of an output, redacted as what its name says it is.
fn named(name: &str, value: &Value, redactor: &mut Redactor) -> Value {
    let mut member = json!({ name: value });
    redact(&mut member, redactor);
    // The name may have been redacted, too.
    member
        .as_object_mut()
        .and_then(|members| members.values_mut().next().map(Value::take))
        .unwrap_or_default()
}

fn collect_module(module: Option<&Value>, values: &mut Values) {
    let Some(module) = module else { return };
    for resource in list(module.get("resources")) {
        if let (Some(value), Some(mask)) = (resource.get("values"), resource.get("sensitive_values")) {
            collect_sensitive(value, mask, values);
        }
    }
    list(module.get("child_modules")).for_each(|child| collect_module(Some(child), values));
}

fn is_sensitive_variable(plan: &Value, name: &str) -> bool {
    let declared =
        plan.pointer("/configuration/root_module/variables").and_then(|variables| variables.get(name));
    declared.and_then(|declared| declared.get("sensitive")) == Some(&Value::Bool(true))
}

/// The changes of resources, drift and outputs.
fn changes(plan: &Value) -> impl Iterator<Item = &Value> {
    let resources = ["resource_changes", "resource_drift"].into_iter().flat_map(|name| list(plan.get(name)));
    resources
        .filter_map(|change| change.get("change"))
        .chain(members(plan.get("output_changes")).map(|(_, change)| change))
}

fn is_noop(change: &Value) -> bool {
    actions(change).all(|action| action == "no-op")
}

fn actions(change: &Value) -> impl Iterator<Item = &Value> {
    list(change.pointer("/change/actions"))
}

fn list(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

fn members(value: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    value.and_then(Value::as_object).into_iter().flatten()
}

fn text(value: Option<&Value>) -> Option<String> {
    value.and_then(Value::as_str).map(str::to_owned)
}
