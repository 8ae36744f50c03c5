//! Statements set by an administrator, with placeholders for what is made for each role.

use writ_crypto::SecretString;
use writ_kernel::{Error, Result};

/// Statements with `{{name}}` (also spelt `{{username}}`), `{{password}}` and `{{expiration}}`, separated by `;`.
///
/// A placeholder stands by itself, or alone in quotes (`"{{name}}"`, `'{{password}}'`); either way it is quoted here: in
/// single quotes as a literal, else a name as an identifier and the others as literals. A template has no backslash and
/// no placeholder inside of a longer string, a dollar-quoted body or a comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Vec<Part>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    Name,
    Password,
    Expiration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Identifier(Slot),
    Literal(Slot),
}

/// What the placeholders stand for.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "holds a password")]
pub struct Values<'a> {
    /// The name of the role.
    pub name: &'a str,
    /// Its password; absent where a template may not speak of it.
    pub password: Option<&'a SecretString>,
    /// Until when it may log in, RFC 3339.
    pub expiration: &'a str,
}

/// The most characters of a template.
const LONGEST: usize = 16 * 1024;

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// `Invalid`, which says what about it cannot be.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() > LONGEST {
            return Err(malformed("a template has at most 16384 characters"));
        }
        if text.contains(['\\', '\0']) {
            return Err(malformed("a template has no backslash"));
        }
        let mut reader =
            Reader { rest: text, statements: Vec::new(), parts: Vec::new(), text: String::new() };
        while !reader.rest.is_empty() {
            reader.step()?;
        }
        reader.end_statement();
        if reader.statements.is_empty() {
            return Err(malformed("a template has at least one statement"));
        }
        Ok(Self(reader.statements))
    }

    /// Whether it speaks of the name of the role, and whether of its password.
    pub fn speaks_of(&self) -> (bool, bool) {
        (self.has(Slot::Name), self.has(Slot::Password))
    }

    /// Whether it speaks of the end of the role.
    pub fn expires(&self) -> bool {
        self.has(Slot::Expiration)
    }

    fn has(&self, wanted: Slot) -> bool {
        self.0.iter().flatten().any(|part| match part {
            Part::Text(_) => false,
            Part::Identifier(slot) | Part::Literal(slot) => *slot == wanted,
        })
    }

    /// The statements, with their values quoted in place.
    ///
    /// # Errors
    /// `Internal` when a value is missing, or holds a NUL.
    pub fn fill(&self, values: Values<'_>) -> Result<Vec<SecretString>> {
        self.0.iter().map(|statement| fill(statement, values)).collect()
    }
}

fn fill(statement: &[Part], values: Values<'_>) -> Result<SecretString> {
    let value = |slot: Slot| match slot {
        Slot::Name => Ok(values.name),
        Slot::Expiration => Ok(values.expiration),
        Slot::Password => values
            .password
            .map(SecretString::expose)
            .ok_or_else(|| Error::internal("a template speaks of a password where there is none")),
    };
    let mut text = String::new();
    for part in statement {
        match part {
            Part::Text(part) => text.push_str(part),
            Part::Identifier(slot) => quote(&mut text, '"', value(*slot)?)?,
            Part::Literal(slot) => quote(&mut text, '\'', value(*slot)?)?,
        }
    }
    Ok(SecretString::new(text))
}

/// Quotes as the standard says: the quote doubled. A literal with a backslash is written as one that escapes it, since a
/// server may be set to read backslashes in any literal.
fn quote(text: &mut String, mark: char, value: &str) -> Result<()> {
    if value.contains('\0') {
        return Err(Error::internal("a value for a template holds a NUL"));
    }
    let escapes = mark == '\'' && value.contains('\\');
    text.push_str(if escapes { " E" } else { "" });
    text.push(mark);
    for letter in value.chars() {
        if letter == mark || (escapes && letter == '\\') {
            text.push(letter);
        }
        text.push(letter);
    }
    text.push(mark);
    Ok(())
}

