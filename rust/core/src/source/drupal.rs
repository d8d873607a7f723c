//! What of a Drupal database belongs to the moment and not to a backup: maintenance mode stays as the live site has it,
//! and caches, which describe another state of the site, are emptied.
//!
//! Drupal 7 keeps its maintenance mode in the table `variable`; since Drupal 8 the mode is state, in the table `key_value`,
//! and the message configuration, in the table `config`.
//!
//! Knows names and SQL that all servers share; each of them runs it in its own way on the tables that were loaded.

use std::collections::BTreeMap;

/// The columns by which a table is known as a cache (`system_schema()`, `DatabaseBackend::schemaDefinition()`): another
/// one's name may begin likewise.
const CACHE: [&str; 5] = ["cid", "data", "expire", "created", "serialized"];

/// A table that tells of maintenance mode.
#[derive(Debug, PartialEq, Eq)]
struct Keeper {
    /// Its name without prefix.
    table: &'static str,
    /// The column of the values; their names are in `name`.
    value: &'static str,
    /// The collection that the rows are of, where the table has several.
    collection: Option<&'static str>,
    /// The names of the rows.
    names: &'static [&'static str],
    /// The mode and the record of the run that set it (php-shim's `Maintenance`), where they are here.
    record: Option<(&'static str, &'static str)>,
}

/// No name is in two of them.
const KEEPERS: [Keeper; 3] = [
    Keeper {
        table: "variable",
        value: "value",
        collection: None,
        names: &["maintenance_mode", "maintenance_mode_message", "bam_maintenance"],
        record: Some(("maintenance_mode", "bam_maintenance")),
    },
    Keeper {
        table: "key_value",
        value: "value",
        collection: Some("state"),
        names: &["system.maintenance_mode", "bam.maintenance"],
        record: Some(("system.maintenance_mode", "bam.maintenance")),
    },
    Keeper {
        table: "config",
        value: "data",
        collection: Some(""),
        names: &["system.maintenance"],
        record: None,
    },
];

impl Keeper {
    fn columns(&self) -> Vec<&'static str> {
        self.collection.map(|_| "collection").into_iter().chain(["name", self.value]).collect()
    }

    /// A condition on rows: these names.
    fn named(&self, names: &[&str]) -> String {
        let names: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
        let within = self.collection.map(|of| format!("collection = '{of}' AND ")).unwrap_or_default();
        format!("{within}name IN ({})", names.join(", "))
    }
}

/// The tables in question, by their full names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tables {
    keepers: Vec<(&'static Keeper, String)>,
    pub(crate) caches: Vec<String>,
}

