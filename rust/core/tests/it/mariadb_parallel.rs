//! Loading over several connections gives what one gives, and goes back to one where the order matters.

use crate::common::{assert_same, dump, load, mariadb};
use bam::source::database::DumpSettings;
use std::fmt::Write as _;
use std::sync::OnceLock;

/// A server that tells who asked for what.
fn server(name: &str) -> Option<&'static mariadb::Server> {
    static SERVER: OnceLock<Result<mariadb::Server, String>> = OnceLock::new();
    match SERVER.get_or_init(|| mariadb::Server::start(&["--general-log", "--log-output=TABLE"])) {
        Ok(server) => Some(server),
        Err(reason) => {
            println!("SKIP {name}: {reason}");
            None
        }
    }
}

/// Half a million rows, and everything that a loader could get wrong.
const MIXED: &str = "
    CREATE TABLE big (id int NOT NULL AUTO_INCREMENT PRIMARY KEY, tid int NOT NULL, name varchar(40) NOT NULL,
      half int GENERATED ALWAYS AS (tid DIV 2) STORED, made timestamp NOT NULL DEFAULT '2020-01-01 00:00:00',
      KEY tid (tid), KEY made (made, tid)) DEFAULT CHARSET=utf8mb4;
    INSERT INTO big (id, tid, name) SELECT seq, seq * 7919 % 100003, CONCAT('näme ''', seq, '\\\\') FROM seq_1_to_500000;
    CREATE TABLE texts (id int PRIMARY KEY, body longtext, low varchar(100), KEY `we``ird` (low(10)) COMMENT 'a, b',
      FULLTEXT KEY body (body), FULLTEXT KEY low (low), UNIQUE KEY both_of (id, low)) DEFAULT CHARSET=utf8mb3;
    INSERT INTO texts SELECT seq, REPEAT(CONCAT('wörd', seq, ' '), 100), CONCAT('é', seq) FROM seq_1_to_5000;
    CREATE TABLE western (id int PRIMARY KEY, a text, KEY (a(20))) DEFAULT CHARSET=latin1;
    INSERT INTO western SELECT seq, REPEAT('ä€', 200) FROM seq_1_to_6000;
    CREATE TABLE isam (id int PRIMARY KEY, a text, KEY (a(20))) ENGINE=MyISAM;
    INSERT INTO isam SELECT seq, REPEAT('isam ', 100) FROM seq_1_to_5000;
    CREATE TABLE parent (id int PRIMARY KEY, x int, a text, KEY x (x));
    INSERT INTO parent SELECT seq, seq, REPEAT('parent ', 120) FROM seq_1_to_3000;
    CREATE TABLE child (id int PRIMARY KEY, parent int, x int, a text, KEY parent (parent),
      CONSTRAINT to_id FOREIGN KEY (parent) REFERENCES parent (id), CONSTRAINT to_x FOREIGN KEY (x) REFERENCES parent (x));
    INSERT INTO child SELECT seq, seq, seq, REPEAT('child ', 200) FROM seq_1_to_3000;
    CREATE TABLE pages (id int PRIMARY KEY, x int, a text, KEY x (x));
    INSERT INTO pages SELECT seq, seq, REPEAT('page ', 400) FROM seq_1_to_3000;
    CREATE TABLE parts (a int, b text, KEY (a)) PARTITION BY HASH (a) PARTITIONS 3;
    INSERT INTO parts SELECT seq, REPEAT('part ', 100) FROM seq_1_to_6000;
    CREATE TABLE zero (id int NOT NULL AUTO_INCREMENT PRIMARY KEY, a int); SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO';
    INSERT INTO zero VALUES (0, 1), (7, 2); CREATE TABLE uuids (u uuid, i inet6, g geometry);
    INSERT INTO uuids VALUES ('00275c0a-0d22-1a00-ffff-3b0a27275c5c', '2001:db8::1', POINT(1, 2));
    CREATE TABLE keyless (a int, b blob); INSERT INTO keyless SELECT seq, UNHEX(SHA2(seq, 512)) FROM seq_1_to_50000;
    CREATE VIEW names AS SELECT name FROM big;
    CREATE TRIGGER stamp BEFORE INSERT ON big FOR EACH ROW SET NEW.name = CONCAT(NEW.name, '!');";

