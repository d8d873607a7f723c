//! Dumping: what is asked of `pg_dump`, and the lines of ours before its own.

mod copy;

use super::connect::client;
use super::connect::session::{columns, quote, rows, string};
use super::large;
use super::load::script::{EXCLUDED, FIRST_LINE, PREFIX, SCHEMA};
use super::replace::depend::{self, Goes};
use crate::config::{Connection, names_table};
use crate::source::dump_types::{DumpReport, DumpSettings, Table};
use crate::{Monitor, NoteKind, Result};
use serde_json::json;
use std::io::Write;
use std::process::Stdio;

/// What can be selected from, without what belongs to extensions. `{}` is the schema, as a string.
const RELATIONS: &str = "SELECT c.relname, c.relkind, pg_catalog.has_table_privilege(c.oid, 'SELECT'), \
    CASE WHEN c.relkind = 'v' THEN 0 ELSE pg_catalog.pg_total_relation_size(c.oid) END \
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE n.nspname = {} AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d \
    WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e') \
    ORDER BY c.relname COLLATE \"C\"";

/// A table or view.
#[derive(Debug, Clone)]
pub(crate) struct Relation {
    pub(crate) name: String,
    /// Has rows of its own that are dumped.
    pub(crate) table: bool,
    readable: bool,
    bytes: u64,
}

/// The schema that a connection's tables are in; `public` where the database has none yet.
pub(crate) fn schema_of(connection: &Connection, monitor: &Monitor) -> Result<String> {
    let found = rows(connection, "SELECT pg_catalog.current_schema()", monitor)?;
    Ok(found.into_iter().flatten().find(|name| !name.is_empty()).unwrap_or_else(|| "public".into()))
}

/// The tables and views of a schema.
pub(crate) fn relations(connection: &Connection, schema: &str, monitor: &Monitor) -> Result<Vec<Relation>> {
    let found = rows(connection, &RELATIONS.replacen("{}", &string(schema), 1), monitor)?;
    found
        .into_iter()
        .map(|row| {
            let [name, kind, readable, bytes] = columns(row)?;
            let table = matches!(kind.as_str(), "r" | "p");
            Ok(Relation { name, table, readable: readable == "t", bytes: bytes.parse().unwrap_or_default() })
        })
        .collect()
}

/// See [`crate::source::database::tables`].
pub(crate) fn tables(connection: &Connection, count: bool, monitor: &Monitor) -> Result<Vec<Table>> {
    let schema = match schema_of(connection, monitor) {
        Err(error) if error.message().contains("does not exist") => return Ok(Vec::new()),
        found => found?,
    };
    relations(connection, &schema, monitor)?
        .into_iter()
        .map(|relation| {
            let number = match count && relation.table {
                true => {
                    let asked = format!(
                        "SELECT pg_catalog.count(*) FROM {}.{}",
                        quote(&schema),
                        quote(&relation.name)
                    );
                    rows(connection, &asked, monitor)?
                        .into_iter()
                        .flatten()
                        .next()
                        .and_then(|n| n.parse().ok())
                }
                false => None,
            };
            Ok(Table { name: relation.name, rows: number, bytes: relation.bytes })
        })
        .collect()
}

