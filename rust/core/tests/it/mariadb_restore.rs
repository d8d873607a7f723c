//! Replacing live databases: what can go wrong, and what is left then.

use crate::common::{assert_same, dump, everything, load, load_with, mariadb};
use bam::config::Connection;
use bam::source::database::{DumpSettings, LoadSettings, Replacement};
use bam::{Code, Monitor};
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A site with everything that a swap has to care for; `what` tells its data from another's.
fn site(what: &str) -> String {
    let counter = mariadb::either("CREATE SEQUENCE counter START WITH 5;", "");
    format!(
        "SET foreign_key_checks=0;
         CREATE TABLE node (nid int PRIMARY KEY, title varchar(50), f float);
         INSERT INTO node SELECT seq, '{what}', 0.1234567 FROM seq_1_to_2000;
         CREATE TABLE parent (id int PRIMARY KEY, child int, CONSTRAINT ring FOREIGN KEY (child) REFERENCES child (id));
         CREATE TABLE child (id int PRIMARY KEY, parent int, CONSTRAINT ring2 FOREIGN KEY (parent) REFERENCES parent (id));
         INSERT INTO parent VALUES (1, 1); INSERT INTO child VALUES (1, 1);
         CREATE TABLE my (a varchar(50)) ENGINE=MyISAM; INSERT INTO my VALUES ('{what}');
         {counter} CREATE TABLE only_{what} (a int);
         CREATE VIEW titles AS SELECT title, '{what}' AS what FROM node; CREATE VIEW view_{what} AS SELECT 1 AS a;
         CREATE TRIGGER stamp BEFORE INSERT ON node FOR EACH ROW SET NEW.title = '{what}';
         CREATE FUNCTION what() RETURNS varchar(50) DETERMINISTIC RETURN '{what}';
         CREATE PROCEDURE proc_{what}() SELECT 1;
         CREATE EVENT daily ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 00:00:00' DO DELETE FROM only_{what};"
    )
}

#[test]
fn steps_can_be_repeated_and_taken_back() {
    let Some(server) = mariadb::server("steps_can_be_repeated_and_taken_back") else { return };
    for (name, login) in [("steps_beside", "root"), ("steps_direct", "direct")] {
        let mut live = server.create(name);
        if login != "root" {
            // Everything on its database, nothing beside it.
            server.sql(name, &format!("CREATE USER {login}@localhost IDENTIFIED BY 'p'; GRANT ALL ON {name}.* TO {login}@localhost"));
            live = server.login(name, login, "p");
        }
        server.sql_as(login, name, &site("old"));
        let old = server.fingerprint(name);
        server.create(&format!("{name}_new"));
        server.sql(&format!("{name}_new"), &site("new"));
        let backup = dump(&server.connection(&format!("{name}_new")), &DumpSettings::default());
        let new = server.fingerprint(&format!("{name}_new"));
        let (state, monitor) = (tempfile::tempdir().unwrap(), Monitor::new());
        let mut planned = Replacement::plan(&live, state.path(), "a1").unwrap();
        planned.load(&live, Box::new(Cursor::new(backup)), &LoadSettings::default(), &monitor).unwrap();
        let told = monitor.notes().iter().any(|note| note.text.contains("safety dump"));
        assert_eq!(told, login != "root", "which way it takes is told");
        assert_same(&server.fingerprint(name), &old);
        // As after a kill: only the journal's copy is left.
        let journaled: Replacement = serde_json::from_str(&serde_json::to_string(&planned).unwrap()).unwrap();
        let definers = |texts: &[String]| -> Vec<String> {
            texts
                .iter()
                .map(|text| {
                    text.replace("`root`@`localhost`", "").replace(&format!("`{login}`@`localhost`"), "")
                })
                .collect()
        };
        for _ in 0..2 {
            for _ in 0..2 {
                journaled.swap(&live, &monitor).unwrap();
                assert_same(&definers(&server.fingerprint(name)), &definers(&new));
            }
            // As after a kill before the last of it: this one had not gone yet.
            server.sql_as(login, name, "CREATE VIEW view_old AS SELECT 1 AS a");
            for _ in 0..2 {
                journaled.revert(&live, &monitor).unwrap();
                assert_same(&definers(&server.fingerprint(name)), &definers(&old));
            }
        }
        journaled.swap(&live, &monitor).unwrap();
        journaled.clean(&live, &monitor).unwrap();
        journaled.clean(&live, &monitor).unwrap();
        assert_same(&definers(&server.fingerprint(name)), &definers(&new));
        assert_eq!(state.path().read_dir().unwrap().count(), 0);
        assert_eq!(
            server.sql("", &format!("SHOW DATABASES LIKE '{name}%'")),
            format!("{name}\n{name}_new\n")
        );
    }
}

