//! A schema that cannot change its name: an extension in it would have to move, and may not. Who makes a trusted extension
//! owns it, but not the functions in it, which belong to the server's administrator; and some can be in one schema alone.
//! Such a schema stays, and what is in it trades places with what is in the new one, object by object.

use super::super::connect::session::{my_turn, quote, rows, string};
use super::depend::{INSIDE, class};
use crate::config::Connection;
use crate::{Code, Monitor, Result};

/// Of these extensions those that the site's role cannot move to another schema. `scratch` names one that is not there.
pub(super) fn immovable(
    connection: &Connection,
    extensions: &[String],
    scratch: &str,
    monitor: &Monitor,
) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for extension in extensions {
        let (scratch, name) = (quote(scratch), quote(extension));
        let sql = format!(
            "{}BEGIN;\nCREATE SCHEMA {scratch};\nALTER EXTENSION {name} SET SCHEMA {scratch};\nROLLBACK",
            my_turn(extension)
        );
        match rows(connection, &sql, monitor) {
            Ok(_) => {}
            // Not ours, or not made for being moved (feature_not_supported).
            Err(error) if error.code() == Code::Permission || error.message().contains("0A000") => {
                found.push(extension.clone());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// A statement that moves everything of a schema to another one, but what extensions brought and these tables.
///
/// Indexes, and sequences that columns own, go with their tables, row types and types of arrays with what they are of.
pub(super) fn move_all(from: &str, to: &str, but: &[String]) -> String {
    let inside: Vec<String> = INSIDE
        .iter()
        .map(|(catalog, column)| {
            format!(
                "SELECT {}::oid AS c, oid AS o FROM pg_catalog.{catalog} WHERE {column} = home",
                class(catalog)
            )
        })
        .collect();
    let but: Vec<String> = but.iter().map(|table| string(table)).collect();
    let (relations, types) = (class("pg_class"), class("pg_type"));
    let body = format!(
        "DECLARE it record; home oid := (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = {from}); \
         BEGIN FOR it IN SELECT i.c, i.o FROM ({inside}) i \
         LEFT JOIN pg_catalog.pg_class r ON i.c = {relations} AND r.oid = i.o \
         LEFT JOIN pg_catalog.pg_type t ON i.c = {types} AND t.oid = i.o \
         LEFT JOIN pg_catalog.pg_class row_of ON row_of.oid = t.typrelid \
         WHERE (i.c <> {relations} OR r.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')) \
         AND (i.c <> {types} OR (t.typtype <> 'm' AND coalesce(row_of.relkind, 'c') = 'c' \
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_type a WHERE a.typarray = t.oid))) \
         AND (r.oid IS NULL OR NOT r.relname = ANY (ARRAY[{but}]::name[])) \
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = i.c AND d.objid = i.o AND d.objsubid = 0 \
         AND (d.deptype = 'e' OR (r.relkind = 'S' AND d.deptype IN ('a', 'i') AND d.refclassid = {relations}))) \
         LOOP EXECUTE (SELECT pg_catalog.format('ALTER %s %s SET SCHEMA %I', \
         pg_catalog.replace(pg_catalog.upper(n.type), ' OBJECT', ''), n.identity, {to}) \
         FROM pg_catalog.pg_identify_object(it.c, it.o, 0) n); END LOOP; END",
        inside = inside.join(" UNION ALL "),
        but = but.join(", "),
        from = string(from),
        to = string(to),
    );
    format!("DO {}", string(&body))
}
