//! Large objects (<https://www.postgresql.org/docs/current/largeobjects.html>): they belong to the database, not to a
//! schema, and tables know them by number alone.
//!
//! A dump's objects are loaded under new numbers; a table in a schema of its own says which is for which. The swap then
//! changes the content of those that are there under the dump's numbers, and keeps what they held; both within the
//! transaction in which the schemas trade places.

use super::connect::client;
use super::connect::session::{columns, quote, rows, string, transaction};
use crate::config::Connection;
use crate::{Code, Error, Monitor, NoteKind, Result};

/// Removing an object takes a lock, of which a server has not that many.
const BATCH: usize = 1000;

/// Whether all large objects of the database go into a dump; a note where some cannot be read.
pub(super) fn are_dumped(connection: &Connection, monitor: &Monitor) -> Result<bool> {
    // As the server's own check does it.
    let sql = "SELECT count(*), count(*) FILTER (WHERE NOT (r.rolsuper OR pg_catalog.pg_has_role(m.lomowner, 'USAGE') \
        OR pg_catalog.current_setting('lo_compat_privileges') = 'on' OR EXISTS (SELECT FROM pg_catalog.aclexplode(m.lomacl) a \
        WHERE a.privilege_type = 'SELECT' AND (a.grantee = 0 OR pg_catalog.pg_has_role(a.grantee, 'USAGE'))))) \
        FROM pg_catalog.pg_largeobject_metadata m, pg_catalog.pg_roles r WHERE r.rolname = current_user";
    let [all, hidden] = columns(rows(connection, sql, monitor)?.into_iter().next().unwrap_or_default())?;
    if hidden != "0" {
        let text = format!(
            "no large object is in the backup: {} may not read {hidden} of {all} (GRANT SELECT ON LARGE OBJECT … TO {})",
            connection.user,
            quote(&connection.user)
        );
        monitor.note(NoteKind::Missing, text);
    }
    Ok(all != "0" && hidden == "0")
}

/// A statement of a dump about a large object, as it is run here: about its stand-in. `map` is the table's schema,
/// `first` whether that is to be made.
pub(super) fn instead(statement: &[u8], map: &str, first: &mut bool) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(statement.get(..100).unwrap_or(statement)).ok()?.trim();
    let rest = text.strip_prefix("SELECT ")?;
    let rest = rest.strip_prefix("pg_catalog.").unwrap_or(rest);
    let number = |rest: &str| -> Option<(u32, String)> {
        let rest = rest.trim_start_matches('\'');
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        Some((rest.get(..end)?.parse().ok()?, rest.get(end..)?.trim_start_matches('\'').to_owned()))
    };
    let map = quote(map);
    if let Some((number, _)) = rest.strip_prefix("lo_create(").and_then(number) {
        let mut sql = String::new();
        if std::mem::take(first) {
            sql = format!(
                "CREATE SCHEMA {map};\nCREATE TABLE {map}.objects (number oid PRIMARY KEY, new oid, old oid, differs \
                 boolean DEFAULT true);\n"
            );
        }
        sql += &format!(
            "INSERT INTO {map}.objects (number, new) VALUES ({number}, pg_catalog.lo_create(0::oid));\n"
        );
        return Some(sql.into_bytes());
    }
    let (number, rest) = rest.strip_prefix("lo_open(").and_then(number)?;
    Some(
        format!("SELECT pg_catalog.lo_open((SELECT new FROM {map}.objects WHERE number = {number}){rest}\n")
            .into_bytes(),
    )
}

/// Names of the loops' variables, and what they do: content is copied a mebibyte at a time.
fn each(map: &str, what: &str, work: &str) -> String {
    format!(
        "DO $bam$ DECLARE one record; kept oid; place bigint; file integer; part bytea; other bytea; BEGIN \
         FOR one IN SELECT number, new, old FROM {}.objects {what} LOOP {work} END LOOP; END $bam$",
        quote(map)
    )
}

fn copy(from: &str, to: &str) -> String {
    format!(
        "place := 0; LOOP part := pg_catalog.lo_get({from}, place, 1048576); EXIT WHEN pg_catalog.length(part) = 0; \
         PERFORM pg_catalog.lo_put({to}, place, part); place := place + pg_catalog.length(part); END LOOP;"
    )
}

/// Empties an object.
fn empty(number: &str) -> String {
    format!(
        "file := pg_catalog.lo_open({number}, 393216); PERFORM pg_catalog.lo_truncate64(file, 0); \
         PERFORM pg_catalog.lo_close(file);"
    )
}

const THERE: &str = "EXISTS (SELECT FROM pg_catalog.pg_largeobject_metadata WHERE oid = one.number)";

