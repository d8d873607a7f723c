//! Databases of a real MariaDB, dumped and brought back.

use crate::common::{assert_same, dump, everything, load, mariadb};
use bam::source::database::{self, DumpSettings, LoadSettings};
use bam::{Monitor, NoteKind};
use std::sync::atomic::{AtomicBool, Ordering};

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

#[test]
fn nodata_and_excluded_tables() {
    let Some(server) = mariadb::server("nodata_and_excluded_tables") else { return };
    let mut site = server.create("choose");
    site.prefix = "p_".into();
    server.sql(
        "choose",
        "CREATE TABLE p_node (a int); INSERT INTO p_node VALUES (1);
         CREATE TABLE p_cache (a varchar(20)); INSERT INTO p_cache VALUES ('cache-row');
         CREATE TABLE p_sessions (a varchar(20)); INSERT INTO p_sessions VALUES ('session-row');
         CREATE TABLE other_app (a varchar(20)); INSERT INTO other_app VALUES ('other-row');
         CREATE TABLE p_log (a varchar(20)); INSERT INTO p_log VALUES ('log-row');
         CREATE VIEW p_view AS SELECT 1;",
    );
    let settings = DumpSettings {
        nodata_tables: ["cache", "p_sessions", "never_there", "node_"].map(String::from).into(),
        exclude_tables: ["other_app", "log", "view", "nor_this"].map(String::from).into(),
        ..DumpSettings::default()
    };
    let mut sql = Vec::new();
    let report = database::dump(&site, &settings, &mut sql, &Monitor::new()).unwrap();
    assert_eq!((report.tables, report.empty_tables, report.others), (1, 2, 0));
    let text = String::from_utf8(sql.clone()).unwrap();
    for (what, there) in [
        ("CREATE TABLE `p_cache`", true),
        ("CREATE TABLE `p_sessions`", true),
        ("CREATE TABLE `p_log`", false),
        ("p_view`", false),
        ("cache-row", false),
        ("session-row", false),
        ("other-row", false),
        ("log-row", false),
    ] {
        assert_eq!(text.contains(what), there, "{what}");
    }
    server.sql("choose", "DELETE FROM p_node; CREATE TABLE p_later (a int)");
    let report = load(&site, sql).unwrap();
    assert_eq!(
        (report.removed, report.kept),
        (vec!["p_later".to_owned()], vec!["other_app".into(), "p_log".into()])
    );
    let count = "SELECT (SELECT COUNT(*) FROM p_node), (SELECT COUNT(*) FROM p_cache), (SELECT a FROM other_app), (SELECT a FROM p_log)";
    assert_eq!(server.sql("choose", count), "1\t0\tother-row\tlog-row\n");
    assert_eq!(server.sql("choose", "SELECT * FROM p_view"), "1\n");
}

#[test]
fn single_tables_come_back_alone() {
    let Some(server) = mariadb::server("single_tables_come_back_alone") else { return };
    let site = server.create("single");
    server.sql(
        "single",
        "CREATE TABLE a (x int); CREATE TABLE b (x int); INSERT INTO a VALUES (1); INSERT INTO b VALUES (1);
         CREATE TRIGGER ta BEFORE INSERT ON a FOR EACH ROW SET NEW.x = NEW.x + 100;
         CREATE TRIGGER tb BEFORE INSERT ON b FOR EACH ROW SET NEW.x = NEW.x + 100; CREATE VIEW v AS SELECT 1 AS x",
    );
    let sql = dump(&site, &DumpSettings::default());
    server.sql("single", "DROP TABLE a; DELETE FROM b; DROP VIEW v; CREATE TABLE c (x int)");
    let settings = LoadSettings { tables: Some(vec!["a".into()]), ..LoadSettings::default() };
    let report = crate::common::load_with(&site, sql, &settings).unwrap();
    assert_eq!((report.tables, report.removed.len(), report.kept.len()), (1, 0, 0));
    server.sql("single", "INSERT INTO a VALUES (2)");
    assert_eq!(
        server.sql("single", "SHOW TABLES; SELECT * FROM a; SELECT COUNT(*) FROM b"),
        "a\nb\nc\n1\n102\n0\n"
    );
}