#[test]
fn a_refused_trigger_takes_everything_back() {
    let Some(server) = mariadb::server("a_refused_trigger_takes_everything_back") else { return };
    for (name, grants) in
        [("refused_direct", "refused_direct.*"), ("refused_beside", "`refused\\_beside%`.*")]
    {
        server.create(name);
        server.sql(
            name,
            "CREATE TABLE node (a int); INSERT INTO node VALUES (1); CREATE VIEW kept AS SELECT 1 AS x",
        );
        let old = server.fingerprint(name);
        // No TRIGGER privilege.
        server.sql(name, &format!(
            "CREATE USER {name}@localhost IDENTIFIED BY 'p'; GRANT SELECT, INSERT, CREATE, DROP, ALTER, INDEX, LOCK TABLES, \
             CREATE VIEW, SHOW VIEW ON {grants} TO {name}@localhost"
        ));
        let backup = "-- bam MySQL dump 1\nCREATE TABLE node (a int);\nINSERT INTO node VALUES (2);\n\
            -- bam: views, triggers, routines, events\nCREATE VIEW v AS SELECT 1;\n\
            CREATE TRIGGER t BEFORE INSERT ON node FOR EACH ROW SET NEW.a = 1;\n-- Dump completed\n";
        let live = server.login(name, name, "p");
        let error = load(&live, backup).unwrap_err();
        assert_eq!(error.code(), Code::Permission, "{error}");
        assert!(error.message().contains("TRIGGER") && error.next_step().is_some(), "{error}");
        let without = |texts: Vec<String>| -> Vec<String> {
            texts.iter().map(|text| text.replace("`root`@", "").replace(&format!("`{name}`@"), "")).collect()
        };
        assert_same(&without(server.fingerprint(name)), &without(old));
        let lenient = LoadSettings { ignore_errors: true, ..LoadSettings::default() };
        load_with(&live, backup, &lenient).unwrap();
        assert_eq!(server.sql(name, "SELECT a FROM node; SELECT COUNT(*) FROM v"), "2\n1\n");
    }
}

#[test]
fn what_is_no_good_changes_nothing() {
    let Some(server) = mariadb::server("what_is_no_good_changes_nothing") else { return };
    let live = server.create("unchanged");
    server.sql("unchanged", &site("old"));
    let whole = dump(&live, &DumpSettings::default());
    server.sql("unchanged", "UPDATE node SET title = 'newer'");
    let old = server.fingerprint("unchanged");
    for (what, bytes, code, says) in [
        ("half", whole[..whole.len() / 2].to_vec(), Code::Integrity, "cut short"),
        ("one line less", whole[..whole.len() - 5].to_vec(), Code::Integrity, "cut short"),
        (
            "another database",
            b"INSERT INTO unchanged.node VALUES (99999, 'x', 1);".to_vec(),
            Code::Unsupported,
            "unchanged.node",
        ),
        ("nonsense", b"CREATE TABLE x (y nonsense);".to_vec(), Code::Database, "nonsense"),
        ("bytes", (0..=255_u8).cycle().take(100_000).collect(), Code::Integrity, ""),
    ] {
        let error = load(&live, bytes).unwrap_err();
        assert_eq!(error.code(), code, "{what}: {error}");
        assert!(error.message().contains(says), "{what}: {error}");
        assert_same(&server.fingerprint("unchanged"), &old);
    }
    assert_eq!(server.sql("", "SHOW DATABASES LIKE 'unchanged%'"), "unchanged\n");
}

