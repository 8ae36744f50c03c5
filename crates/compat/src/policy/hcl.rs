//! From HCL to the one tree that both spellings of a policy become.

use hcl_edit::{
    expr::{Expression, ObjectKey},
    parser,
    structure::{Body, Structure},
};
use serde_json::{Map, Value, json};

/// The members of a text in HCL. A block `path "x" { … }` becomes an item `{"x": { … }}` of the list `path`.
///
/// # Errors
/// Where it is not HCL, and why.
pub(super) fn parse(text: &str) -> Result<Map<String, Value>, String> {
    let body = parser::parse_body(text).map_err(|error| {
        format!("error parsing policy in line {}: {}", error.location().line(), error.message())
    })?;
    members(&body)
}

fn members(body: &Body) -> Result<Map<String, Value>, String> {
    let mut members = Map::new();
    for structure in body {
        match structure {
            Structure::Attribute(attribute) => {
                members.insert(attribute.key.as_str().to_owned(), value(&attribute.value)?);
            }
            Structure::Block(block) => {
                let inner = Value::Object(self::members(&block.body)?);
                let labels = block.labels.iter().rev();
                let item = labels.fold(inner, |inner, label| json!({ label.as_str(): inner }));
                let list = members.entry(block.ident.as_str()).or_insert_with(|| json!([]));
                match list.as_array_mut() {
                    Some(list) => list.push(item),
                    None => return Err(format!("`{}` is there twice", block.ident.as_str().escape_debug())),
                }
            }
        }
    }
    Ok(members)
}

fn value(expression: &Expression) -> Result<Value, String> {
    Ok(match expression {
        Expression::Null(_) => Value::Null,
        Expression::Bool(value) => Value::Bool(*value.value()),
        Expression::Number(number) => json!(number.value().as_f64()),
        Expression::String(text) => json!(text.value().as_str()),
        Expression::HeredocTemplate(text) => json!(text.template.to_string()),
        Expression::Array(items) => items.iter().map(value).collect::<Result<_, _>>()?,
        Expression::Object(object) => {
            let member = |(key, item): (&ObjectKey, &hcl_edit::expr::ObjectValue)| {
                let name = match key {
                    ObjectKey::Ident(name) => Some(name.as_str()),
                    ObjectKey::Expression(name) => name.as_str(),
                };
                let name = name.ok_or_else(|| "the name of a member is a string".to_owned())?;
                Ok((name.to_owned(), value(item.expr())?))
            };
            Value::Object(object.iter().map(member).collect::<Result<_, String>>()?)
        }
        _ => {
            return Err(
                "a policy has strings, numbers, booleans, lists and maps, and nothing to compute".to_owned()
            );
        }
    })
}