/// Finds out which objects differ from those that are there; of a load of single tables, those alone that `tables` of
/// `schema` know. Refuses where one is somebody else's.
pub(super) fn compare(
    connection: &Connection,
    map: &str,
    only: Option<(&str, &[String])>,
    turn: &str,
    monitor: &Monitor,
) -> Result<()> {
    let objects = format!("{}.objects", quote(map));
    let mut statements = Vec::new();
    if let Some((schema, tables)) = only {
        let names: Vec<String> = tables.iter().map(|table| string(table)).collect();
        let sql = format!(
            "SELECT c.relname, a.attname FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
             WHERE n.nspname = {} AND c.relname = ANY (ARRAY[{}]::pg_catalog.text[]) AND a.attnum > 0 \
             AND NOT a.attisdropped AND (t.typname = 'oid' OR t.typbasetype = 'pg_catalog.oid'::pg_catalog.regtype)",
            string(schema),
            names.join(", ")
        );
        statements.push(format!("UPDATE {objects} SET differs = false"));
        for row in rows(connection, &sql, monitor)? {
            let [table, column] = columns(row)?;
            statements.push(format!(
                "UPDATE {objects} SET differs = true WHERE number IN (SELECT {}::pg_catalog.oid FROM {}.{})",
                quote(&column),
                quote(schema),
                quote(&table)
            ));
        }
    }
    transaction(connection, turn, &statements, monitor)?;
    let foreign = format!(
        "SELECT number, pg_catalog.pg_get_userbyid(m.lomowner) FROM {objects} JOIN pg_catalog.pg_largeobject_metadata m \
         ON m.oid = number WHERE differs AND NOT pg_catalog.pg_has_role(m.lomowner, 'USAGE') LIMIT 1"
    );
    if let Some(row) = rows(connection, &foreign, monitor)?.into_iter().next() {
        let [number, owner] = columns(row)?;
        let text = format!(
            "the large object {number}, which the backup brings, is there already and belongs to {owner}"
        );
        return Err(Error::new(Code::Permission, text).hint(format!(
            "as the server's administrator: ALTER LARGE OBJECT {number} OWNER TO {}",
            quote(&connection.user)
        )));
    }
    let same = format!(
        "CONTINUE WHEN NOT {THERE}; place := 0; LOOP part := pg_catalog.lo_get(one.number, place, 1048576); \
         other := pg_catalog.lo_get(one.new, place, 1048576); EXIT WHEN part <> other; \
         IF pg_catalog.length(part) = 0 THEN UPDATE {objects} SET differs = false WHERE number = one.number; EXIT; END IF; \
         place := place + pg_catalog.length(part); END LOOP;"
    );
    transaction(connection, turn, &[each(map, "WHERE differs", &same)], monitor)
}

/// Part of the swap's transaction.
pub(super) fn swap(map: &str) -> String {
    let (kept, emptied, filled) =
        (copy("one.number", "kept"), empty("one.number"), copy("one.new", "one.number"));
    let work = format!(
        "IF {THERE} THEN kept := pg_catalog.lo_create(0::oid); {kept} {emptied} \
         UPDATE {}.objects SET old = kept WHERE number = one.number; \
         ELSE PERFORM pg_catalog.lo_create(one.number); END IF; {filled}",
        quote(map)
    );
    each(map, "WHERE differs", &work)
}

/// Part of the transaction that takes the swap back.
pub(super) fn revert(map: &str) -> String {
    let (emptied, filled) = (empty("one.number"), copy("one.old", "one.number"));
    let work = format!(
        "IF one.old IS NULL THEN PERFORM pg_catalog.lo_unlink(one.number); ELSE {emptied} {filled} \
         PERFORM pg_catalog.lo_unlink(one.old); UPDATE {}.objects SET old = NULL WHERE number = one.number; END IF;",
        quote(map)
    );
    each(map, "WHERE differs", &work)
}

/// Removes stand-ins and what the objects held before.
pub(super) fn clean(connection: &Connection, map: &str, turn: &str, monitor: &Monitor) -> Result<()> {
    let objects = format!("{}.objects", quote(map));
    let work = format!(
        "PERFORM pg_catalog.lo_unlink(m.oid) FROM pg_catalog.pg_largeobject_metadata m WHERE m.oid IN (one.new, one.old); \
         DELETE FROM {objects} WHERE number = one.number;"
    );
    let work = each(map, &format!("LIMIT {BATCH}"), &work);
    loop {
        transaction(connection, turn, std::slice::from_ref(&work), monitor)?;
        if rows(connection, &format!("SELECT 1 FROM {objects} LIMIT 1"), monitor)?.is_empty() {
            break;
        }
    }
    transaction(
        connection,
        turn,
        &[client::QUIET.to_owned(), format!("DROP SCHEMA {} CASCADE", quote(map))],
        monitor,
    )
}
