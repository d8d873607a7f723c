//! Replacing a live schema by a dump, in steps that survive a kill (see [`crate::source::database`]).
//!
//! PostgreSQL changes names of schemas in transactions, and locks no table for it. So the dump is loaded in one
//! transaction in which the live schema has another name, at the end of which the new one has another name and the live
//! one its own again; nobody else sees any of that. Two more renames, in one transaction, are the swap.
//!
//! Extensions may live in the schema, and what depends on them refers to them by their place: they stay where the live
//! tables are. Where the site's role cannot move them, the schema stays with them (`in_place`).
//!
//! `stage` loads beside the live schema, with the `names` that tables have at the site; `depend` finds what hangs on the
//! schema's objects from elsewhere; `ownership` gives the new ones owners and grants; `adapt` makes the data fit the site;
//! `swap` trades places.

mod adapt;
pub(super) mod depend;
mod in_place;
mod names;
mod ownership;
mod stage;
mod swap;

use self::depend::Goes;
use self::names::Names;
use super::connect::database::{find_or_make, has_schema};
use super::connect::session::{quote, rows, string, transaction};
use super::dump::{Relation, extensions, relations, schema_of};
use super::large;
use super::load::script::{About, Script};
use crate::config::{Connection, names_table};
use crate::source::dump_types::{LoadReport, LoadSettings};
use crate::source::table_places::RowCounts;
use crate::{Code, Error, Monitor, NoteKind, Result};
use serde::{Deserialize, Serialize};
use std::io::Read;

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
        self.there = has_schema(connection, &live, monitor)?;
        self.extensions = extensions(connection, &live, monitor)?;
        let stuck = in_place::immovable(connection, &self.extensions, &self.new, monitor)?;
        self.in_place = !stuck.is_empty();
        let mut counted = Counted { input, bytes: 0, monitor };
        let mut script = Script::new(&mut counted)?;
        script.large_objects = Some(self.map());
        script.untrusted = settings.untrusted;
        script.counts = RowCounts::new(settings.counts.clone());
        let dumped = script.about.schema.clone().unwrap_or_else(|| "public".into());
        let sql = format!("SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname <> {}", string(&dumped));
        script.others = rows(connection, &sql, monitor)?.into_iter().flatten().collect();
        script.unknown = stage::unknown_settings(connection, monitor)?;
        if settings.untrusted {
            stage::warn_of_rights(connection, monitor)?;
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
            depend::refuse_alone(connection, &self.new, &chosen, monitor)?;
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
