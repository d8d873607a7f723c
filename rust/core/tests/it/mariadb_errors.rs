//! Servers, users and clients that do not play along; secrets that must not show.

use crate::common::{dump, load, mariadb};
use bam::config::Connection;
use bam::source::database::{self, DumpSettings};
use bam::{Code, Error, Monitor};
use std::io::Write;
use std::path::{Path, PathBuf};

fn dump_error(connection: &Connection) -> Error {
    database::dump(connection, &DumpSettings::default(), &mut Vec::new(), &Monitor::new()).unwrap_err()
}

#[test]
fn what_is_wrong_with_a_login_is_said() {
    let Some(server) = mariadb::server("what_is_wrong_with_a_login_is_said") else { return };
    server.create("login");
    server.sql("login", "CREATE TABLE a (x int); CREATE USER known@localhost IDENTIFIED BY 'right-password'");
    let mut nobody = server.connection("login");
    nobody.socket = Some(PathBuf::from("/nonexistent/socket"));
    for (connection, code, says, hint) in [
        (server.login("login", "known", "wrong-password"), Code::Permission, "Access denied", "password"),
        (server.login("login", "known", "right-password"), Code::Permission, "Access denied", "grant"),
        (
            server.connection("no_such_db"),
            Code::Database,
            "Unknown database 'no_such_db'",
            "create the database",
        ),
        (nobody, Code::Database, "/nonexistent/socket", "is running"),
    ] {
        let mut errors = vec![dump_error(&connection)];
        if connection.name == "login" {
            // (A database that is not there is made.)
            errors.push(load(&connection, "CREATE TABLE a (x int);").unwrap_err());
        }
        for error in errors {
            assert_eq!(error.code(), code, "{error}");
            assert!(error.message().contains(says), "{error}");
            assert!(error.next_step().is_some_and(|step| step.contains(hint)), "{error}");
            assert!(!error.to_string().contains("-password"), "{error}");
        }
    }
}

#[test]
fn ugly_passwords_work_and_show_nowhere() {
    let Some(server) = mariadb::server("ugly_passwords_work_and_show_nowhere") else { return };
    server.create("ugly");
    // The rows of such a table are read by a client, whatever reads those of others.
    let table = mariadb::either(
        "CREATE TABLE a (x longtext) WITH SYSTEM VERSIONING; CREATE TABLE c (x int)",
        "CREATE TABLE a (x longtext, f float); CREATE TABLE c (x int)",
    );
    server.sql("ugly", &format!("{table}; INSERT INTO a (x) SELECT REPEAT('x', 4000000)"));
    for (i, password) in [
        "pa\"ss#1 ;\\n'x",
        "'",
        "\"",
        "#",
        " lead and trail ",
        "\\",
        "tab\there\nline",
        "%s$(x)`y`",
        "🔑é",
        "a=b;c][",
    ]
    .iter()
    .enumerate()
    {
        let user = format!("ug\"ly {i}'#");
        let quoted = |text: &str| text.replace('\\', "\\\\").replace('\'', "''").replace('\n', "\\n");
        server.sql(
            "ugly",
            &format!(
                "CREATE USER '{0}'@localhost IDENTIFIED BY '{1}'; GRANT ALL ON ugly.* TO '{0}'@localhost",
                quoted(&user),
                quoted(password)
            ),
        );
        let connection = server.login("ugly", &user, password);
        let mut watcher = Watcher { secret: password.as_bytes(), looked: 0 };
        database::dump(&connection, &DumpSettings::default(), &mut watcher, &Monitor::new()).unwrap();
        // MySQL has no tables that only its dump client reads.
        assert!(watcher.looked > 0 || mariadb::is_mysql(), "looked while a client ran");
        load(&connection, "CREATE TABLE b (x int);").unwrap();
    }
}

/// Looks at what everybody on the machine can see of the running clients, each time it gets something.
struct Watcher<'s> {
    secret: &'s [u8],
    looked: usize,
}

