//! JSON documents whose secrets are marked by a mask of the same shape, or not marked at all.

use serde_json::Value;

use crate::{
    Redactor, Values,
    detect::{ASSIGNMENT, is_secret_field},
};

/// What stands for a value that a mask covers.
pub const MASKED: &str = "[REDACTED:sensitive]";

/// Replaces by [`MASKED`] whatever `mask` covers: `true` covers all that is below it, objects and arrays of the
/// mask are followed by name and index, anything else covers nothing.
pub fn mask_json(value: &mut Value, mask: &Value) {
    match (value, mask) {
        (value, Value::Bool(true)) => *value = Value::from(MASKED),
        (Value::Object(members), Value::Object(masks)) => {
            for (name, mask) in masks {
                if let Some(member) = members.get_mut(name) {
                    mask_json(member, mask);
                }
            }
        }
        (Value::Array(items), Value::Array(masks)) => {
            items.iter_mut().zip(masks).for_each(|(item, mask)| mask_json(item, mask));
        }
        _ => {}
    }
}

/// Adds to `values` the texts and numbers that `mask` covers; see [`mask_json`].
pub fn collect_sensitive(value: &Value, mask: &Value, values: &mut Values) {
    match (value, mask) {
        (value, Value::Bool(true)) => collect(value, values),
        (Value::Object(members), Value::Object(masks)) => {
            for (name, mask) in masks {
                if let Some(member) = members.get(name) {
                    collect_sensitive(member, mask, values);
                }
            }
        }
        (Value::Array(items), Value::Array(masks)) => {
            items.iter().zip(masks).for_each(|(item, mask)| collect_sensitive(item, mask, values));
        }
        _ => {}
    }
}

/// Redacts all texts of a document, names of members too. A member whose name says that it is secret is replaced
/// whole if it is a text.
pub fn redact(value: &mut Value, redactor: &mut Redactor) {
    match value {
        Value::String(text) => *text = redactor.text(text),
        Value::Array(items) => items.iter_mut().for_each(|item| redact(item, redactor)),
        Value::Object(members) => {
            for (name, mut member) in std::mem::take(members) {
                match &mut member {
                    Value::String(text) => *text = redact_member(&name, text, redactor),
                    member => redact(member, redactor),
                }
                members.insert(redactor.text(&name), member);
            }
        }
        Value::Number(number) => {
            let text = number.to_string();
            let redacted = redactor.text(&text);
            if redacted != text {
                *value = Value::from(redacted);
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

fn redact_member(name: &str, text: &str, redactor: &mut Redactor) -> String {
    let redacted = redactor.text(text);
    if redacted == text && is_secret_field(name, text) { redactor.label(ASSIGNMENT) } else { redacted }
}

/// A value too small or common to be looked for stays masked by its path.
fn collect(value: &Value, values: &mut Values) {
    let mut add = |text: &str| {
        let _taken = values.add("sensitive", text.as_bytes());
    };
    match value {
        Value::String(text) => add(text),
        Value::Number(number) => add(&number.to_string()),
        Value::Array(items) => items.iter().for_each(|item| collect(item, values)),
        Value::Object(members) => members.values().for_each(|member| collect(member, values)),
        Value::Null | Value::Bool(_) => {}
    }
}
