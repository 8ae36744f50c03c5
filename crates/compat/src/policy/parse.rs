//! From the text of a policy to what it says of paths.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Map, Value};
use writ_kernel::{Capability, Demands, Error, Result, Rule};

use super::{Path, hcl};
use crate::duration;

/// A longer text is refused.
const LONGEST: usize = 256 * 1024;

/// More paths are refused.
const MOST: usize = 10_000;

/// Members of a path that mean nothing here and are taken all the same.
const IGNORED: &[&str] = &["comment", "pagination_limit"];

/// Members of a path that narrow it in ways that are not here. To ignore one would give more than was meant.
const NARROWING: &[&str] =
    &["expiration", "response_keys_filter_path", "list_scan_response_keys_filter_path"];

/// What the policy `text`, in HCL or JSON, says.
///
/// # Errors
/// `Invalid`.
pub(crate) fn parse(text: &str) -> Result<Vec<Path>> {
    let invalid = |why: String| Error::invalid("malformed_policy", format!("failed to parse policy: {why}"));
    if text.len() > LONGEST {
        return Err(invalid("it is longer than 256 KiB".to_owned()));
    }
    let trimmed = text.trim_start();
    let members = if trimmed.starts_with('{') {
        serde_json::from_str(trimmed).map_err(|error| format!("line {}: not JSON", error.line()))
    } else {
        hcl::parse(text)
    };
    let paths = members.and_then(|members| paths(&members)).map_err(invalid)?;
    if paths.len() > MOST {
        return Err(invalid(format!("it has more than {MOST} paths")));
    }
    Ok(paths)
}

fn paths(members: &Map<String, Value>) -> Result<Vec<Path>, String> {
    let mut paths = Vec::new();
    for (name, value) in members {
        match name.as_str() {
            "name" => {}
            "path" => gather(value, &mut paths)?,
            other => return Err(format!("invalid key \"{}\"", other.escape_debug())),
        }
    }
    Ok(paths)
}

/// `{"x": {…}}`, `[{"x": {…}}, …]`, and `{"x": [{…}, …]}`.
fn gather(value: &Value, paths: &mut Vec<Path>) -> Result<(), String> {
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| gather(item, paths)),
        Value::Object(members) => {
            for (pattern, body) in members {
                let bodies = body.as_array().map_or_else(|| std::slice::from_ref(body), Vec::as_slice);
                for body in bodies {
                    paths.push(path(pattern, body)?);
                }
            }
            Ok(())
        }
        _ => Err("`path` is a map of patterns".to_owned()),
    }
}

fn path(pattern: &str, body: &Value) -> Result<Path, String> {
    let shown = pattern.escape_debug().to_string();
    let at = |why: String| format!("path \"{shown}\": {why}");
    let body = body.as_object().ok_or_else(|| at("it has no body".to_owned()))?;
    let pattern = pattern.strip_prefix('/').unwrap_or(pattern).to_owned();
    if pattern.contains("+*") {
        return Err(at("invalid use of wildcards ('+*' is forbidden)".to_owned()));
    }
    let mut capabilities = Vec::new();
    let (mut deny, mut demands) = (false, Demands::default());
    for (name, value) in body {
        match name.as_str() {
            "capabilities" => {
                for word in words(value).map_err(at)? {
                    match word.as_str() {
                        "deny" => deny = true,
                        word => capabilities.push(capability(word).map_err(at)?),
                    }
                }
            }
            "policy" => match value.as_str() {
                Some("deny") => deny = true,
                Some(word) => capabilities.extend(shorthand(word).map_err(at)?),
                None => return Err(at("`policy` is a word".to_owned())),
            },
            "allowed_parameters" => demands.allowed = parameters(value).map_err(at)?,
            "denied_parameters" => demands.denied = parameters(value).map_err(at)?,
            "required_parameters" => {
                demands.required = words(value).map_err(at)?.iter().map(|word| word.to_lowercase()).collect();
            }
            "min_wrapping_ttl" => demands.shortest_wrap = span(value).map_err(at)?,
            "max_wrapping_ttl" => demands.longest_wrap = span(value).map_err(at)?,
            name if IGNORED.contains(&name) => {}
            name if NARROWING.contains(&name) => {
                return Err(at(format!("`{name}` is not supported")));
            }
            other => return Err(at(format!("invalid key \"{}\"", other.escape_debug()))),
        }
    }
    if let (Some(shortest), Some(longest)) = (demands.shortest_wrap, demands.longest_wrap)
        && longest < shortest
    {
        return Err(at("max_wrapping_ttl cannot be less than min_wrapping_ttl".to_owned()));
    }
    let rule =
        if deny { Rule::deny(&pattern) } else { Rule::allow(&pattern, capabilities).demanding(demands) };
    Ok(Path { pattern, rule })
}

