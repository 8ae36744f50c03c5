//! From HCL's native syntax. The parser itself bounds how deep blocks, expressions and operators may nest.

use hcl_edit::{
    Span,
    expr::{Expression, FuncCall, ObjectKey, TraversalOperator},
    parser, structure,
    template::{Element, Template},
    visit::{self, Visit},
};

use super::tree::{Attribute, Block, Body, Call, Piece, Text, Tree, Value};

/// Where a text is not HCL, and why.
pub(super) struct Malformed {
    pub(super) line: usize,
    pub(super) message: String,
}

impl From<parser::Error> for Malformed {
    fn from(error: parser::Error) -> Self {
        Self { line: error.location().line(), message: error.message().to_owned() }
    }
}

/// The tree of a file.
pub(super) fn parse(text: &str) -> Result<Tree, Malformed> {
    let lines = Lines::of(text);
    let parsed = parser::parse_body(text)?;
    let mut calls = Calls { lines: &lines, found: Vec::new() };
    calls.visit_body(&parsed);
    Ok(Tree { body: body(&parsed, &lines), calls: calls.found })
}

/// The function calls in a template, like the one a file given to `templatefile` is.
pub(super) fn template_calls(text: &str) -> Result<Vec<Call>, Malformed> {
    let lines = Lines::of(text);
    let parsed = parser::parse_template(text)?;
    let mut calls = Calls { lines: &lines, found: Vec::new() };
    calls.visit_template(&parsed);
    Ok(calls.found)
}

/// The text and the calls of a string in JSON syntax, which is a template.
pub(super) fn template_text(text: &str) -> Result<(Text, Vec<Call>), Malformed> {
    let lines = Lines::of(text);
    let parsed = parser::parse_template(text)?;
    let mut calls = Calls { lines: &lines, found: Vec::new() };
    calls.visit_template(&parsed);
    Ok((template(&parsed), calls.found))
}

/// Where lines begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect())
    }

    fn at(&self, node: &impl Span) -> usize {
        node.span().map_or(0, |span| self.0.partition_point(|&start| start <= span.start))
    }
}

fn body(parsed: &structure::Body, lines: &Lines) -> Body {
    let attributes = parsed.attributes().map(|attribute| Attribute {
        name: attribute.key.to_string().trim().to_owned(),
        value: value(&attribute.value, lines),
        line: lines.at(&attribute.key),
    });
    let blocks = parsed.blocks().map(|block| Block {
        kind: block.ident.as_str().to_owned(),
        labels: block.labels.iter().map(|label| label.as_str().to_owned()).collect(),
        body: body(&block.body, lines),
        line: lines.at(&block.ident),
    });
    Body { attributes: attributes.collect(), blocks: blocks.collect() }
}

fn value(expression: &Expression, lines: &Lines) -> Value {
    match expression {
        Expression::Object(object) => Value::Object(
            object
                .iter()
                .filter_map(|(key, item)| {
                    let expression = item.expr();
                    let name = match key {
                        ObjectKey::Ident(ident) => Some(ident.as_str().to_owned()),
                        ObjectKey::Expression(key) => text(key).constant(),
                    };
                    name.map(|name| Attribute {
                        name,
                        value: value(expression, lines),
                        line: lines.at(expression),
                    })
                })
                .collect(),
        ),
        Expression::Array(array) => Value::List(array.iter().map(|item| value(item, lines)).collect()),
        Expression::Parenthesis(inner) => value(inner.inner(), lines),
        Expression::Null(_) => Value::Unknown,
        Expression::Variable(name) => Value::Reference(name.as_str().to_owned()),
        other => match (text(other), other) {
            (text, Expression::Traversal(traversal)) if text == Text::unknown() => {
                let name = traversal.expr.as_variable();
                name.map_or(Value::Unknown, |name| Value::Reference(name.as_str().to_owned()))
            }
            (text, _) if text == Text::unknown() => Value::Unknown,
            (text, _) => Value::Text(text),
        },
    }
}

fn text(expression: &Expression) -> Text {
    match expression {
        Expression::String(string) => Text::known(string.as_str()),
        Expression::Bool(truth) => Text::known(if **truth { "true" } else { "false" }),
        Expression::Number(number) => Text::known(number.value().to_string()),
        Expression::StringTemplate(parts) => elements(parts.iter()),
        Expression::HeredocTemplate(heredoc) => template(&heredoc.template),
        Expression::Parenthesis(inner) => text(inner.inner()),
        Expression::Traversal(traversal) => {
            let base = traversal.expr.as_variable().map_or("", |variable| variable.as_str());
            let place = match traversal.operators.as_slice() {
                [only] if base == "path" => match &**only {
                    TraversalOperator::GetAttr(name) => name.as_str(),
                    _ => "",
                },
                _ => "",
            };
            match place {
                "module" => Text(vec![Piece::ModulePath]),
                "root" | "cwd" => Text(vec![Piece::RootPath]),
                _ => Text::unknown(),
            }
        }
        _ => Text::unknown(),
    }
}

fn template(parsed: &Template) -> Text {
    elements(parsed.iter())
}

fn elements<'a>(elements: impl Iterator<Item = &'a Element>) -> Text {
    let mut whole = Text::default();
    for element in elements {
        whole.extend(match element {
            Element::Literal(literal) => Text::known(literal.as_str()),
            Element::Interpolation(interpolation) => text(&interpolation.expr),
            Element::Directive(_) => Text::unknown(),
        });
    }
    if whole.0.is_empty() { Text::known("") } else { whole }
}

struct Calls<'a> {
    lines: &'a Lines,
    found: Vec<Call>,
}

impl Visit for Calls<'_> {
    fn visit_func_call(&mut self, node: &FuncCall) {
        // `core::file` is `file`; functions of providers have a longer name that is no rule's.
        let namespace: Vec<&str> = node.name.namespace.iter().map(|part| part.as_str()).collect();
        let name = match namespace.as_slice() {
            [] | ["core"] => node.name.name.as_str().to_owned(),
            parts => format!("{}::{}", parts.join("::"), node.name.name.as_str()),
        };
        let arguments = node.args.iter().map(text).collect();
        self.found.push(Call { name, arguments, line: self.lines.at(&node.name.name) });
        visit::visit_func_call(self, node);
    }
}
