//! Secrets known by value.

use std::{collections::BTreeMap, fmt, sync::Arc};

use crate::{
    detect::is_secret_field,
    exact::{Exact, SHORTEST},
    hidden::Hidden,
    variants,
};

/// A value longer than this is not looked for whole, only by its first so many bytes and its lines.
const LONGEST: usize = 64 * 1024;
/// The longest name of a kind, in bytes.
const KIND: usize = 64;

/// A set of secrets known by value, each of a kind. Overwritten when dropped.
#[derive(Clone, Default)]
pub struct Values {
    values: BTreeMap<Hidden, Arc<str>>,
}

impl Values {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a value. `kind` names it in the redacted text: letters, digits and `._:/-`, anything else becomes `-`.
    ///
    /// Returns `false`, and takes nothing, if the value is so short or so common (`true`, a region, a small
    /// number) that redacting it everywhere would deface ordinary text; such a value has to be masked by its
    /// path. Of a value that is a JSON document the members with secret names are added as well.
    #[must_use = "a value that is not taken has to be masked by its path"]
    pub fn add(&mut self, kind: &str, value: &[u8]) -> bool {
        let value = value.get(..LONGEST).unwrap_or(value);
        if is_trivial(value) {
            return false;
        }
        let kind = label(kind);
        if value.trim_ascii_start().starts_with(b"{")
            && let Ok(document) = serde_json::from_slice(value)
        {
            self.add_members(&kind, &document);
        }
        self.values.entry(Hidden::from(value)).or_insert(kind);
        true
    }

    /// Adds all of `others`.
    pub fn extend(&mut self, others: &Self) {
        for (value, kind) in &others.values {
            self.values.entry(value.clone()).or_insert_with(|| Arc::clone(kind));
        }
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub(crate) fn compile(&self) -> Exact {
        let spellings: Vec<_> = self
            .values
            .iter()
            .flat_map(|(value, kind)| variants::of(value).into_iter().map(move |spelling| (spelling, kind)))
            .collect();
        Exact::new(spellings.iter().map(|(spelling, kind)| (&**spelling, *kind)))
    }

    fn add_members(&mut self, kind: &Arc<str>, document: &serde_json::Value) {
        match document {
            serde_json::Value::Object(members) => {
                for (name, member) in members {
                    match member {
                        serde_json::Value::String(text)
                            if is_secret_field(name, text) && !is_trivial(text.as_bytes()) =>
                        {
                            self.values
                                .entry(Hidden::from(text.as_bytes()))
                                .or_insert_with(|| Arc::clone(kind));
                        }
                        member => self.add_members(kind, member),
                    }
                }
            }
            serde_json::Value::Array(items) => items.iter().for_each(|item| self.add_members(kind, item)),
            _ => {}
        }
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Values").field("len", &self.len()).finish_non_exhaustive()
    }
}

fn label(kind: &str) -> Arc<str> {
    let plain =
        |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | ':' | '/' | '-');
    let label: String =
        kind.chars().take(KIND).map(|letter| if plain(letter) { letter } else { '-' }).collect();
    label.into()
}

/// Whether redacting a value everywhere would deface ordinary text.
fn is_trivial(value: &[u8]) -> bool {
    const WORDS: &[&str] = &[
        "default",
        "enabled",
        "disabled",
        "production",
        "staging",
        "development",
        "localhost",
        "password",
        "secret",
        "private",
        "public",
        "standard",
        "username",
        "postgres",
        "administrator",
        "westeurope",
        "northeurope",
        "eastus",
        "eastus2",
        "westus",
        "westus2",
        "westus3",
        "centralus",
        "uksouth",
        "ukwest",
        "francecentral",
        "germanywestcentral",
        "swedencentral",
        "switzerlandnorth",
        "norwayeast",
        "southeastasia",
        "eastasia",
        "japaneast",
        "australiaeast",
        "canadacentral",
        "brazilsouth",
        "centralindia",
        "koreacentral",
        "global",
        "string",
        "number",
        "object",
    ];
    let value = value.trim_ascii();
    let first = value.first().copied().unwrap_or_default();
    value.len() < SHORTEST
        || value.iter().all(|byte| *byte == first)
        || (value.len() < 8 && value.iter().all(u8::is_ascii_digit))
        || WORDS.iter().any(|word| value.eq_ignore_ascii_case(word.as_bytes()))
        || is_region(value)
}

/// `eu-west-1`, `us-gov-east-1`, `europe-west4`, `europe-west4-b`.
fn is_region(value: &[u8]) -> bool {
    const PLACES: &[&[u8]] = &[
        b"us",
        b"eu",
        b"ap",
        b"sa",
        b"ca",
        b"me",
        b"af",
        b"il",
        b"mx",
        b"cn",
        b"europe",
        b"asia",
        b"australia",
        b"northamerica",
        b"southamerica",
        b"africa",
    ];
    const DIRECTIONS: &[&[u8]] = &[
        b"north",
        b"south",
        b"east",
        b"west",
        b"central",
        b"northeast",
        b"northwest",
        b"southeast",
        b"southwest",
        b"gov",
        b"iso",
        b"isob",
    ];
    let mut parts = value.split(|byte| *byte == b'-');
    let placed = parts.next().is_some_and(|place| PLACES.contains(&place));
    let mut directed = false;
    let ordinary = parts.all(|part| {
        let word = part.strip_suffix(
            part.last().filter(|byte| byte.is_ascii_digit()).map_or(&b""[..], std::slice::from_ref),
        );
        let direction = word.is_some_and(|word| DIRECTIONS.contains(&word));
        directed |= direction;
        direction || part.len() <= 2
    });
    placed && directed && ordinary
}
