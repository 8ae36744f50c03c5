//! How long and how many what people say about a key may be.

use std::{collections::BTreeMap, time::Duration};

use writ_kernel::{Error, Result, Timestamp};

/// A key rotates by itself no more often than this.
const SHORTEST_PERIOD: Duration = Duration::from_hours(1);

pub(crate) fn description(text: Option<&str>) -> Result<()> {
    let fits = text
        .is_none_or(|text| text.chars().count() <= 500 && !text.chars().any(|c| c.is_control() && c != '\n'));
    let error =
        || Error::invalid("malformed_description", "a description has at most 500 printable characters");
    if fits { Ok(()) } else { Err(error().at("description")) }
}

pub(crate) fn words(labels: &[String], tags: &BTreeMap<String, String>) -> Result<()> {
    let fits = |text: &str| (1..=100).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if labels.len() > 50 || !labels.iter().all(|label| fits(label)) {
        return Err(Error::invalid(
            "malformed_label",
            "a key has at most 50 labels of 1 to 100 printable characters",
        )
        .at("labels"));
    }
    if tags.len() > 50 || !tags.iter().all(|(name, value)| fits(name) && (value.is_empty() || fits(value))) {
        return Err(Error::invalid(
            "malformed_tag",
            "a key has at most 50 tags of 1 to 100 printable characters",
        )
        .at("tags"));
    }
    Ok(())
}

pub(crate) fn period(every: Option<Duration>) -> Result<()> {
    match every {
        Some(every) if every < SHORTEST_PERIOD => {
            Err(Error::invalid("invalid_period", "a key rotates at most once an hour")
                .at("rotateEverySeconds"))
        }
        _ => Ok(()),
    }
}

pub(crate) fn future(end: Option<Timestamp>, now: Timestamp) -> Result<()> {
    match end {
        Some(end) if end <= now => {
            Err(Error::invalid("invalid_expiry", "a key expires in the future").at("expiresAt"))
        }
        _ => Ok(()),
    }
}
