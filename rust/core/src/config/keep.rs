//! `keep` of a schedule: which of its backups stay. What becomes of them by it is decided in `catalog`.

use super::duration;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde::{Serialize, Serializer};
use std::fmt;

/// Which backups of a schedule stay at each destination.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Keep {
    /// All; written 0 or `all`.
    #[default]
    All,
    /// So many of the newest.
    Newest(u64),
    /// Fewer the older they are, as [`super::SmartKeep`] says; written -2 (Backup and Migrate's number) or `smart`.
    Smart,
    /// So many of each period.
    Periods(KeepPeriods),
}

/// Of how many hours, days, weeks … the last backup stays, as restic's `forget --keep-…` counts them: only those in which
/// there is one count. 0: the word says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize, Serialize)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a map of `last`, `hourly`, `daily`, `weekly`, `monthly`, `yearly`, `within`"
)]
pub struct KeepPeriods {
    /// So many of the newest.
    #[serde(skip_serializing_if = "Count::is_none")]
    pub last: Count,
    /// The last of each hour.
    #[serde(skip_serializing_if = "Count::is_none")]
    pub hourly: Count,
    /// The last of each day.
    #[serde(skip_serializing_if = "Count::is_none")]
    pub daily: Count,
    /// The last of each week, which begins on Monday (ISO 8601).
    #[serde(skip_serializing_if = "Count::is_none")]
    pub weekly: Count,
    /// The last of each month.
    #[serde(skip_serializing_if = "Count::is_none")]
    pub monthly: Count,
    /// The last of each year.
    #[serde(skip_serializing_if = "Count::is_none")]
    pub yearly: Count,
    /// All that were made so many seconds before the newest, and later; written `14d`.
    #[serde(
        deserialize_with = "super::lenient::optional_seconds",
        serialize_with = "duration::serialize",
        skip_serializing_if = "Option::is_none"
    )]
    pub within: Option<u64>,
}

impl KeepPeriods {
    /// The words and how many each keeps, the shortest period first.
    pub fn counts(&self) -> [(&'static str, Count); 6] {
        [
            ("last", self.last),
            ("hourly", self.hourly),
            ("daily", self.daily),
            ("weekly", self.weekly),
            ("monthly", self.monthly),
            ("yearly", self.yearly),
        ]
    }

    /// Whether it names nothing that stays. restic takes that for "all", which nobody means who writes it down.
    pub fn is_empty(&self) -> bool {
        self.within.unwrap_or(0) == 0 && self.counts().iter().all(|(_, count)| count.is_none())
    }
}

/// How many of a period.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count(
    /// So many; [`u32::MAX`] is written `all`.
    pub u32,
);

impl Count {
    /// All there are.
    pub const ALL: Count = Count(u32::MAX);

    /// Whether it is 0.
    pub fn is_none(&self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Count::ALL { f.write_str("all") } else { write!(f, "{}", self.0) }
    }
}

