//! Readers for values that YAML's authors and PHP's `json_encode` write in more than one way: `no` for false, `"1"`
//! for 1, `[]` for an empty map, one string for a list of one.

use super::read::DUPLICATE_KEY;
use super::{Compression, EncryptionKind, duration};
use serde::de::{
    self, Deserialize, DeserializeOwned, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::path::PathBuf;

/// Nothing (an empty section) means the default.
pub(super) fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<T, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

/// A map by name, each name once; nothing and `[]` (PHP's empty array) are the empty map.
pub(super) fn table<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    from: D,
) -> Result<BTreeMap<String, T>, D::Error> {
    struct Table<T>(PhantomData<T>);

    impl<'de, T: DeserializeOwned> Visitor<'de> for Table<T> {
        type Value = BTreeMap<String, T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map from names to settings")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = BTreeMap::new();
            while let Some((name, value)) = map.next_entry::<String, T>()? {
                if found.contains_key(&name) {
                    return Err(de::Error::custom(format_args!("{DUPLICATE_KEY}{name}`")));
                }
                found.insert(name, value);
            }
            Ok(found)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            match list.next_element::<de::IgnoredAny>()? {
                None => Ok(BTreeMap::new()),
                Some(_) => Err(de::Error::invalid_type(de::Unexpected::Seq, &self)),
            }
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(BTreeMap::new())
        }

        fn visit_none<E>(self) -> Result<Self::Value, E> {
            Ok(BTreeMap::new())
        }
    }

    from.deserialize_any(Table(PhantomData))
}

/// A scalar as it was written. Strings may be secrets, so no error shows one.
enum Scalar {
    None,
    Bool(bool),
    Int(i64),
    Text(String),
}

/// Reads any scalar; everything else is an error that says what was expected.
fn scalar<'de, D: Deserializer<'de>>(from: D, expected: &'static str) -> Result<Scalar, D::Error> {
    struct Any(&'static str);

    impl<'de> Visitor<'de> for Any {
        type Value = Scalar;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_unit<E>(self) -> Result<Scalar, E> {
            Ok(Scalar::None)
        }

        fn visit_none<E>(self) -> Result<Scalar, E> {
            Ok(Scalar::None)
        }

        fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
            Ok(Scalar::Bool(value))
        }

        fn visit_i64<E>(self, value: i64) -> Result<Scalar, E> {
            Ok(Scalar::Int(value))
        }

        fn visit_u64<E: de::Error>(self, value: u64) -> Result<Scalar, E> {
            i64::try_from(value)
                .map(Scalar::Int)
                .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(value), &self))
        }

        fn visit_str<E>(self, value: &str) -> Result<Scalar, E> {
            Ok(Scalar::Text(value.to_owned()))
        }
    }

    from.deserialize_any(Any(expected))
}

fn wrong<E: de::Error>(value: &Scalar, expected: &'static str) -> E {
    let unexpected = match value {
        Scalar::None => de::Unexpected::Unit,
        Scalar::Bool(value) => de::Unexpected::Bool(*value),
        Scalar::Int(value) => de::Unexpected::Signed(*value),
        Scalar::Text(text) => de::Unexpected::Str(text),
    };
    E::invalid_value(unexpected, &expected)
}

/// `true`, `yes`, `on`, 1 and their opposites; nothing is false.
pub(super) fn boolean<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    const EXPECTED: &str = "true or false";
    let value = scalar(from, EXPECTED)?;
    match &value {
        Scalar::None => Ok(false),
        Scalar::Bool(value) => Ok(*value),
        Scalar::Int(0) => Ok(false),
        Scalar::Int(1) => Ok(true),
        Scalar::Text(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" | "1" => Ok(true),
            "false" | "no" | "off" | "n" | "0" | "" => Ok(false),
            _ => Err(wrong(&value, EXPECTED)),
        },
        Scalar::Int(_) => Err(wrong(&value, EXPECTED)),
    }
}

/// The same for what is left open where nothing is said.
pub(super) fn optional_boolean<'de, D: Deserializer<'de>>(from: D) -> Result<Option<bool>, D::Error> {
    boolean(from).map(Some)
}

/// One of an enum's names; `false`, `no`, 0 and nothing are `none`, and `other_names` (B&M's) are translated first.
fn choice<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
    other_names: &[(&str, &str)],
) -> Result<T, D::Error> {
    let value = scalar(from, "a name")?;
    let name = match &value {
        Scalar::None | Scalar::Bool(false) | Scalar::Int(0) => "none",
        Scalar::Bool(true) | Scalar::Int(_) => return Err(wrong(&value, "a name")),
        Scalar::Text(text) => match text.as_str() {
            "" | "0" | "no" | "off" | "false" => "none",
            text => other_names.iter().find(|(other, _)| *other == text).map_or(text, |(_, name)| name),
        },
    };
    T::deserialize(name.to_owned().into_deserializer())
}