impl Tables {
    /// How the names end of the tables in question, prefixes aside; a cache's begins with `cache`.
    pub(crate) fn endings() -> impl Iterator<Item = &'static str> {
        KEEPERS.iter().map(|keeper| keeper.table)
    }

    /// Finds them among all `(table, column)` of a database.
    pub(crate) fn find(columns: impl IntoIterator<Item = (String, String)>, prefix: &str) -> Tables {
        let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (table, column) in columns {
            all.entry(table).or_default().push(column);
        }
        let mut found = Tables::default();
        for (table, columns) in all {
            let has = |wanted: &[&str]| wanted.iter().all(|name| columns.iter().any(|column| column == name));
            let Some(name) = table.strip_prefix(prefix) else { continue };
            if (name == "cache" || name.starts_with("cache_")) && has(&CACHE) {
                found.caches.push(table);
            } else if let Some(keeper) =
                KEEPERS.iter().find(|keeper| keeper.table == name && has(&keeper.columns()))
            {
                found.keepers.push((keeper, table));
            }
        }
        found
    }

    /// Without those that `stays` does not want.
    pub(crate) fn retain(&mut self, stays: impl Fn(&String) -> bool) {
        self.keepers.retain(|(_, table)| stays(table));
        self.caches.retain(|table| stays(table));
    }

    /// The questions that tell the maintenance mode of a live site, each answered by rows of a name and a value in
    /// hexadecimal. None where there is no table that could tell.
    pub(crate) fn questions(
        &self,
        name: impl Fn(&str) -> String,
        hex: impl Fn(&str) -> String,
    ) -> Vec<String> {
        let ask = |(keeper, table): &(&Keeper, String)| {
            let rows = keeper.named(keeper.names);
            format!("SELECT name, {} FROM {} WHERE {rows}", hex(keeper.value), name(table))
        };
        self.keepers.iter().map(ask).collect()
    }

    /// The statements that make loaded tables fit the live site. `mode` is what the live site says, by name and in
    /// hexadecimal; `None` where there is no live site: then a backup that was made in maintenance mode *for that*
    /// comes back online. `name` writes a table's name, `bytes` a value; `empty` empties a table.
    pub(crate) fn statements(
        &self,
        mode: Option<&[(String, String)]>,
        name: impl Fn(&str) -> String,
        bytes: impl Fn(&str) -> String,
        empty: &str,
    ) -> Vec<String> {
        let mut statements = Vec::new();
        for (keeper, table) in &self.keepers {
            let table = name(table);
            match mode {
                Some(rows) => {
                    let rows: Vec<_> =
                        rows.iter().filter(|(name, _)| keeper.names.contains(&name.as_str())).collect();
                    // A message has its default in the code: a site without one keeps what comes.
                    if keeper.record.is_some() || !rows.is_empty() {
                        statements.push(format!("DELETE FROM {table} WHERE {}", keeper.named(keeper.names)));
                    }
                    for (row, value) in rows {
                        let collection = keeper.collection.map(|of| format!("'{of}', ")).unwrap_or_default();
                        statements.push(format!(
                            "INSERT INTO {table} ({}) VALUES ({collection}'{row}', {})",
                            keeper.columns().join(", "),
                            bytes(value)
                        ));
                    }
                }
                None => {
                    let Some((mode, record)) = keeper.record else { continue };
                    let (mode, record) = (keeper.named(&[mode]), keeper.named(&[record]));
                    // The LIMIT keeps MySQL from reading the table that it deletes from.
                    statements.push(format!(
                        "DELETE FROM {table} WHERE {mode} AND EXISTS (SELECT name FROM \
                         (SELECT name FROM {table} WHERE {record} LIMIT 1) AS record)"
                    ));
                    statements.push(format!("DELETE FROM {table} WHERE {record}"));
                }
            }
        }
        statements.extend(self.caches.iter().map(|table| format!("{empty} {}", name(table))));
        statements
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(tables: &[(&str, &[&str])]) -> Vec<(String, String)> {
        let pairs = |(table, columns): &(&str, &[&str])| -> Vec<(String, String)> {
            columns.iter().map(|column| ((*table).to_owned(), (*column).to_owned())).collect()
        };
        tables.iter().flat_map(pairs).collect()
    }

    #[test]
    fn tables_that_only_look_like_caches_are_left_alone() {
        let found = Tables::find(
            columns(&[
                ("d7_cache", &CACHE),
                ("d7_cache_form", &CACHE),
                ("d7_cache_rules", &["id", "data"]),
                ("d7_cached", &CACHE),
                ("cache_other_site", &CACHE),
                ("d7_variable", &["name", "value"]),
                ("variable", &["name", "value"]),
                ("d7_config", &["name", "setting"]),
            ]),
            "d7_",
        );
        let caches = ["d7_cache", "d7_cache_form"].map(String::from).to_vec();
        assert_eq!(found.caches, caches);
        let [(keeper, table)] = found.keepers.as_slice() else { panic!("{found:?}") };
        assert_eq!((keeper.table, table.as_str()), ("variable", "d7_variable"));
    }

    #[test]
    fn only_the_variables_of_maintenance_mode_are_carried_over() {
        let tables = Tables::find(columns(&[("variable", &["name", "value"])]), "");
        let live = [("maintenance_mode".into(), "693a313b".into()), ("site_name'".into(), "00".into())];
        let said = tables.statements(Some(&live), str::to_owned, |hex| format!("X'{hex}'"), "TRUNCATE");
        assert_eq!(said.len(), 2, "{said:?}");
        assert_eq!(said[1], "INSERT INTO variable (name, value) VALUES ('maintenance_mode', X'693a313b')");
    }

    #[test]
    fn since_drupal_8_the_mode_is_state_and_the_message_configuration() {
        let tables = Tables::find(
            columns(&[
                ("x_key_value", &["collection", "name", "value"]),
                ("x_config", &["collection", "name", "data"]),
            ]),
            "x_",
        );
        let live = [
            ("system.maintenance_mode".into(), "01".into()),
            ("system.maintenance".into(), "02".into()),
            ("maintenance_mode".into(), "03".into()),
        ];
        let said = tables.statements(Some(&live), str::to_owned, |hex| format!("X'{hex}'"), "TRUNCATE");
        assert_eq!(
            said,
            [
                "DELETE FROM x_config WHERE collection = '' AND name IN ('system.maintenance')",
                "INSERT INTO x_config (collection, name, data) VALUES ('', 'system.maintenance', X'02')",
                "DELETE FROM x_key_value WHERE collection = 'state' AND name IN ('system.maintenance_mode', 'bam.maintenance')",
                "INSERT INTO x_key_value (collection, name, value) VALUES ('state', 'system.maintenance_mode', X'01')",
            ]
        );
        let elsewhere = tables.statements(None, str::to_owned, str::to_owned, "TRUNCATE");
        assert_eq!(elsewhere.len(), 2, "the message stays as it came: {elsewhere:?}");
        let asked = tables.questions(str::to_owned, |column| format!("HEX({column})"));
        assert_eq!(
            asked[0],
            "SELECT name, HEX(data) FROM x_config WHERE collection = '' AND name IN ('system.maintenance')"
        );
    }
}
