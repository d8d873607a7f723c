use super::*;

#[track_caller]
fn check(text: &str, kind: Kind, name: &str) {
    let statement = Statement::parse(text.as_bytes());
    assert_eq!((statement.kind, &*statement.name), (kind, name.as_bytes()), "{text}");
}

#[test]
fn what_dumps_consist_of() {
    check("/*!40101 SET NAMES utf8mb4 */", Kind::Set, "");
    check("SET SQL_MODE=\"NO_AUTO_VALUE_ON_ZERO\"", Kind::Set, "");
    check("DROP TABLE IF EXISTS `a``b`", Kind::Drop, "a`b");
    check("CREATE TABLE `select` (\n  `id` int(11)\n)", Kind::Create, "select");
    check("CREATE TABLE IF NOT EXISTS plain(id int)", Kind::Create, "plain");
    check("CREATE TEMPORARY TABLE x (a int)", Kind::Create, "x");
    check("INSERT INTO `a b` VALUES (1,'it''s')", Kind::Insert, "a b");
    check("insert ignore into t values (1)", Kind::Insert, "t");
    check("REPLACE INTO t VALUES (1)", Kind::Insert, "t");
    check("/*!40000 ALTER TABLE `t` DISABLE KEYS */", Kind::Alter, "t");
    check("LOCK TABLES `t` WRITE", Kind::Lock, "");
    check("CREATE SEQUENCE `sq` start with 5", Kind::Create, "sq");
    check("DO SETVAL(`sq`, 3005, 0)", Kind::Alter, "sq");
    check("CREATE UNIQUE INDEX i ON t (a)", Kind::Alter, "t");
    check("/*!50001 CREATE VIEW `v` AS SELECT\n 1 AS `a` */", Kind::View, "v");
    check(
        "/*!50001 CREATE ALGORITHM=UNDEFINED */\n/*!50013 DEFINER=`r`@`%` SQL SECURITY DEFINER */\n/*!50001 \
             VIEW `v` AS select 1 */",
        Kind::View,
        "v",
    );
    check(
        "CREATE ALGORITHM=UNDEFINED DEFINER=\"r\"@\"%\" SQL SECURITY DEFINER VIEW \"v\" AS select 1",
        Kind::View,
        "v",
    );
    check(
        "/*!50003 CREATE*/ /*!50017 DEFINER=`r`@`l`*/ /*!50003 trigger tr before insert on my for each row \
             begin end */",
        Kind::Routine,
        "tr",
    );
    check("CREATE DEFINER=`r`@`l` PROCEDURE `pr`()\nbegin select 1; end", Kind::Routine, "pr");
    check(
        "/*!50106 CREATE*/ /*!50117 DEFINER=`r`@`l`*/ /*!50106 EVENT `ev` ON SCHEDULE",
        Kind::Routine,
        "ev",
    );
    check("ALTER DATABASE `d7` CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci", Kind::Charset, "");
    assert_eq!(
        &*without_database(b"ALTER DATABASE `d7` CHARACTER SET x"),
        b"ALTER DATABASE  CHARACTER SET x"
    );
    assert_eq!(&*without_database(b"ALTER DATABASE CHARACTER SET x"), b"ALTER DATABASE CHARACTER SET x");
    check("COMMIT", Kind::Transaction, "");
}

#[test]
fn a_trigger_names_its_table() {
    let text = b"/*!50003 CREATE*/ /*!50017 DEFINER=`r`@`l`*/ /*!50003 TRIGGER `on` BEFORE INSERT ON `a``b` FOR EACH ROW x";
    assert_eq!(trigger_table(text).as_deref(), Some(b"a`b".as_slice()));
    let statement = Statement::parse(text);
    assert_eq!((statement.object, statement.creates, &*statement.name), ("TRIGGER", true, b"on".as_slice()));
    assert_eq!(trigger_table(b"CREATE PROCEDURE x() begin insert on y"), None);
    assert!(!Statement::parse(b"DROP VIEW IF EXISTS v").creates);
}

#[test]
fn who_a_routine_runs_as() {
    for (text, found) in [
        ("CREATE DEFINER=`ro``ot`@`%` PROCEDURE p() select 1", Some("ro`ot@%")),
        ("CREATE DEFINER='a'@'b.c' VIEW v AS select 1", Some("a@b.c")),
        ("CREATE DEFINER=\"a\"@\"b\" VIEW v AS select 1", Some("a@b")),
        ("CREATE DEFINER=`editors` VIEW v AS select 1", Some("editors@")),
        ("CREATE VIEW v AS select 'DEFINER=x@y'", None),
    ] {
        assert_eq!(definer_of(text.as_bytes()).as_deref(), found, "{text}");
    }
    for (text, found) in
        [("USE `a``b`", Some("a`b")), ("use my-db ", Some("my-db")), ("USED", None), ("SET a = 1", None)]
    {
        assert_eq!(used_database(text.as_bytes()).as_deref(), found.map(str::as_bytes), "{text}");
    }
}

