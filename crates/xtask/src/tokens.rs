//! Rust as its tokens: identifiers and string literals with their lines, and whether they are test code.

use std::str::FromStr;

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::Lit;

/// The tokens of a file that rules look at, in order. Comments are not among them.
#[derive(Debug, Default)]
pub(crate) struct Code {
    /// Identifiers, punctuation and literals.
    pub(crate) tokens: Vec<Token>,
}

/// A token and where it stands.
#[derive(Debug)]
pub(crate) struct Token {
    /// Line, from 1.
    pub(crate) line: usize,
    /// Whether it stands under `#[cfg(test)]`.
    pub(crate) test: bool,
    /// What it is.
    pub(crate) kind: Kind,
}

/// What a token is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A name or keyword.
    Word(String),
    /// A string literal, unescaped; the pieces of a `concat!` are joined.
    Text(String),
    /// A punctuation character.
    Mark(char),
}

impl Code {
    /// The tokens of `text`; none when it is not Rust.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut code = Self::default();
        code.add(TokenStream::from_str(text).ok()?, false);
        Some(code)
    }

    /// Words outside tests, with their lines.
    pub(crate) fn words(&self) -> impl Iterator<Item = (usize, &str)> {
        self.tokens.iter().filter(|token| !token.test).filter_map(|token| match &token.kind {
            Kind::Word(word) => Some((token.line, word.as_str())),
            _ => None,
        })
    }

    /// String literals outside tests, with their lines.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (usize, &str)> {
        self.tokens.iter().filter(|token| !token.test).filter_map(|token| match &token.kind {
            Kind::Text(text) => Some((token.line, text.as_str())),
            _ => None,
        })
    }

    /// Tokens at which the sequence `path`, such as `["thread", "::", "sleep"]`, begins.
    pub(crate) fn sequences<'a>(&'a self, path: &'a [&'a str]) -> impl Iterator<Item = &'a Token> {
        let marks: Vec<Kind> = path.iter().flat_map(|part| kinds(part)).collect();
        self.tokens.windows(marks.len()).filter_map(move |window| {
            let same = window.iter().map(|token| &token.kind).eq(marks.iter());
            window.first().filter(|_| same)
        })
    }

    fn add(&mut self, stream: TokenStream, test: bool) {
        // Set by `#[cfg(test)]`, until the item's body or semicolon.
        let mut next_is_test = false;
        for tree in stream {
            let line = tree.span().start().line;
            let test = test || next_is_test;
            let mut push = |kind| self.tokens.push(Token { line, test, kind });
            match tree {
                TokenTree::Ident(word) => push(Kind::Word(word.to_string())),
                TokenTree::Literal(literal) => {
                    if let Lit::Str(text) = Lit::new(literal) {
                        push(Kind::Text(text.value()));
                    }
                }
                TokenTree::Punct(mark) => {
                    next_is_test &= mark.as_char() != ';';
                    push(Kind::Mark(mark.as_char()));
                }
                TokenTree::Group(group) if self.follows_concat() => {
                    self.tokens.push(Token { line, test, kind: Kind::Text(joined(group.stream())) });
                }
                TokenTree::Group(group) => {
                    match group.delimiter() {
                        Delimiter::Bracket if is_cfg_test(&group.stream()) => next_is_test = true,
                        Delimiter::Brace => next_is_test = false,
                        _ => {}
                    }
                    self.add(group.stream(), test);
                }
            }
        }
    }

    /// Whether the tokens end in `concat !`.
    fn follows_concat(&self) -> bool {
        let [.., word, mark] = self.tokens.as_slice() else { return false };
        word.kind == Kind::Word("concat".into()) && mark.kind == Kind::Mark('!')
    }
}

/// Whether an attribute's inside is `cfg(test)`.
fn is_cfg_test(attribute: &TokenStream) -> bool {
    attribute.to_string().replace(' ', "") == "cfg(test)"
}

/// A word, or punctuation character by character.
fn kinds(part: &str) -> Vec<Kind> {
    if part.chars().all(|c| c.is_alphanumeric() || c == '_') {
        vec![Kind::Word(part.into())]
    } else {
        part.chars().map(Kind::Mark).collect()
    }
}

/// The string literals of a stream, one after another.
fn joined(stream: TokenStream) -> String {
    let mut inner = Code::default();
    inner.add(stream, false);
    inner.texts().map(|(_, text)| text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_not_code_and_strings_are_unescaped() {
        let code = Code::read("// Secret\nlet name = \"a\\\n    b\"; /* Hidden */").unwrap();
        assert_eq!(code.words().collect::<Vec<_>>(), [(2, "let"), (2, "name")]);
        assert_eq!(code.texts().collect::<Vec<_>>(), [(2, "ab")]);
    }

    #[test]
    fn the_pieces_of_concat_are_one_string() {
        let code = Code::read(r#"const A: &str = concat!("SELECT ", "1");"#).unwrap();
        assert_eq!(code.texts().collect::<Vec<_>>(), [(1, "SELECT 1")]);
    }

    #[test]
    fn test_code_is_told_from_the_rest() {
        let code = Code::read(
            "#[cfg(test)] mod tests { fn one() {} } fn two() {} #[cfg(test)] use a; fn three() {}",
        );
        let words: Vec<_> = code.as_ref().unwrap().words().map(|(_, word)| word).collect();
        assert_eq!(words, ["cfg", "test", "fn", "two", "cfg", "test", "fn", "three"]);
    }

    #[test]
    fn a_path_is_found_where_it_begins() {
        let code = Code::read("fn a() {\n std::thread::sleep(b); thread::park(); }").unwrap();
        let lines: Vec<_> = code.sequences(&["thread", "::", "sleep"]).map(|token| token.line).collect();
        assert_eq!(lines, [2]);
    }
}
