//! Spans of time, as clients write them.

/// Seconds in `90`, `90s`, `1m30s`, `1.5h`, `2d`; `None` for anything else. An empty text is no time at all.
pub(crate) fn seconds(text: &str) -> Option<i64> {
    let text = text.trim();
    if text.is_empty() {
        return Some(0);
    }
    if let Ok(number) = text.parse::<i64>() {
        return Some(number);
    }
    let (negative, mut rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let mut nanos: f64 = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(end);
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_end);
        nanos += number.parse::<f64>().ok()? * scale(unit)?;
        rest = next;
    }
    whole(if negative { -nanos } else { nanos })
}

fn scale(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1e-9,
        "us" | "µs" | "μs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return None,
    })
}

/// Whole seconds, cut towards zero.
pub(crate) fn whole(seconds: f64) -> Option<i64> {
    const BOUND: f64 = 1e12;
    #[expect(clippy::cast_possible_truncation, reason = "bounded, and cut on purpose")]
    (seconds.abs() < BOUND).then(|| seconds.trunc() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_span_is_understood() {
        for (text, expected) in [
            ("90", 90),
            ("90s", 90),
            ("1m30s", 90),
            ("1h0m0s", 3600),
            ("1.5h", 5400),
            ("2d", 172_800),
            ("", 0),
            ("500ms", 0),
            ("-1h", -3600),
            ("0", 0),
        ] {
            assert_eq!(seconds(text), Some(expected), "{text:?}");
        }
    }

    #[test]
    fn anything_else_is_not() {
        for text in ["h", "1x", "1h2", "abc", "1..5s", "99999999999999h", "--1s", "1 h"] {
            assert_eq!(seconds(text), None, "{text:?}");
        }
    }
}