#[test]
fn a_mixed_dump_loads_over_several_connections() {
    let Some(server) = server("a_mixed_dump_loads_over_several_connections") else { return };
    let source = server.create("mixed");
    let lax = mariadb::either("", "SET SESSION restrict_fk_on_non_standard_key = 0;");
    server.sql("mixed", &format!("{lax}{MIXED}"));
    let original = server.fingerprint("mixed");
    let copy = server.create("mixed_copy");
    server.sql("mysql", "TRUNCATE general_log");
    load(&copy, dump(&source, &DumpSettings::default())).unwrap();
    assert_same(&server.fingerprint("mixed_copy"), &original);
    let count = |what: &str| -> usize {
        // A connection may be given several statements in one go; this question is none of them.
        let sql = format!(
            "SELECT COUNT(DISTINCT thread_id) FROM general_log WHERE argument LIKE '%{what}' \
             AND argument NOT LIKE '%general_log%'"
        );
        server.sql("mysql", &sql).trim().parse().unwrap()
    };
    assert!(count("INSERT INTO `big`%") > 1, "one table is divided");
    assert_eq!(count("INSERT INTO `isam`%"), 1, "not one without transactions");
    assert_eq!(
        count("ALTER TABLE `big` ADD KEY `tid` (`tid`), ADD KEY `made` (`made`,`tid`)%"),
        0,
        "a computed column"
    );
    assert_eq!(count("ALTER TABLE `texts` ADD KEY `we``ird`%"), 1, "indexes come when the rows are in");
    assert_eq!(count("ALTER TABLE `texts` ADD FULLTEXT KEY%"), 1);
    assert_eq!(count("ALTER TABLE `pages` %"), 0, "few long rows would be read again for a small index");
    // The referenced column has lost no index: its constraint holds.
    server.try_sql("mixed_copy", "DELETE FROM parent WHERE id = 1").unwrap_err();
    for options in [
        ["--hex-blob", "--opt"],
        ["--skip-extended-insert", "--complete-insert"],
        ["--skip-opt", "--replace"],
    ] {
        let mut client = server.client("mariadb-dump");
        let tables =
            ["texts", "western", "isam", "parent", "child", "zero", "uuids", "keyless", "parts", "names"];
        let done = client.args(options).arg("--create-options").arg("mixed").args(tables).output().unwrap();
        assert!(done.status.success());
        let part = server.create("mixed_part");
        // The view needs it.
        server.sql("mixed_part", "CREATE TABLE big (name int)");
        load(&part, done.stdout).unwrap();
        let found = server.fingerprint("mixed_part");
        for table in tables.iter().filter(|table| **table != "names") {
            let of = |all: &[String]| all.iter().find(|it| it.starts_with(&format!("{table}\t"))).cloned();
            assert_eq!(of(&found), of(&original), "{options:?}");
        }
        server.sql("", "DROP DATABASE mixed_part");
    }
}

/// Loads `sql` with us and with the plain client, and expects the same.
fn same_as_the_client(server: &mariadb::Server, name: &str, sql: &str) {
    let ours = server.create(name);
    load(&ours, sql).unwrap();
    server.create(&format!("{name}_plain"));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("SET foreign_key_checks=0;\n{sql}")).unwrap();
    server.source(&format!("{name}_plain"), file.path()).unwrap();
    assert_same(&server.fingerprint(name), &server.fingerprint(&format!("{name}_plain")));
}

