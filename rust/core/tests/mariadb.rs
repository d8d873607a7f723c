//! Databases of a real MariaDB, dumped and brought back.

mod common;

use bam::Monitor;
use bam::config::Connection;
use bam::source::database::{self, DumpSettings};
use common::{everything, mariadb};

fn dump(connection: &Connection, settings: &DumpSettings) -> Vec<u8> {
    let mut out = Vec::new();
    let report = database::dump(connection, settings, &mut out, &Monitor::new()).unwrap();
    assert_eq!(report.bytes, out.len() as u64);
    out
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
