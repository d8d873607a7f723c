use super::*;

fn run(sql: &str, only: Option<&[&str]>) -> Result<Vec<String>> {
    let monitor = Monitor::new();
    let only = only.map(|names| names.iter().map(|&name| name.to_owned()).collect());
    let mut text = sql.as_bytes();
    let mut reader = DumpReader::new(&mut text, only, false, &monitor);
    let mut steps = Vec::new();
    while let Some(step) = reader.next()? {
        steps.push(match step {
            Step::Session(sql) => format!("session {}", String::from_utf8_lossy(&sql.text)),
            Step::Table { name, sql, .. } => format!("{name} {}", String::from_utf8_lossy(&sql.text)),
            Step::Later { sql, undo } => {
                format!("later {} [{}]", String::from_utf8_lossy(&sql.text), undo.unwrap_or_default())
            }
        });
    }
    steps.extend(monitor.notes().into_iter().map(|note| note.text));
    Ok(steps)
}

#[test]
fn statements_go_where_they_belong() {
    let sql = "CREATE DATABASE x;USE x;SET NAMES utf8mb4;LOCK TABLES a WRITE;CREATE TABLE a (b int);\n\
                   INSERT INTO a VALUES (1);UNLOCK TABLES;COMMIT;\n\
                   CREATE DEFINER=`r`@`l` VIEW v AS SELECT 1;ALTER DATABASE `x` CHARACTER SET utf8mb4;";
    assert_eq!(
        run(sql, None).unwrap(),
        [
            "session SET NAMES utf8mb4",
            "a CREATE TABLE a (b int)",
            "a INSERT INTO a VALUES (1)",
            "later CREATE  VIEW v AS SELECT 1 [DROP VIEW IF EXISTS `v`]",
            "later ALTER DATABASE  CHARACTER SET utf8mb4 []",
            "the SQL dump's statements CREATE DATABASE were not run",
        ]
    );
}

#[test]
fn single_tables_bring_their_triggers() {
    let sql = "-- bam MySQL dump 1\n-- bam-prefix: \"p_\"\nCREATE TABLE p_a (x int);CREATE TABLE p_b (x int);\n\
                   -- bam: views, triggers, routines, events\nDROP TABLE IF EXISTS p_a;CREATE VIEW v AS SELECT 1;\n\
                   CREATE TRIGGER t BEFORE INSERT ON p_a FOR EACH ROW SET @a = 1;\n\
                   CREATE TRIGGER u BEFORE INSERT ON p_b FOR EACH ROW SET @a = 1;\n-- Dump completed\n";
    let steps = run(sql, Some(&["a"])).unwrap();
    assert_eq!(steps.len(), 2, "{steps:?}");
    assert!(steps.iter().any(|step| step.starts_with("p_a CREATE TABLE p_a")));
    assert!(steps.iter().any(|step| step.contains("[DROP TRIGGER IF EXISTS `t`]")));
}

#[test]
fn a_dump_cut_short_is_refused() {
    for (sql, whole) in [
        ("SELECT 1;", true),
        ("INSERT INTO a VALUES (1)", false),
        ("INSERT INTO a VALUES ('x;", false),
        ("-- bam MySQL dump 1\nSET a=1;\n-- Dump completed\n", true),
        ("-- bam MySQL dump 1\nSET a=1;\n", false),
        ("-- MariaDB dump 10.19\nSET a=1;\n-- Dump completed on 2026-01-01\n", true),
        ("-- MySQL dump 10.13\nSET a=1;\n", false),
        // What drush sql-dump --structure-tables-key writes.
        ("-- MySQL dump 10.13\n-- Dump completed\n-- MySQL dump 10.13\nSET a=1;\n", false),
        ("-- Backup and Migrate (Drupal) MySQL Dump\nSET a=1;\n", false),
        (
            "-- Backup and Migrate (Drupal) MySQL Dump\n\
                 /*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;\n/*!40101 SET \
                 CHARACTER_SET_CLIENT=@OLD_CHARACTER_SET_CLIENT */;\n",
            true,
        ),
    ] {
        let done = run(sql, None);
        assert_eq!(done.is_ok(), whole, "{sql}: {done:?}");
        assert!(done.is_ok() || done.unwrap_err().code() == Code::Integrity);
    }
}

