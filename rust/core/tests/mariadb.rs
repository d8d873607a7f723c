//! Databases of a real MariaDB, dumped and brought back.

mod common;

use bam::Monitor;
use bam::config::Connection;
use bam::source::database::{self, DumpSettings, LoadReport, LoadSettings};
use bam::{Code, Result};
use common::{everything, mariadb};
use std::io::Cursor;

fn dump(connection: &Connection, settings: &DumpSettings) -> Vec<u8> {
    let mut out = Vec::new();
    let report = database::dump(connection, settings, &mut out, &Monitor::new()).unwrap();
    assert_eq!(report.bytes, out.len() as u64);
    out
}

fn load(connection: &Connection, dump: impl Into<Vec<u8>>) -> Result<LoadReport> {
    let state = tempfile::tempdir().unwrap();
    let input = Box::new(Cursor::new(dump.into()));
    let done = database::load(connection, input, &LoadSettings::default(), state.path(), &Monitor::new());
    assert_eq!(state.path().read_dir().unwrap().count(), 0, "nothing is left in the state folder");
    done
}

#[track_caller]
fn assert_same(one: &[String], other: &[String]) {
    let differing = |these: &[String], those: &[String]| {
        these.iter().filter(|it| !those.contains(it)).map(|it| format!("{it:.1500}")).collect::<Vec<_>>()
    };
    assert_eq!(differing(one, other), differing(other, one));
    assert_eq!(one.len(), other.len());
}

#[test]
fn everything_comes_back_through_the_plain_client() {
    let Some(server) = mariadb::server("everything_comes_back_through_the_plain_client") else { return };
    let source = server.create("plain_from");
    server.sql("plain_from", &everything::sql());
    let sql = dump(&source, &DumpSettings::default());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &sql).unwrap();
    server.create("plain_to");
    server.source("plain_to", file.path()).unwrap();
    assert_same(&server.fingerprint("plain_from"), &server.fingerprint("plain_to"));
    let again = dump(&server.connection("plain_to"), &DumpSettings::default());
    assert_eq!(
        sql.len() - "plain_from".len(),
        again.len() - "plain_to".len(),
        "a dump of the copy is the same"
    );
}

#[test]
fn everything_comes_back_in_place_of_something_else() {
    let Some(server) = mariadb::server("everything_comes_back_in_place_of_something_else") else { return };
    let source = server.create("all_from");
    server.sql("all_from", &everything::sql());
    let target = server.create("all_to");
    server.sql(
        "all_to",
        "CREATE TABLE many (id int); CREATE TABLE new_module (a int); CREATE TABLE v_second (a int);
         CREATE VIEW gone AS SELECT 1; CREATE VIEW numbers AS SELECT 2; CREATE PROCEDURE gone() SELECT 1;
         CREATE TRIGGER gone BEFORE INSERT ON many FOR EACH ROW SET @a = 1;
         CREATE TRIGGER stamp BEFORE INSERT ON new_module FOR EACH ROW SET @a = 1;",
    );
    let report = load(&target, dump(&source, &DumpSettings::default())).unwrap();
    assert_same(&server.fingerprint("all_from"), &server.fingerprint("all_to"));
    assert_eq!(report.removed, ["new_module", "v_second", "gone", "gone"]);
    assert!(report.kept.is_empty());
    assert_eq!(server.sql("", "SHOW DATABASES LIKE 'all\\_to\\_bam%'"), "");
}
