//! Loading a dump beside the live schema, in one transaction.

use super::names::Names;
use super::{PgsqlReplacement, in_place};
use crate::config::Connection;
use crate::source::pgsql::connect::client;
use crate::source::pgsql::connect::database::has_schema;
use crate::source::pgsql::connect::session::{my_turn, options, quote, rows, string};
use crate::source::pgsql::dump::extensions;
use crate::source::pgsql::load::script::{SETTINGS, Script, cut_short};
use crate::source::sql::no_statement;
use crate::{Code, Error, Monitor, NoteKind, Result};
use std::io::{Read, Write};
use std::process::Stdio;

impl PgsqlReplacement {
    /// Loads the dump beside the live schema, all or nothing.
    pub(super) fn run<R: Read>(
        &self,
        connection: &Connection,
        live: &str,
        script: &mut Script<R>,
        names: &Names<'_>,
        monitor: &Monitor,
    ) -> Result<()> {
        let dumped = script.about.schema.clone().unwrap_or_else(|| "public".into());
        let in_the_way = has_schema(connection, &dumped, monitor)?;
        let (name, hold, new) = (quote(&dumped), quote(&self.hold), quote(&self.new));
        let mut moving = if in_the_way { extensions(connection, &dumped, monitor)? } else { Vec::new() };
        let stuck = in_place::immovable(connection, &moving, &self.new, monitor)?;
        moving.retain(|extension| !stuck.contains(extension));
        let move_to = |schema: &str| -> String {
            moving.iter().map(|it| format!("ALTER EXTENSION {} SET SCHEMA {schema};\n", quote(it))).collect()
        };
        let mut before = my_turn(&self.new);
        before += "BEGIN;\n";
        if in_the_way {
            before += &format!("ALTER SCHEMA {name} RENAME TO {hold};\n");
        }
        before += &format!("CREATE SCHEMA {name};\n{}", move_to(&name));
        let mut after = String::from("RESET search_path;\n");
        after += &move_to(&hold);
        after += &self.like_live(connection, live, &name, monitor)?;
        after += &format!("ALTER SCHEMA {name} RENAME TO {new};\n");
        if in_the_way {
            after += &format!("ALTER SCHEMA {hold} RENAME TO {name};\n");
        }
        after += "COMMIT;\n";

        let mut tool = client::spawn("psql", connection, &options(), Stdio::piped(), Stdio::null())?;
        let mut input = tool.input(monitor)?;
        let mut feed = || -> Result<()> {
            input.write_all(before.as_bytes())?;
            while let Some(piece) = script.next(&|table| names.wants(table))? {
                input.write_all(piece)?;
                let ended = piece.ends_with(b"\n");
                if !ended && !script.goes_on {
                    input.write_all(b"\n")?;
                }
            }
            if script.statements == 0 {
                return Err(no_statement());
            }
            if !script.ended() && !names.settings.ignore_errors {
                return Err(cut_short());
            }
            script.counts.check(|table| names.wants(table))?;
            Ok(input.write_all(after.as_bytes())?)
        };
        let fed = feed();
        drop(input);
        match fed {
            // A client that gave up says why.
            Ok(()) => client::outcome(tool, "psql", connection).map_err(|error| needs_them(error, &stuck)),
            Err(error) if error.code() == Code::Io => client::outcome(tool, "psql", connection)
                .map_err(|error| needs_them(error, &stuck))
                .and(Err(error)),
            // Dropped, it is killed, and the server takes everything back.
            Err(error) => Err(error),
        }
    }

    /// What makes the new schema one like the live one: its owner where that is possible, its comment, and what others
    /// may do in it.
    fn like_live(
        &self,
        connection: &Connection,
        live: &str,
        name: &str,
        monitor: &Monitor,
    ) -> Result<String> {
        let (live, name) = (string(live), string(name));
        let sql = format!(
            "SELECT line FROM (SELECT 1 AS turn, pg_catalog.format('ALTER SCHEMA %s OWNER TO %I;', {name}, \
             pg_catalog.pg_get_userbyid(n.nspowner)) AS line FROM pg_catalog.pg_namespace n \
             WHERE n.nspname = {live} AND pg_catalog.pg_has_role(n.nspowner, 'MEMBER') \
             UNION ALL SELECT 2, pg_catalog.format('COMMENT ON SCHEMA %s IS %L;', {name}, \
             pg_catalog.obj_description(n.oid, 'pg_namespace')) FROM pg_catalog.pg_namespace n WHERE n.nspname = {live} \
             UNION ALL SELECT 3, pg_catalog.format('GRANT %s ON SCHEMA %s TO %s;', a.privilege_type, {name}, \
             CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END) \
             FROM pg_catalog.pg_namespace n, pg_catalog.aclexplode(n.nspacl) a \
             WHERE n.nspname = {live} AND a.grantee <> n.nspowner) AS lines ORDER BY turn"
        );
        Ok(rows(connection, &sql, monitor)?.into_iter().flatten().map(|line| line + "\n").collect())
    }
}

/// What dumps of newer servers set that this one does not know.
pub(super) fn unknown_settings(connection: &Connection, monitor: &Monitor) -> Result<Vec<&'static str>> {
    let known: Vec<String> =
        rows(connection, "SELECT name FROM pg_catalog.pg_settings", monitor)?.into_iter().flatten().collect();
    Ok(SETTINGS.into_iter().filter(|name| !known.iter().any(|known| known == name)).collect())
}

/// A dump's functions may be called by its own rows: what they can do is for the server to decide.
pub(super) fn warn_of_rights(connection: &Connection, monitor: &Monitor) -> Result<()> {
    let sql = "SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = current_user AND rolsuper";
    if !rows(connection, sql, monitor)?.is_empty() {
        let text = format!(
            "nothing proves whose the backup is, and {} may do anything on the server: only bam's own look at its \
             statements keeps them to this database; better give the site a role that owns its database alone",
            connection.user
        );
        monitor.note(NoteKind::Warning, text);
    }
    Ok(())
}

/// The dump is loaded where extensions that cannot be moved are out of its reach: few sites use theirs in the database.
fn needs_them(error: Error, stuck: &[String]) -> Error {
    let missing = ["42704", "42883"].iter().any(|state| error.message().contains(state));
    if stuck.is_empty() || !missing {
        return error;
    }
    let names: Vec<String> = stuck.iter().map(|extension| quote(extension)).collect();
    error.hint(format!(
        "the backup uses an extension in its own schema that the site's user cannot move ({}): let the server's \
         administrator give it a schema of its own: CREATE SCHEMA extensions; ALTER EXTENSION {} SET SCHEMA extensions; and \
         ALTER DATABASE … SET search_path = public, extensions; then make a new backup, or restore as the administrator",
        names.join(", "),
        names.first().map_or("…", String::as_str)
    ))
}
