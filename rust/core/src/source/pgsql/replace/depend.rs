//! What hangs on the site's objects: what of it stays would follow the old ones, and go with them
//! (<https://www.postgresql.org/docs/current/catalog-pg-depend.html>).

use crate::config::Connection;
use crate::source::pgsql::connect::session::{columns, rows, string};
use crate::{Code, Error, Monitor, Result};

/// How many are named.
const NAMED: usize = 5;

/// What of a schema goes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goes<'a> {
    /// Everything but these tables, and but what extensions brought.
    AllBut(&'a [String]),
    /// These tables alone.
    Only(&'a [String]),
}

/// Something that stays, in words, what of the site it refers to, and the catalog that it is in.
pub(crate) struct Dependent {
    pub(crate) what: String,
    pub(crate) refers_to: String,
    pub(crate) catalog: String,
}

/// The catalogs of what is in a schema, with the column that says in which.
pub(super) const INSIDE: [(&str, &str); 13] = [
    ("pg_class", "relnamespace"),
    ("pg_type", "typnamespace"),
    ("pg_proc", "pronamespace"),
    ("pg_operator", "oprnamespace"),
    ("pg_opclass", "opcnamespace"),
    ("pg_opfamily", "opfnamespace"),
    ("pg_collation", "collnamespace"),
    ("pg_conversion", "connamespace"),
    ("pg_ts_config", "cfgnamespace"),
    ("pg_ts_dict", "dictnamespace"),
    ("pg_ts_parser", "prsnamespace"),
    ("pg_ts_template", "tmplnamespace"),
    ("pg_statistic_ext", "stxnamespace"),
];

/// The catalogs of what is part of something else: the column that says of what, and the catalog of that.
const PARTS: [(&str, &str, &str); 7] = [
    ("pg_rewrite", "ev_class", "pg_class"),
    ("pg_attrdef", "adrelid", "pg_class"),
    ("pg_trigger", "tgrelid", "pg_class"),
    ("pg_policy", "polrelid", "pg_class"),
    ("pg_amop", "amopfamily", "pg_opfamily"),
    ("pg_amproc", "amprocfamily", "pg_opfamily"),
    // Of a domain otherwise.
    ("pg_constraint", "conrelid", "pg_class"),
];

/// A catalog's OID.
pub(super) fn class(name: &str) -> String {
    format!("'pg_catalog.{name}'::pg_catalog.regclass")
}

/// A query's beginning: `inside`, all of a schema, and `holder`, what each dependency's object is part of.
fn preamble(schema: &str) -> String {
    let inside: Vec<String> = INSIDE
        .iter()
        .map(|(catalog, column)| {
            format!(
                "SELECT {}::oid, c.oid FROM pg_catalog.{catalog} c JOIN pg_catalog.pg_namespace n ON n.oid = c.{column} \
                 WHERE n.nspname = {}",
                class(catalog),
                string(schema)
            )
        })
        .collect();
    let mut holders: Vec<String> = PARTS
        .iter()
        .map(|(catalog, column, of)| {
            format!(
                "SELECT {}::oid, oid, {}::oid, {column} FROM pg_catalog.{catalog} WHERE {column} <> 0",
                class(catalog),
                class(of)
            )
        })
        .collect();
    holders.push(format!(
        "SELECT {}::oid, oid, {}::oid, contypid FROM pg_catalog.pg_constraint WHERE contypid <> 0",
        class("pg_constraint"),
        class("pg_type")
    ));
    format!(
        "WITH RECURSIVE inside(c, o) AS ({}), part(c, o, hc, ho) AS ({}), \
         dependency AS (SELECT coalesce(p.hc, d.classid) AS c, coalesce(p.ho, d.objid) AS o, d.classid AS itself, \
         d.refclassid AS rc, d.refobjid AS ro, d.deptype FROM pg_catalog.pg_depend d \
         LEFT JOIN part p ON p.c = d.classid AND p.o = d.objid)",
        inside.join(" UNION ALL "),
        holders.join(" UNION ALL ")
    )
}

/// What stays although it refers to something that goes.
pub(crate) fn dependents(
    connection: &Connection,
    schema: &str,
    goes: Goes<'_>,
    monitor: &Monitor,
) -> Result<Vec<Dependent>> {
    let (Goes::AllBut(tables) | Goes::Only(tables)) = goes;
    let list: Vec<String> = tables.iter().map(|table| string(table)).collect();
    let class_of = class("pg_class");
    let going = match goes {
        // Indexes of keys hang on constraints, which are in no schema by themselves.
        Goes::AllBut(_) => format!(
            "SELECT c, o FROM inside EXCEPT SELECT c, o FROM named \
             EXCEPT SELECT {class_of}::oid, x.indexrelid FROM pg_catalog.pg_index x JOIN named n ON n.c = {class_of} \
             AND n.o = x.indrelid \
             EXCEPT SELECT classid, objid FROM pg_catalog.pg_depend WHERE deptype = 'e'"
        ),
        Goes::Only(_) => "SELECT c, o FROM named".to_owned(),
    };
    let sql = format!(
        "{}, named(c, o) AS (SELECT i.c, i.o FROM inside i JOIN pg_catalog.pg_class r ON r.oid = i.o \
         WHERE i.c = {class_of} AND r.relname = ANY (ARRAY[{}]::pg_catalog.text[]) \
         UNION SELECT d.classid, d.objid FROM named g \
         JOIN pg_catalog.pg_depend d ON d.refclassid = g.c AND d.refobjid = g.o AND d.deptype IN ('a', 'i') \
         JOIN inside i ON i.c = d.classid AND i.o = d.objid LEFT JOIN pg_catalog.pg_class k ON k.oid = i.o \
         AND i.c = {class_of} WHERE k.relkind IS NULL OR k.relkind NOT IN ('r', 'p', 'v', 'm', 'f')), \
         going(c, o) AS ({going}) \
         SELECT DISTINCT pg_catalog.pg_describe_object(d.c, d.o, 0), pg_catalog.pg_describe_object(d.rc, d.ro, 0), \
         d.itself::pg_catalog.regclass FROM dependency d JOIN going g ON g.c = d.rc AND g.o = d.ro \
         LEFT JOIN going h ON h.c = d.c AND h.o = d.o LEFT JOIN pg_catalog.pg_class k ON k.oid = d.o AND d.c = {class_of} \
         WHERE h.o IS NULL AND d.deptype NOT IN ('e', 'x') AND k.relkind IS DISTINCT FROM 't' ORDER BY 1, 2",
        preamble(schema),
        list.join(", "),
    );
    let found = rows(connection, &sql, monitor)?;
    found
        .into_iter()
        .map(|row| columns(row).map(|[what, refers_to, catalog]| Dependent { what, refers_to, catalog }))
        .collect()
}

/// Refuses to replace what something refers to that stays.
pub(crate) fn refuse(connection: &Connection, schema: &str, goes: Goes<'_>, monitor: &Monitor) -> Result<()> {
    let found = dependents(connection, schema, goes, monitor)?;
    let Some(first) = found.first() else { return Ok(()) };
    let text = format!("{}, which stays, refers to {}, which is replaced", first.what, first.refers_to);
    let mut others: Vec<&str> =
        found.iter().map(|it| it.what.as_str()).filter(|it| *it != first.what).collect();
    others.dedup();
    others.truncate(NAMED - 1);
    let text = match others.is_empty() {
        true => text,
        false => {
            let more = if found.len() > NAMED { ", …" } else { "" };
            format!("{text}; so do {}{more}", others.join(", "))
        }
    };
    Err(Error::new(Code::Unsupported, text).hint(
        "it would follow the old data and go with it: drop it and make it again after the restore, or restore into a \
         database of its own with --into-database",
    ))
}

/// Refuses to bring tables out of a loaded schema that refer to something else in it: that goes with the schema, and the
/// columns, keys, defaults and triggers which are made of it would go, too.
pub(crate) fn refuse_alone(
    connection: &Connection,
    loaded: &str,
    tables: &[String],
    monitor: &Monitor,
) -> Result<()> {
    let found = dependents(connection, loaded, Goes::AllBut(tables), monitor)?;
    let Some(first) = found.first() else { return Ok(()) };
    let named = |it: &str| it.replace(&format!("{loaded}."), "");
    let text = format!(
        "{} refers to {}, which would not be restored with it",
        named(&first.what),
        named(&first.refers_to)
    );
    Err(Error::new(Code::Unsupported, text).hint(
        "restore all of the database, or the tables together; or all of it into a database of its own with \
         --into-database, and take from there what is wanted",
    ))
}

/// The extensions outside a schema that something in it needs, with theirs.
pub(crate) fn extensions_elsewhere(
    connection: &Connection,
    schema: &str,
    monitor: &Monitor,
) -> Result<Vec<[String; 2]>> {
    let sql = format!(
        "{} SELECT DISTINCT e.extname, n.nspname FROM dependency d JOIN inside i ON i.c = d.c AND i.o = d.o \
         JOIN pg_catalog.pg_depend m ON m.classid = d.rc AND m.objid = d.ro AND m.deptype = 'e' \
         JOIN pg_catalog.pg_extension e ON e.oid = m.refobjid JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace \
         WHERE n.nspname NOT IN ('pg_catalog', {}) ORDER BY 1",
        preamble(schema),
        string(schema)
    );
    rows(connection, &sql, monitor)?.into_iter().map(columns).collect()
}
