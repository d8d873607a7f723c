//! What the server knows of the tables that are being loaded, and which of their indexes can wait for the rows.

use crate::Result;
use crate::source::answer::too_long;
use crate::source::mysql::connect::session::{Session, quote, string, text};
use crate::source::mysql::schema::{COLUMNS, columns};
use crate::source::sql::column_list;
use std::collections::HashMap;

/// One table.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    /// InnoDB: several connections can fill it at a time, and keys are never disabled.
    pub(crate) transactional: bool,
    /// All texts in it are UTF-8, and no type takes bytes for something else.
    pub(crate) utf8: bool,
    /// It has a unique key besides the primary one, and one that the server keeps as a hash of long values.
    pub(crate) unique: bool,
    pub(crate) hashed: bool,
    /// Its columns, in order.
    columns: Vec<String>,
    /// Which of them the server can number.
    counted: Option<String>,
}

/// Types whose literals mean the same as bytes and as text.
const SAME_AS_BYTES: [&str; 30] = [
    "tinyint",
    "smallint",
    "mediumint",
    "int",
    "bigint",
    "decimal",
    "float",
    "double",
    "year",
    "date",
    "time",
    "datetime",
    "timestamp",
    "char",
    "varchar",
    "tinytext",
    "text",
    "mediumtext",
    "longtext",
    "binary",
    "varbinary",
    "tinyblob",
    "blob",
    "mediumblob",
    "longblob",
    "enum",
    "set",
    "bit",
    "numeric",
    "bool",
];
const UTF8: [&str; 4] = ["", "utf8", "utf8mb3", "utf8mb4"];

/// Asks for the tables of the current database, or for one of them.
pub(crate) fn facts(session: &mut Session<'_>, table: Option<&str>) -> Result<HashMap<String, Facts>> {
    let which = table.map(|name| format!(" AND TABLE_NAME = {}", string(name))).unwrap_or_default();
    let mut found = HashMap::new();
    for row in session.rows(&format!(
        "SELECT TABLE_NAME, IFNULL(ENGINE, '') FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE(){which}"
    ))? {
        let [name, engine] = columns(row)?;
        let facts = Facts { transactional: engine == "InnoDB", utf8: true, ..Facts::default() };
        found.insert(name, facts);
    }
    let sql = format!(
        "SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE, IFNULL(CHARACTER_SET_NAME, ''), EXTRA \
         FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE(){which} ORDER BY TABLE_NAME, ORDINAL_POSITION"
    );
    session.each(&sql, |row| {
        let [table, name, kind, charset, extra] = columns(row)?;
        let Some(facts) = found.get_mut(&table) else { return Ok(()) };
        facts.utf8 &= SAME_AS_BYTES.contains(&kind.as_str()) && UTF8.contains(&charset.as_str());
        if extra.contains("auto_increment") {
            facts.counted = Some(name.clone());
        }
        // Rows without a list of columns pass those over.
        if !extra.contains("INVISIBLE") {
            facts.columns.push(name);
        }
        if facts.columns.len() > COLUMNS { Err(too_long()) } else { Ok(()) }
    })?;
    for row in session.rows(&format!(
        "SELECT TABLE_NAME, MAX(INDEX_TYPE = 'HASH') FROM information_schema.STATISTICS \
         WHERE TABLE_SCHEMA = DATABASE() AND NON_UNIQUE = 0 AND INDEX_NAME <> 'PRIMARY'{which} GROUP BY TABLE_NAME"
    ))? {
        let [table, hashed] = columns(row)?;
        if let Some(facts) = found.get_mut(&table) {
            (facts.unique, facts.hashed) = (true, hashed == "1");
        }
    }
    Ok(found)
}

impl Facts {
    /// In rows after `head`, the place of the column that the server can number, where the table has one. `None`: the
    /// rows do not have it, so the server numbers them.
    pub(crate) fn counted_place(&self, head: &[u8]) -> Option<Option<usize>> {
        let Some(counted) = &self.counted else { return Some(None) };
        let place = match column_list(head) {
            Some(names) => names.iter().position(|name| name.eq_ignore_ascii_case(counted.as_bytes())),
            None => self.columns.iter().position(|name| name == counted),
        };
        place.map(Some)
    }
}

