//! SQLite databases, backed up while a site writes, and brought back.

use bam::config::{Connection, Driver};
use bam::source::database::{self, DumpSettings, LoadReport, LoadSettings, Replacement};
use bam::{Code, Monitor, Result, Secret};
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

fn connection(path: &Path) -> Connection {
    Connection {
        driver: Driver::Sqlite,
        host: String::new(),
        port: None,
        socket: None,
        user: String::new(),
        password: Secret::new([]),
        name: String::new(),
        path: path.to_owned(),
        prefix: String::new(),
    }
}

fn site(mode: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("si te's.sqlite");
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute_batch(&format!(
        "PRAGMA journal_mode={mode};
         CREATE TABLE node (nid INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT, body BLOB);
         CREATE INDEX node_title ON node (title);
         CREATE TABLE \"select\" (\"a \"\"b\" INTEGER);
         CREATE TABLE cache (cid TEXT, data BLOB);
         CREATE TABLE huge_log (line TEXT);
         CREATE TABLE counter (a INTEGER, b INTEGER);
         CREATE VIEW titles AS SELECT title FROM node;
         CREATE TRIGGER on_cache AFTER DELETE ON cache BEGIN INSERT INTO \"select\" VALUES (99); END;
         INSERT INTO node (title, body) VALUES ('a', x'00ff27'), (NULL, zeroblob(100000)), ('é😀', '');
         INSERT INTO cache VALUES ('secret-cid', 'secret-data');
         INSERT INTO huge_log VALUES ('secret-line');
         INSERT INTO counter VALUES (0, 0);"
    ))
    .unwrap();
    (dir, path)
}

fn dump(path: &Path, settings: &DumpSettings) -> Vec<u8> {
    let mut out = Vec::new();
    let report = database::dump(&connection(path), settings, &mut out, &Monitor::new()).unwrap();
    assert_eq!(report.bytes, out.len() as u64);
    out
}

fn load_with(path: &Path, dump: Vec<u8>, settings: &LoadSettings) -> Result<LoadReport> {
    let state = tempfile::tempdir().unwrap();
    let done = database::load(
        &connection(path),
        Box::new(Cursor::new(dump)),
        settings,
        state.path(),
        &Monitor::new(),
    );
    assert_eq!(state.path().read_dir().unwrap().count(), 0, "nothing is left in the state folder");
    done
}

fn load(path: &Path, dump: Vec<u8>) -> Result<LoadReport> {
    load_with(path, dump, &LoadSettings::default())
}

/// Schema and rows as text.
fn content(path: &Path) -> Vec<String> {
    let db = rusqlite::Connection::open(path).unwrap();
    let list = |sql: &str| -> Vec<String> {
        let mut statement = db.prepare(sql).unwrap();
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| {
            (0..columns)
                .map(|i| {
                    row.get_ref(i).map(|value| match value {
                        rusqlite::types::ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                        value => format!("{value:?}"),
                    })
                })
                .collect::<rusqlite::Result<Vec<_>>>()
        });
        rows.unwrap().map(|row| row.unwrap().join("|")).collect()
    };
    let mut all = list("SELECT type, name, sql FROM sqlite_master ORDER BY type, name");
    let mut statement =
        db.prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").unwrap();
    let tables: Vec<String> =
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    for table in tables {
        all.push(table.clone());
        all.extend(list(&format!("SELECT rowid, * FROM \"{table}\"")));
    }
    all
}

fn contains(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle.as_bytes())
}

#[test]
fn a_database_comes_back_in_either_journal_mode() {
    for mode in ["WAL", "DELETE"] {
        let (_dir, path) = site(mode);
        let before = content(&path);
        let backup = dump(&path, &DumpSettings::default());
        let db = rusqlite::Connection::open(&path).unwrap();
        db.execute_batch(
            "DROP TABLE node; CREATE TABLE new_module (a); DELETE FROM counter; PRAGMA user_version=7",
        )
        .unwrap();
        drop(db);
        let report = load(&path, backup).unwrap();
        assert_eq!(content(&path), before, "{mode}");
        assert_eq!((report.tables, report.removed), (5, vec!["new_module".to_owned()]));
    }
}