impl Write for Watcher<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        for process in std::fs::read_dir("/proc").unwrap() {
            let process = process.unwrap().path();
            let read = |file: &str| std::fs::read(process.join(file)).unwrap_or_default();
            let argv = read("cmdline");
            if !argv.windows(12).any(|part| part == b"mariadb-dump") {
                continue;
            }
            self.looked += 1;
            // A short secret is part of many words.
            if self.secret.len() > 5 {
                for seen in [argv, read("environ")] {
                    assert!(!seen.windows(self.secret.len()).any(|part| part == self.secret));
                }
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_cancel_stops_the_clients() {
    let Some(server) = mariadb::server("a_cancel_stops_the_clients") else { return };
    let site = server.create("cancel");
    server.sql(
        "cancel",
        "CREATE TABLE a (x longtext); INSERT INTO a SELECT REPEAT('x', 8000000) FROM seq_1_to_3",
    );
    struct Cancels<'m>(&'m Monitor);
    impl Write for Cancels<'_> {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.cancel();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let monitor = Monitor::new();
    let error =
        database::dump(&site, &DumpSettings::default(), &mut Cancels(&monitor), &monitor).unwrap_err();
    assert_eq!(error.code(), Code::Cancelled);
    // A server that keeps us waiting is left as soon.
    let lock = server.hold("cancel", "LOCK TABLES a WRITE");
    let sessions = "SELECT STATE FROM information_schema.PROCESSLIST WHERE DB = 'cancel'";
    let monitor = Monitor::new();
    std::thread::scope(|scope| {
        let dumping =
            scope.spawn(|| database::dump(&site, &DumpSettings::default(), &mut Vec::new(), &monitor));
        while !server.sql("", sessions).contains("Waiting for table metadata lock") {
            std::thread::yield_now();
        }
        monitor.cancel();
        assert_eq!(dumping.join().unwrap().unwrap_err().code(), Code::Cancelled);
    });
    drop(lock);
    // The same for a writer that fails.
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let error = database::dump(&site, &DumpSettings::default(), &mut Full, &Monitor::new()).unwrap_err();
    assert_eq!(error.code(), Code::Space, "{error}");
}

#[test]
fn a_row_too_large_for_the_server_is_explained() {
    let Some(server) = mariadb::server("a_row_too_large_for_the_server_is_explained") else { return };
    let large = server.create("large");
    server.sql("large", "CREATE TABLE a (x longtext); INSERT INTO a SELECT REPEAT('x', 5000000)");
    let sql = dump(&large, &DumpSettings::default());
    let small = mariadb::Server::start(&["--max-allowed-packet=1M"]).unwrap();
    let target = small.create("small");
    small.sql("small", "CREATE TABLE a (x int); INSERT INTO a VALUES (7)");
    let error = load(&target, sql).unwrap_err();
    assert_eq!(error.code(), Code::Database, "{error}");
    assert!(error.next_step().is_some_and(|step| step.contains("max_allowed_packet")), "{error}");
    assert_eq!(small.sql("small", "SELECT x FROM a"), "7\n");
}

#[test]
fn a_damaged_table_is_named() {
    let Some(_) = mariadb::server("a_damaged_table_is_named") else { return };
    let server = mariadb::Server::start(&["--myisam-recover-options=OFF"]).unwrap();
    let site = server.create("damaged");
    server.sql("damaged", "CREATE TABLE crashed (x int) ENGINE=MyISAM; INSERT INTO crashed VALUES (1); CREATE TABLE fine (x int); FLUSH TABLES");
    let index = server.data().join("damaged/crashed.MYI");
    std::fs::write(&index, &std::fs::read(&index).unwrap()[..64]).unwrap();
    let error = dump_error(&site);
    assert!(error.message().contains("crashed"), "{error}");
    let monitor = Monitor::new();
    let settings = DumpSettings { ignore_errors: true, ..DumpSettings::default() };
    let mut sql = Vec::new();
    database::dump(&site, &settings, &mut sql, &monitor).unwrap();
    assert!(monitor.notes().iter().any(|note| note.text.contains("crashed")), "{:?}", monitor.notes());
    let copy = server.create("damaged_copy");
    load(&copy, sql).unwrap();
    assert!(server.sql("damaged_copy", "SHOW TABLES").contains("fine"));
}

#[test]
fn a_sqlite_file_is_no_sql_dump() {
    let Some(server) = mariadb::server("a_sqlite_file_is_no_sql_dump") else { return };
    let live = server.create("sqlite_into");
    let file = tempfile::NamedTempFile::new().unwrap();
    rusqlite::Connection::open(file.path()).unwrap().execute_batch("CREATE TABLE a (x)").unwrap();
    let error = load(&live, std::fs::read(Path::new(file.path())).unwrap()).unwrap_err();
    assert_eq!(error.code(), Code::Integrity, "{error}");
}