/// See [`crate::source::database::dump`].
pub(crate) fn dump(
    connection: &Connection,
    settings: &DumpSettings,
    out: &mut dyn Write,
    monitor: &Monitor,
) -> Result<DumpReport> {
    monitor.set_current(connection.label());
    let schema = schema_of(connection, monitor)?;
    let mut report = DumpReport::default();
    let (mut tables, mut excluded, mut arguments) = (Vec::new(), Vec::new(), options(&schema));
    for relation in relations(connection, &schema, monitor)? {
        let pattern = format!("{}.{}", quote(&schema), quote(&relation.name));
        if names_table(&settings.exclude_tables, &relation.name, &connection.prefix) {
            arguments.push(format!("--exclude-table={pattern}"));
            excluded.push(relation.name);
        } else if !relation.table {
            report.others += 1;
        } else if names_table(&settings.nodata_tables, &relation.name, &connection.prefix) {
            arguments.push(format!("--exclude-table-data={pattern}"));
            tables.push(relation.name);
            report.empty_tables += 1;
        } else if !relation.readable && settings.ignore_errors {
            let text = format!("table {} was left out: {} may not read it", relation.name, connection.user);
            monitor.note(NoteKind::Missing, text);
            arguments.push(format!("--exclude-table={pattern}"));
            report.unread.push(relation.name.clone());
            excluded.push(relation.name);
        } else {
            tables.push(relation.name);
            report.tables += 1;
        }
    }
    let mut header = format!("{FIRST_LINE}\n{SCHEMA}{}\n", json!(schema));
    header += &format!("{PREFIX}{}\n{EXCLUDED}{}\n\n", json!(connection.prefix), json!(excluded));
    for [extension, place] in depend::extensions_elsewhere(connection, &schema, monitor)? {
        header += &format!(
            "CREATE SCHEMA IF NOT EXISTS {0};\nCREATE EXTENSION IF NOT EXISTS {1} WITH SCHEMA {0};\n",
            quote(&place),
            quote(&extension)
        );
    }
    for extension in extensions(connection, &schema, monitor)? {
        // After the comments, and where it is in this database.
        header += &format!(
            "CREATE EXTENSION IF NOT EXISTS {} WITH SCHEMA {};\n",
            quote(&extension),
            quote(&schema)
        );
    }
    say_what_is_not_in_it(connection, &schema, monitor)?;
    if large::are_dumped(connection, monitor)? {
        // With --schema they have to be asked for.
        arguments.push("--blobs".into());
    }
    out.write_all(header.as_bytes())?;
    let mut tool = client::spawn("pg_dump", connection, &arguments, Stdio::null(), Stdio::piped())?;
    let copied = tool.output(monitor, None).and_then(|output| copy::run(output, &schema, out));
    monitor.check()?;
    client::outcome(tool, "pg_dump", connection)?;
    let copied = copied?;
    report.bytes = header.len() as u64 + copied.bytes;
    report.places = Some(copied.places(header.len() as u64, &connection.prefix, tables));
    Ok(report)
}

/// What belongs to the whole database and not to a schema is in no dump of one, though it may be the site's; other
/// schemas are somebody else's.
fn say_what_is_not_in_it(connection: &Connection, schema: &str, monitor: &Monitor) -> Result<()> {
    let outside = depend::dependents(connection, schema, Goes::AllBut(&[]), monitor)?;
    for it in outside.iter().filter(|it| matches!(it.catalog.as_str(), "pg_event_trigger" | "pg_cast")) {
        let text =
            format!("{} was left out: it belongs to the whole database, and uses {}", it.what, it.refers_to);
        monitor.note(NoteKind::Missing, text);
    }
    let sql = format!(
        "SELECT n.nspname FROM pg_catalog.pg_namespace n WHERE n.nspname !~ '^(pg_|information_schema$|bam_)' \
         AND n.nspname <> {} AND EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.relnamespace = n.oid AND NOT EXISTS \
         (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass \
         AND d.objid = c.oid AND d.deptype = 'e')) ORDER BY 1",
        string(schema)
    );
    let others: Vec<String> = rows(connection, &sql, monitor)?.into_iter().flatten().collect();
    if !others.is_empty() {
        let text = format!(
            "of the database, the schema {schema} is backed up; it has others: {}",
            others.join(", ")
        );
        monitor.note(NoteKind::Info, text);
    }
    Ok(())
}

fn options(schema: &str) -> Vec<String> {
    vec![
        format!("--schema={}", quote(schema)),
        "--encoding=UTF8".into(),
        // Roles of this server that another one may not have.
        "--no-owner".into(),
        "--no-privileges".into(),
        "--no-tablespaces".into(),
        // In milliseconds.
        "--lock-wait-timeout=60000".into(),
    ]
}

/// The extensions in a schema.
pub(crate) fn extensions(connection: &Connection, schema: &str, monitor: &Monitor) -> Result<Vec<String>> {
    let sql = format!(
        "SELECT e.extname FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace \
         WHERE n.nspname = {} ORDER BY 1",
        string(schema)
    );
    Ok(rows(connection, &sql, monitor)?.into_iter().flatten().collect())
}
