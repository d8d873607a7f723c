//! Replacing a live schema by a dump, in steps that survive a kill (see [`crate::source::database`]).
//!
//! PostgreSQL changes names of schemas in transactions, and locks no table for it. So the dump is loaded in one
//! transaction in which the live schema has another name, at the end of which the new one has another name and the live
//! one its own again; nobody else sees any of that. Two more renames, in one transaction, are the swap.
//!
//! Extensions may live in the schema, and what depends on them refers to them by their place: they stay where the live
//! tables are. Where the site's role cannot move them, the schema stays with them (`in_place`).
//!
//! `depend` finds what hangs on the schema's objects from elsewhere; `ownership` gives the new ones owners and grants.

pub(super) mod depend;
mod in_place;
mod ownership;

use self::depend::Goes;
use super::connect::client::{self, QUIET};
use super::connect::database::find_or_make;
use super::connect::session::{my_turn, options, quote, rows, string, transaction};
use super::dump::{Relation, columns, extensions, relations, schema_of};
use super::large;
use super::load::script::{About, SETTINGS, Script, cut_short};
use crate::config::{Connection, names_table};
use crate::source::drupal::Tables;
use crate::source::dump_types::{LoadReport, LoadSettings};
use crate::source::sql::{no_statement, renamed};
use crate::{Code, Error, Monitor, NoteKind, Result};
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};
use std::process::Stdio;

/// Seconds to wait for whoever still reads the old data, when the new is live already.
const CLEAN_WAIT: u32 = 10;

/// A replacement under way. Serialisable, for the restore's journal; holds no secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PgsqlReplacement {
    /// The schemas beside the live one.
    new: String,
    old: String,
    /// While the dump is loaded, what has the dump's name waits under this one.
    hold: String,
    /// The live schema; empty until something was loaded.
    live: String,
    /// Whether there was a live schema.
    there: bool,
    /// Only these tables trade places; `None`: the schemas do.
    tables: Option<Vec<String>>,
    /// Live tables that stay.
    kept: Vec<String>,
    /// In the live schema when the load began.
    extensions: Vec<String>,
    /// The live schema keeps its name, and what is in it trades places.
    #[serde(default)]
    in_place: bool,
    /// The dump brought large objects.
    #[serde(default)]
    large_objects: bool,
}

