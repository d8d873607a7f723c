//! What of a Drupal 7 database belongs to the moment and not to a backup: maintenance mode stays as the live site has
//! it, and caches, which describe another state of the site, are emptied.
//!
//! Knows names and SQL that all servers share; each of them runs it in its own way on the tables that were loaded.

use std::collections::BTreeMap;

/// The variables that say whether the site is offline, and why (`bam_maintenance`: php-shim's `Maintenance`).
pub(crate) const MODE: [&str; 3] = ["maintenance_mode", "maintenance_mode_message", "bam_maintenance"];
/// The columns by which a table is known as a cache (`system_schema()`): another one's name may begin likewise.
const CACHE: [&str; 5] = ["cid", "data", "expire", "created", "serialized"];
const VARIABLE: [&str; 2] = ["name", "value"];

/// The tables in question, by their full names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tables {
    pub(crate) variable: Option<String>,
    pub(crate) caches: Vec<String>,
}

impl Tables {
    /// Finds them among all `(table, column)` of a database.
    pub(crate) fn find(columns: impl IntoIterator<Item = (String, String)>, prefix: &str) -> Tables {
        let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (table, column) in columns {
            all.entry(table).or_default().push(column);
        }
        let mut found = Tables::default();
        for (table, columns) in all {
            let has = |wanted: &[&str]| wanted.iter().all(|name| columns.iter().any(|column| column == name));
            match table.strip_prefix(prefix) {
                Some("variable") if has(&VARIABLE) => found.variable = Some(table),
                Some(name) if (name == "cache" || name.starts_with("cache_")) && has(&CACHE) => {
                    found.caches.push(table);
                }
                _ => {}
            }
        }
        found
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
        if let Some(table) = self.variable.as_deref().map(&name) {
            match mode {
                Some(rows) => {
                    let names = MODE.map(|name| format!("'{name}'")).join(", ");
                    statements.push(format!("DELETE FROM {table} WHERE name IN ({names})"));
                    for (variable, value) in rows.iter().filter(|(name, _)| MODE.contains(&name.as_str())) {
                        let value = bytes(value);
                        statements.push(format!(
                            "INSERT INTO {table} (name, value) VALUES ('{variable}', {value})"
                        ));
                    }
                }
                None => {
                    // The LIMIT keeps MySQL from reading the table that it deletes from.
                    statements.push(format!(
                        "DELETE FROM {table} WHERE name = 'maintenance_mode' AND EXISTS (SELECT name FROM \
                         (SELECT name FROM {table} WHERE name = 'bam_maintenance' LIMIT 1) AS record)"
                    ));
                    statements.push(format!("DELETE FROM {table} WHERE name = 'bam_maintenance'"));
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
                ("d7_variable", &VARIABLE),
                ("variable", &VARIABLE),
            ]),
            "d7_",
        );
        let caches = ["d7_cache", "d7_cache_form"].map(String::from).to_vec();
        assert_eq!(found, Tables { variable: Some("d7_variable".into()), caches });
    }

    #[test]
    fn only_the_variables_of_maintenance_mode_are_carried_over() {
        let tables = Tables { variable: Some("variable".into()), caches: Vec::new() };
        let live = [("maintenance_mode".into(), "693a313b".into()), ("site_name'".into(), "00".into())];
        let said = tables.statements(Some(&live), str::to_owned, |hex| format!("X'{hex}'"), "TRUNCATE");
        assert_eq!(said.len(), 2, "{said:?}");
        assert_eq!(said[1], "INSERT INTO variable (name, value) VALUES ('maintenance_mode', X'693a313b')");
    }
}
