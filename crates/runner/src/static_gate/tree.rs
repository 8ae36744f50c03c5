//! A configuration without its syntax: what HCL and its JSON form have in common.

/// One file's content.
#[derive(Default)]
pub(super) struct Tree {
    pub(super) body: Body,
    /// Every function call in the file.
    pub(super) calls: Vec<Call>,
}

/// What is between two braces.
#[derive(Default)]
pub(super) struct Body {
    pub(super) attributes: Vec<Attribute>,
    pub(super) blocks: Vec<Block>,
}

/// `kind "label" "label" { … }`.
pub(super) struct Block {
    pub(super) kind: String,
    pub(super) labels: Vec<String>,
    pub(super) body: Body,
    pub(super) line: usize,
}

/// `name = value`.
pub(super) struct Attribute {
    pub(super) name: String,
    pub(super) value: Value,
    pub(super) line: usize,
}

/// `name(arguments)`.
pub(super) struct Call {
    pub(super) name: String,
    pub(super) arguments: Vec<Text>,
    pub(super) line: usize,
}

/// An expression, as far as it can be known without evaluating it.
pub(super) enum Value {
    /// Text, or a number or truth as its text.
    Text(Text),
    /// An object, in order, with keys that are known.
    Object(Vec<Attribute>),
    /// A list.
    List(Vec<Value>),
    /// Something that the configuration calls by this name, or a part of it.
    Reference(String),
    /// Something else.
    Unknown,
}

/// Text in pieces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Text(pub(super) Vec<Piece>);

/// A piece of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// As it is.
    Known(String),
    /// `path.module`.
    ModulePath,
    /// `path.root` or `path.cwd`.
    RootPath,
    /// Known only when evaluated.
    Unknown,
}

impl Text {
    pub(super) fn known(text: impl Into<String>) -> Self {
        Self(vec![Piece::Known(text.into())])
    }

    pub(super) fn unknown() -> Self {
        Self(vec![Piece::Unknown])
    }

    /// The text, when all of it is known.
    pub(super) fn constant(&self) -> Option<String> {
        self.0
            .iter()
            .map(|piece| match piece {
                Piece::Known(text) => Some(text.as_str()),
                Piece::ModulePath | Piece::RootPath | Piece::Unknown => None,
            })
            .collect()
    }

    pub(super) fn extend(&mut self, other: Self) {
        for piece in other.0 {
            match (self.0.last_mut(), piece) {
                (Some(Piece::Known(text)), Piece::Known(more)) => text.push_str(&more),
                (_, piece) => self.0.push(piece),
            }
        }
    }
}

impl Value {
    /// The text, when all of it is known.
    pub(super) fn constant(&self) -> Option<String> {
        match self {
            Self::Text(text) => text.constant(),
            Self::Object(_) | Self::List(_) | Self::Reference(_) | Self::Unknown => None,
        }
    }

    /// The field `name` of an object.
    pub(super) fn field(&self, name: &str) -> Option<&Self> {
        let Self::Object(fields) = self else { return None };
        fields.iter().find(|field| field.name == name).map(|field| &field.value)
    }

    /// Whether it holds a value written out that is not empty.
    pub(super) fn is_written_out(&self) -> bool {
        match self {
            Self::Text(text) => text.constant().is_some_and(|text| !text.is_empty()),
            Self::Object(fields) => fields.iter().any(|field| field.value.is_written_out()),
            Self::List(values) => values.iter().any(Self::is_written_out),
            Self::Reference(_) | Self::Unknown => false,
        }
    }
}

impl Body {
    pub(super) fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }

    /// The blocks of this kind right here.
    pub(super) fn blocks<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Block> {
        self.blocks.iter().filter(move |block| block.kind == kind)
    }

    /// The blocks of this kind here and in any block within.
    pub(super) fn all_blocks<'a>(&'a self, kind: &'a str) -> Vec<&'a Block> {
        let deeper = self.blocks.iter().flat_map(|block| block.body.all_blocks(kind));
        self.blocks(kind).chain(deeper).collect()
    }
}

impl Block {
    pub(super) fn label(&self, index: usize) -> &str {
        self.labels.get(index).map_or("", String::as_str)
    }
}
