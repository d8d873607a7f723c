//! What a dump holds, as far as two of them are to be compared: of each table how many rows, which, and how it is defined;
//! of everything else (views, triggers, routines) only whether it is the same.
//!
//! Neither the order of rows nor what the server counts on by itself (`AUTO_INCREMENT`, sequences) is a difference.

use super::dump_types::Fingerprint;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// One table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableDigest {
    /// Its rows.
    pub rows: Fingerprint,
    /// The statements that make it.
    pub(crate) definition: Fingerprint,
}

impl TableDigest {
    /// Whether it is made alike: the same columns and keys.
    pub fn is_defined_as(&self, other: &TableDigest) -> bool {
        self.definition == other.definition
    }
}

/// A whole dump.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Digests {
    /// Its tables by name, prefix included.
    pub tables: BTreeMap<String, TableDigest>,
    /// Everything else that it makes.
    pub(crate) others: Fingerprint,
}

impl Digests {
    /// Whether views, triggers, routines and the like are the same.
    pub fn has_same_others(&self, other: &Digests) -> bool {
        self.others == other.others
    }
}

/// A `CREATE TABLE` without the number that the next row gets, which rows that came and went leave behind.
pub(crate) fn without_counter(statement: &[u8]) -> Cow<'_, [u8]> {
    const COUNTER: &[u8] = b" AUTO_INCREMENT=";
    let Some(at) = memchr::memmem::rfind(statement, COUNTER) else { return Cow::Borrowed(statement) };
    let (before, rest) = statement.split_at(at);
    let rest = rest.get(COUNTER.len()..).unwrap_or_default();
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    Cow::Owned([before, rest.get(digits..).unwrap_or_default()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Monitor;
    use crate::config::Driver;
    use crate::source::database::digests;
    use std::path::Path;

    fn of(sql: &str) -> Digests {
        let text = format!(
            "-- bam MySQL dump 1\n{sql}\n-- bam: views, triggers, routines, events\n-- Dump completed\n"
        );
        digests(Some(Driver::Mysql), &mut text.as_bytes(), Path::new("/tmp"), &Monitor::new())
            .expect("a dump")
    }

    #[test]
    fn order_and_counters_are_no_difference() {
        let create = |next: u32| {
            format!(
                "CREATE TABLE `t` (`a` int NOT NULL AUTO_INCREMENT, PRIMARY KEY (`a`)) ENGINE=InnoDB AUTO_INCREMENT={next} COMMENT='x';\n"
            )
        };
        let one = of(&(create(5) + "INSERT INTO `t` VALUES (1),(2);\nINSERT INTO `t` VALUES (3);"));
        let two = of(&(create(900) + "INSERT INTO `t` VALUES (3),(1),(2);"));
        assert_eq!(one, two);
        assert_eq!(one.tables["t"].rows.rows, 3);
        let other = of(&(create(5) + "INSERT INTO `t` VALUES (1),(2),(4);"));
        assert!(
            one.tables["t"].is_defined_as(&other.tables["t"])
                && one.tables["t"].rows != other.tables["t"].rows
        );
        let wider = of(&(create(5).replace("int", "bigint") + "INSERT INTO `t` VALUES (1),(2),(3);"));
        assert!(!one.tables["t"].is_defined_as(&wider.tables["t"]));
    }
}