impl PgsqlReplacement {
    /// See [`crate::source::database::Replacement::plan`].
    pub(crate) fn plan(id: &str) -> Result<PgsqlReplacement> {
        if id.is_empty() || id.len() > 40 || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(Error::new(Code::Internal, "a replacement's id is up to 40 letters and digits"));
        }
        Ok(PgsqlReplacement {
            new: format!("bam_new_{id}"),
            old: format!("bam_old_{id}"),
            hold: format!("bam_hold_{id}"),
            live: String::new(),
            there: false,
            tables: None,
            kept: Vec::new(),
            extensions: Vec::new(),
            in_place: false,
            large_objects: false,
        })
    }

    /// See [`crate::source::database::Replacement::load`].
    pub(crate) fn load(
        &mut self,
        connection: &Connection,
        input: impl Read,
        settings: &LoadSettings,
        monitor: &Monitor,
    ) -> Result<LoadReport> {
        find_or_make(connection, monitor)?;
        let live = schema_of(connection, monitor)?;
        self.there = exists(connection, &live, monitor)?;
        self.extensions = extensions(connection, &live, monitor)?;
        let stuck = in_place::immovable(connection, &self.extensions, &self.new, monitor)?;
        self.in_place = !stuck.is_empty();
        let mut counted = Counted { input, bytes: 0, monitor };
        let mut script = Script::new(&mut counted)?;
        script.large_objects = Some(self.map());
        script.untrusted = settings.untrusted;
        let dumped = script.about.schema.clone().unwrap_or_else(|| "public".into());
        let sql = format!("SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname <> {}", string(&dumped));
        script.others = rows(connection, &sql, monitor)?.into_iter().flatten().collect();
        script.unknown = unknown_settings(connection, monitor)?;
        if settings.untrusted {
            warn_of_rights(connection, monitor)?;
        }
        let about = script.about.clone();
        let names = Names { site: &connection.prefix, dump: about.prefix.as_deref(), settings };
        names.tell(monitor);
        self.run(connection, &live, &mut script, &names, monitor)?;
        let statements = script.statements;
        self.large_objects = !script.no_large_object;
        self.rename(connection, &names, monitor)?;
        self.dress(connection, &live, monitor)?;
        let mut report = LoadReport { statements, bytes: counted.bytes, ..LoadReport::default() };
        self.compare(connection, &live, &about, &names, &mut report, monitor)?;
        if self.large_objects {
            let only = self.tables.as_deref().map(|tables| (self.new.as_str(), tables));
            large::compare(connection, &self.map(), only, &self.new, monitor)?;
        }
        // From here on there is something to swap.
        self.live = live;
        Ok(report)
    }

    /// The schema in which stand-ins of large objects are noted.
    fn map(&self) -> String {
        self.new.replacen("new", "large", 1)
    }

    /// Loads the dump beside the live schema, all or nothing.
    fn run<R: Read>(
        &self,
        connection: &Connection,
        live: &str,
        script: &mut Script<R>,
        names: &Names<'_>,
        monitor: &Monitor,
    ) -> Result<()> {
        let dumped = script.about.schema.clone().unwrap_or_else(|| "public".into());
        let in_the_way = exists(connection, &dumped, monitor)?;
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
                if !piece.ends_with(b"\n") {
                    input.write_all(b"\n")?;
                }
            }
            if script.statements == 0 {
                return Err(no_statement());
            }
            if !script.ended() && !names.settings.ignore_errors {
                return Err(cut_short());
            }
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

    /// Gives the loaded tables the names that they have at this site; what refers to them goes along.
    fn rename(&self, connection: &Connection, names: &Names<'_>, monitor: &Monitor) -> Result<()> {
        let sql = format!(
            "SELECT c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = {} AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')",
            string(&self.new)
        );
        let mut all = Vec::new();
        if names.translate().is_some() {
            for theirs in rows(connection, &sql, monitor)?.into_iter().flatten() {
                let ours = names.ours(&theirs);
                if ours != theirs {
                    let theirs = format!("{}.{}", quote(&self.new), quote(&theirs));
                    all.push(format!("ALTER TABLE {theirs} RENAME TO {}", quote(&ours)));
                }
            }
        }
        if all.is_empty() { Ok(()) } else { transaction(connection, &self.new, &all, monitor) }
    }

    /// Makes the loaded objects like the live ones: their owners, and what others may do with them.
    fn dress(&self, connection: &Connection, live: &str, monitor: &Monitor) -> Result<()> {
        let statements = ownership::statements(connection, live, &self.new, monitor)?;
        if statements.is_empty() {
            return Ok(());
        }
        match transaction(connection, &self.new, &statements, monitor) {
            Err(error) if error.code() == Code::Permission => {
                let text = format!(
                    "owners and privileges of the restored tables are not what they were, everything belongs to {}: {error}",
                    connection.user
                );
                monitor.note(NoteKind::Missing, text);
                Ok(())
            }
            done => done,
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

    /// Decides which live tables go. A dump of ours tells what it left out; of others that is not known, so nothing
    /// goes but what comes back.
    fn compare(
        &mut self,
        connection: &Connection,
        live: &str,
        about: &About,
        names: &Names<'_>,
        report: &mut LoadReport,
        monitor: &Monitor,
    ) -> Result<()> {
        let new = relations(connection, &self.new, monitor)?;
        let comes = |name: &str| new.iter().any(|relation| relation.name == name);
        let old = relations(connection, live, monitor)?;
        if let Some(only) = &names.settings.tables {
            let asked =
                |relation: &&Relation| relation.table && names_table(only, &relation.name, names.site);
            let chosen: Vec<String> = new.iter().filter(asked).map(|it| it.name.clone()).collect();
            report.tables = chosen.len() as u64;
            report.names.clone_from(&chosen);
            depend::refuse(connection, live, Goes::Only(&chosen), monitor)?;
            self.tables = Some(chosen);
            return Ok(());
        }
        report.tables = new.iter().filter(|relation| relation.table).count() as u64;
        let stays = |relation: &&Relation| {
            relation.table
                && !comes(&relation.name)
                && (!about.ours || about.excluded.iter().any(|it| names.ours(it) == relation.name))
        };
        self.kept = old.iter().filter(stays).map(|relation| relation.name.clone()).collect();
        report.kept.clone_from(&self.kept);
        let gone = old.into_iter().map(|relation| relation.name);
        report.removed = gone.filter(|name| !comes(name) && !self.kept.contains(name)).collect();
        depend::refuse(connection, live, Goes::AllBut(&self.kept), monitor)
    }

    /// See [`crate::source::database::Replacement::adapt`].
    pub(crate) fn adapt(&self, connection: &Connection, monitor: &Monitor) -> Result<()> {
        let tables = |schema: &str| -> Result<Tables> {
            let sql = format!(
                "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = {}",
                string(schema)
            );
            let pairs =
                rows(connection, &sql, monitor)?.into_iter().map(|row| columns(row).map(|[a, b]| (a, b)));
            Ok(Tables::find(pairs.collect::<Result<Vec<_>>>()?, &connection.prefix))
        };
        let within = |schema: &str, table: &str| format!("{}.{}", quote(schema), quote(table));
        let questions = tables(&self.live)?.questions(
            |table| within(&self.live, table),
            |column| format!("pg_catalog.encode({column}, 'hex')"),
        );
        let mut mode = (!questions.is_empty()).then(Vec::new);
        for question in questions {
            for row in rows(connection, &question, monitor)? {
                let pair = columns(row).map(|[name, value]| (name, value))?;
                mode.get_or_insert_default().push(pair);
            }
        }
        let bytes = |hex: &str| format!("pg_catalog.decode('{hex}', 'hex')");
        let statements = tables(&self.new)?.statements(
            mode.as_deref(),
            |table| within(&self.new, table),
            bytes,
            "TRUNCATE",
        );
        match statements.is_empty() {
            true => Ok(()),
            false => transaction(connection, &self.new, &statements, monitor),
        }
    }

    /// See [`crate::source::database::Replacement::check`]. The server can take back everything but large objects: the
    /// swap and its way back are run in a transaction that comes to nothing.
    pub(crate) fn check(&mut self, connection: &Connection, monitor: &Monitor) -> Result<()> {
        if self.live.is_empty() || exists(connection, &self.old, monitor)? {
            return Ok(());
        }
        let goes = match &self.tables {
            Some(tables) => Goes::Only(tables),
            None => Goes::AllBut(&self.kept),
        };
        depend::refuse(connection, &self.live, goes, monitor)?;
        let mut all = self.there_statements();
        all.extend(self.back_statements());
        let sql = format!("{}BEGIN;\n{};\nROLLBACK", my_turn(&self.new), all.join(";\n"));
        rows(connection, &sql, monitor).map(drop).map_err(|error| match is_busy(&error) {
            true => error.context("a table that is to be replaced is in use; the site is unchanged"),
            false => error.context("the new data cannot be put in place; the site is unchanged"),
        })
    }

    /// See [`crate::source::database::Replacement::swap`].
    pub(crate) fn swap(&self, connection: &Connection, monitor: &Monitor) -> Result<()> {
        if self.live.is_empty() {
            return Err(Error::new(Code::Internal, "nothing was loaded that could be swapped"));
        }
        self.wait(connection, monitor)?;
        if exists(connection, &self.old, monitor)? {
            return Ok(());
        }
        let mut all = self.there_statements();
        all.extend(self.large_objects.then(|| large::swap(&self.map())));
        transaction(connection, &self.new, &all, monitor)
    }

    /// What makes the new data live.
    fn there_statements(&self) -> Vec<String> {
        let (live, new, old) = (quote(&self.live), quote(&self.new), quote(&self.old));
        let mut all = Vec::new();
        if let Some(tables) = &self.tables {
            all.push(format!("CREATE SCHEMA {old}"));
            all.extend(
                tables
                    .iter()
                    .map(|it| format!("ALTER TABLE IF EXISTS {live}.{} SET SCHEMA {old}", quote(it))),
            );
            all.extend(tables.iter().map(|it| format!("ALTER TABLE {new}.{} SET SCHEMA {live}", quote(it))));
        } else if self.in_place {
            all.push(format!("CREATE SCHEMA {old}"));
            all.push(in_place::move_all(&self.live, &self.old, &self.kept));
            all.push(in_place::move_all(&self.new, &self.live, &[]));
        } else {
            all.push(match self.there {
                true => format!("ALTER SCHEMA {live} RENAME TO {old}"),
                // By this it is known that they have traded places.
                false => format!("CREATE SCHEMA {old}"),
            });
            all.push(format!("ALTER SCHEMA {new} RENAME TO {live}"));
            all.extend(self.carried(&self.live));
        }
        all
    }

    /// See [`crate::source::database::Replacement::revert`].
    pub(crate) fn revert(&self, connection: &Connection, monitor: &Monitor) -> Result<()> {
        self.wait(connection, monitor)?;
        if self.live.is_empty() || !exists(connection, &self.old, monitor)? {
            return Ok(());
        }
        let mut all = self.back_statements();
        all.extend(self.large_objects.then(|| large::revert(&self.map())));
        transaction(connection, &self.new, &all, monitor)
    }

    /// What makes the old data live again.
    fn back_statements(&self) -> Vec<String> {
        let (live, new, old) = (quote(&self.live), quote(&self.new), quote(&self.old));
        let mut all = Vec::new();
        if let Some(tables) = &self.tables {
            all.extend(tables.iter().map(|it| format!("ALTER TABLE {live}.{} SET SCHEMA {new}", quote(it))));
            all.extend(
                tables
                    .iter()
                    .map(|it| format!("ALTER TABLE IF EXISTS {old}.{} SET SCHEMA {live}", quote(it))),
            );
            all.push(format!("DROP SCHEMA {old}"));
        } else if self.in_place {
            all.push(in_place::move_all(&self.live, &self.new, &self.kept));
            all.push(in_place::move_all(&self.old, &self.live, &[]));
            all.push(format!("DROP SCHEMA {old}"));
        } else {
            all.extend(self.carried(&self.old));
            all.push(format!("ALTER SCHEMA {live} RENAME TO {new}"));
            all.push(match self.there {
                true => format!("ALTER SCHEMA {old} RENAME TO {live}"),
                false => format!("DROP SCHEMA {old}"),
            });
        }
        all
    }

    /// See [`crate::source::database::Replacement::clean`].
    pub(crate) fn clean(&self, connection: &Connection, monitor: &Monitor) -> Result<()> {
        // Whatever the journal says: the load may have been killed at its very end.
        if exists(connection, &self.map(), monitor)? {
            large::clean(connection, &self.map(), &self.new, monitor)?;
        }
        // One after the other: each object takes a lock, of which a server has not that many.
        [&self.new, &self.old].into_iter().try_for_each(|schema| {
            let drop = format!("DROP SCHEMA IF EXISTS {} CASCADE", quote(schema));
            let wait = format!("SET LOCAL lock_timeout = '{CLEAN_WAIT}s'");
            let done = transaction(connection, &self.new, &[QUIET.into(), wait, drop], monitor);
            done.map_err(|error| match is_busy(&error) {
                true => Error::new(
                    error.code(),
                    format!("the schema {schema}, which is not needed any more, is still in use"),
                )
                .because(error)
                .hint(format!("it goes with a later run, or by: DROP SCHEMA {} CASCADE", quote(schema))),
                false => error,
            })
        })
    }

    /// What stays goes from the schema that the other rename made the old (or the new) one to the live (or old) one.
    fn carried(&self, to: &str) -> Vec<String> {
        let from = quote(if to == self.live { &self.old } else { &self.live });
        let to = quote(to);
        let extensions =
            self.extensions.iter().map(|it| format!("ALTER EXTENSION {} SET SCHEMA {to}", quote(it)));
        let tables = self.kept.iter().map(|it| format!("ALTER TABLE {from}.{} SET SCHEMA {to}", quote(it)));
        extensions.chain(tables).collect()
    }

    /// Until what a killed run of this replacement has under way is done.
    fn wait(&self, connection: &Connection, monitor: &Monitor) -> Result<()> {
        rows(connection, my_turn(&self.new).trim_end().trim_end_matches(';'), monitor).map(drop)
    }
}

/// How tables are called in the dump and at the site, and which are asked for.
struct Names<'a> {
    site: &'a str,
    /// Where the dump tells.
    dump: Option<&'a str>,
    settings: &'a LoadSettings,
}