#[test]
fn folders_of_tables_go() {
    let with = b"CREATE TABLE `t` (`data directory` int COMMENT 'DATA DIRECTORY=''/x') ENGINE=MyISAM DATA DIRECTORY='/a b/' \
            INDEX DIRECTORY='/c' COMMENT='x'";
    let without =
        b"CREATE TABLE `t` (`data directory` int COMMENT 'DATA DIRECTORY=''/x') ENGINE=MyISAM   COMMENT='x'";
    assert_eq!(String::from_utf8_lossy(&without_directories(with)), String::from_utf8_lossy(without));
}

#[test]
fn sequences_are_named_without_their_database() {
    for (with, without) in [
        ("`id` bigint DEFAULT nextval(`d7`.`s1`),", "`id` bigint DEFAULT nextval(`s1`),"),
        (
            "`id` int DEFAULT (nextval(`d``7`.`s`) + lastval(`d``7`.`s`))",
            "`id` int DEFAULT (nextval(`s`) + lastval(`s`))",
        ),
        ("select `d7`.`t`.`a` from `d7`.`t`", "select `t`.`a` from `d7`.`t`"),
        ("`id` int DEFAULT nextval(`other`.`s1`)", "`id` int DEFAULT nextval(`other`.`s1`)"),
        ("`id` text DEFAULT 'nextval(`d7`.`s1`)'", "`id` text DEFAULT 'nextval(`d7`.`s1`)'"),
    ] {
        let database: &[u8] = if with.contains("d``7") { b"d`7" } else { b"d7" };
        assert_eq!(String::from_utf8_lossy(&without_schema(with.as_bytes(), database)), without);
    }
}

#[test]
fn what_would_reach_beyond_the_database() {
    for text in [
        "USE `other`",
        "CREATE DATABASE /*!32312 IF NOT EXISTS*/ `d7` /*!40100 DEFAULT CHARACTER SET latin1 */",
        "/*!40000 DROP DATABASE IF EXISTS `d7`*/",
        "SET GLOBAL max_connections = 1",
        "SET @a = 1, GLOBAL b = 2",
        "SET @@GLOBAL.GTID_PURGED=/*!80000 '+'*/ ''",
        "GRANT ALL ON *.* TO x",
        "CREATE USER x",
        "CREATE OR REPLACE DEFINER=x USER y",
        "LOAD DATA INFILE '/etc/passwd' INTO TABLE x",
        "EXECUTE IMMEDIATE 'DROP DATABASE d7'",
        "SHUTDOWN",
        "START SLAVE",
        "RENAME TABLE a TO other.a",
        "ALTER TABLE a RENAME TO other.a",
        "SET STATEMENT max_statement_time=1 FOR DROP DATABASE d7",
    ] {
        assert_eq!(Statement::parse(text.as_bytes()).kind, Kind::Foreign, "{text}");
    }
    assert_eq!(Statement::parse(b"DROP TABLE a, other.b").database.as_deref(), Some(b"other".as_slice()));
    let statement = Statement::parse(b"INSERT INTO `other` . `t` VALUES (1)");
    assert_eq!(
        (statement.database.as_deref(), &*statement.name),
        (Some(b"other".as_slice()), b"t".as_slice())
    );
}

#[test]
fn definers_go_and_bodies_stay() {
    for (with, without) in [
        (
            "CREATE DEFINER=`ro``ot`@`%` PROCEDURE `p`() SQL SECURITY DEFINER select 'DEFINER=x@y'",
            "CREATE  PROCEDURE `p`() SQL SECURITY DEFINER select 'DEFINER=x@y'",
        ),
        (
            "/*!50003 CREATE*/ /*!50017 DEFINER=`r`@`l`*/ /*!50003 TRIGGER t",
            "/*!50003 CREATE*/ /*!50017 */ /*!50003 TRIGGER t",
        ),
        ("CREATE DEFINER = CURRENT_USER() VIEW v AS select 1", "CREATE  VIEW v AS select 1"),
        ("CREATE PROCEDURE p() select 'DEFINER=x@y'", "CREATE PROCEDURE p() select 'DEFINER=x@y'"),
        ("INSERT INTO t VALUES ('CREATE DEFINER=x@y')", "INSERT INTO t VALUES ('CREATE DEFINER=x@y')"),
    ] {
        assert_eq!(String::from_utf8_lossy(&without_definer(with.as_bytes())), without);
    }
}