#[test]
fn what_is_not_wanted_is_not_in_the_backup() {
    let (_dir, path) = site("WAL");
    let settings = DumpSettings {
        nodata_tables: vec!["cache".into(), "no_such_table".into()],
        exclude_tables: vec!["huge_log".into(), "neither".into()],
        ..DumpSettings::default()
    };
    let backup = dump(&path, &settings);
    assert!(contains(&backup, "node_title"));
    for gone in ["secret-cid", "secret-data", "secret-line"] {
        assert!(!contains(&backup, gone), "{gone}");
    }
    let report = load(&path, backup).unwrap();
    assert_eq!((report.tables, report.kept), (4, vec!["huge_log".to_owned()]));
    let after = content(&path).join("\n");
    assert!(after.contains("secret-line"), "left out when dumped, left alone when restored");
    assert!(!after.contains("secret-data"));
    assert!(!after.contains("Integer(99)"), "no trigger ran");
    assert!(!after.contains("bam_left_out"));
}

struct Stopper<'a>(&'a AtomicBool);

impl Drop for Stopper<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_writing_site_is_seen_at_one_moment() {
    for mode in ["WAL", "DELETE"] {
        let (_dir, path) = site(mode);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            // The writer stops even if a check fails.
            let _stopper = Stopper(&stop);
            scope.spawn(|| {
                let mut db = rusqlite::Connection::open(&path).unwrap();
                db.busy_timeout(std::time::Duration::from_secs(60)).unwrap();
                db.execute_batch("PRAGMA synchronous=OFF").unwrap();
                while !stop.load(Ordering::Relaxed) {
                    let change =
                        db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
                    change.execute_batch("UPDATE counter SET a = a + 1").unwrap();
                    change
                        .execute_batch(
                            "INSERT INTO node (body) VALUES (zeroblob(500)); UPDATE counter SET b = b + 1",
                        )
                        .unwrap();
                    change.commit().unwrap();
                }
            });
            let backups: Vec<Vec<u8>> = (0..6).map(|_| dump(&path, &DumpSettings::default())).collect();
            let dir = tempfile::tempdir().unwrap();
            let copy = dir.path().join("copy");
            for backup in backups {
                std::fs::write(&copy, backup).unwrap();
                let db = rusqlite::Connection::open(&copy).unwrap();
                let check: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
                let (a, b, nodes): (i64, i64, i64) = db
                    .query_row("SELECT a, b, (SELECT COUNT(*) FROM node) FROM counter", [], |row| {
                        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                    })
                    .unwrap();
                assert_eq!((check.as_str(), a, nodes), ("ok", b, b + 3), "{mode}");
            }
        });
    }
}

#[test]
fn an_open_connection_sees_the_restored_data() {
    let (_dir, path) = site("WAL");
    let backup = dump(&path, &DumpSettings::default());
    let site = rusqlite::Connection::open(&path).unwrap();
    site.execute_batch("UPDATE counter SET a = 5; PRAGMA wal_autocheckpoint=0; UPDATE counter SET b = 5")
        .unwrap();
    load(&path, backup).unwrap();
    let counter: i64 = site.query_row("SELECT a + b FROM counter", [], |row| row.get(0)).unwrap();
    assert_eq!(counter, 0);
}

#[test]
fn a_missing_or_broken_database_is_made_anew() {
    let (dir, path) = site("DELETE");
    let before = content(&path);
    let backup = dump(&path, &DumpSettings::default());
    std::fs::remove_file(&path).unwrap();
    load(&path, backup.clone()).unwrap();
    assert_eq!(content(&path), before);
    std::fs::write(&path, "this was a database once".repeat(1000)).unwrap();
    std::fs::write(dir.path().join("si te's.sqlite-wal"), "stale").unwrap();
    load(&path, backup).unwrap();
    assert_eq!(content(&path), before);
}