#[test]
fn a_writing_site_is_seen_at_one_moment() {
    let Some(server) = mariadb::server("a_writing_site_is_seen_at_one_moment") else { return };
    let site = server.create("moment");
    // A FLOAT makes two clients read, which must see the same moment.
    server.sql(
        "moment",
        "CREATE TABLE plain (id int AUTO_INCREMENT PRIMARY KEY, pad char(200)); CREATE TABLE exact (id int, f float);
         CREATE TABLE third (id int, f float);
         CREATE TABLE my (a int) ENGINE=MyISAM; INSERT INTO my SELECT seq FROM seq_1_to_50",
    );
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _stopper = crate::common::Stopper(&stop);
        let writers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut rounds = 0;
                    while !stop.load(Ordering::Relaxed) {
                        let round = "START TRANSACTION; INSERT INTO plain (pad) VALUES ('x'); SET @id = LAST_INSERT_ID();
                            INSERT INTO exact VALUES (@id, 0.1234567); INSERT INTO third VALUES (@id, 0.5); COMMIT;";
                        server.sql("moment", &round.repeat(20));
                        rounds += 1;
                    }
                    rounds
                })
            })
            .collect();
        let check = server.create("moment_check");
        for lock_tables in [false, true, false, true] {
            let settings = DumpSettings { lock_tables, ..DumpSettings::default() };
            load(&check, dump(&site, &settings)).unwrap();
            let counts = server.sql(
                "moment_check",
                "SELECT COUNT(*), COUNT(DISTINCT plain.id), IFNULL(SUM(exact.id = third.id), 0) FROM plain
                 LEFT JOIN exact ON exact.id = plain.id LEFT JOIN third ON third.id = plain.id;
                 SELECT COUNT(*) FROM exact; SELECT COUNT(*) FROM third; SELECT COUNT(*) FROM my",
            );
            let numbers: Vec<&str> = counts.split_whitespace().collect();
            let [all, distinct, joined, exact, third, my] = numbers[..] else { panic!("{counts}") };
            assert_eq!([all, distinct, joined, exact, third], [all; 5]);
            assert_eq!(my, "50");
        }
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            assert!(writer.join().unwrap() > 0, "the site wrote meanwhile");
        }
    });
}

#[test]
fn a_user_with_few_rights_can_still_dump() {
    let Some(server) = mariadb::server("a_user_with_few_rights_can_still_dump") else { return };
    server.create("poor");
    server.sql(
        "poor",
        "CREATE TABLE a (x int, f float); CREATE TABLE b (x int); INSERT INTO a VALUES (1, 0.1234567); INSERT INTO b VALUES (2);
         CREATE TABLE my (x int) ENGINE=MyISAM;
         CREATE USER poor@localhost IDENTIFIED BY 'p'; GRANT SELECT ON poor.* TO poor@localhost",
    );
    let poor = server.login("poor", "poor", "p");
    // It may not lock, so one client reads all, exactly.
    let sql = dump(&poor, &DumpSettings::default());
    server.create("poor_copy");
    load(&server.connection("poor_copy"), sql).unwrap();
    assert_same(&server.fingerprint("poor"), &server.fingerprint("poor_copy"));
    let settings = DumpSettings { lock_tables: true, ..DumpSettings::default() };
    let error = database::dump(&poor, &settings, &mut Vec::new(), &Monitor::new()).unwrap_err();
    assert!(error.message().contains("cannot lock the tables"), "{error}");
    assert_eq!(error.code(), bam::Code::Permission);
}

