//! JSON bodies, and what to say about broken ones without repeating them.

use axum::{
    extract::{FromRequest, OptionalFromRequest, Request},
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, HeaderValue,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::error::Category;
use serde_path_to_error::{Path, Segment};
use writ_kernel::{Error, Result};

use crate::{Bytes, Problem};

/// A JSON body, in or out.
///
/// # Errors
/// As an extractor: `Unsupported` for another content type or a compressed body, `TooLarge` beyond the limit
/// of the route, `Invalid` for an empty, malformed, too deep or trailing body and for anything `T` does not
/// accept, with the JSON pointer of the place and never the value found there.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;
    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        expect_json(request.headers())?;
        let Bytes(body) = Bytes::from_request(request, state).await?;
        Ok(Self(parse(&body)?))
    }
}

/// No body at all is `None`; anything else is a body.
impl<T: DeserializeOwned, S: Send + Sync> OptionalFromRequest<S> for Json<T> {
    type Rejection = Problem;
    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, Problem> {
        let headers = request.headers().clone();
        let Bytes(body) = Bytes::from_request(request, state).await?;
        if body.is_empty() {
            return Ok(None);
        }
        expect_json(&headers)?;
        Ok(Some(Self(parse(&body)?)))
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => {
                ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
            }
            Err(source) => {
                Problem(Error::internal("cannot serialise an answer").because(source)).into_response()
            }
        }
    }
}

fn expect_json(headers: &HeaderMap) -> Result<()> {
    let unsupported = |what| Error::unsupported("unsupported_media_type", what);
    let is_json = |value: &HeaderValue| {
        let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
        let essence = essence.to_ascii_lowercase();
        essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
    };
    if !headers.get(CONTENT_TYPE).is_some_and(is_json) {
        return Err(unsupported("the body must be JSON").hint("send `Content-Type: application/json`"));
    }
    if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(unsupported("compressed bodies are not accepted").hint("send no `Content-Encoding`"));
    }
    Ok(())
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    if body.is_empty() {
        return Err(Error::invalid("empty_body", "the body is empty and must be JSON"));
    }
    // What a request carries has named members. Left alone, an array would be taken for them by position.
    if body.trim_ascii_start().first() == Some(&b'[') {
        return Err(refusal("invalid type: sequence, expected a map"));
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let place = pointer(error.path());
        refused(&error.into_inner(), place)
    })?;
    json.end().map_err(|error| {
        let place = place(&error);
        Error::invalid("trailing_data", format!("there is more after the JSON document, at {place}"))
    })?;
    Ok(value)
}

fn refused(error: &serde_json::Error, pointer: String) -> Error {
    let place = place(error);
    match error.classify() {
        Category::Data => {
            let message = error.to_string();
            refusal(message.strip_suffix(&format!(" at {place}")).unwrap_or(&message)).at(pointer)
        }
        Category::Eof => Error::invalid("malformed_json", format!("the JSON ends too early, at {place}")),
        // serde_json has no code for it; its limit is 128 levels.
        Category::Syntax | Category::Io if error.to_string().starts_with("recursion limit") => {
            Error::invalid("too_deep", "the JSON is nested too deeply").hint("nest at most 127 levels")
        }
        Category::Syntax | Category::Io => {
            Error::invalid("malformed_json", format!("the body is not JSON, at {place}"))
        }
    }
}

fn place(error: &serde_json::Error) -> String {
    format!("line {} column {}", error.line(), error.column())
}

/// Tells what a deserialiser objected to. `message` may quote the input; of that nothing is passed on.
pub(crate) fn refusal(message: &str) -> Error {
    let expected =
        message.rsplit_once(", expected ").map(|(_, expected)| format!("expected {}", plain(expected)));
    let with = |error: Error| match &expected {
        Some(expected) => error.hint(expected),
        None => error,
    };
    if message.starts_with("unknown field") {
        return with(Error::invalid("unknown_field", "there is no such field"));
    }
    if message.starts_with("unknown variant") {
        return with(Error::invalid("invalid_value", "the value is not one of the choices"));
    }
    if message.starts_with("invalid ") && expected.is_some() {
        return with(Error::invalid("invalid_value", "the value is of the wrong kind"));
    }
    if message.starts_with("missing field") || message.starts_with("duplicate field") {
        let code = if message.starts_with('m') { "missing_field" } else { "duplicate_field" };
        return Error::invalid(code, message.to_owned());
    }
    Error::invalid("invalid_value", unquoted(message))
}

/// What a deserialiser of Rust types expects, in the words of JSON.
pub(crate) fn plain(expected: &str) -> &str {
    let kind = expected.split(' ').next().unwrap_or_default();
    match kind {
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" => "a whole number in range, not negative",
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => "a whole number in range",
        "f32" | "f64" => "a number",
        "struct" => "an object",
        "unit" => "null",
        "enum" | "variant" | "internally" | "adjacently" => "one of the choices",
        _ => match expected {
            "a map" => "an object",
            "a sequence" => "an array",
            _ => expected,
        },
    }
}