#[test]
fn what_depends_on_the_order_keeps_it() {
    let Some(server) = server("what_depends_on_the_order_keeps_it") else { return };
    let mut sql = String::from(
        "CREATE TABLE a (id int NOT NULL AUTO_INCREMENT PRIMARY KEY, b varchar(200), KEY (b));
         CREATE TABLE c (id int PRIMARY KEY, a int);
         CREATE TABLE latest (id int PRIMARY KEY, n int);\n",
    );
    for n in 0..30_000 {
        writeln!(sql, "INSERT INTO a (b) VALUES ('{n} {}');", "x".repeat(n % 150)).unwrap();
        writeln!(sql, "REPLACE INTO latest VALUES ({}, {n});", n % 500).unwrap();
    }
    sql.push_str(
        "INSERT INTO c VALUES (1, LAST_INSERT_ID()); SET @last = LAST_INSERT_ID();
         INSERT INTO c VALUES (2, @last); INSERT INTO c SELECT id + 10, id FROM a WHERE id < 100;
         INSERT INTO c VALUES (1, 5) ON DUPLICATE KEY UPDATE a = a + 1;
         CREATE TEMPORARY TABLE t (x int); INSERT INTO t VALUES (77); INSERT INTO c SELECT 3, x FROM t;
         CREATE TABLE like_c LIKE c; INSERT INTO like_c VALUES (1, 1); UPDATE c SET a = a + 1 WHERE id = 2;
         DELETE FROM c WHERE id = 15; DROP TABLE latest, like_c;\n",
    );
    same_as_the_client(server, "order_all", &sql);
    // Rows that replace others of their table, far apart.
    let mut sql = String::from(
        "CREATE TABLE latest (id int PRIMARY KEY, n int, b text);\nCREATE TABLE first (id int PRIMARY KEY, n int, b text);\n",
    );
    for n in 0..20_000 {
        writeln!(sql, "REPLACE INTO latest VALUES ({}, {n}, '{}');", n % 5000, "y".repeat(300)).unwrap();
        writeln!(sql, "INSERT IGNORE INTO first VALUES ({}, {n}, '{}');", n % 5000, "z".repeat(300)).unwrap();
    }
    same_as_the_client(server, "order_own", &sql);
}

#[test]
fn keys_that_come_after_the_rows() {
    let Some(server) = server("keys_that_come_after_the_rows") else { return };
    // As phpMyAdmin writes it.
    let mut sql = String::from(
        "SET SQL_MODE = \"NO_AUTO_VALUE_ON_ZERO\";\nSTART TRANSACTION;\nSET time_zone = \"+00:00\";\n\
         /*!40101 SET NAMES utf8mb4 */;\nCREATE TABLE `a` (\n  `id` int(11) NOT NULL,\n  `b` varchar(300) DEFAULT NULL\n) \
         ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;\nCREATE TABLE `u` (`id` int(11) NOT NULL) ENGINE=InnoDB;\n",
    );
    for n in (1..40_000).step_by(100) {
        let rows: Vec<String> = (n..n + 100).map(|n| format!("({n}, '{}é')", "x".repeat(n % 250))).collect();
        writeln!(sql, "INSERT INTO `a` (`id`, `b`) VALUES\n{};", rows.join(",\n")).unwrap();
    }
    sql.push_str(
        "INSERT INTO `u` (`id`) VALUES (3);\nALTER TABLE `a`\n  ADD PRIMARY KEY (`id`),\n  ADD KEY `b` (`b`);\n\
         ALTER TABLE `u` ADD KEY (`id`);\nALTER TABLE `a`\n  MODIFY `id` int(11) NOT NULL AUTO_INCREMENT, AUTO_INCREMENT=50000;\n\
         ALTER TABLE `u`\n  ADD CONSTRAINT `u_a` FOREIGN KEY (`id`) REFERENCES `a` (`id`);\nCOMMIT;\n",
    );
    same_as_the_client(server, "keys_after", &sql);
}

#[test]
fn an_error_names_the_line_of_the_dump() {
    let Some(server) = server("an_error_names_the_line_of_the_dump") else { return };
    let live = server.create("lines");
    server.sql("lines", "CREATE TABLE live (a int)");
    let old = server.fingerprint("lines");
    let mut sql = String::from("-- a dump\n\nCREATE TABLE t (id int PRIMARY KEY, a text);\n-- rows\n");
    for n in 0..200 {
        writeln!(sql, "SET @a = {n};\nINSERT INTO t VALUES ({n},\n'{}');", "x".repeat(20_000)).unwrap();
    }
    sql.push_str("SET @a = 0;\n");
    let bad = sql.lines().count() + 1;
    sql.push_str("INSERT INTO t VALUES (1000, 'a'), (7, 'twice');\nINSERT INTO t VALUES (2000, 'b');\n");
    let error = load(&live, sql).unwrap_err();
    assert!(error.message().contains(&format!("line {bad} of the SQL dump")), "{error}, not {bad}");
    assert!(error.message().contains("1062"), "{error}");
    let error = load(&live, "\n\nCREATE TABLE t (a int);\nCREATE TABLE u (\n b nonsense);\n").unwrap_err();
    assert!(error.message().contains("line 4 of the SQL dump"), "{error}");
    assert_same(&server.fingerprint("lines"), &old);
    assert_eq!(server.sql("", "SHOW DATABASES LIKE 'lines%'"), "lines\n", "nothing is left beside it");
}