#[test]
fn foreign_dumps_stay_in_their_database() {
    let Some(server) = mariadb::server("foreign_dumps_stay_in_their_database") else { return };
    let live = server.create("stay");
    server.create("stay_away");
    server.sql("stay", "CREATE TABLE newer (a int)");
    let report = load(
        &live,
        "CREATE DATABASE IF NOT EXISTS stay_away; DROP DATABASE stay_away; USE stay_away; SET GLOBAL max_connections=7;
         CREATE TABLE a (b int); INSERT INTO a VALUES (1)
         \\! touch /tmp/bam-was-here
system touch /tmp/bam-was-here
         ;",
    );
    // The client takes no commands of its own from a dump, so these two lines are a syntax error.
    assert_eq!(report.unwrap_err().code(), Code::Database);
    assert!(!std::path::Path::new("/tmp/bam-was-here").exists());
    let report = load(
        &live,
        "DROP DATABASE stay_away; USE stay_away; CREATE TABLE a (b int); INSERT INTO a VALUES (1);",
    )
    .unwrap();
    assert_eq!((report.tables, report.kept), (1, vec!["newer".to_owned()]));
    assert_eq!(server.sql("", "SHOW DATABASES LIKE 'stay%'; SELECT * FROM stay.a"), "stay\nstay_away\n1\n");
    assert_eq!(server.sql("stay_away", "SHOW TABLES"), "");
}

#[test]
fn the_dump_clients_own_files_load() {
    let Some(server) = mariadb::server("the_dump_clients_own_files_load") else { return };
    server.create("theirs");
    server.sql("theirs", &everything::sql());
    // mysqldump rounds FLOATs, and knows the history of no table unless it is told.
    server.sql("theirs", "ALTER TABLE numbers DROP f; DROP TABLE IF EXISTS versioned");
    let live = server.create("theirs_copy");
    for options in [
        vec!["--routines", "--events", "--hex-blob"],
        vec!["--routines", "--events", "--skip-extended-insert", "--databases"],
    ] {
        let done = server.client("mariadb-dump").args(options).arg("theirs").output().unwrap();
        assert!(done.status.success());
        load(&live, done.stdout).unwrap();
        assert_same(&server.fingerprint("theirs_copy"), &server.fingerprint("theirs"));
    }
}

#[test]
fn backup_and_migrates_files_load() {
    let Some(server) = mariadb::server("backup_and_migrates_files_load") else { return };
    let live = server.create("bm");
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/backup_migrate");
    let file = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let file =
        file.into_iter().find(|path| path.to_string_lossy().ends_with(".mysql.gz")).expect("a fixture");
    let mut sql = Vec::new();
    flate2::read::MultiGzDecoder::new(std::fs::File::open(file).unwrap()).read_to_end(&mut sql).unwrap();
    let cut = sql[..sql.len() - 100].to_vec();
    let report = load(&live, sql).unwrap();
    assert!(report.tables > 50, "{report:?}");
    assert_eq!(server.sql("bm", "SELECT name FROM users WHERE uid = 1").lines().count(), 1);
    let error = load(&live, cut).unwrap_err();
    assert_eq!(error.code(), Code::Integrity, "{error}");
}

#[test]
fn a_missing_database_is_made() {
    let Some(server) = mariadb::server("a_missing_database_is_made") else { return };
    load(&server.connection("not_there_yet"), "CREATE TABLE a (b int);").unwrap();
    assert_eq!(server.sql("not_there_yet", "SHOW TABLES"), "a\n");
}

/// What a killed restore runs: this test program itself, see `a_killed_restore_leaves_old_or_new`.
#[test]
#[ignore = "run by a_killed_restore_leaves_old_or_new"]
fn child_that_restores() {
    let Some(args) = std::env::var_os("BAM_TEST_RESTORE") else { return };
    let args = args.into_string().unwrap();
    let [socket, name, user, state, backup] = args.split('|').collect::<Vec<_>>()[..] else { panic!() };
    let live = mariadb::login(socket.into(), name, user, if user == "root" { "" } else { "p" });
    let (state, monitor) = (std::path::Path::new(state), Monitor::new());
    // As the job room does it: the journal says before each step what is about to happen.
    let note = |step: &str, it: &Replacement| {
        let text = format!("{step}\n{}", serde_json::to_string(it).unwrap());
        std::fs::write(state.join("journal.part"), text).unwrap();
        std::fs::rename(state.join("journal.part"), state.join("journal")).unwrap();
    };
    let mut it = Replacement::plan(&live, state, "k1").unwrap();
    note("load", &it);
    println!("BEGUN");
    let input = Box::new(std::fs::File::open(backup).unwrap());
    it.load(&live, input, &LoadSettings::default(), &monitor).unwrap();
    note("load", &it);
    note("swap", &it);
    it.swap(&live, &monitor).unwrap();
    note("clean", &it);
    it.clean(&live, &monitor).unwrap();
    note("done", &it);
}

