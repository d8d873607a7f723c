//! Where in a YAML text the value of a key path is. serde keeps no positions, but its errors do: this reader fails, on
//! purpose, at the value it looks for.

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Line and column, from 1, of the value at `path`; `None` where there is none.
pub(super) fn locate(yaml: &str, path: &[String]) -> Option<(usize, usize)> {
    nth(yaml, path, 1)
}

/// The same of a key that is there twice: of the second.
pub(super) fn locate_second(yaml: &str, path: &[String]) -> Option<(usize, usize)> {
    nth(yaml, path, 2)
}

fn nth(yaml: &str, path: &[String], nth: usize) -> Option<(usize, usize)> {
    let error = Locate { path, nth }.deserialize(serde_yaml::Deserializer::from_str(yaml)).err()?;
    error.location().map(|at| (at.line(), at.column()))
}

struct Locate<'a> {
    path: &'a [String],
    /// Which of the last key's values.
    nth: usize,
}

impl<'de> DeserializeSeed<'de> for Locate<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl Locate<'_> {
    fn here<E: de::Error>(&self) -> Result<(), E> {
        if self.path.is_empty() { Err(E::custom("here")) } else { Ok(()) }
    }
}

impl<'de> Visitor<'de> for Locate<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
        self.here()
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<(), E> {
        self.here()
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<(), E> {
        self.here()
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        self.here()
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<(), E> {
        self.here()
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.here()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        self.here()?;
        let wanted =
            self.path.split_first().and_then(|(index, rest)| Some((index.parse::<usize>().ok()?, rest)));
        let mut at = 0;
        loop {
            let more = match wanted {
                Some((index, rest)) if index == at => {
                    list.next_element_seed(Locate { path: rest, nth: self.nth })?.is_some()
                }
                _ => list.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                return Ok(());
            }
            at += 1;
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.here()?;
        let mut left = self.nth;
        while let Some(key) = map.next_key::<String>()? {
            match self.path.split_first() {
                Some((wanted, [])) if key == *wanted && left > 1 => {
                    left -= 1;
                    map.next_value::<IgnoredAny>().map(drop)?;
                }
                Some((wanted, rest)) if key == *wanted => {
                    map.next_value_seed(Locate { path: rest, nth: self.nth })?
                }
                _ => map.next_value::<IgnoredAny>().map(drop)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::locate;

    #[test]
    fn values_are_found_by_path() {
        let yaml = "# a comment\nsources:\n  db: {type: database, database: d}\nlist:\n  - a\n  - b: 1\n";
        let at = |path: &[&str]| locate(yaml, &path.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(at(&["sources", "db", "database"]), Some((3, 34)));
        assert_eq!(at(&["list", "1", "b"]), Some((6, 8)));
        assert_eq!(at(&["list", "0"]), Some((5, 5)));
        assert_eq!(at(&["sources", "files"]), None);
        let twice = "a: {b: 1}\nc: 2\na: {b: 3}\n";
        assert_eq!(super::locate_second(twice, &["a".into()]), Some((3, 4)));
        assert_eq!(super::locate_second(twice, &["c".into()]), None);
    }
}
