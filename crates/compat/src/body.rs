//! What a client sends, read as leniently as it is written, and without touching what it only passes through.

use std::collections::BTreeMap;

use http::{HeaderMap, header::CONTENT_TYPE};
use serde_json::{Value, value::RawValue};
use writ_kernel::{Error, Result};

use crate::{
    duration,
    fault::Fault,
    reply::{Members, raw},
};

/// JSON nested deeper is refused.
const DEEPEST: usize = 100;

/// The fields of a request: the members of its JSON body, the pairs of a form, or the parameters of its query.
#[derive(Debug, Default)]
pub(crate) struct Fields(Members);

impl Fields {
    /// The fields of a body. Absent, empty and `null` are none.
    ///
    /// # Errors
    /// 400 when it is neither a JSON object nor a form, 413 when it nests too deeply.
    pub(crate) fn of_body(headers: &HeaderMap, body: &[u8]) -> Result<Self, Fault> {
        let body = body.trim_ascii();
        if body.is_empty() || body == b"null" {
            return Ok(Self::default());
        }
        let form = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let form = form.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
        if form && !matches!(body.first(), Some(b'{' | b'[')) {
            return Ok(Self::of_pairs(body));
        }
        if nesting(body) > DEEPEST {
            return Err(Fault::invalid("failed to parse JSON input: nested too deeply"));
        }
        let members = serde_json::from_slice(body);
        members.map(Self).map_err(|_| Fault::invalid("failed to parse JSON input: it is not an object"))
    }

    /// The fields of a query or of a form: a name that comes several times is a list.
    pub(crate) fn of_pairs(text: &[u8]) -> Self {
        let mut pairs: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(text) {
            pairs.entry(name.into_owned()).or_default().push(value.into_owned());
        }
        let written = |values: &[String]| match values {
            [value] => raw(value),
            values => raw(&values),
        };
        Self(pairs.into_iter().map(|(name, values)| (name, written(&values))).collect())
    }

    /// Only these of the fields.
    pub(crate) fn only(&self, names: &[&str]) -> Self {
        let kept = self.0.iter().filter(|(name, _)| names.contains(&name.as_str()));
        Self(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    /// All members, as they were written.
    pub(crate) fn members(&self) -> &Members {
        &self.0
    }

    /// The fields of an object in a field; none when it is anything else.
    pub(crate) fn inside(&self, name: &str) -> Self {
        Self(self.raw(name).and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default())
    }

    /// Whether a field is there and not `null`.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.raw(name).is_some()
    }

    /// A field as it was written; `null` is none.
    pub(crate) fn raw(&self, name: &str) -> Option<&RawValue> {
        self.0.get(name).map(|value| &**value).filter(|value| value.get() != "null")
    }

    /// A field as a value.
    pub(crate) fn value(&self, name: &str) -> Option<Value> {
        self.raw(name).and_then(|raw| serde_json::from_str(raw.get()).ok())
    }

    /// A text; numbers and booleans are taken as they are written.
    ///
    /// # Errors
    /// `Invalid` for a list or an object.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(Value::Number(_) | Value::Bool(_)) => Ok(self.raw(name).map(|raw| raw.get().to_owned())),
            Some(_) => Err(wrong(name, "a string")),
        }
    }

    /// A truth value: `true`, `"true"`, `1`, `"1"`, `"t"` and their opposites.
    ///
    /// # Errors
    /// `Invalid` for anything else.
    pub(crate) fn boolean(&self, name: &str) -> Result<Option<bool>> {
        match self.text(name)?.as_deref() {
            None => Ok(None),
            Some("true" | "TRUE" | "True" | "1" | "t" | "T") => Ok(Some(true)),
            Some("false" | "FALSE" | "False" | "0" | "f" | "F" | "") => Ok(Some(false)),
            Some(_) => Err(wrong(name, "a boolean")),
        }
    }

    /// A whole number, also one in a string.
    ///
    /// # Errors
    /// `Invalid` for anything else.
    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let number = text.parse().ok().or_else(|| text.parse::<f64>().ok().and_then(duration::whole));
        number.map(Some).ok_or_else(|| wrong(name, "an integer"))
    }

    /// Seconds: a number of them, or `"1h30m"`.
    ///
    /// # Errors
    /// `Invalid` for anything else.
    pub(crate) fn seconds(&self, name: &str) -> Result<Option<i64>> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let number = duration::seconds(&text).or_else(|| text.parse::<f64>().ok().and_then(duration::whole));
        number.map(Some).ok_or_else(|| wrong(name, "a duration"))
    }

    /// A list of texts: `["a", "b"]`, `"a,b"`, or one number alone. Blank items are left out.
    ///
    /// # Errors
    /// `Invalid` for an object, or an item that is no scalar.
    pub(crate) fn list(&self, name: &str) -> Result<Option<Vec<String>>> {
        let items = match self.value(name) {
            None => return Ok(None),
            Some(Value::Array(items)) => {
                items.into_iter().map(|item| scalar(item, name)).collect::<Result<_>>()?
            }
            Some(Value::String(text)) => text.split(',').map(|item| item.trim().to_owned()).collect(),
            Some(other) => vec![scalar(other, name)?],
        };
        Ok(Some(items.into_iter().filter(|item: &String| !item.is_empty()).collect()))
    }

    /// A map of texts: `{"a": "b"}`, `"a=b"` or `["a=b"]`.
    ///
    /// # Errors
    /// `Invalid` for anything else.
    pub(crate) fn map(&self, name: &str) -> Result<Option<BTreeMap<String, String>>> {
        let pair = |text: &str| text.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
        let wrong = || wrong(name, "a map of strings");
        match self.value(name) {
            None => Ok(None),
            Some(Value::Object(members)) => {
                let members = members.into_iter();
                members.map(|(key, value)| Ok((key, scalar(value, name)?))).collect::<Result<_>>().map(Some)
            }
            Some(Value::String(text)) if text.is_empty() => Ok(Some(BTreeMap::new())),
            Some(Value::String(text)) if text.starts_with('{') => {
                serde_json::from_str(&text).map(Some).map_err(|_| wrong())
            }
            Some(Value::String(text)) => Ok(Some([pair(&text).ok_or_else(wrong)?].into())),
            Some(Value::Array(items)) => {
                let pairs = items.iter().map(|item| item.as_str().and_then(pair));
                pairs.collect::<Option<_>>().map(Some).ok_or_else(wrong)
            }
            Some(_) => Err(wrong()),
        }
    }

    /// A text that must be there and not be blank.
    ///
    /// # Errors
    /// 400.
    pub(crate) fn required(&self, name: &str) -> Result<String, Fault> {
        let text = self.text(name)?.filter(|text| !text.is_empty());
        text.ok_or_else(|| Fault::invalid(format!("missing {name}")))
    }
}

