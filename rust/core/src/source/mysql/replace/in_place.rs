//! Replacing a database whose user may not create others: a safety dump of the old data and a copy of the new lie in
//! the state folder, zstd-compressed and private; either can be loaded at any time, and again after a kill.

use super::{Loaded, MysqlReplacement, finish_file, objects_in, remove, tables_in};
use crate::config::Connection;
use crate::look;
use crate::source::dump_types::DumpSettings;
use crate::source::mysql::connect::rights::Definers;
use crate::source::mysql::connect::session::{Session, quote};
use crate::source::mysql::dump;
use crate::source::mysql::load;
use crate::source::mysql::load::dump_reader::{DumpReader, Step};
use crate::source::mysql::load::script::Script;
use crate::source::mysql::schema::columns;
use crate::source::sql::Kind;
use crate::source::untouched;
use crate::{Code, Error, Monitor, Result, ResultExt};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

/// zstd's level: these files live for minutes.
const LEVEL: i32 = 1;

fn new_data(it: &MysqlReplacement) -> PathBuf {
    it.file("new.sql.zst")
}

fn old_data(it: &MysqlReplacement) -> PathBuf {
    it.file("old.sql.zst")
}

/// There as long as nothing live is changed.
fn marker(it: &MysqlReplacement) -> PathBuf {
    it.file("untouched")
}

/// Copies what the dump says about tables; notes which there are.
pub(crate) fn spool(
    it: &mut MysqlReplacement,
    reader: &mut DumpReader<'_>,
    monitor: &Monitor,
) -> Result<Loaded> {
    let path = new_data(it);
    let mut script = Script::new(zstd::Encoder::new(it.create(&path)?, LEVEL).at("cannot write", &path)?);
    let mut tables = BTreeSet::new();
    let loaded = it.take_in(reader, monitor, &mut |step| {
        match step {
            Step::Table { kind: Kind::Create, name, .. } => drop(tables.insert(name.clone())),
            Step::Table { kind: Kind::Drop, name, .. } => drop(tables.remove(name)),
            _ => {}
        }
        match step {
            Step::Table { sql, .. } | Step::Session(sql) => script.sql(sql).at("cannot write", &path),
            Step::Later { .. } => Ok(()),
        }
    })?;
    it.tables = tables.into_iter().collect();
    finish_file(BufWriter::new(script.into_out().finish().at("cannot write", &path)?), &path)?;
    Ok(loaded)
}

/// Dumps all of the live database, also what is to stay: what a dump of others does is known when it has done it.
pub(crate) fn save(it: &MysqlReplacement, connection: &Connection, monitor: &Monitor) -> Result<()> {
    let (path, part) = (old_data(it), it.file("old.part"));
    let mut out = zstd::Encoder::new(it.create(&part)?, LEVEL).at("cannot write", &part)?;
    dump::dump(connection, &DumpSettings::default(), &mut out, monitor).map_err(|error| {
        if matches!(error.code(), Code::Cancelled | Code::Io | Code::Space) {
            return error;
        }
        // Half of one would be half a site, should the restore have to be taken back.
        let text = "nothing is restored: without a whole safety dump it could not be taken back";
        let hint = format!(
            "repair or drop what cannot be dumped, or let the user make databases, which does without a safety dump: \
             GRANT ALL ON `{}\\_bam\\_%`.*",
            connection.name
        );
        Error::new(error.code(), text).because(error).hint(hint)
    })?;
    finish_file(BufWriter::new(out.finish().at("cannot write", &part)?), &part)?;
    untouched::note(&marker(it))?;
    std::fs::rename(&part, &path).at("cannot rename", &part)
}

/// Makes the new tables in place of the old ones.
pub(crate) fn swap(it: &MysqlReplacement, connection: &Connection, monitor: &Monitor) -> Result<()> {
    // First what a killed run has under way: it may hold tables itself.
    let mut session = it.my_turn(connection, Some(&connection.name), monitor)?;
    it.wait_for_tables(connection, monitor)?;
    untouched::forget(&marker(it))?;
    it.drop_triggers(&mut session, &it.moved)?;
    make_way(it, &mut session)?;
    drop(session);
    feed(it, connection, &new_data(it), monitor, |table| it.tables.contains(table))
}

/// Makes the old tables again, and what hangs on them.
pub(crate) fn revert(it: &MysqlReplacement, connection: &Connection, monitor: &Monitor) -> Result<()> {
    let path = old_data(it);
    if !look::exists(&path)? || look::exists(&marker(it))? {
        // The load did not get to its end, or nobody let go of the tables; nothing live has changed.
        return Ok(());
    }
    it.patiently(connection, monitor, || {
        let mut session = it.my_turn(connection, Some(&connection.name), monitor)?;
        for drop in &it.undo {
            session.run(drop)?;
        }
        make_way(it, &mut session)
    })?;
    let mut session = it.my_turn(connection, Some(&connection.name), monitor)?;
    for (object, names) in objects_in(&mut session)? {
        // The safety dump has them all.
        for name in names {
            session.run(&format!("DROP {object} IF EXISTS {}", quote(&name)))?;
        }
    }
    // Others have stayed as they were, and may have got new rows meanwhile.
    let stayed: BTreeSet<String> = tables_in(&mut session, &connection.name)?.into_iter().collect();
    drop(session);
    feed(it, connection, &path, monitor, |table| !stayed.contains(table))
}

/// Removes the files.
pub(crate) fn clean(it: &MysqlReplacement) -> Result<()> {
    [new_data(it), old_data(it), it.file("old.part"), marker(it)].iter().try_for_each(|path| remove(path))
}

/// Drops the tables that come or go, and views with their names.
fn make_way(it: &MysqlReplacement, session: &mut Session<'_>) -> Result<()> {
    let goes = |name: &String| it.tables.contains(name) || it.moved.contains(name);
    for row in session.rows(
        "SELECT TABLE_NAME, TABLE_TYPE FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()",
    )? {
        let [name, kind] = columns(row)?;
        if goes(&name) {
            let object = match kind.as_str() {
                "VIEW" => "VIEW",
                "SEQUENCE" => "SEQUENCE",
                _ => "TABLE",
            };
            session.run(&format!("DROP {object} IF EXISTS {}", quote(&name)))?;
        }
    }
    Ok(())
}

/// Loads one of the two; of tables those that are `wanted`.
fn feed(
    it: &MysqlReplacement,
    connection: &Connection,
    path: &Path,
    monitor: &Monitor,
    wanted: impl Fn(&String) -> bool,
) -> Result<()> {
    let file = File::open(path).at("cannot read", path)?;
    let mut file = zstd::Decoder::new(file).at("cannot read", path)?;
    let mut session = Session::open(connection, None, monitor)?;
    let (definers, server) = (Definers::of(&mut session)?, session.server()?);
    drop(session);
    let mut reader =
        DumpReader::new(&mut file, None, false, monitor).with_server(server).with_definers(definers);
    let mut made = BTreeSet::new();
    load::load(&it.guard(), connection, &connection.name, true, monitor, |loader| {
        while let Some(step) = reader.next()? {
            if let Step::Table { kind: Kind::Create, name, .. } = &step {
                made.insert(name.clone());
            }
            match &step {
                Step::Table { name, .. } if !wanted(name) => {}
                // Way was made for what comes; what the dump only drops is not the dump's to drop.
                Step::Table { kind: Kind::Drop, name, .. } if !made.contains(name) => {}
                step => loader.take(step)?,
            }
        }
        Ok(())
    })
}
