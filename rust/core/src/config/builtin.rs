//! What a document has without saying so: the sources that every site has, and B&M's default profile.

use super::{Document, Profile, Source, SourceSettings, SourceType};
use crate::archive::unshow;
use std::collections::BTreeMap;

/// The machine name of the site's own database and of its source.
pub(super) const DB: &str = "db";

/// B&M's default tables without data (`backup_settings_default` in includes/sources.db.inc, 7.x-3.9). B&M lists the
/// cache tables that exist at that moment; a pattern stands for all that ever will.
const NODATA_TABLES: [&str; 11] = [
    "accesslog",
    "sessions",
    "watchdog",
    "search_dataset",
    "search_index",
    "search_keywords_log",
    "search_total",
    "devel_queries",
    "devel_times",
    "cache",
    "cache_*",
];

/// What more there is since Drupal 8 that belongs to the moment: core fills these tables anew.
const MODERN_NODATA_TABLES: [&str; 4] = ["cachetags", "key_value_expire", "queue", "semaphore"];

/// Tables that the simpletest module leaves behind.
const EXCLUDE_TABLES: [&str; 1] = ["simpletest*"];

/// Adds what is built in and not there yet.
pub(super) fn complete(document: &mut Document) {
    let modern = document.site.is_modern();
    document.profiles.entry("default".into()).or_insert_with(|| default_profile(modern));

    let mut sources = Vec::new();
    for name in document.databases.keys() {
        sources.push((name.clone(), source(SourceType::Database, Some(name), None)));
    }
    if !document.site.root.as_os_str().is_empty() {
        sources.push(("files".into(), source(SourceType::Files, None, Some("public://"))));
        if document.site.private_dir().is_some() {
            sources.push(("files_private".into(), source(SourceType::Files, None, Some("private://"))));
        }
        sources.push(("archive".into(), source(SourceType::Archive, None, None)));
    }
    for (name, source) in sources {
        document.sources.entry(name).or_insert(source);
    }
}

fn source(kind: SourceType, database: Option<&str>, path: Option<&str>) -> Source {
    Source { kind, name: None, database: database.map(str::to_owned), path: path.map(Into::into), code: None }
}

fn default_profile(modern: bool) -> Profile {
    let owned = |names: &[&str]| -> Vec<String> { names.iter().map(|name| (*name).to_owned()).collect() };
    let mut nodata_tables: Vec<String> = owned(&NODATA_TABLES);
    if modern {
        nodata_tables.extend(owned(&MODERN_NODATA_TABLES));
    }
    let db =
        SourceSettings { nodata_tables, exclude_tables: owned(&EXCLUDE_TABLES), ..SourceSettings::default() };
    Profile {
        name: Some("Default Settings".into()),
        sources: BTreeMap::from([(DB.to_owned(), db)]),
        ..Profile::default()
    }
}

/// Whether a list of tables names `table`, with or without the site's `prefix`; an entry that ends in `*` names all
/// that begin so. An entry may be as [`show_table`] writes a name.
pub fn names_table(list: &[String], table: &str, prefix: &str) -> bool {
    let bare = table.strip_prefix(prefix).unwrap_or(table);
    let names = |entry: &str, begins: bool| match begins {
        true => table.starts_with(entry) || bare.starts_with(entry),
        false => entry == table || entry == bare,
    };
    list.iter().any(|entry| {
        let (entry, begins) = entry.strip_suffix('*').map_or((entry.as_str(), false), |entry| (entry, true));
        let as_shown = || String::from_utf8(unshow(entry.as_bytes())?).ok();
        names(entry, begins)
            || (entry.contains('\\') && as_shown().is_some_and(|entry| names(&entry, begins)))
    })
}

/// A table's name as people can read it, and as an entry of a list of tables that names this one: what does not print, and
/// what means something in such a list, is escaped.
pub fn show_table(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    let mut left = name.chars();
    while let Some(c) = left.next() {
        match c {
            ',' => text.push_str("\\x2c"),
            '*' if left.as_str().is_empty() => text.push_str("\\x2a"),
            '"' | '\'' => text.push(c),
            _ if c.escape_debug().eq([c]) => text.push(c),
            _ => text.extend(c.escape_default()),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names<T>(map: &BTreeMap<String, T>) -> Vec<&str> {
        map.keys().map(String::as_str).collect()
    }

    #[test]
    fn a_site_has_its_sources_without_saying() {
        let document = Document::from_yaml(
            "site: {root: /var/www, private_path: /srv/private}\n\
             databases: {db: {url: 'mysql://u@h/d'}, 'db:other:default': {url: 'mysql://u@h/o'}}\n\
             sources: {files: {type: files, path: elsewhere}}\n",
        )
        .expect("a document");
        assert_eq!(names(&document.sources), ["archive", "db", "db:other:default", "files", "files_private"]);
        let files = document.sources.get("files").expect("files");
        assert_eq!(files.path.as_deref(), Some("elsewhere".as_ref()), "what is written wins");
        assert_eq!(names(&document.profiles), ["default"]);

        let bare = Document::from_yaml("{}").expect("an empty document");
        assert!(bare.sources.is_empty(), "no site, no sources");
    }

    #[test]
    fn patterns_name_tables_by_their_beginning() {
        let list = ["cache".to_owned(), "cache_*".to_owned()];
        for table in ["cache", "cache_form", "d7_cache", "d7_cache_form"] {
            assert!(names_table(&list, table, "d7_"), "{table}");
        }
        for table in ["cached", "xcache_form", "d7_cached"] {
            assert!(!names_table(&list, table, "d7_"), "{table}");
        }
        assert!(!names_table(&list, "d7_cache", ""));
    }

    #[test]
    fn a_name_as_it_is_shown_names_its_table_and_no_other() {
        let names = [
            "we\nird",
            "a,b",
            "a",
            "b",
            "stars*",
            "back\\slash",
            "it's \"q\"",
            "\u{7}\u{200b}é😀",
            "-x",
            " b ",
        ];
        for name in names {
            let shown = show_table(name);
            assert!(!shown.contains([',', '\n', '\u{7}']), "{shown}");
            let list = [shown];
            assert!(names.iter().all(|other| names_table(&list, other, "") == (*other == name)), "{list:?}");
            assert!(names_table(&list, &format!("d7_{name}"), "d7_"), "{list:?}");
        }
        assert_eq!((show_table("stars*"), show_table("a*b")), ("stars\\x2a".into(), "a*b".into()));
        assert!(!names_table(&["stars\\x2a".into()], "stars_more", ""));
        assert!(names_table(&["a\\x2c*".into()], "a,b", ""));
    }
}