/// `name` as an identifier.
///
/// # Errors
/// `Internal` when it holds a NUL.
pub(crate) fn identifier(name: &str) -> Result<String> {
    let mut text = String::with_capacity(name.len() + 2);
    quote(&mut text, '"', name)?;
    Ok(text)
}

/// `value` as a literal.
///
/// # Errors
/// `Internal` when it holds a NUL.
pub(crate) fn literal(value: &str) -> Result<SecretString> {
    let mut text = String::with_capacity(2 * value.len() + 4);
    quote(&mut text, '\'', value)?;
    Ok(SecretString::new(text))
}

struct Reader<'a> {
    rest: &'a str,
    statements: Vec<Vec<Part>>,
    parts: Vec<Part>,
    text: String,
}

impl<'a> Reader<'a> {
    /// Reads one token of SQL, as far as it matters here.
    fn step(&mut self) -> Result<()> {
        if let Some(mark) = ['\'', '"'].into_iter().find(|mark| self.rest.starts_with(*mark)) {
            return self.quoted(mark);
        }
        if self.rest.starts_with("--") {
            let comment = self.rest.split('\n').next().unwrap_or_default();
            return self.skip(comment);
        }
        if self.rest.starts_with("/*") {
            let end = self.rest.find("*/").ok_or_else(|| malformed("a comment has no end"))?;
            let comment = self.rest.get(..end + 2).unwrap_or_default();
            return self.skip(comment);
        }
        if let Some(tag) = dollar_tag(self.rest) {
            return self.dollar_quoted(tag);
        }
        if let Some(rest) = self.rest.strip_prefix("{{") {
            let (name, rest) = rest.split_once("}}").ok_or_else(|| malformed("a placeholder has no end"))?;
            let slot = slot(name)?;
            self.rest = rest;
            self.push(if slot == Slot::Name { Part::Identifier(slot) } else { Part::Literal(slot) });
            return Ok(());
        }
        let mut letters = self.rest.chars();
        match letters.next() {
            Some(';') => self.end_statement(),
            Some(letter) => self.text.push(letter),
            None => {}
        }
        self.rest = letters.as_str();
        Ok(())
    }

    fn quoted(&mut self, mark: char) -> Result<()> {
        let inner = self.rest.get(1..).unwrap_or_default();
        let end = closing(inner, mark).ok_or_else(|| malformed("a string has no end"))?;
        let (content, rest) =
            (inner.get(..end).unwrap_or_default(), inner.get(end + 1..).unwrap_or_default());
        let whole = content.strip_prefix("{{").and_then(|content| content.strip_suffix("}}"));
        self.rest = rest;
        match whole.map(slot).transpose()? {
            Some(slot) if mark == '\'' => self.push(Part::Literal(slot)),
            Some(Slot::Name) => self.push(Part::Identifier(Slot::Name)),
            Some(_) => return Err(malformed("only `{{name}}` can stand in double quotes")),
            None => {
                no_placeholder(content)?;
                self.text.push(mark);
                self.text.push_str(content);
                self.text.push(mark);
            }
        }
        Ok(())
    }

    fn dollar_quoted(&mut self, tag: &'a str) -> Result<()> {
        let body = self.rest.get(tag.len()..).unwrap_or_default();
        let end = body.find(tag).ok_or_else(|| malformed("a dollar-quoted body has no end"))?;
        no_placeholder(body.get(..end).unwrap_or_default())?;
        let whole = self.rest.get(..end + 2 * tag.len()).unwrap_or_default();
        self.text.push_str(whole);
        self.rest = self.rest.get(whole.len()..).unwrap_or_default();
        Ok(())
    }

    fn skip(&mut self, comment: &'a str) -> Result<()> {
        no_placeholder(comment)?;
        self.text.push(' ');
        self.rest = self.rest.get(comment.len()..).unwrap_or_default();
        Ok(())
    }

    fn push(&mut self, part: Part) {
        let text = std::mem::take(&mut self.text);
        if !text.is_empty() {
            self.parts.push(Part::Text(text));
        }
        self.parts.push(part);
    }