#[test]
fn a_dump_without_content_is_told() {
    for (sql, has) in [
        ("", false),
        ("\n\n", false),
        ("-- a comment\n/* and another */\n;\n", false),
        ("CREATE DATABASE x;USE x;LOCK TABLES a WRITE;COMMIT;", false),
        // An empty database.
        ("-- MySQL dump 10.13\n/*!40101 SET NAMES utf8mb4 */;\n-- Dump completed\n", true),
        ("CREATE TABLE a (b int);", true),
        ("INSERT INTO a VALUES (1);", true),
        ("CREATE VIEW v AS SELECT 1;", true),
    ] {
        let monitor = Monitor::new();
        // Of what is not wanted there is something, too.
        let only = Some(vec!["other".to_owned()]);
        let mut text = sql.as_bytes();
        let mut reader = DumpReader::new(&mut text, only, false, &monitor);
        while reader.next().unwrap().is_some() {}
        let checked = reader.check_content();
        assert_eq!(checked.is_ok(), has, "{sql}");
        assert!(checked.is_ok() || checked.unwrap_err().code() == Code::Integrity);
    }
}

#[test]
fn what_is_no_statement_is_refused() {
    for sql in [
        "hello;",
        "INSFRT INTO a VALUES (1);",
        "CREATE TABLE a (b int);FOO BAR\nINSERT INTO a VALUES (7);",
        "7;",
    ] {
        let error = run(sql, None).unwrap_err();
        assert!(error.code() == Code::Integrity && error.message().contains("no statement"), "{error}");
    }
}

#[test]
fn of_several_databases_one_is_taken() {
    let sql = "USE a;SET @x=1;CREATE TABLE t (x int);CREATE VIEW v AS SELECT 1;USE `b``c`;CREATE TABLE u (y int);USE a;\
                   DROP VIEW v;";
    let error = run(sql, None).unwrap_err();
    assert!(error.message().contains("a and b`c"), "{error}");
    let monitor = Monitor::new();
    let tables = |only: &str| -> Result<Vec<String>> {
        let mut text = sql.as_bytes();
        let mut reader =
            DumpReader::new(&mut text, None, false, &monitor).with_only_database(Some(only.to_owned()));
        let mut names = Vec::new();
        while let Some(step) = reader.next()? {
            match step {
                Step::Table { name, .. } => names.push(name),
                Step::Later { .. } => names.push("later".to_owned()),
                Step::Session(_) => {}
            }
        }
        Ok(names)
    };
    assert_eq!(tables("a").unwrap(), ["t", "later", "later"]);
    assert_eq!(tables("b`c").unwrap(), ["u"]);
    assert!(tables("c").unwrap_err().message().contains("it has a, b`c"));
}

#[test]
fn what_begins_with_a_mark_or_is_utf_16_is_read() {
    let sql = "CREATE TABLE a (b int);";
    let marked = [b"\xef\xbb\xbf".as_slice(), sql.as_bytes()].concat();
    let wide: Vec<u8> =
        "\u{feff}".chars().chain(sql.chars()).map(|c| c as u16).flat_map(u16::to_le_bytes).collect();
    for bytes in [marked, wide] {
        let monitor = Monitor::new();
        let mut text = bytes.as_slice();
        let mut reader = DumpReader::new(&mut text, None, false, &monitor);
        let Some(Step::Table { name, sql, .. }) = reader.next().unwrap() else { panic!() };
        assert_eq!((name.as_str(), &*sql.text), ("a", b"CREATE TABLE a (b int)".as_slice()));
    }
}

#[test]
fn a_statement_about_another_database_is_refused() {
    let error = run("INSERT INTO `live`.`users` VALUES (1);", None).unwrap_err();
    assert!(error.message().contains("live.users"), "{error}");
}
