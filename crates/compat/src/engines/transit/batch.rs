//! One item, or several of which each can fail by itself.

use http::StatusCode;
use serde_json::{Map, Value, json};
use writ_kernel::{Error, Result};
use writ_keys::Work;

use super::words;
use crate::{
    ask::Ask,
    fault::{Answer, Fault},
    reply::{Envelope, Reply, members},
};

/// The items of a request.
pub(super) struct Batch<T> {
    /// What is understood, or why it is not, in order, with what the client calls it.
    items: Vec<(Result<T>, Option<Value>)>,
    one: bool,
}

/// The fields of one item.
pub(super) struct Item<'a>(&'a Map<String, Value>);

impl Item<'_> {
    pub(super) fn text(&self, name: &str) -> Option<String> {
        match self.0.get(name) {
            Some(Value::String(text)) => Some(text.clone()),
            Some(value @ (Value::Number(_) | Value::Bool(_))) => Some(value.to_string()),
            _ => None,
        }
    }

    /// A text that must be there.
    pub(super) fn need(&self, name: &str, missing: &str) -> Result<String> {
        self.text(name).ok_or_else(|| Error::invalid("missing_field", missing.to_owned()))
    }

    /// Bytes in base64; none when nothing is said.
    pub(super) fn bytes(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.text(name).filter(|text| !text.is_empty()).map(|text| super::decoded(&text, name)).transpose()
    }

    /// A version; 0 is the newest.
    pub(super) fn version(&self) -> Result<Option<u32>> {
        let text = self.text("key_version").filter(|text| !text.is_empty());
        let version = text.map(|text| text.parse::<u32>()).transpose();
        version.map_err(|_| Error::invalid("invalid_key_version", "key_version is not a positive number"))
    }
}

impl<T: Clone> Batch<T> {
    /// Reads the items of a request: `batch_input`, or the fields themselves.
    ///
    /// # Errors
    /// 400 when there are none.
    pub(super) fn read(
        ask: &Ask,
        parse: impl Fn(&Item<'_>) -> Result<T>,
    ) -> std::result::Result<Self, Fault> {
        let Some(inputs) = ask.fields.value("batch_input") else {
            let fields = ask.fields.members().iter();
            let fields =
                fields.filter_map(|(name, raw)| Some((name.clone(), serde_json::from_str(raw.get()).ok()?)));
            let fields: Map<_, _> = fields.collect();
            return Ok(Self { items: vec![(parse(&Item(&fields)), None)], one: true });
        };
        let Value::Array(inputs) = inputs else { return Err(Fault::invalid("failed to parse batch input")) };
        if inputs.is_empty() {
            return Err(Fault::invalid("missing batch input to process"));
        }
        let mut items = Vec::with_capacity(inputs.len());
        for input in inputs {
            let Value::Object(fields) = input else {
                return Err(Fault::invalid("failed to parse batch input"));
            };
            items.push((
                parse(&Item(&fields)),
                Some(fields.get("reference").cloned().unwrap_or_else(|| json!(""))),
            ));
        }
        Ok(Self { items, one: false })
    }

    /// What the room is to work on: only what is understood.
    ///
    /// # Errors
    /// The error of the only item, or of the whole when no item is understood.
    pub(super) fn work<U>(&self, each: impl Fn(T) -> U) -> Option<Work<U>> {
        let mut understood: Vec<_> =
            self.items.iter().filter_map(|(item, _)| item.as_ref().ok().cloned().map(&each)).collect();
        if self.one {
            understood.pop().map(Work::One)
        } else if understood.is_empty() {
            None
        } else {
            Some(Work::Many(understood))
        }
    }

    /// The answer, from what came of what is understood, in order.
    pub(super) fn answer<R>(
        self,
        ask: &Ask,
        results: Vec<Result<R>>,
        show: impl Fn(&R) -> Map<String, Value>,
    ) -> Answer {
        let mut results = results.into_iter();
        let mut shown = Vec::with_capacity(self.items.len());
        let (mut failed, mut all) = (0_usize, 0_usize);
        for (item, reference) in self.items {
            let result = match item {
                Ok(_) => results.next().unwrap_or_else(|| Err(Error::internal("an item without a result"))),
                Err(error) => Err(error),
            };
            let result = match (result, self.one) {
                (Err(error), true) => return Err(super::in_its_words(error, "encryption key not found")),
                (result, _) => result,
            };
            all += 1;
            let mut members = match result {
                Ok(result) => show(&result),
                Err(error) => {
                    failed += 1;
                    let text = words(&error).unwrap_or_else(|| error.public().to_owned());
                    [("error".to_owned(), json!(text))].into_iter().collect()
                }
            };
            if let Some(reference) = reference {
                members.insert("reference".to_owned(), reference);
            }
            shown.push(Value::Object(members));
        }
        if self.one {
            return Ok(Reply::data(&shown.pop().unwrap_or_default()));
        }
        let data = json!({ "batch_results": shown });
        if failed == 0 {
            return Ok(Reply::data(&data));
        }
        let chosen = if failed < all { ask.fields.integer("partial_failure_response_code")? } else { None };
        let status = chosen.and_then(|code| StatusCode::from_u16(u16::try_from(code).ok()?).ok());
        let envelope = Envelope { data: Some(members(&data)), ..Envelope::default() };
        match status {
            Some(status) => Ok(Reply::Full(Box::new(Envelope { status: Some(status), ..envelope }))),
            None => Err(Fault::with(StatusCode::BAD_REQUEST, envelope)),
        }
    }
}