    fn end_statement(&mut self) {
        let text = std::mem::take(&mut self.text);
        if !text.trim().is_empty() || !self.parts.is_empty() {
            self.parts.push(Part::Text(text));
        }
        let parts = std::mem::take(&mut self.parts);
        if !parts.is_empty() {
            self.statements.push(parts);
        }
    }
}

/// Where the string that began before `inner` ends: at the first `mark` that is not doubled.
fn closing(inner: &str, mark: char) -> Option<usize> {
    let mut from = 0;
    loop {
        let end = from + inner.get(from..)?.find(mark)?;
        if !inner.get(end + 1..).is_some_and(|rest| rest.starts_with(mark)) {
            return Some(end);
        }
        from = end + 2;
    }
}

/// `$$` or `$tag$` at the beginning of `text`.
fn dollar_tag(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('$')?;
    let end = inner.find('$')?;
    let tag = inner.get(..end)?;
    let fits = tag.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
        && !tag.starts_with(|letter: char| letter.is_ascii_digit());
    fits.then(|| text.get(..end + 2)).flatten()
}

fn slot(name: &str) -> Result<Slot> {
    match name {
        "name" | "username" => Ok(Slot::Name),
        "password" => Ok(Slot::Password),
        "expiration" => Ok(Slot::Expiration),
        _ => Err(malformed("a placeholder is `{{name}}`, `{{password}}` or `{{expiration}}`")),
    }
}

fn no_placeholder(text: &str) -> Result<()> {
    if text.contains("{{") {
        return Err(malformed(
            "a placeholder stands by itself or alone in quotes, and not inside of other text",
        ));
    }
    Ok(())
}

fn malformed(why: &str) -> Error {
    Error::invalid("malformed_template", why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &str, name: &str, password: &str) -> Vec<String> {
        let password = SecretString::new(password.to_owned());
        let values = Values { name, password: Some(&password), expiration: "2027-01-01T00:00:00Z" };
        let statements = Template::parse(template).unwrap().fill(values).unwrap();
        statements.iter().map(|statement| statement.expose().trim().to_owned()).collect()
    }

    #[test]
    fn a_placeholder_is_quoted_with_or_without_quotes_of_the_template() {
        let bare = filled("CREATE ROLE {{name}} PASSWORD {{password}} VALID UNTIL {{expiration}}", "a", "b");
        let quoted = filled(
            "CREATE ROLE \"{{name}}\" PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';",
            "a",
            "b",
        );
        assert_eq!(bare, ["CREATE ROLE \"a\" PASSWORD 'b' VALID UNTIL '2027-01-01T00:00:00Z'"]);
        assert_eq!(bare, quoted);
    }

    #[test]
    fn no_value_gets_out_of_its_quotes() {
        let statements =
            filled("ALTER ROLE {{name}} PASSWORD {{password}}", "a\"; DROP TABLE x; --", "'; \\' --");
        assert_eq!(statements, ["ALTER ROLE \"a\"\"; DROP TABLE x; --\" PASSWORD  E'''; \\\\'' --'"]);
    }

    #[test]
    fn a_name_in_single_quotes_is_a_literal() {
        assert_eq!(filled("SELECT f('{{username}}')", "o'brien", ""), ["SELECT f('o''brien')"]);
    }

    #[test]
    fn statements_end_where_sql_ends_them() {
        let text = "SELECT ';' ; SELECT \"a;\"; DO $x$ BEGIN; END $x$; -- ; here\n/* ; */ SELECT 1;; ";
        assert_eq!(
            filled(text, "", ""),
            ["SELECT ';'", "SELECT \"a;\"", "DO $x$ BEGIN; END $x$", "SELECT 1"]
        );
    }

    #[test]
    fn a_placeholder_inside_of_other_text_is_refused() {
        for text in [
            "SELECT 'x{{name}}'",
            "SELECT \"{{name}}x\"",
            "SELECT '{{name}}''{{name}}'",
            "DO $$ {{name}} $$",
            "-- {{name}}",
            "/* {{name}} */ SELECT 1",
            "SELECT \"{{password}}\"",
            "SELECT {{other}}",
            "SELECT {{name",
            "SELECT 'x",
            "SELECT E'\\' {{name}}'",
            " ; ",
        ] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }
}
