//! Giving the tables of a dump another prefix, statement by statement.
//!
//! Names are replaced where the grammar says that a table's name stands: behind the verb, and in a CREATE TABLE behind
//! REFERENCES. Nothing between quotes is looked at, so rows stay what they are.

use super::statement::{Kind, Statement, referenced_tables};
use std::borrow::Cow;
use std::ops::Range;

/// The table's name with the prefix `to` in place of `from`; as it is where it does not begin with `from`.
pub(crate) fn renamed<'n>(name: &'n str, from: &str, to: &str) -> Cow<'n, str> {
    match name.strip_prefix(from) {
        Some(bare) if from != to => Cow::Owned(format!("{to}{bare}")),
        _ => Cow::Borrowed(name),
    }
}

/// The same for all the tables that a statement about tables names.
pub(crate) fn with_prefix<'t>(text: &'t [u8], from: &str, to: &str) -> Cow<'t, [u8]> {
    let statement = Statement::parse(text);
    let mut names: Vec<(Range<usize>, Cow<'_, [u8]>)> = vec![(statement.at.clone(), statement.name)];
    if matches!(statement.kind, Kind::Create | Kind::Alter) {
        names.extend(referenced_tables(text));
    }
    let (mut out, mut done) = (Vec::new(), 0);
    for (at, name) in names {
        let Some(bare) = name.strip_prefix(from.as_bytes()) else { continue };
        let (Some(before), false) = (text.get(done..at.start), at.is_empty()) else { continue };
        out.extend_from_slice(before);
        out.push(b'`');
        for byte in to.bytes().chain(bare.iter().copied()) {
            out.push(byte);
            if byte == b'`' {
                out.push(byte);
            }
        }
        out.push(b'`');
        done = at.end;
    }
    match text.get(done..) {
        Some(rest) if done > 0 => {
            out.extend_from_slice(rest);
            Cow::Owned(out)
        }
        _ => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_change_their_prefix_and_rows_do_not() {
        for (before, after) in [
            ("DROP TABLE IF EXISTS `a_node`", "DROP TABLE IF EXISTS `b_node`"),
            (
                "INSERT INTO `a_node` VALUES ('`a_node`','a_x')",
                "INSERT INTO `b_node` VALUES ('`a_node`','a_x')",
            ),
            ("INSERT INTO a_node VALUES (1)", "INSERT INTO `b_node` VALUES (1)"),
            ("INSERT INTO `other` VALUES (1)", "INSERT INTO `other` VALUES (1)"),
            (
                "CREATE TABLE `a_x` (`a_id` int COMMENT 'REFERENCES `a_y`', CONSTRAINT `a_c` FOREIGN KEY (`a_id`) REFERENCES \
                 `a_y` (`a_id`))",
                "CREATE TABLE `b_x` (`a_id` int COMMENT 'REFERENCES `a_y`', CONSTRAINT `a_c` FOREIGN KEY (`a_id`) REFERENCES \
                 `b_y` (`a_id`))",
            ),
            ("/*!40000 ALTER TABLE `a_x` DISABLE KEYS */", "/*!40000 ALTER TABLE `b_x` DISABLE KEYS */"),
            ("SET NAMES utf8", "SET NAMES utf8"),
        ] {
            let text = with_prefix(before.as_bytes(), "a_", "b_");
            assert_eq!(String::from_utf8_lossy(&text), after);
        }
    }

    #[test]
    fn a_prefix_can_be_new_and_can_go() {
        let of = |text: &str, from, to| {
            String::from_utf8_lossy(&with_prefix(text.as_bytes(), from, to)).into_owned()
        };
        assert_eq!(of("INSERT INTO `node` VALUES (1)", "", "b_"), "INSERT INTO `b_node` VALUES (1)");
        assert_eq!(of("INSERT INTO `b_node` VALUES (1)", "b_", ""), "INSERT INTO `node` VALUES (1)");
        assert_eq!(of("SET NAMES utf8", "", "b_"), "SET NAMES utf8");
    }
}