pub(super) fn compression<'de, D: Deserializer<'de>>(from: D) -> Result<Compression, D::Error> {
    choice(from, &[("bzip", "bzip2"), ("gz", "gzip"), ("zst", "zstd")])
}

/// B&M's `aes` means the container; what the module wrote is asked for by name.
pub(super) fn encryption<'de, D: Deserializer<'de>>(from: D) -> Result<EncryptionKind, D::Error> {
    choice(from, &[("aes", "aes256")])
}

/// Seconds, or a duration such as `7d`; nothing is 0.
pub(super) fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    optional_seconds(from).map(Option::unwrap_or_default)
}

/// Seconds, a duration such as `7d`, or nothing.
pub(super) fn optional_seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    const EXPECTED: &str = "a duration such as 8d, 12h or 90m, or a number of seconds";
    let value = scalar(from, EXPECTED)?;
    match &value {
        Scalar::None => Ok(None),
        Scalar::Int(number) => u64::try_from(*number).map(Some).map_err(|_| wrong(&value, EXPECTED)),
        Scalar::Text(text) => duration::parse(text).map(Some).map_err(|_| wrong(&value, EXPECTED)),
        Scalar::Bool(_) => Err(wrong(&value, EXPECTED)),
    }
}

/// 0, 1 or 2, as B&M stores it; true is 1.
pub(super) fn append_timestamp<'de, D: Deserializer<'de>>(from: D) -> Result<u8, D::Error> {
    const EXPECTED: &str = "0 (never overwrite), 1 (timestamp) or 2 (overwrite)";
    let value = scalar(from, EXPECTED)?;
    match &value {
        Scalar::Bool(value) => Ok(u8::from(*value)),
        Scalar::Int(0) => Ok(0),
        Scalar::Int(1) => Ok(1),
        Scalar::Int(2) => Ok(2),
        Scalar::Text(text) => match text.as_str() {
            "0" | "" => Ok(0),
            "1" => Ok(1),
            "2" => Ok(2),
            _ => Err(wrong(&value, EXPECTED)),
        },
        Scalar::None | Scalar::Int(_) => Err(wrong(&value, EXPECTED)),
    }
}

/// Octal permissions. A number is taken by its decimal digits (`640`), unless those are no sensible permissions: then
/// it was octal before YAML or PHP read it (`0o640` is 416), and guessing could open a file to the world.
pub(super) fn mode<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    const EXPECTED: &str = "octal permissions in quotes, such as \"0640\"";
    let value = scalar(from, EXPECTED)?;
    let text = match &value {
        Scalar::None => return Ok(None),
        Scalar::Int(number) => number.to_string(),
        Scalar::Text(text) if text.is_empty() => return Ok(None),
        Scalar::Text(text) => text.trim_start_matches("0o").to_owned(),
        Scalar::Bool(_) => return Err(wrong(&value, EXPECTED)),
    };
    let bits = u32::from_str_radix(&text, 8).ok().filter(|bits| text.len() <= 4 && bits & 0o600 == 0o600);
    match bits {
        Some(bits) if bits <= 0o7777 => Ok(Some(format!("{bits:04o}"))),
        _ => Err(wrong(&value, EXPECTED)),
    }
}

/// A list of strings; one string is a list of one, nothing is none. PHP's maps with numbers for keys are lists, too.
pub(super) fn list<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    strings(from, false).map(Option::unwrap_or_default)
}

/// The same of paths.
pub(super) fn paths<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<PathBuf>, D::Error> {
    Ok(list(from)?.into_iter().map(PathBuf::from).collect())
}

/// The same; a string is split into lines, as B&M keeps excluded paths. Nothing at all is `None`.
pub(super) fn lines<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<String>>, D::Error> {
    strings(from, true)
}