fn capability(word: &str) -> Result<Capability, String> {
    let found = Capability::ALL.into_iter().find(|capability| capability.as_str() == word);
    found.ok_or_else(|| format!("invalid capability \"{}\"", word.escape_debug()))
}

/// What the one word of old policies means.
fn shorthand(word: &str) -> Result<Vec<Capability>, String> {
    use Capability::{Create, Delete, List, Read, Sudo, Update};
    match word {
        "read" => Ok(vec![Read, List]),
        "write" => Ok(vec![Create, Read, Update, Delete, List]),
        "sudo" => Ok(vec![Create, Read, Update, Delete, List, Sudo]),
        other => Err(format!("invalid policy \"{}\"", other.escape_debug())),
    }
}

fn words(value: &Value) -> Result<Vec<String>, String> {
    let word = |item: &Value| {
        item.as_str().map(str::to_owned).ok_or_else(|| "a list of words is expected".to_owned())
    };
    match value {
        Value::Array(items) => items.iter().map(word).collect(),
        Value::Null => Ok(Vec::new()),
        one => Ok(vec![word(one)?]),
    }
}

fn parameters(value: &Value) -> Result<BTreeMap<String, Vec<String>>, String> {
    let wrong = || "parameters are a map of lists".to_owned();
    let plain = |item: &Value| item.as_str().map_or_else(|| item.to_string(), str::to_owned);
    let one = |value: &Value| -> Result<BTreeMap<_, _>, String> {
        let members = value.as_object().ok_or_else(wrong)?;
        let member = |(name, values): (&String, &Value)| {
            let values = values.as_array().ok_or_else(wrong)?.iter().map(plain).collect();
            Ok((name.to_lowercase(), values))
        };
        members.iter().map(member).collect()
    };
    match value {
        // A block instead of a map.
        Value::Array(items) => {
            let mut all = BTreeMap::new();
            for item in items {
                all.extend(one(item)?);
            }
            Ok(all)
        }
        other => one(other),
    }
}

fn span(value: &Value) -> Result<Option<Duration>, String> {
    let seconds = match value {
        Value::Number(number) => number.as_f64().and_then(duration::whole),
        Value::String(text) => duration::seconds(text),
        _ => None,
    };
    let seconds =
        seconds.and_then(|seconds| u64::try_from(seconds).ok()).ok_or("a span of time is expected")?;
    Ok((seconds > 0).then(|| Duration::from_secs(seconds)))
}

#[cfg(test)]
mod tests {
    use writ_kernel::{Reach, Rules};

    use super::*;

    fn rules(text: &str) -> Rules {
        Rules::new(parse(text).unwrap().into_iter().map(|path| path.rule))
    }

    #[test]
    fn hcl_and_json_say_the_same() {
        let hcl = r#"
            # a comment
            path "secret/data/*" { capabilities = ["read", "list"] }
            path "/sys/mounts" {
              capabilities = ["update", "sudo"]
              allowed_parameters = { "type" = ["kv"], "*" = [] }
              min_wrapping_ttl = "1m"
            }
            path "secret/data/x" { policy = "deny" }"#;
        let json = r#"{"path": {
            "secret/data/*": {"capabilities": ["read", "list"]},
            "sys/mounts": {"capabilities": ["update", "sudo"], "allowed_parameters": {"type": ["kv"], "*": []},
                           "min_wrapping_ttl": 60},
            "secret/data/x": {"policy": "deny"}}}"#;
        assert_eq!(rules(hcl), rules(json));
        assert_eq!(rules(hcl).reach("secret/data/x"), Reach::Denied);
        assert!(rules(hcl).allow("secret/data/y", Capability::List));
    }

    #[test]
    fn the_default_policy_is_well_formed() {
        let rules = rules(super::super::DEFAULT);
        assert!(rules.allow("auth/token/lookup-self", Capability::Read));
        assert!(
            rules.allow("cubbyhole/a/b", Capability::Create) && !rules.allow("secret/a", Capability::Read)
        );
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in [
            "path \"a\" { capabilities = [\"fly\"] }",
            "path \"a\" { capability = [\"read\"] }",
            "paths \"a\" {}",
            "path \"a\" { capabilities = [upper(\"READ\")] }",
            "path \"a\" { capabilities = [\"read\"]\n expiration = \"2026-01-01T00:00:00Z\" }",
            "path \"a+*\" { capabilities = [\"read\"] }",
            "path \"a\" {",
            "{\"path\": 1}",
            "{\"path\": {\"a\": 1}}",
            "nonsense",
            "path a",
            "path \"a\" { min_wrapping_ttl = \"2h\"\n max_wrapping_ttl = \"1h\" }",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse(&"#".repeat(LONGEST + 1)).is_err());
    }

    #[test]
    fn an_empty_policy_allows_nothing() {
        assert_eq!(rules("").reach("a"), Reach::Nothing);
    }
}