impl Names<'_> {
    /// The prefixes of the dump and those that tables are to have, where those differ.
    fn translate(&self) -> Option<(&str, &str)> {
        let pair = self.dump.zip(self.settings.prefix.as_deref());
        pair.filter(|(theirs, ours)| theirs != ours)
    }

    /// What a table of the dump is called at the site.
    fn ours(&self, name: &str) -> String {
        match self.translate() {
            Some((theirs, ours)) => renamed(name, theirs, ours).into_owned(),
            None => name.to_owned(),
        }
    }

    fn wants(&self, name: &str) -> bool {
        let asked = |only: &Vec<String>| names_table(only, &self.ours(name), self.site);
        self.settings.tables.as_ref().is_none_or(asked)
    }

    fn tell(&self, monitor: &Monitor) {
        let text = match (self.dump, self.settings.prefix.as_deref()) {
            (None, Some(_)) => "the dump does not tell its table prefix: tables keep their names".to_owned(),
            (Some(theirs), None) if theirs != self.site => {
                format!(
                    "the backup's tables have the prefix \"{theirs}\", the site's settings say \"{}\"",
                    self.site
                )
            }
            _ => return,
        };
        monitor.note(NoteKind::Warning, text);
    }
}

/// What dumps of newer servers set that this one does not know.
fn unknown_settings(connection: &Connection, monitor: &Monitor) -> Result<Vec<&'static str>> {
    let known: Vec<String> =
        rows(connection, "SELECT name FROM pg_catalog.pg_settings", monitor)?.into_iter().flatten().collect();
    Ok(SETTINGS.into_iter().filter(|name| !known.iter().any(|known| known == name)).collect())
}

/// A dump's functions may be called by its own rows: what they can do is for the server to decide.
fn warn_of_rights(connection: &Connection, monitor: &Monitor) -> Result<()> {
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

/// Whether somebody else held what was asked for, for too long (`lock_not_available`).
fn is_busy(error: &Error) -> bool {
    error.message().contains("55P03")
}

fn exists(connection: &Connection, schema: &str, monitor: &Monitor) -> Result<bool> {
    let sql = format!("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = {}", string(schema));
    Ok(!rows(connection, &sql, monitor)?.is_empty())
}

/// Counts what is read.
struct Counted<'m, R> {
    input: R,
    bytes: u64,
    monitor: &'m Monitor,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.monitor.check()?;
        let read = self.input.read(buffer)?;
        self.bytes += read as u64;
        Ok(read)
    }
}