/// The lines of a text area: trimmed, without the empty ones.
pub(super) fn split_lines(text: &str) -> Vec<String> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn strings<'de, D: Deserializer<'de>>(from: D, split: bool) -> Result<Option<Vec<String>>, D::Error> {
    struct Strings {
        split: bool,
    }

    impl<'de> Visitor<'de> for Strings {
        type Value = Option<Vec<String>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of strings")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_none<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
            Ok(Some(match (self.split, text.is_empty()) {
                (true, _) => split_lines(text),
                (false, true) => Vec::new(),
                (false, false) => vec![text.to_owned()],
            }))
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut found = Vec::new();
            while let Some(item) = list.next_element()? {
                found.push(item);
            }
            Ok(Some(found))
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = Vec::new();
            while let Some((key, value)) = map.next_entry::<String, String>()? {
                if !key.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(de::Error::invalid_type(de::Unexpected::Map, &self));
                }
                found.push(value);
            }
            Ok(Some(found))
        }
    }

    from.deserialize_any(Strings { split })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn yes_and_no_in_every_spelling() {
        let spelled = [
            (
                true,
                vec![json!(true), json!(1), json!("yes"), json!("On"), json!("Y"), json!("1"), json!("TRUE")],
            ),
            (
                false,
                vec![json!(false), json!(0), json!("no"), json!("off"), json!("n"), json!(""), json!(null)],
            ),
        ];
        for (expected, values) in spelled {
            for value in values {
                assert_eq!(boolean(value.clone()).ok(), Some(expected), "{value}");
                assert_eq!(optional_boolean(value.clone()).ok(), Some(Some(expected)), "{value}");
            }
        }
        for value in [json!(2), json!(-1), json!("maybe"), json!(1.5), json!([])] {
            assert!(boolean(value.clone()).is_err(), "{value}");
        }
    }

    #[test]
    fn permissions_are_taken_as_they_were_meant_or_refused() {
        for (value, expected) in [
            (json!(640), "0640"),
            (json!("0640"), "0640"),
            (json!("0o640"), "0640"),
            (json!("600"), "0600"),
            (json!("7777"), "7777"),
        ] {
            assert_eq!(mode(value.clone()).ok(), Some(Some(expected.to_owned())), "{value}");
        }
        // 416 is 0640 that YAML has read; 0400 and 0200 lock the owner out.
        for value in
            [json!(416), json!("0400"), json!("0200"), json!("00640"), json!("9"), json!(true), json!(-1)]
        {
            assert!(mode(value.clone()).is_err(), "{value}");
        }
        assert_eq!((mode(json!(null)).ok(), mode(json!("")).ok()), (Some(None), Some(None)));
    }

    #[test]
    fn numbers_with_a_meaning() {
        let read = |value: Value| append_timestamp(value).ok();
        assert_eq!([json!(0), json!(1), json!(2)].map(read), [Some(0), Some(1), Some(2)]);
        assert_eq!(
            [json!("0"), json!("1"), json!("2"), json!("")].map(read),
            [Some(0), Some(1), Some(2), Some(0)]
        );
        assert_eq!([json!(true), json!(false)].map(read), [Some(1), Some(0)]);
        assert_eq!([json!(3), json!(null), json!("3"), json!(-1)].map(read), [None; 4]);

        let read = |value: Value| optional_seconds(value).ok();
        assert_eq!(
            [json!("8d"), json!(60), json!(null)].map(read),
            [Some(Some(691_200)), Some(Some(60)), Some(None)]
        );
        assert_eq!([json!(-1), json!(true), json!("soon")].map(read), [None; 3]);
        assert_eq!((seconds(json!(null)).ok(), seconds(json!("1h")).ok()), (Some(0), Some(3_600)));
    }

    #[test]
    fn names_of_none_and_other_names() {
        for value in [json!(false), json!(0), json!(null), json!("no"), json!(""), json!("0"), json!("none")]
        {
            assert_eq!(compression(value.clone()).ok(), Some(Compression::None), "{value}");
            assert_eq!(encryption(value.clone()).ok(), Some(EncryptionKind::None), "{value}");
        }
        for (name, expected) in [
            ("bzip", Compression::Bzip2),
            ("gz", Compression::Gzip),
            ("gzip", Compression::Gzip),
            ("zst", Compression::Zstd),
        ] {
            assert_eq!(compression(json!(name)).ok(), Some(expected), "{name}");
        }
        assert_eq!(encryption(json!("aes")).ok(), Some(EncryptionKind::Aes256));
        for value in [json!(true), json!(1), json!("rar"), json!([])] {
            assert!(compression(value.clone()).is_err(), "{value}");
        }
    }

    #[test]
    fn lists_and_maps_as_php_and_people_write_them() {
        for (value, expected) in [
            (json!("a b"), vec!["a b"]),
            (json!(""), vec![]),
            (json!(null), vec![]),
            (json!(["a", ""]), vec!["a", ""]),
            (json!({"0": "a", "7": "b"}), vec!["a", "b"]),
        ] {
            assert_eq!(list(value.clone()).expect("a list"), expected, "{value}");
        }
        assert_eq!(lines(json!(" a \n\n\tb")).expect("lines"), Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(lines(json!(null)).expect("nothing"), None);
        assert_eq!(paths(json!("/a")).expect("a path"), [PathBuf::from("/a")]);
        for value in [json!({"a": "b"}), json!(1), json!([1])] {
            assert!(list(value.clone()).is_err(), "{value}");
        }
        let read = |text: &str| table::<_, u8>(&mut serde_json::Deserializer::from_str(text));
        assert_eq!(read(r#"{"a": 1, "b": 2}"#).expect("a map").len(), 2);
        assert!(read("[]").expect("PHP's").is_empty() && read("null").expect("an empty section").is_empty());
        for text in ["[1]", r#"{"a": 1, "a": 2}"#, "1", r#"{"a": 300}"#] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
