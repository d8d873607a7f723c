//! What our role may do at a PostgreSQL server.

use super::session::{quote, rows, string};
use crate::config::Connection;
use crate::source::pgsql::dump::schema_of;
use crate::source::rights::{For, Lack, Rights};
use crate::{Monitor, Result};
use std::collections::BTreeMap;

/// See [`crate::source::rights::rights`].
pub(crate) fn rights(connection: &Connection, monitor: &Monitor) -> Result<Rights> {
    let schema = schema_of(connection, monitor)?;
    let facts = facts(connection, &schema, monitor)?;
    let fact = |key: &str| facts.get(key).map_or("", String::as_str);
    let (user, name) = (quote(fact("user")), quote(&connection.name));
    let schema = quote(&schema);
    let mut lacks = Vec::new();
    let mut lack = |purpose, what: String, remedy: String| lacks.push(Lack { purpose, what, remedy });
    if !matches!(fact("unreadable"), "" | "0") {
        lack(
            For::Backup,
            format!("reading {} tables, views or sequences", fact("unreadable")),
            format!(
                "GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {user}; GRANT SELECT ON ALL SEQUENCES IN SCHEMA \
                 {schema} TO {user};"
            ),
        );
    }
    if fact("may create schemas") != "true" {
        lack(
            For::Restore,
            "making a schema beside the site's".into(),
            format!("GRANT CREATE ON DATABASE {name} TO {user};"),
        );
    }
    if fact("owns the schema") == "false" {
        lack(
            For::Restore,
            format!("renaming the schema {schema}, which is another role's"),
            format!("ALTER SCHEMA {schema} OWNER TO {user};"),
        );
    }
    if !matches!(fact("others"), "" | "0") {
        lack(
            For::Restore,
            format!("replacing {} tables, views or sequences of other roles", fact("others")),
            format!("ALTER TABLE … OWNER TO {user}; for each, or GRANT their owner TO {user};"),
        );
    }
    if fact("may create databases") != "true" {
        lack(For::Beside, "making a database for drills".into(), format!("ALTER ROLE {user} CREATEDB;"));
    }
    Ok(Rights {
        user: fact("user").to_owned(),
        server: format!("PostgreSQL {}", fact("version")),
        tables: fact("tables").parse().unwrap_or(0),
        lacks,
    })
}

/// What the server says of the role and of the schema.
fn facts(connection: &Connection, schema: &str, monitor: &Monitor) -> Result<BTreeMap<String, String>> {
    let of_schema = format!(
        "pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {}",
        string(schema)
    );
    let rows = rows(
        connection,
        &format!(
            "SELECT 'user', current_user::text \
             UNION ALL SELECT 'version', current_setting('server_version') \
             UNION ALL SELECT 'may create databases', (rolsuper OR rolcreatedb)::text FROM pg_catalog.pg_roles \
             WHERE rolname = current_user \
             UNION ALL SELECT 'may create schemas', has_database_privilege(current_database(), 'CREATE')::text \
             UNION ALL SELECT 'owns the schema', pg_has_role(nspowner, 'USAGE')::text FROM pg_catalog.pg_namespace \
             WHERE nspname = {name} \
             UNION ALL SELECT 'tables', count(*)::text FROM {of_schema} AND c.relkind IN ('r', 'p') \
             UNION ALL SELECT 'unreadable', count(*)::text FROM {of_schema} AND c.relkind IN ('r', 'p', 'v', 'm', 'S') \
             AND NOT CASE c.relkind WHEN 'S' THEN has_sequence_privilege(c.oid, 'SELECT') \
             ELSE has_table_privilege(c.oid, 'SELECT') END \
             UNION ALL SELECT 'others', count(*)::text FROM {of_schema} AND c.relkind IN ('r', 'p', 'v', 'm', 'S') \
             AND NOT pg_has_role(c.relowner, 'USAGE')",
            name = string(schema),
        ),
        monitor,
    )?;
    Ok(rows.into_iter().filter_map(|row| Some((row.first()?.clone(), row.get(1)?.clone()))).collect())
}