/// The statement that drops those of a table's indexes which can wait, and those that make them again. `None`: there
/// are none.
pub(crate) fn deferrable(
    session: &mut Session<'_>,
    table: &str,
    facts: &Facts,
) -> Result<Option<(String, Vec<String>)>> {
    let mut rows = session.rows(&format!("SHOW CREATE TABLE {}", quote(table)))?;
    let definition = rows.pop().and_then(|row| row.into_iter().nth(1)).map(text).unwrap_or_default();
    let keys = deferrable_keys(&definition, facts.counted.as_deref());
    if keys.is_empty() {
        return Ok(None);
    }
    let table = quote(table);
    let drops: Vec<String> = keys.iter().map(|(name, _)| format!("DROP INDEX {name}")).collect();
    let (texts, plain): (Vec<&str>, Vec<&str>) =
        keys.iter().map(|(_, key)| key.as_str()).partition(|key| key.starts_with("FULLTEXT"));
    let mut adds = Vec::new();
    if !plain.is_empty() {
        adds.push(format!("ALTER TABLE {table} ADD {};\n", plain.join(", ADD ")));
    }
    // InnoDB builds one of these at a time.
    adds.extend(texts.iter().map(|key| format!("ALTER TABLE {table} ADD {key};\n")));
    Ok(Some((format!("ALTER TABLE {table} {}", drops.join(", ")), adds)))
}

/// Names, quoted, and definitions of keys in what `SHOW CREATE TABLE` answered: none that is unique, that numbering or a
/// foreign key may need, or of a table with parts or computed columns.
fn deferrable_keys(definition: &str, counted: Option<&str>) -> Vec<(String, String)> {
    let special = ["\n  CONSTRAINT ", "PARTITION BY", " GENERATED ALWAYS AS ", " WITH SYSTEM VERSIONING"];
    if special.iter().any(|word| definition.contains(word)) {
        return Vec::new();
    }
    let counted = counted.map(|name| format!("({}", quote(name)));
    let mut keys = Vec::new();
    for line in definition.lines() {
        let key = line.trim_start();
        let key = key.strip_suffix(',').unwrap_or(key);
        let Some(rest) = key.strip_prefix("FULLTEXT KEY ").or_else(|| key.strip_prefix("KEY ")) else {
            continue;
        };
        if !line.starts_with("  ") || counted.as_ref().is_some_and(|column| rest.contains(column.as_str())) {
            continue;
        }
        // `a``b` (…)
        let Some(end) = rest.find("` (") else { continue };
        if let Some(name) = rest.get(..=end) {
            keys.push((name.to_owned(), key.to_owned()));
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_can_wait() {
        let definition = "CREATE TABLE `t` (\n  `id` int(11) NOT NULL AUTO_INCREMENT,\n  `KEY a` text DEFAULT 'KEY `x` (',\n  \
            PRIMARY KEY (`a`),\n  UNIQUE KEY `u` (`b`),\n  KEY `id` (`id`),\n  KEY `we``ird, name` (`b`(20),`c`) \
            COMMENT 'x, y',\n  FULLTEXT KEY `f` (`c`)\n) ENGINE=InnoDB";
        assert_eq!(
            deferrable_keys(definition, Some("id")),
            [
                ("`we``ird, name`".to_owned(), "KEY `we``ird, name` (`b`(20),`c`) COMMENT 'x, y'".to_owned()),
                ("`f`".to_owned(), "FULLTEXT KEY `f` (`c`)".to_owned()),
            ]
        );
        let with = definition.replace("\n)", ",\n  CONSTRAINT `x` FOREIGN KEY (`b`) REFERENCES `u` (`a`)\n)");
        assert_eq!(deferrable_keys(&with, None), []);
    }

    #[test]
    fn where_the_number_stands() {
        let facts =
            Facts { columns: vec!["a".into(), "id".into()], counted: Some("id".into()), ..Facts::default() };
        assert_eq!(facts.counted_place(b"INSERT INTO t VALUES "), Some(Some(1)));
        assert_eq!(facts.counted_place(b"INSERT INTO t (`ID`, a) VALUES "), Some(Some(0)));
        assert_eq!(facts.counted_place(b"INSERT INTO t (a) VALUES "), None);
        assert_eq!(Facts::default().counted_place(b"INSERT INTO t VALUES "), Some(None));
    }
}
