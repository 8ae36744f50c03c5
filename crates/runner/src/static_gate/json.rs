//! From HCL's JSON syntax. Names may come more than once there, and all of them count, so the document is read
//! into pairs and not into a map.

use std::{
    cell::Cell,
    fmt,
    io::{self, Read},
    rc::Rc,
};

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::{
    hcl::{self, Malformed},
    tree::{Attribute, Block, Body, Call, Text, Tree, Value},
};

/// The tree of a file. Nesting is bounded by the parser, at 128.
pub(super) fn parse(text: &str) -> Result<Tree, Malformed> {
    let line = Rc::new(Cell::new(1));
    let mut deserializer =
        serde_json::Deserializer::from_reader(Counting { text: text.as_bytes(), line: Rc::clone(&line) });
    let document = Seed(line)
        .deserialize(&mut deserializer)
        .and_then(|document| deserializer.end().map(|()| document))
        .map_err(|error| Malformed { line: error.line(), message: describe(&error).to_owned() })?;
    let mut reader = Reader { calls: Vec::new(), malformed: None };
    let body = reader.body(&document, "");
    match reader.malformed {
        Some(malformed) => Err(malformed),
        None => Ok(Tree { body, calls: reader.calls }),
    }
}

/// Without the input that serde quotes.
fn describe(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        serde_json::error::Category::Syntax => "not JSON, or nested too deeply",
        serde_json::error::Category::Data => "a value that has no place there",
        serde_json::error::Category::Eof => "the end comes too early",
        serde_json::error::Category::Io => "cannot be read",
    }
}

/// A value, and the line it ends on.
struct Node {
    line: usize,
    kind: Kind,
}

enum Kind {
    Null,
    Scalar(String),
    Text(String),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

/// Blocks that can stand in a block of kind `parent`, and how many labels they have. Everything else is an
/// attribute, for only a provider's schema could tell.
fn labels(parent: &str, name: &str) -> Option<usize> {
    match (parent, name) {
        ("", "terraform" | "locals" | "moved" | "import" | "removed" | "language")
        | ("terraform", "required_providers" | "cloud" | "encryption")
        | (
            "provider",
            "exec" | "kubernetes" | "assume_role" | "assume_role_with_web_identity" | "endpoints",
        )
        | ("kubernetes", "exec")
        | ("resource" | "removed" | "provisioner", "connection") => Some(0),
        ("", "provider" | "module" | "variable" | "output" | "check")
        | ("terraform", "backend" | "provider_meta")
        | ("resource" | "removed", "provisioner") => Some(1),
        ("", "resource" | "data" | "ephemeral" | "action" | "list")
        | ("check", "data")
        | ("encryption", "key_provider" | "method") => Some(2),
        _ => None,
    }
}

struct Reader {
    calls: Vec<Call>,
    malformed: Option<Malformed>,
}

impl Reader {
    fn body(&mut self, node: &Node, parent: &str) -> Body {
        let mut body = Body::default();
        self.fill(&mut body, node, parent);
        body
    }

    fn fill(&mut self, body: &mut Body, node: &Node, parent: &str) {
        match &node.kind {
            Kind::List(nodes) => nodes.iter().for_each(|node| self.fill(body, node, parent)),
            Kind::Object(fields) => {
                for (name, field) in fields {
                    if let Some(count) = labels(parent, name) {
                        self.block(body, name, &mut Vec::new(), count, field);
                    } else {
                        let value = self.value(field);
                        body.attributes.push(Attribute { name: name.clone(), value, line: field.line });
                    }
                }
            }
            Kind::Null | Kind::Scalar(_) | Kind::Text(_) => {}
        }
    }

    /// `{"label": {"label": {…}}}`, with a list of alternatives at any level.
    fn block(&mut self, body: &mut Body, kind: &str, labels: &mut Vec<String>, missing: usize, node: &Node) {
        match &node.kind {
            Kind::List(nodes) => nodes.iter().for_each(|node| self.block(body, kind, labels, missing, node)),
            Kind::Object(fields) if missing > 0 => {
                for (label, field) in fields {
                    labels.push(label.clone());
                    self.block(body, kind, labels, missing - 1, field);
                    labels.pop();
                }
            }
            _ => {
                let inner = self.body(node, kind);
                body.blocks.push(Block {
                    kind: kind.to_owned(),
                    labels: labels.clone(),
                    body: inner,
                    line: node.line,
                });
            }
        }
    }

    fn value(&mut self, node: &Node) -> Value {
        match &node.kind {
            Kind::Null => Value::Unknown,
            Kind::Scalar(text) => Value::Text(Text::known(text.as_str())),
            Kind::Text(text) => self.text(text, node.line),
            Kind::List(nodes) => Value::List(nodes.iter().map(|node| self.value(node)).collect()),
            Kind::Object(fields) => Value::Object(
                fields
                    .iter()
                    .map(|(name, field)| {
                        self.text(name, field.line); // names are templates too
                        Attribute { name: name.clone(), value: self.value(field), line: field.line }
                    })
                    .collect(),
            ),
        }
    }

    fn text(&mut self, text: &str, line: usize) -> Value {
        match hcl::template_text(text) {
            Ok((text, calls)) => {
                self.calls.extend(calls.into_iter().map(|call| Call { line, ..call }));
                if text == Text::unknown() { Value::Unknown } else { Value::Text(text) }
            }
            Err(malformed) => {
                self.malformed.get_or_insert(Malformed { line, ..malformed });
                Value::Unknown
            }
        }
    }
}

/// Hands out the text byte by byte, as the parser asks for it, and counts the lines it has seen.
struct Counting<'a> {
    text: &'a [u8],
    line: Rc<Cell<usize>>,
}

impl Read for Counting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (Some((&byte, rest)), Some(place)) = (self.text.split_first(), buffer.first_mut()) else {
            return Ok(0);
        };
        *place = byte;
        self.text = rest;
        self.line.set(self.line.get() + usize::from(byte == b'\n'));
        Ok(1)
    }
}

#[derive(Clone)]
struct Seed(Rc<Cell<usize>>);

impl Seed {
    #[expect(clippy::unnecessary_wraps, reason = "the shape that `Visitor` wants")]
    fn node<E>(&self, kind: Kind) -> Result<Node, E> {
        Ok(Node { line: self.0.get(), kind })
    }
}

impl<'de> DeserializeSeed<'de> for Seed {
    type Value = Node;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        self.node(Kind::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        self.node(Kind::Scalar(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        self.node(Kind::Scalar(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        self.node(Kind::Scalar(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        self.node(Kind::Scalar(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        self.node(Kind::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let (mut nodes, line) = (Vec::new(), self.0.get());
        while let Some(node) = items.next_element_seed(self.clone())? {
            nodes.push(node);
        }
        Ok(Node { line, kind: Kind::List(nodes) })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let (mut fields, line) = (Vec::new(), self.0.get());
        while let Some(name) = entries.next_key::<String>()? {
            let node = entries.next_value_seed(self.clone())?;
            if fields.len() >= 10_000 {
                return Err(A::Error::custom("too many names"));
            }
            fields.push((name, node));
        }
        Ok(Node { line, kind: Kind::Object(fields) })
    }
}