fn scalar(value: Value, name: &str) -> Result<String> {
    match value {
        Value::String(text) => Ok(text),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        _ => Err(wrong(name, "made of strings")),
    }
}

fn wrong(name: &str, expected: &str) -> Error {
    let name = name.escape_debug();
    Error::invalid(
        "invalid_field",
        format!("error converting input for field \"{name}\": expected {expected}"),
    )
}

/// How deeply the brackets of a JSON text nest.
fn nesting(text: &[u8]) -> usize {
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Fields {
        Fields::of_body(&HeaderMap::new(), text.as_bytes()).unwrap()
    }

    #[test]
    fn nothing_is_no_fields() {
        for text in ["", "  ", "null", "{}", "\n null \n"] {
            assert!(fields(text).members().is_empty(), "{text:?}");
        }
    }

    #[test]
    fn what_only_passes_through_keeps_its_bytes() {
        let fields = fields(r#"{"data":{"n":12345678901234567890123,"x":1.50,"e":1E2}}"#);
        assert_eq!(fields.raw("data").unwrap().get(), r#"{"n":12345678901234567890123,"x":1.50,"e":1E2}"#);
    }

    #[test]
    fn types_are_read_leniently() {
        let fields = fields(
            r#"{"a":"1h","b":3600,"c":"true","d":["x","y"],"e":"x, y","f":"256","g":{"k":"v","n":1},"h":null,"i":1}"#,
        );
        assert_eq!((fields.seconds("a").unwrap(), fields.seconds("b").unwrap()), (Some(3600), Some(3600)));
        assert_eq!((fields.boolean("c").unwrap(), fields.boolean("i").unwrap()), (Some(true), Some(true)));
        assert_eq!(fields.list("d").unwrap(), fields.list("e").unwrap());
        assert_eq!(fields.integer("f").unwrap(), Some(256));
        assert_eq!(fields.map("g").unwrap().unwrap()["n"], "1");
        assert!(!fields.has("h") && fields.text("h").unwrap().is_none());
        assert!(fields.integer("d").is_err() && fields.boolean("a").is_err());
    }

    #[test]
    fn a_form_is_read_like_json_unless_it_is_json() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, "application/x-www-form-urlencoded".parse().unwrap());
        let form = Fields::of_body(&headers, b"a=1&b=x%20y&c=1&c=2").unwrap();
        assert_eq!(form.text("b").unwrap().unwrap(), "x y");
        assert_eq!(form.list("c").unwrap().unwrap(), ["1", "2"]);
        let json = Fields::of_body(&headers, br#" {"a": "1"}"#).unwrap();
        assert_eq!(json.text("a").unwrap().unwrap(), "1");
    }

    #[test]
    fn anything_else_is_refused() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
        for text in ["[]", "1", "\"x\"", "{", "{\"a\":}", &deep] {
            assert!(Fields::of_body(&HeaderMap::new(), text.as_bytes()).is_err(), "{text}");
        }
    }
}