#[test]
fn only_some_tables_come_back() {
    let (_dir, path) = site("WAL");
    let backup = dump(&path, &DumpSettings::default());
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute_batch("DELETE FROM node; UPDATE counter SET a = 7; CREATE TABLE more (x)").unwrap();
    drop(db);
    let settings = LoadSettings { tables: Some(vec!["node".into()]), ..LoadSettings::default() };
    assert_eq!(load_with(&path, backup, &settings).unwrap().tables, 1);
    let after = content(&path).join("\n");
    assert!(after.contains("é😀"), "{after}");
    assert!(after.contains("Integer(7)") && after.contains("more") && after.contains("node_title"));
}

#[test]
fn what_is_no_whole_database_changes_nothing() {
    let (_dir, path) = site("WAL");
    let before = content(&path);
    let backup = dump(&path, &DumpSettings::default());
    let mut flipped = backup.clone();
    for byte in flipped.iter_mut().skip(4096).step_by(97).take(200) {
        *byte ^= 0x55;
    }
    for (what, bytes) in [
        ("half", backup[..backup.len() / 2].to_vec()),
        ("flipped", flipped),
        ("text", b"-- MySQL dump\n".to_vec()),
        ("empty", Vec::new()),
    ] {
        let error = load(&path, bytes).unwrap_err();
        assert_eq!(error.code(), Code::Integrity, "{what}: {error}");
        assert_eq!(content(&path), before, "{what}");
    }
}

#[test]
fn a_swap_can_be_done_twice_and_taken_back() {
    let (_dir, path) = site("WAL");
    let backup = dump(&path, &DumpSettings::default());
    rusqlite::Connection::open(&path).unwrap().execute_batch("UPDATE counter SET a = 7").unwrap();
    let (old, state, monitor) = (content(&path), tempfile::tempdir().unwrap(), Monitor::new());
    let site = connection(&path);
    let mut planned = Replacement::plan(&site, state.path(), "x1").unwrap();
    planned.load(&site, Box::new(Cursor::new(backup)), &LoadSettings::default(), &monitor).unwrap();
    assert_eq!(content(&path), old, "loading changes nothing");
    // As after a kill: only the journal's copy is left.
    let journaled: Replacement = serde_json::from_str(&serde_json::to_string(&planned).unwrap()).unwrap();
    journaled.swap(&site, &monitor).unwrap();
    journaled.swap(&site, &monitor).unwrap();
    assert_ne!(content(&path), old);
    journaled.revert(&site, &monitor).unwrap();
    journaled.revert(&site, &monitor).unwrap();
    assert_eq!(content(&path), old);
    journaled.clean(&site, &monitor).unwrap();
    assert_eq!(state.path().read_dir().unwrap().count(), 0);
}

#[test]
fn a_prefixed_site_lives_in_a_file_of_its_own() {
    let (dir, path) = site("DELETE");
    let prefixed = dir.path().join("si te's.sqlite-two_");
    rusqlite::Connection::open(&prefixed)
        .unwrap()
        .execute_batch("CREATE TABLE users (name); INSERT INTO users VALUES ('x')")
        .unwrap();
    let mut site = connection(&path);
    site.prefix = "two_".into();
    let (mut backup, monitor) = (Vec::new(), Monitor::new());
    let settings = DumpSettings { nodata_tables: vec!["two_users".into()], ..DumpSettings::default() };
    let report = database::dump(&site, &settings, &mut backup, &monitor).unwrap();
    assert_eq!((report.tables, report.empty_tables), (0, 1));
    assert!(monitor.notes().iter().any(|note| note.text.contains("without the prefix")));
    std::fs::remove_file(&prefixed).unwrap();
    let state = tempfile::tempdir().unwrap();
    database::load(&site, Box::new(Cursor::new(backup)), &LoadSettings::default(), state.path(), &monitor)
        .unwrap();
    assert!(content(&prefixed).join("").contains("users"));
}

#[test]
fn a_database_that_is_not_there_is_named() {
    let error = database::dump(
        &connection(Path::new("/nonexistent/x")),
        &DumpSettings::default(),
        &mut Vec::new(),
        &Monitor::new(),
    )
    .unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    assert!(error.message().contains("/nonexistent/x"), "{error}");
}