/// Kills of each way to replace a database.
const ROUNDS: u32 = 8;

/// Starts a restore and kills it: in the first rounds at its end and at once, then at moments spread over a whole run.
fn kill_one(round: u32, asked: &str, state: &Path, whole_run: &mut Duration) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "mariadb_restore::child_that_restores", "--ignored", "--nocapture"])
        .env("BAM_TEST_RESTORE", asked)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(output.any(|line| line.unwrap().contains("BEGUN")));
    // Whenever the kill comes, what is checked holds; the waits only spread the moments over a whole run,
    // which the first round measures.
    let begun = Instant::now();
    let step = || std::fs::read_to_string(state.join("journal")).unwrap();
    let until = whole_run.mul_f64(f64::from(round / 2) / f64::from(ROUNDS / 2));
    while match round {
        0 => child.try_wait().unwrap().is_none(),
        // At once: nothing is swapped yet.
        1 => false,
        _ if round.is_multiple_of(2) => begun.elapsed() < until,
        _ => step().starts_with("load") && child.try_wait().unwrap().is_none(),
    } {
        std::thread::sleep(Duration::from_millis(1));
    }
    if round == 0 {
        *whole_run = begun.elapsed();
    } else if round % 2 == 1 && round > 1 {
        std::thread::sleep(Duration::from_millis(round as u64 * 5));
    }
    let _ = child.kill();
    child.wait().unwrap();
}

/// Takes back what was cut short, or finishes it. Whether the new data is there then.
fn settle(step: &str, it: &Replacement, round: u32, live: &Connection) -> bool {
    let monitor = Monitor::new();
    let takes_back = step == "load" || step == "swap" && round % 4 < 2;
    match step {
        "swap" if takes_back => it.revert(live, &monitor).unwrap(),
        "swap" => it.swap(live, &monitor).unwrap(),
        _ => {}
    }
    it.clean(live, &monitor).unwrap();
    !takes_back
}

#[test]
fn a_killed_restore_leaves_old_or_new() {
    let Some(server) = mariadb::server("a_killed_restore_leaves_old_or_new") else { return };
    for (name, user) in [("killed_beside", "root"), ("killed_direct", "killed")] {
        let state = tempfile::tempdir().unwrap();
        server.create(&format!("{name}_src"));
        server.sql(&format!("{name}_src"), &site("new"));
        let source = server.connection(&format!("{name}_src"));
        let backup = state.path().join("backup.sql");
        std::fs::write(&backup, dump(&source, &DumpSettings::default())).unwrap();
        let definers = |texts: Vec<String>| -> Vec<String> {
            texts
                .iter()
                .map(|text| {
                    text.replace("`root`@`localhost`", "").replace(&format!("`{user}`@`localhost`"), "")
                })
                .collect()
        };
        let new = definers(server.fingerprint(&format!("{name}_src")));
        if user != "root" {
            server.sql("", &format!("CREATE USER {user}@localhost IDENTIFIED BY 'p'; GRANT ALL ON {name}.* TO {user}@localhost"));
        }
        let live = server.login(name, user, if user == "root" { "" } else { "p" });
        let (mut olds, mut news) = (0, 0);
        let mut whole_run = Duration::ZERO;
        for round in 0..ROUNDS {
            server.sql("", &format!("DROP DATABASE IF EXISTS {name}; CREATE DATABASE {name}"));
            server.sql_as(user, name, &site("old"));
            let old = definers(server.fingerprint(name));
            let _ = std::fs::remove_file(state.path().join("journal"));
            let asked = format!(
                "{}|{name}|{user}|{}|{}",
                server.socket().display(),
                state.path().display(),
                backup.display()
            );
            kill_one(round, &asked, state.path(), &mut whole_run);
            let journal = std::fs::read_to_string(state.path().join("journal")).unwrap();
            let (step, it) = journal.split_once('\n').unwrap();
            let it: Replacement = serde_json::from_str(it).unwrap();
            let is_new = settle(step, &it, round, &live);
            assert_same(&definers(server.fingerprint(name)), if is_new { &new } else { &old });
            olds += u32::from(!is_new);
            news += u32::from(is_new);
            assert_eq!(server.sql("", &format!("SHOW DATABASES LIKE '{name}\\_bam%'")), "");
        }
        // The first round ends by itself, the second hardly began.
        assert!(olds > 0 && news > 0, "{name}: {olds} times the old data, {news} times the new");
    }
}
