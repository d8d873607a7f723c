//! Databases that are rare and real: objects that need each other, servers that are stricter than the one that was
//! dumped, text that other programs wrote.

use crate::common::{assert_same, dump, load, load_with, mariadb};
use bam::source::database::{self, DumpSettings, LoadSettings};
use bam::{Code, Monitor, NoteKind};

/// Back in place, into an empty database of the same name, and through the plain client.
fn comes_back(server: &mariadb::Server, name: &str) {
    let site = server.connection(name);
    let original = server.fingerprint(name);
    let sql = dump(&site, &DumpSettings::default());
    load(&site, sql.clone()).unwrap();
    assert_same(&server.fingerprint(name), &original);
    let quoted = mariadb::quote(name);
    server.sql("", &format!("DROP DATABASE {quoted}; CREATE DATABASE {quoted}"));
    load(&site, sql.clone()).unwrap();
    assert_same(&server.fingerprint(name), &original);
    server.sql("", &format!("DROP DATABASE {quoted}; CREATE DATABASE {quoted}"));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &sql).unwrap();
    server.source(name, file.path()).unwrap();
    assert_same(&server.fingerprint(name), &original);
}

#[test]
fn objects_come_after_what_they_need() {
    let Some(server) = mariadb::server("objects_come_after_what_they_need") else { return };
    server.create("order");
    let counted = mariadb::either(
        "CREATE SEQUENCE s1 START WITH 100 INCREMENT BY 5 CACHE 10;
         CREATE TABLE a_counted (id bigint NOT NULL DEFAULT NEXTVAL(s1) PRIMARY KEY, a int, d int DEFAULT (LASTVAL(s1) + 1));",
        "CREATE TABLE a_counted (id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, a int, d int DEFAULT (1 + 1));",
    );
    server.sql("order", counted);
    server.sql(
        "order",
        "CREATE TABLE t (id int PRIMARY KEY, a varchar(20)); INSERT INTO t VALUES (1, 'x');
         CREATE FUNCTION z_shout(t varchar(20)) RETURNS varchar(30) DETERMINISTIC RETURN CONCAT(UPPER(t), '!');
         CREATE VIEW z_base AS SELECT id, a FROM t;
         CREATE VIEW loud AS SELECT id, z_shout(a) AS a FROM z_base;
         CREATE VIEW a_checked AS SELECT id, a FROM z_base WHERE a <> 'q' WITH CASCADED CHECK OPTION;
         -- By their names alone these two need each other.
         CREATE VIEW ring_a AS SELECT a AS ring_b FROM t; CREATE VIEW ring_b AS SELECT ring_b AS ring_a FROM ring_a;
         INSERT INTO a_counted (a) VALUES (1), (2);
         CREATE TABLE part_1 (id int NOT NULL, KEY (id)) ENGINE=MyISAM; CREATE TABLE part_2 LIKE part_1;
         CREATE TABLE a_all (id int NOT NULL, KEY (id)) ENGINE=MERGE UNION=(part_1, part_2) INSERT_METHOD=LAST;
         INSERT INTO part_1 VALUES (1); INSERT INTO part_2 VALUES (2), (3);
         CREATE TABLE computed (x int AS (1 + 1) STORED, y int AS (2) VIRTUAL); INSERT INTO computed () VALUES (), (), ();",
    );
    comes_back(server, "order");
    assert_eq!(server.sql("order", "SELECT a FROM loud"), "X!\n");
    assert_eq!(server.sql("order", "SELECT COUNT(*) FROM a_all"), "3\n");
    // A copy counts with its own sequence, the original with its own.
    let copy = server.create("order_copy");
    load(&copy, dump(&server.connection("order"), &DumpSettings::default())).unwrap();
    server.sql("", "DROP DATABASE `order`");
    server.sql("order_copy", "INSERT INTO a_counted (a) VALUES (3)");
    assert!(!server.sql("order_copy", "SHOW CREATE TABLE a_counted").contains("order`.`"));
}