impl Serialize for Count {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if *self == Count::ALL { serializer.serialize_str("all") } else { serializer.serialize_u32(self.0) }
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Count, D::Error> {
        struct Written;

        impl Visitor<'_> for Written {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of backups, or `all`")
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Count, E> {
                let count = u32::try_from(value).map(Count);
                count.map_err(|_| E::invalid_value(de::Unexpected::Unsigned(value), &self))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Count, E> {
                match u64::try_from(value) {
                    Ok(value) => self.visit_u64(value),
                    Err(_) => Err(E::invalid_value(de::Unexpected::Signed(value), &self)),
                }
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Count, E> {
                match text.trim() {
                    "all" | "unlimited" => Ok(Count::ALL),
                    text => text
                        .parse()
                        .map(Count)
                        .map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_unit<E>(self) -> Result<Count, E> {
                Ok(Count(0))
            }

            fn visit_none<E>(self) -> Result<Count, E> {
                Ok(Count(0))
            }
        }

        from.deserialize_any(Written)
    }
}

impl fmt::Display for Keep {
    /// For people: `all`, `7`, `smart`, `last 7, daily 7, within 14d`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Keep::All => f.write_str("all"),
            Keep::Newest(number) => write!(f, "{number}"),
            Keep::Smart => f.write_str("smart"),
            Keep::Periods(periods) => {
                let counts = periods.counts().into_iter().filter(|(_, count)| !count.is_none());
                let mut words: Vec<String> = counts.map(|(word, count)| format!("{word} {count}")).collect();
                words.extend(periods.within.map(|within| format!("within {}", duration::format(within))));
                f.write_str(&words.join(", "))
            }
        }
    }
}

impl Serialize for Keep {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Keep::All => serializer.serialize_i64(super::KEEP_ALL),
            Keep::Newest(number) => serializer.serialize_u64(*number),
            Keep::Smart => serializer.serialize_i64(super::KEEP_SMART),
            Keep::Periods(periods) => periods.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Keep {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Keep, D::Error> {
        struct Written;

        impl<'de> Visitor<'de> for Written {
            type Value = Keep;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "how many backups to keep: a number, `all` (0), `smart` (-2), or a map such as { last: 7, daily: 7, weekly: 5 }",
                )
            }

            fn visit_u64<E>(self, number: u64) -> Result<Keep, E> {
                Ok(if number == 0 { Keep::All } else { Keep::Newest(number) })
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Keep, E> {
                match u64::try_from(number) {
                    Ok(number) => self.visit_u64(number),
                    Err(_) if number == super::KEEP_SMART => Ok(Keep::Smart),
                    Err(_) => Err(E::invalid_value(de::Unexpected::Signed(number), &self)),
                }
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Keep, E> {
                match text.trim() {
                    "all" | "" => Ok(Keep::All),
                    "smart" => Ok(Keep::Smart),
                    number => match number.parse() {
                        Ok(number) => self.visit_i64(number),
                        Err(_) => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                    },
                }
            }

            fn visit_unit<E>(self) -> Result<Keep, E> {
                Ok(Keep::All)
            }

            fn visit_none<E>(self) -> Result<Keep, E> {
                Ok(Keep::All)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Keep, A::Error> {
                KeepPeriods::deserialize(MapAccessDeserializer::new(map)).map(Keep::Periods)
            }
        }

        from.deserialize_any(Written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Keep, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_written_is_read_back() {
        for text in ["0", "7", "-2", r#"{"last":7,"daily":7,"yearly":"all"}"#, r#"{"within":"2w"}"#] {
            let keep = read(text).expect("a rule");
            assert_eq!(serde_json::to_string(&keep).expect("JSON"), text);
        }
        for (text, shown) in [
            ("null", "all"),
            (r#""all""#, "all"),
            (r#"" 12 ""#, "12"),
            (r#""smart""#, "smart"),
            (
                r#"{"daily": "7", "monthly": 12, "last": 0, "within": "36h"}"#,
                "daily 7, monthly 12, within 36h",
            ),
        ] {
            assert_eq!(read(text).expect("a rule").to_string(), shown);
        }
    }

    #[test]
    fn a_rule_is_empty_where_nothing_stays_by_it() {
        let is_empty = |text: &str| match read(text).expect("a rule") {
            Keep::Periods(rule) => rule.is_empty(),
            other => panic!("{other}"),
        };
        for text in ["{}", r#"{"last": 0, "daily": null}"#, r#"{"within": 0}"#, r#"{"within": "0s"}"#] {
            assert!(is_empty(text), "{text}");
        }
        for text in [r#"{"within": 1}"#, r#"{"yearly": 1}"#, r#"{"weekly": "unlimited"}"#] {
            assert!(!is_empty(text), "{text}");
        }
        assert_eq!(read(r#"{"monthly": "all"}"#).expect("a rule").to_string(), "monthly all");
        assert_eq!(read("-2").expect("a rule"), Keep::Smart);
        assert_eq!(read("1").expect("a rule"), Keep::Newest(1));
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for text in [
            "-1",
            "true",
            "1.5",
            r#""few""#,
            "[7]",
            r#"{"daily": -7}"#,
            r#"{"dayly": 7}"#,
            r#"{"within": "soon"}"#,
        ] {
            read(text).expect_err(text);
        }
    }
}
