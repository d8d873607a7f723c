//! Durations as people write them: `8d`, `12h`, `90m`, `2w`, or plain seconds.

use crate::{Code, Error, Result};
use jiff::{Span, SpanRelativeTo};
use serde::Serializer;

/// Suffix, its seconds; the biggest first.
const UNITS: [(&str, u64); 5] = [("w", 604_800), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];

/// Longer ones, of more than 20 000 years, are read as a number alone.
const LONGEST: u64 = 631_107_417_600;

/// Seconds of `8d`, `1d 12h`, `8 days`, `604800`. Units: seconds, minutes (`m`), hours, days, weeks, the biggest first, added up.
pub fn parse(text: &str) -> Result<u64> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Ok(seconds);
    }
    let span = text.parse::<Span>().ok().filter(|span| span.get_years() == 0 && span.get_months() == 0);
    let length = span.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok());
    length.and_then(|length| u64::try_from(length.as_secs()).ok()).ok_or_else(|| {
        Error::new(Code::Config, format!("\"{}\" is no duration", text.escape_debug()))
            .hint("write a number and a unit, e.g. 90m, 12h, 8d, 2w, or a number of seconds")
    })
}

/// The shortest way to write `seconds` in one unit: `8d`, `36h`, `90s`.
pub fn format(seconds: u64) -> String {
    if seconds > LONGEST {
        return seconds.to_string();
    }
    let unit = UNITS.iter().find(|(_, factor)| seconds >= *factor && seconds.is_multiple_of(*factor));
    match unit {
        Some((suffix, factor)) => format!("{}{suffix}", seconds / factor),
        None => format!("{seconds}s"),
    }
}

/// For people: the two biggest units, `8d 2h`, `3m 20s`.
pub fn rough(seconds: u64) -> String {
    let mut parts = Vec::new();
    let mut rest = seconds;
    for (suffix, factor) in UNITS {
        let count = rest / factor;
        rest %= factor;
        if count > 0 {
            parts.push(format!("{count}{suffix}"));
        } else if !parts.is_empty() {
            break;
        }
        if parts.len() == 2 {
            break;
        }
    }
    if parts.is_empty() { "0s".into() } else { parts.join(" ") }
}

/// How old what was made at `time` is; `in 2d` where that lies ahead.
pub fn age(time: i64, now: i64) -> String {
    match u64::try_from(now.saturating_sub(time)) {
        Ok(age) => rough(age),
        Err(_) => format!("in {}", rough(now.abs_diff(time))),
    }
}

pub(super) fn serialize<S: Serializer>(seconds: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    match seconds {
        Some(seconds) => serializer.serialize_str(&format(*seconds)),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_add_up() {
        assert_eq!(parse("8d").expect("days"), 8 * 86_400);
        assert_eq!(parse(" 1d 12h ").expect("mixed"), 129_600);
        assert_eq!(parse("2w1d").expect("no space"), 15 * 86_400);
        assert_eq!(parse("604800").expect("seconds"), 604_800);
        assert_eq!(parse("90 m").expect("space before the unit"), 5_400);
        assert_eq!(parse("8 days").expect("in words"), 8 * 86_400);
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            " ",
            "d",
            "8",
            "8x",
            "8 moons",
            "1 month",
            "2y",
            "-1d",
            "1.5d",
            "99999999999999999999",
            "9999999999999999w",
            "8d x",
        ] {
            match parse(text) {
                Ok(8) if text == "8" => {}
                Ok(seconds) => panic!("{text:?} was taken for {seconds} seconds"),
                Err(error) => assert_eq!(error.code(), Code::Config),
            }
        }
    }

    #[test]
    fn formatting_is_read_back() {
        for seconds in
            [0, 1, 59, 60, 3_600, 5_400, 86_400, 604_800, 691_200, 1_000_001, LONGEST, LONGEST + 1, u64::MAX]
        {
            assert_eq!(parse(&format(seconds)).expect("our own words"), seconds);
        }
        assert_eq!(format(691_200), "8d");
        assert_eq!(rough(698_400), "1w 1d");
        assert_eq!(rough(86_400 + 59), "1d");
        assert_eq!(rough(200), "3m 20s");
        assert_eq!([rough(0), rough(59), rough(60), rough(604_800 + 3_600)], ["0s", "59s", "1m", "1w"]);
        assert_eq!([format(0), format(90), format(60)], ["0s", "90s", "1m"]);
        assert_eq!([age(40, 100), age(100, 100), age(86_500, 100)], ["1m", "0s", "in 1d"]);
        assert!(age(i64::MIN, i64::MAX).ends_with('d') && age(i64::MAX, i64::MIN).starts_with("in "));
    }
}