#[test]
fn a_server_of_little_patience_waits_for_locks() {
    let Some(server) =
        mariadb::server_with("a_server_of_little_patience_waits_for_locks", &["--wait-timeout=4"])
    else {
        return;
    };
    let site = server.create("patience");
    server.sql("patience", "CREATE TABLE my (x int) ENGINE=MyISAM; INSERT INTO my VALUES (7)");
    let lock = server.hold("patience", "SET SESSION wait_timeout=1000; LOCK TABLES my WRITE");
    let settings = DumpSettings { lock_tables: true, ..DumpSettings::default() };
    let sql = std::thread::scope(|scope| {
        let dumping = scope.spawn(|| dump(&site, &settings));
        // Longer than the server keeps a connection that asks nothing, as the dump's first one does meanwhile.
        let waits = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE TIME >= 8 AND INFO LIKE 'LOCK TABLES%'";
        while !dumping.is_finished() && server.sql("", waits) != "1\n" {}
        drop(lock);
        dumping.join().unwrap()
    });
    server.create("patience_copy");
    load(&server.connection("patience_copy"), sql).unwrap();
    assert_eq!(server.sql("patience_copy", "SELECT * FROM my"), "7\n");
}

#[test]
fn the_servers_time_zone_moves_no_moment() {
    let Some(server) =
        mariadb::server_with("the_servers_time_zone_moves_no_moment", &["--default-time-zone=+05:00"])
    else {
        return;
    };
    let site = server.create("zone");
    server.sql("zone", "SET GLOBAL sql_quote_show_create=0");
    let sql = "CREATE TABLE `in` (made timestamp NOT NULL DEFAULT '2020-01-01 00:00:00', `key` int);\n\
               INSERT INTO `in` VALUES ('2020-06-01 12:00:00', 1), (DEFAULT, 2);\n";
    // A dump that names no time zone means the server's.
    load(&site, sql.as_bytes().to_vec()).unwrap();
    let moments = "SELECT UNIX_TIMESTAMP(made) FROM `in` ORDER BY `key`";
    assert_eq!(server.sql("zone", moments), "1590994800\n1577818800\n");
    let dumped = dump(&site, &DumpSettings::default());
    let copy = server.create("zone_copy");
    load(&copy, dumped.clone()).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &dumped).unwrap();
    server.create("zone_client");
    server.source("zone_client", file.path()).unwrap();
    for database in ["zone_copy", "zone_client"] {
        server.sql(database, "INSERT INTO `in` (`key`) VALUES (3)");
        assert_eq!(server.sql(database, moments), "1590994800\n1577818800\n1577818800\n", "{database}");
    }
}

#[test]
fn of_a_broken_view_the_definition_is_kept() {
    let Some(server) = mariadb::server("of_a_broken_view_the_definition_is_kept") else { return };
    let site = server.create("broken");
    server.sql(
        "broken",
        "CREATE TABLE a (x int); CREATE TABLE b (x int); CREATE VIEW bad AS SELECT x AS worn FROM a; CREATE VIEW good AS SELECT * FROM b;
         CREATE VIEW on_bad AS SELECT * FROM bad; DROP TABLE a; INSERT INTO b VALUES (7)",
    );
    let (mut sql, monitor) = (Vec::new(), Monitor::new());
    database::dump(&site, &DumpSettings::default(), &mut sql, &monitor).unwrap();
    let missing = |monitor: &Monitor, view: &str| {
        let named = format!("view {view} ");
        monitor.notes().iter().any(|note| note.kind == NoteKind::Missing && note.text.contains(&named))
    };
    assert!(missing(&monitor, "bad") && missing(&monitor, "on_bad") && !missing(&monitor, "good"));
    assert!(String::from_utf8_lossy(&sql).contains("AS `worn`"), "its definition is in the dump");
    // In place it stays as it is; elsewhere it is said to be missing.
    load(&site, sql.clone()).unwrap();
    assert!(server.sql("broken", "SHOW CREATE VIEW bad").contains("worn"));
    let copy = server.create("broken_copy");
    let (state, monitor) = (tempfile::tempdir().unwrap(), Monitor::new());
    let input = Box::new(std::io::Cursor::new(sql));
    database::load(&copy, input, &LoadSettings::default(), state.path(), &monitor).unwrap();
    assert!(missing(&monitor, "bad"), "{:?}", monitor.notes());
    assert_eq!(server.sql("broken_copy", "SELECT * FROM good"), "7\n");
}