/// `message` without what it quotes: our own types quote the input in backticks, where it may itself hold some.
/// A single character, like `-`, tells nothing.
fn unquoted(message: &str) -> String {
    match message.split_once('`').and_then(|(before, rest)| Some((before, rest.rsplit_once('`')?))) {
        Some((before, (quoted, after))) if quoted.chars().count() > 1 => format!("{before}`…`{after}"),
        _ => message.to_owned(),
    }
}

/// RFC 6901.
fn pointer(path: &Path) -> String {
    let step = |segment: &Segment| match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
        Segment::Enum { variant } => format!("/{variant}"),
        Segment::Unknown => String::new(),
    };
    path.iter().map(step).collect()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;
    use writ_kernel::{Action, Kind, Name};

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Order {
        #[expect(dead_code, reason = "only its presence matters")]
        name: Name,
        #[serde(default)]
        #[expect(dead_code, reason = "only its type matters")]
        items: Vec<Item>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Item {
        #[expect(dead_code, reason = "only its type matters")]
        count: u8,
    }

    fn refuse(body: &str) -> Error {
        let error = parse::<Order>(body.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        error
    }

    fn told(error: &Error) -> String {
        format!("{error} {:?}", error.advice())
    }

    #[test]
    fn a_wrong_value_is_placed_and_not_repeated() {
        let error = refuse(r#"{"name":"a","items":[{"count":1},{"count":"hunter2"}]}"#);
        assert_eq!((error.code(), error.field()), ("invalid_value", Some("/items/1/count")));
        assert_eq!(error.advice(), Some("expected a whole number in range, not negative"));
        assert!(!told(&error).contains("hunter2"));
    }

    #[test]
    fn a_value_that_reads_like_an_error_is_not_repeated() {
        for value in ["hunter2 at line 1 column 2", "hunter2, expected hunter2", "`hunter2`", "\\", "hunter2"]
        {
            let body = json!({"name": "a", "items": [{"count": value}]}).to_string();
            let error = refuse(&body);
            assert!(!told(&error).contains("hunter2"), "{error}");
            assert_eq!(error.advice(), Some("expected a whole number in range, not negative"));
        }
    }

    #[test]
    fn what_is_expected_is_told_in_the_words_of_json() {
        assert_eq!(refuse("7").advice(), Some("expected an object"));
        assert_eq!(refuse(r#"{"name":"a","items":{}}"#).advice(), Some("expected an array"));
    }

    #[test]
    fn an_unknown_field_is_placed_and_the_known_ones_are_told() {
        let error = refuse(r#"{"name":"a","items":[{"cuont":1}]}"#);
        assert_eq!((error.code(), error.field()), ("unknown_field", Some("/items/0/cuont")));
        assert_eq!(error.advice(), Some("expected `count`"));
    }

    #[test]
    fn an_array_is_no_object_whose_members_go_unnamed() {
        let error = refuse(r#" ["a", []]"#);
        assert_eq!((error.code(), error.advice()), ("invalid_value", Some("expected an object")));
    }

    #[test]
    fn a_missing_field_is_named() {
        assert_eq!(refuse("{}").public(), "missing field `name`");
    }

    #[test]
    fn our_own_types_say_what_they_want() {
        let error = refuse(r#"{"name":"Hunter2!"}"#);
        assert_eq!(error.field(), Some("/name"));
        assert!(error.public().starts_with("a name is 1 to 63 of a-z, 0-9 and `-`"));
    }

    #[test]
    fn what_a_type_quotes_of_the_input_is_hidden() {
        for value in
            ["hunter2", "hunter2 \u{7}", "a`hunter2", "`hunter2`", "hunter2`hunter2`", "x, expected hunter2"]
        {
            let refusal = refusal(value.parse::<Action>().unwrap_err().public());
            assert_eq!(refusal.public(), "`…` is not an action", "{value}");
            assert!(!told(&refusal).contains("hunter2"), "{value}");
        }
    }

    #[test]
    fn broken_documents_have_their_own_codes() {
        for (body, code) in [
            ("", "empty_body"),
            ("{", "malformed_json"),
            ("{]", "malformed_json"),
            (r#"{"name":"a"} {}"#, "trailing_data"),
            (&format!(r#"{{"name":{}"#, "[".repeat(200)), "invalid_value"),
        ] {
            assert_eq!(refuse(body).code(), code, "{body}");
        }
        let deep = format!(r#"{{"name":{}"#, "[".repeat(200));
        assert_eq!(parse::<serde_json::Value>(deep.as_bytes()).unwrap_err().code(), "too_deep");
    }

    #[test]
    fn only_json_is_json() {
        let with =
            |name, value: &'static str| HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
        for accepted in
            ["application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"]
        {
            assert!(expect_json(&with(CONTENT_TYPE, accepted)).is_ok(), "{accepted}");
        }
        for refused in ["text/plain", "text/json", "application/x-www-form-urlencoded", "json", ""] {
            assert!(expect_json(&with(CONTENT_TYPE, refused)).is_err(), "{refused}");
        }
        assert!(expect_json(&HeaderMap::new()).is_err());
        let mut compressed = with(CONTENT_TYPE, "application/json");
        compressed.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        assert!(expect_json(&compressed).is_err());
    }
}