#[test]
fn routines_keep_their_modes_texts_and_character_sets() {
    let Some(server) = mariadb::server("routines_keep_their_modes_texts_and_character_sets") else { return };
    server.create("modes");
    let sql = r#"
        CREATE TABLE paths (id int PRIMARY KEY, p varchar(50));
        DELIMITER !!
        SET sql_mode = 'NO_BACKSLASH_ESCAPES'!!
        CREATE PROCEDURE add_path() INSERT INTO paths VALUES (2, 'C:\temp\')!!
        SET sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT'!!
        CREATE PROCEDURE "p ""q\"() SELECT "p" || 'x' FROM "paths"!!
        SET sql_mode = ''!!
        CREATE FUNCTION f(a int) RETURNS int DETERMINISTIC BEGIN /* ;; $$ // */ SET a = a + 1; RETURN a; END!!
        CREATE PROCEDURE zz_after() SELECT 'it''s', "\\"!!
        PACKAGES
        CREATE TRIGGER tr BEFORE INSERT ON paths FOR EACH ROW BEGIN SET NEW.p = CONCAT(NEW.p, ';;$$//'); END!!
        DELIMITER ;
        SET NAMES latin1; CREATE PROCEDURE western() SELECT 'plain'; SET NAMES utf8mb4;"#;
    let packages = mariadb::either(
        "SET sql_mode = 'ORACLE'!!
         CREATE PACKAGE pk AS FUNCTION f RETURN int; END!!
         CREATE PACKAGE BODY pk AS FUNCTION f RETURN int AS BEGIN RETURN 1; END; END!!
         SET sql_mode = ''!!",
        "",
    );
    // MySQL's client takes the backslash in a name for an escape, whatever the mode.
    let named = mariadb::either(r#""p ""q\""#, r#""p ""q""#);
    server.sql("modes", &sql.replace("PACKAGES", packages).replace(r#""p ""q\""#, named));
    comes_back(server, "modes");
    server.sql("modes", "CALL add_path()");
    assert_eq!(server.sql("modes", "SELECT HEX(p) FROM paths"), "433A5C74656D705C3B3B24242F2F\n");
    // Of a name outside ASCII the text is in two character sets.
    server.create("cyrillic");
    let windows = [
        b"SET NAMES cp1251; CREATE PROCEDURE `".as_slice(),
        b"\xf0\xf3\xf2",
        b"`() SELECT '",
        b"\xe9",
        b"' AS a;",
    ]
    .concat();
    load(&server.connection("cyrillic"), windows).unwrap();
    load(&server.connection("cyrillic"), dump(&server.connection("cyrillic"), &DumpSettings::default()))
        .unwrap();
    assert_eq!(server.sql("cyrillic", "SET NAMES utf8mb4; CALL `рут`()"), "й\n");
    // The second byte of U+8AA0 in GBK is a backslash: as UTF-8 it says the same to every client.
    server.create("chinese");
    let gbk = [b"SET NAMES gbk; CREATE PROCEDURE g() SELECT '".as_slice(), b"\xd5\x5c", b"' AS a;"].concat();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &gbk).unwrap();
    let loaded = server
        .client("mariadb")
        .args(["--default-character-set=gbk", "--database=chinese"])
        .stdin(std::fs::File::open(file.path()).unwrap())
        .status()
        .unwrap();
    assert!(loaded.success());
    let sql = dump(&server.connection("chinese"), &DumpSettings::default());
    load(&server.connection("chinese"), sql).unwrap();
    assert_eq!(server.sql("chinese", "SET NAMES utf8mb4; CALL g()"), "誠\n");
}

#[test]
fn comments_in_routines_stay() {
    let Some(server) = mariadb::server("comments_in_routines_stay") else { return };
    let site = server.create("comments");
    // Unlike this program's, the plain client takes them out.
    let text = "CREATE FUNCTION f() RETURNS int DETERMINISTIC BEGIN -- it's; kept\n/* so; is this */ RETURN 1; # this\nEND";
    let dump = format!("DELIMITER ;;\n{text} ;;\nDELIMITER ;\n");
    load(&site, dump).unwrap();
    for _ in 0..2 {
        let body = server.sql(
            "comments",
            "SELECT routine_definition FROM information_schema.routines WHERE routine_schema = 'comments'",
        );
        assert!(
            body.contains("-- it's; kept") && body.contains("so; is this") && body.contains("# this"),
            "{body}"
        );
        load(&site, crate::common::dump(&site, &DumpSettings::default())).unwrap();
    }
}

#[test]
fn strict_servers_take_what_they_gave() {
    let primary_keys = mariadb::either("--innodb-force-primary-key=1", "--sql-require-primary-key=1");
    let options = [primary_keys, "--max-allowed-packet=4M", "--innodb-strict-mode=1"];
    let Some(server) = mariadb::server_with("strict_servers_take_what_they_gave", &options) else { return };
    server.create("strict");
    let columns: Vec<String> =
        (0..200).map(|i| format!("c{i} varchar(30) CHARACTER SET utf8mb4 DEFAULT NULL")).collect();
    server.sql(
        "strict",
        &format!(
            "SET innodb_strict_mode = 0; CREATE TABLE wide (id int PRIMARY KEY, {}) ROW_FORMAT=COMPACT;
             INSERT INTO wide (id, c1) VALUES (1, 'x');
             CREATE TABLE blobs (id int PRIMARY KEY, a longblob, b longtext CHARACTER SET latin1, c longtext CHARACTER SET utf8mb4) DEFAULT CHARSET=utf8mb4;
             INSERT INTO blobs VALUES (1, REPEAT(CHAR(0), 3 << 20), 'ä€', '☃'), (2, 'small', REPEAT('''ä', 1 << 20), NULL),
               (3, REPEAT(CHAR(0, 255, 92, 39, 13 USING binary), 600000), NULL, REPEAT('\\n☃''', 500000)), (4, '', '', '')",
            columns.join(", ")
        ),
    );
    let site = server.connection("strict");
    let original = server.fingerprint("strict");
    let sql = dump(&site, &DumpSettings::default());
    assert!(sql.len() > 15 << 20, "escaped, the rows are longer than what the server takes");
    load(&site, sql.clone()).unwrap();
    assert_same(&server.fingerprint("strict"), &original);
    server.sql("", "DROP DATABASE strict; CREATE DATABASE strict");
    load(&site, sql).unwrap();
    assert_same(&server.fingerprint("strict"), &original);
    // Of a server that takes more: many rows in one statement, and one that is too long in any case.
    let many = server.create("many");
    let rows: Vec<String> = (0..40_000).map(|i| format!("({i},'{}')", "x".repeat(500))).collect();
    let table = "CREATE TABLE t (id int PRIMARY KEY, a longtext);\n";
    load(&many, format!("{table}INSERT INTO t VALUES {};\n", rows.join(","))).unwrap();
    assert_eq!(server.sql("many", "SELECT COUNT(*), SUM(LENGTH(a)) FROM t"), "40000\t20000000\n");
    let error =
        load(&many, format!("{table}INSERT INTO t VALUES (1,'{}');\n", "x".repeat(5 << 20))).unwrap_err();
    assert!(error.next_step().is_some_and(|step| step.contains("max_allowed_packet")), "{error}");
    assert_eq!(server.sql("many", "SELECT COUNT(*) FROM t"), "40000\n");
}

#[test]
fn keys_over_long_texts_do_not_make_connections_wait_for_each_other() {
    let Some(server) = mariadb::server("keys_over_long_texts_do_not_make_connections_wait_for_each_other")
    else {
        return;
    };
    let site = server.create("redirects");
    server.sql(
        "redirects",
        mariadb::either(
            "CREATE TABLE redirect (id int PRIMARY KEY, source text NOT NULL, hits int, UNIQUE KEY (source))",
            "CREATE TABLE redirect (id int PRIMARY KEY, source text NOT NULL, hits int, UNIQUE KEY (source(200)))",
        ),
    );
    server.sql(
        "redirects",
        "INSERT INTO redirect SELECT seq, CONCAT('/old/path/', LEFT(SHA2(seq, 256), 32), '/', REPEAT('x', 60)), seq FROM seq_1_to_60000;
         CREATE TABLE several (id int PRIMARY KEY, a varchar(100), b int, UNIQUE KEY (a), UNIQUE KEY (b, a));
         INSERT INTO several SELECT seq, LEFT(SHA2(seq, 256), 32), seq % 7 FROM seq_1_to_60000",
    );
    let original = server.fingerprint("redirects");
    for _ in 0..3 {
        load(&site, dump(&site, &DumpSettings::default())).unwrap();
        assert_same(&server.fingerprint("redirects"), &original);
    }
}

#[test]
fn what_other_programs_wrote_is_read() {
    let Some(server) = mariadb::server("what_other_programs_wrote_is_read") else { return };
    let site = server.create("foreign");
    let value = || server.sql("foreign", "SELECT HEX(CONVERT(a USING utf8mb4)) FROM t").trim().to_owned();
    let table = "CREATE TABLE t (id int, a varchar(50)) DEFAULT CHARSET=utf8mb4;\n";
    let text = format!("{table}INSERT INTO t VALUES (1,'ä');\n");
    load(&site, [b"\xef\xbb\xbf".as_slice(), text.as_bytes()].concat()).unwrap();
    assert_eq!(value(), "C3A4");
    let wide: Vec<u8> =
        "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    load(&site, wide).unwrap();
    assert_eq!(value(), "C3A4");
    let modes = "SET sql_mode = 'NO_BACKSLASH_ESCAPES,ANSI_QUOTES';\nINSERT INTO \"t\" VALUES (1,'C:\\');\nSET sql_mode = '';\n";
    load(&site, format!("{table}{modes}CREATE TABLE later (a int);\n")).unwrap();
    assert_eq!(value(), "433A5C");
    server.sql("foreign", "SELECT * FROM later");
    for (charset, character) in
        [("gbk", b"\xd5\x5c"), ("big5", b"\xa5\x5c"), ("sjis", b"\x95\x5c"), ("cp932", b"\x95\x5c")]
    {
        let mut text =
            format!("/*!40101 SET NAMES {charset} */;\n{table}INSERT INTO t VALUES (1,'").into_bytes();
        text.extend_from_slice(character);
        text.extend_from_slice(b"'),(2,'it\\'s; ");
        text.extend_from_slice(character);
        text.extend_from_slice(b"');\nCREATE TABLE later (a int);\nINSERT INTO later VALUES (1);\n");
        load(&site, text).unwrap();
        let found = value();
        let (first, second) = found.split_once('\n').unwrap();
        assert!(first.len() == 6 && second == format!("697427733B20{first}"), "{charset}: {found}");
        assert_eq!(server.sql("foreign", "SELECT a FROM later"), "1\n", "{charset}");
    }
    let error = load(&site, format!("{table}INSERT INTO t VALUES (1,'x') /* COLLATE */;\nCREATE TABLE u (a int) COLLATE utf8mb4_nowhere_ci;\n")).unwrap_err();
    assert!(
        error.message().contains("nowhere")
            && error.next_step().is_some_and(|step| step.contains("SHOW COLLATION")),
        "{error}"
    );
}

#[test]
fn of_a_dump_of_several_databases_one_is_taken() {
    let Some(server) = mariadb::server("of_a_dump_of_several_databases_one_is_taken") else { return };
    for (name, value) in [("several_a", "right"), ("several_b", "wrong")] {
        server.create(name);
        server.sql(name, &format!("CREATE TABLE users (name varchar(20)); INSERT INTO users VALUES ('{value}'); CREATE VIEW v AS SELECT * FROM users"));
    }
    server.sql("several_b", "CREATE TABLE more (a int)");
    let done =
        server.client("mariadb-dump").args(["--databases", "several_a", "several_b"]).output().unwrap();
    assert!(done.status.success());
    let site = server.create("several");
    server.sql("several", "CREATE TABLE users (name varchar(20)); INSERT INTO users VALUES ('live')");
    let error = load(&site, done.stdout.clone()).unwrap_err();
    assert_eq!(error.code(), Code::Unsupported);
    assert!(error.next_step().is_some_and(|step| step.contains("--only several_a")), "{error}");
    assert_eq!(server.sql("several", "SELECT * FROM users"), "live\n");
    let only = |name: &str| LoadSettings { database: Some(name.to_owned()), ..LoadSettings::default() };
    load_with(&site, done.stdout.clone(), &only("several_a")).unwrap();
    assert_eq!(server.sql("several", "SELECT * FROM v; SHOW TABLES"), "right\nusers\nv\n");
    let error = load_with(&site, done.stdout, &only("several_c")).unwrap_err();
    assert!(error.code() == Code::NotFound && error.message().contains("several_b"), "{error}");
}

#[test]
fn names_may_be_anything() {
    let Some(server) = mariadb::server("names_may_be_anything") else { return };
    for name in ["my-site.db", "d7 `x`", "it's \"q\"", "Ünï☃", "100%_a\\b", "a;b#c--d", "-- x", "$HOME"] {
        let quoted = mariadb::quote(name);
        server.sql("", &format!("CREATE DATABASE {quoted}"));
        server.sql(
            name,
            "CREATE TABLE `t ``;'\" é` (`c ``;'\" é` int PRIMARY KEY, v int AS (`c ``;'\" é` + 1) STORED); INSERT INTO `t ``;'\" é` (`c ``;'\" é`) VALUES (1);
             CREATE VIEW `v ``;é` AS SELECT * FROM `t ``;'\" é`; CREATE PROCEDURE `p ``;é`() SELECT 1;
             CREATE TRIGGER `tr ``;é` BEFORE INSERT ON `t ``;'\" é` FOR EACH ROW SET @a = 1;",
        );
        let counted = "CREATE SEQUENCE `s ``;é`; CREATE TABLE n (id int DEFAULT NEXTVAL(`s ``;é`)); INSERT INTO n VALUES ()";
        server.sql(name, mariadb::either(counted, ""));
        comes_back(server, name);
        server.sql("", &format!("DROP DATABASE {quoted}"));
    }
}

#[test]
fn definers_stay_where_they_can() {
    let Some(server) = mariadb::server("definers_stay_where_they_can") else { return };
    let site = server.create("definers");
    server.sql(
        "definers",
        "CREATE USER editor@localhost IDENTIFIED BY 'p', owner@localhost IDENTIFIED BY 'p', gone@localhost;
         GRANT ALL ON definers.* TO owner@localhost; GRANT ALL ON `definers\\_bam\\_%`.* TO owner@localhost;
         CREATE TABLE t (a int); CREATE DEFINER=editor@localhost VIEW v AS SELECT * FROM t;
         CREATE DEFINER=editor@localhost PROCEDURE p() SELECT 1; CREATE DEFINER=gone@localhost PROCEDURE q() SELECT 1;
         CREATE DEFINER=editor@localhost TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET @a = 1; DROP USER gone@localhost",
    );
    let definers = || {
        server.sql(
            "definers",
            "SELECT DISTINCT definer FROM information_schema.views WHERE table_schema = DATABASE() UNION ALL
             SELECT definer FROM information_schema.triggers WHERE trigger_schema = DATABASE() UNION ALL
             SELECT CONCAT(routine_name, definer) FROM information_schema.routines WHERE routine_schema = DATABASE() ORDER BY 1",
        )
    };
    let sql = dump(&site, &DumpSettings::default());
    assert!(String::from_utf8_lossy(&sql).contains("DEFINER=`gone`@`localhost`"));
    let restored = |login: &str| {
        let (state, monitor) = (tempfile::tempdir().unwrap(), Monitor::new());
        let connection = if login == "root" {
            server.connection("definers")
        } else {
            server.login("definers", login, "p")
        };
        let input = Box::new(std::io::Cursor::new(sql.clone()));
        database::load(&connection, input, &LoadSettings::default(), state.path(), &monitor).unwrap();
        monitor.notes().iter().any(|note| note.text.contains("gone@localhost"))
    };
    assert!(restored("root"), "who is not there any more is named");
    assert_eq!(definers(), "editor@localhost\neditor@localhost\npeditor@localhost\nqroot@localhost\n");
    // Who may not set others becomes the definer; where nothing is live that only others may read.
    server.sql("", "DROP DATABASE definers; CREATE DATABASE definers");
    assert!(restored("owner"));
    assert_eq!(definers(), "owner@localhost\nowner@localhost\npowner@localhost\nqowner@localhost\n");
}

#[test]
fn tables_with_a_folder_of_their_own_keep_it() {
    let Some(server) = mariadb::server("tables_with_a_folder_of_their_own_keep_it") else { return };
    let folder = server.elsewhere();
    let path = folder.display();
    let site = server.create("folders");
    server.sql(
        "folders",
        &format!(
            "CREATE TABLE inno (a int PRIMARY KEY) DATA DIRECTORY='{path}'; INSERT INTO inno VALUES (1);
             CREATE TABLE isam (a int PRIMARY KEY) ENGINE=MyISAM DATA DIRECTORY='{path}'; INSERT INTO isam VALUES (2);
             CREATE TABLE parts (a int) PARTITION BY RANGE (a) (PARTITION p0 VALUES LESS THAN (10) DATA DIRECTORY='{path}', PARTITION p1 VALUES LESS THAN MAXVALUE);
             INSERT INTO parts VALUES (1), (20)"
        ),
    );
    let original = server.fingerprint("folders");
    let sql = dump(&site, &DumpSettings::default());
    server.sql("folders", "DELETE FROM inno; DELETE FROM isam; DELETE FROM parts");
    load(&site, sql.clone()).unwrap();
    assert_same(&server.fingerprint("folders"), &original);
    // Elsewhere they lie with the others.
    let copy = server.create("folders_copy");
    load(&copy, sql).unwrap();
    assert_eq!(
        server.sql("folders_copy", "SELECT * FROM inno, isam; SELECT COUNT(*) FROM parts"),
        "1\t2\n2\n"
    );
    server.sql("", "DROP DATABASE folders; DROP DATABASE folders_copy");
}

#[test]
fn what_the_server_hides_is_said() {
    let Some(server) = mariadb::server("what_the_server_hides_is_said") else { return };
    server.create("hidden");
    server.sql(
        "hidden",
        "CREATE TABLE node (nid int PRIMARY KEY); CREATE TABLE plain (a int);
         CREATE USER looker@localhost IDENTIFIED BY 'p'; GRANT SELECT, SHOW VIEW, LOCK TABLES ON hidden.* TO looker@localhost;
         CREATE USER seer@localhost IDENTIFIED BY 'p'; GRANT SELECT, SHOW VIEW, TRIGGER, EVENT, EXECUTE ON `hi%`.* TO seer@localhost",
    );
    let notes = |login: &str| {
        let monitor = Monitor::new();
        let connection = server.login("hidden", login, "p");
        database::dump(&connection, &DumpSettings::default(), &mut Vec::new(), &monitor).unwrap();
        monitor.notes()
    };
    let of = |notes: &[bam::Note]| {
        notes.iter().map(|note| (note.kind, note.text.contains("TRIGGER"))).collect::<Vec<_>>()
    };
    assert_eq!(of(&notes("looker")), [(NoteKind::Warning, true)], "there may be some");
    assert_eq!(of(&notes("seer")), []);
    server
        .sql("hidden", "CREATE TRIGGER tr BEFORE INSERT ON node FOR EACH ROW SET @a = 1; SELECT * FROM node");
    // MySQL does not even tell how many there are.
    let kind = if mariadb::is_mysql() { NoteKind::Warning } else { NoteKind::Missing };
    assert_eq!(of(&notes("looker")), [(kind, true)], "there are some");
    assert_eq!(of(&notes("seer")), []);
    server.sql("hidden", "CREATE PROCEDURE p() SELECT 1");
    assert!(
        notes("seer").iter().any(|note| note.kind == NoteKind::Missing && note.text.contains("procedure p "))
    );
}
