//! Secrets that a configuration declares itself: values of input variables marked `sensitive` or `ephemeral`.
//!
//! A plan tells sensitive values too, but a plan that fails tells nothing, and no plan tells what is ephemeral.

use std::{collections::BTreeMap, fs, path::Path};

use hcl_edit::{
    expr::Expression,
    parser,
    structure::{Block, Body},
    template::{Element, Template},
};
use serde_json::Value;
use writ_redact::{Values, json::collect_sensitive};

/// The secrets among the defaults in the configuration at `root`, in the files of values beside it, and among the
/// `given` values. What cannot be parsed is passed over: the tool will refuse it.
pub fn secrets(root: &Path, given: &BTreeMap<String, Value>) -> Values {
    let mut found = Found { names: Vec::new(), values: Values::new() };
    let files = texts(root);
    for (name, text) in &files {
        if [".tf", ".tofu"].iter().any(|end| name.ends_with(end)) {
            parser::parse_body(text)
                .iter()
                .flat_map(|body| body.get_blocks("variable"))
                .for_each(|block| found.declare(block));
        } else if [".tf.json", ".tofu.json"].iter().any(|end| name.ends_with(end)) {
            let document: Value = serde_json::from_str(text).unwrap_or_default();
            found.declare_json(document.get("variable").unwrap_or(&Value::Null));
        }
    }
    for (name, text) in &files {
        if name == "terraform.tfvars" || name.ends_with(".auto.tfvars") {
            if let Ok(values) = parser::parse_body(text) {
                found.assign(&values);
            }
        } else if name == "terraform.tfvars.json" || name.ends_with(".auto.tfvars.json") {
            let document: Value = serde_json::from_str(text).unwrap_or_default();
            document
                .as_object()
                .into_iter()
                .flatten()
                .for_each(|(name, value)| found.assign_json(name, value));
        }
    }
    for (name, value) in given {
        found.assign_json(name, value);
    }
    found.values
}

struct Found {
    names: Vec<String>,
    values: Values,
}

impl Found {
    fn declare(&mut self, variable: &Block) {
        let marked =
            |name| variable.body.get_attribute(name).and_then(|mark| mark.value.as_bool()).unwrap_or(false);
        if !marked("sensitive") && !marked("ephemeral") {
            return;
        }
        self.names.extend(variable.labels.first().map(|label| label.as_str().to_owned()));
        if let Some(default) = variable.body.get_attribute("default") {
            self.take(&default.value);
        }
    }

    fn declare_json(&mut self, variables: &Value) {
        for (name, variable) in variables.as_object().into_iter().flatten() {
            let marked = |mark| variable.get(mark).and_then(Value::as_bool).unwrap_or(false);
            if marked("sensitive") || marked("ephemeral") {
                self.names.push(name.clone());
                self.assign_json(name, variable.get("default").unwrap_or(&Value::Null));
            }
        }
    }

    fn assign(&mut self, values: &Body) {
        for attribute in values.attributes() {
            if self.names.iter().any(|name| name == attribute.key.as_str()) {
                self.take(&attribute.value);
            }
        }
    }

    fn assign_json(&mut self, name: &String, value: &Value) {
        if self.names.contains(name) {
            collect_sensitive(value, &Value::Bool(true), &mut self.values);
        }
    }

    fn take(&mut self, value: &Expression) {
        match value {
            Expression::String(text) => self.add(text.as_str()),
            Expression::Array(items) => items.iter().for_each(|item| self.take(item)),
            Expression::Object(members) => members.iter().for_each(|(_, member)| self.take(member.expr())),
            Expression::Parenthesis(inner) => self.take(inner.inner()),
            Expression::Number(number) => self.add(&number.to_string()),
            Expression::StringTemplate(template) => {
                template.iter().for_each(|element| self.take_piece(element));
            }
            Expression::HeredocTemplate(heredoc) => self.take_template(&heredoc.template),
            // Everything else is evaluated, which nothing here does; defaults and value files hold constants only.
            _ => {}
        }
    }

    fn take_template(&mut self, template: &Template) {
        template.iter().for_each(|element| self.take_piece(element));
    }

    fn take_piece(&mut self, element: &Element) {
        if let Element::Literal(text) = element {
            self.add(text.as_str());
        }
    }

    fn add(&mut self, text: &str) {
        // Too short or common to be told from ordinary text: masked by its path where there is one.
        let _taken = self.values.add("sensitive", text.as_bytes());
    }
}

/// The files right in `root`, by name.
fn texts(root: &Path) -> Vec<(String, String)> {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            Some((entry.file_name().into_string().ok()?, fs::read_to_string(entry.path()).ok()?))
        })
        .collect()
}
