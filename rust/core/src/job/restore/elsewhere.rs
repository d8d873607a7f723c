//! Restoring somewhere else than onto the site: into a folder, into another database; for looking, for cloning a site,
//! for trying out whether a backup restores. Needs nothing of the site's configuration.
//!
//! ```text
//! FOLDER/           files backups: what the source's folder held
//! FOLDER/docroot/   site archives: the docroot
//!        private/   the private files, where they are not in the docroot
//!        database.sql, or database.sqlite: the dump, unless it goes into a database
//! ```
//!
//! As on a site, everything is put beside first and appears in one go; what a killed run left behind goes, or is
//! finished, when the same place is [claimed](claim) again.

use super::apply::{self, Applied};
use super::journal::Journal;
use super::left_out::LeftOut;
use super::recover;
use super::target::Target;
use crate::archive::{Entry, Extractor, Layout, Part, Place, Reader};
use crate::catalog::{Kind, key};
use crate::config::{Connection, Database, Document, Driver, Site};
use crate::entries;
use crate::job::lock::{self, Lock};
use crate::job::open::Opened;
use crate::job::request::{Elsewhere, Restore};
use crate::job::restore;
use crate::job::state::Home;
use crate::job::web;
use crate::look;
use crate::source::database;
use crate::whole_file;
use crate::{Code, Error, Monitor, NoteKind, Phase, Result, ResultExt};
use serde_json::{Value, json};
use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// The machine name that the database has in the journal.
const DATABASE: &str = "into";

/// A place that is ready to be restored to, and ours until this is dropped.
pub struct Claimed {
    folder: Option<PathBuf>,
    connection: Option<Connection>,
    /// What the journal needs to know of the place.
    document: Document,
    state_dir: PathBuf,
    /// Of a dump of several databases this one.
    only: Option<String>,
    /// A drill's, which brings a state folder of its own; any other's goes with this.
    drill: bool,
    _lock: Lock,
}

/// A restore to elsewhere, from finding the backup on. The result is described in docs/json.md.
pub fn run(document: &Document, ask: &Restore, to: &Elsewhere, monitor: &Arc<Monitor>) -> Result<Value> {
    let started = Instant::now();
    if let Some(folder) = &to.folder {
        check_not_among_backups(document, folder)?;
        web::refuse_plain(document, folder, monitor)?;
    }
    if let Some(database) = &to.database {
        let connection = database.resolve(Path::new("/"))?;
        if connection.driver == Driver::Sqlite && !is_of_the_site(document, &connection.path)? {
            web::refuse_plain(document, &connection.path, monitor)?;
        }
    }
    let mut place = claim(to, monitor)?;
    place.only.clone_from(&ask.only);
    let put = || {
        let found = restore::find(document, ask, restore::Need::All, &place.state_dir, monitor)?;
        let opened = found.prove(document, ask.unauthenticated, monitor)?;
        let applied =
            place.put(&opened, monitor).inspect_err(|error| opened.remember(document, error, monitor))?;
        Ok((opened, applied))
    };
    let (opened, applied) = put().map_err(restore::untouched)?;
    Ok(json!({
        "id": opened.sidecar().and_then(|s| s.number(key::ID)),
        "file": opened.file(),
        "folder": place.folder,
        "database": place.connection.as_ref().map(Connection::label),
        "applied": applied,
        "seconds": started.elapsed().as_secs_f64(),
    }))
}

/// Refuses places that are not empty, and takes the lock for this one.
pub fn claim(to: &Elsewhere, monitor: &Monitor) -> Result<Claimed> {
    let folder = to.folder.as_deref().map(absolute).transpose()?;
    let connection = to.database.as_ref().map(|database| database.resolve(Path::new("/"))).transpose()?;
    if folder.is_none() && connection.is_none() {
        return Err(Error::new(Code::Usage, "a restore to elsewhere needs a folder or a database"));
    }
    // Tells this place's lock and state folder from others'.
    let place = format!(
        "{}\0{}",
        folder.as_ref().map_or_else(String::new, |folder| folder.display().to_string()),
        connection.as_ref().map_or_else(String::new, Connection::label)
    );
    let document = Document {
        site: Site { root: "/".into(), conf_path: place, ..Site::default() },
        databases: to.database.iter().map(|database| (DATABASE.to_owned(), database.clone())).collect(),
        state_dir: to.state_dir.clone(),
        ..Document::default()
    };
    let lock = lock::acquire(&document)?;
    let state_dir = lock::state_dir(&document)?;
    let claimed = Claimed {
        folder,
        connection,
        document,
        state_dir,
        only: None,
        drill: to.state_dir.is_some(),
        _lock: lock,
    };
    let way = recover::way_to_begin_again(&claimed.state_dir);
    recover::recover(&claimed.document, &claimed.state_dir, way, monitor)?;
    if let Some(folder) = &claimed.folder {
        check_empty(folder)?;
    }
    if let Some(connection) = claimed.connection.as_ref().filter(|_| !to.replace)
        && let Some(occupied) = occupied_at(connection, monitor)?
    {
        return Err(Error::new(Code::Usage, occupied)
            .hint("name an empty one, or confirm that its content is to be replaced (--yes)"));
    }
    Ok(claimed)
}

fn absolute(folder: &Path) -> Result<PathBuf> {
    std::path::absolute(folder).at("cannot find", folder)
}

/// Whether a file is a database of the site, which stands in the clear where it is.
fn is_of_the_site(document: &Document, file: &Path) -> Result<bool> {
    let file = look::real_as_far(file)?;
    for name in document.databases.keys() {
        // One that cannot be reached is no file here.
        let Ok(own) = document.connection(name) else { continue };
        if own.driver == Driver::Sqlite && look::real_as_far(&own.path)? == file {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Refuses a folder where backups or bam's own state lie: what would stand there in the clear is kept, copied and handed on
/// with them.
fn check_not_among_backups(document: &Document, folder: &Path) -> Result<()> {
    let real = look::real_as_far(folder)?;
    let places = document.destinations.iter().filter_map(|(name, place)| {
        Some((place.folder(&document.site)?, format!("where the backups of destination {name} are")))
    });
    let state = Home::candidates(document).into_iter().map(|state| (state, "which is bam's own".to_owned()));
    for (taken, what) in places.chain(state) {
        if real.starts_with(look::real_as_far(&taken)?) {
            let text = format!("{} lies in {}, {what}", folder.display(), taken.display());
            return Err(Error::new(Code::Usage, text)
                .hint("name a folder elsewhere: the site will lie in it in the clear"));
        }
    }
    Ok(())
}

fn check_empty(folder: &Path) -> Result<()> {
    match entries::names(folder) {
        Ok(names) => match names.take(1).count() {
            0 => Ok(()),
            _ => Err(Error::new(Code::Usage, format!("the folder {} is not empty", folder.display()))
                .hint("name one that is empty or does not exist; nothing in it is ever replaced")),
        },
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(()),
        Err(cause) if cause.kind() == ErrorKind::NotADirectory => {
            Err(Error::of_path(Code::Usage, folder, "is not a folder"))
        }
        Err(cause) => Err(Error::io("cannot look into", folder, cause)),
    }
}

impl Claimed {
    /// Puts a proven backup in place. On failure the place is as it was.
    pub fn put(&self, opened: &Opened, monitor: &Arc<Monitor>) -> Result<Applied> {
        let database = opened.kind().is_some_and(Kind::is_database);
        self.check_fits(opened, database)?;
        let survey = if database { None } else { opened.foreign_layout(monitor)? };
        let told = opened.sidecar().map(LeftOut::told_by).unwrap_or_default();
        told.tell(false, monitor);
        monitor.phase(Phase::Restoring);
        let keep = |_: &Path| Ok(Vec::new());
        let target = Target {
            document: &self.document,
            state_dir: &self.state_dir,
            id: apply::unique_id(),
            database: DATABASE.into(),
            folder: None,
            code: true,
            settings: true,
            tables: &[],
            unread_tables: told.tables,
            only: self.only.as_deref(),
            translate: false,
            authentic: opened.is_authentic(),
            keep: &keep,
            others: Vec::new(),
            recorded: None,
        };
        let mut journal = Journal::begin(&self.state_dir, opened.file())?;
        if self.drill {
            journal = journal.of_a_drill();
        }
        let staged = self.stage(&target, &mut journal).and_then(|staged| match (&staged, opened.kind()) {
            (Some(folder), Some(kind)) if database => write_dump(folder, kind, opened.decode()?, monitor),
            (None, _) if database => apply::database(&target, &mut journal, opened.decode()?, monitor),
            _ => self.extract(&target, &mut journal, opened, survey, staged.as_deref(), monitor),
        });
        let staged =
            staged.and_then(|applied| journal.check(&self.document, &keep, monitor).map(|()| applied));
        match staged {
            Ok(applied) => journal.commit(&self.document, monitor).map(|()| applied),
            Err(error) => Err(journal.give_up(error, &self.document, monitor)),
        }
    }

    fn check_fits(&self, opened: &Opened, database: bool) -> Result<()> {
        let file = opened.file();
        match (&self.connection, opened.kind()) {
            (Some(_), Some(Kind::Tar)) => Err(Error::new(Code::Usage, format!("{file} holds no database"))
                .hint("restore it into a folder alone")),
            (Some(_), _) if database && self.folder.is_some() => Err(Error::new(
                Code::Usage,
                format!("{file} holds nothing but a database: the folder would stay empty"),
            )
            .hint("leave the folder out, or name a backup of the whole site")),
            (Some(connection), Some(kind)) => restore::check_driver(kind.driver(), connection, file),
            _ => Ok(()),
        }
    }

    /// Makes the folder that everything is extracted into, where one was asked for.
    fn stage(&self, target: &Target<'_>, journal: &mut Journal) -> Result<Option<PathBuf>> {
        let Some(folder) = &self.folder else { return Ok(None) };
        // A folder that is there keeps its owner and its place: somebody may stand in it.
        let exists = look::exists(folder)?;
        let at = journal.stage(folder, &target.id, exists)?;
        let tree = journal.tree(at)?;
        if exists {
            tree.copy_attributes()?;
        }
        Ok(Some(tree.staged().to_owned()))
    }

    fn extract(
        &self,
        target: &Target<'_>,
        journal: &mut Journal,
        opened: &Opened,
        survey: Option<Layout>,
        folder: Option<&Path>,
        monitor: &Arc<Monitor>,
    ) -> Result<Applied> {
        let mut reader = Reader::of(Box::new(opened.decode()?));
        let foreign = survey.is_some();
        let (layout, first) = apply::begin(&mut reader, survey, opened.kind() == Some(Kind::Tar))?;
        let mut applied = Applied::default();
        let mut load = None;
        if let (Layout::Site(site), Some(connection)) = (&layout, &self.connection) {
            restore::check_driver(Driver::named(&site.driver), connection, "the site archive")?;
            load = Some(|reader: &mut Reader<_>| {
                applied.add_load(apply::load_member(target, journal, reader, None, monitor)?);
                Ok(())
            });
        }
        let roots: Vec<&Path> = folder.into_iter().collect();
        let select = |path: &[u8]| {
            let path = place(&layout, path)?;
            (!roots.is_empty()).then_some(Place { root: 0, path })
        };
        let mut extractor = Extractor::new(&roots, target.extract_options(), monitor, select)?;
        let load = load.as_mut().map(|load| load as apply::LoadDump<'_>);
        let mut look = |entry: &Entry, _: &mut Extractor<'_>| {
            if let Some(target) = layout.link_for_files(entry) {
                monitor.note(NoteKind::Missing, Layout::tell_of_link(entry, target));
            }
            Ok(false)
        };
        apply::members(&layout, first, &mut reader, &mut extractor, load, &mut look)?;
        drop(reader);
        apply::complete(&mut extractor, opened, foreign, monitor)?;
        applied.add_extract(&extractor.finish()?);
        if let (Layout::Site(site), Some(folder)) = (&layout, folder) {
            let path = folder.join("MANIFEST.ini");
            fs::write(&path, site.manifest.to_string()).at("cannot write", &path)?;
        }
        Ok(applied)
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        if !self.drill {
            // Not where a journal is left in it.
            lock::discard(&self.state_dir);
        }
    }
}

/// Where a member goes below the folder.
pub fn place(layout: &Layout, path: &[u8]) -> Option<Vec<u8>> {
    let join = |folder: &[u8], rest: &[u8]| match rest {
        b"" => folder.to_vec(),
        rest => [folder, b"/", rest].concat(),
    };
    match (layout.part(path), layout) {
        (Part::File(rest), _) => Some(rest.to_vec()),
        (Part::Docroot(rest), _) => Some(join(b"docroot", rest)),
        // Private files in the docroot stay there.
        (Part::Private(rest), Layout::Site(site)) => {
            let inside = site.private.as_deref()?.strip_prefix(site.docroot.as_slice());
            match inside.and_then(|path| path.strip_prefix(b"/")) {
                Some(private) => Some(join(&join(b"docroot", private), rest)),
                None => Some(join(b"private", rest)),
            }
        }
        (Part::Database, Layout::Site(site)) => {
            let sqlite = Driver::named(&site.driver) == Some(Driver::Sqlite);
            Some(dump_name(sqlite).as_bytes().to_vec())
        }
        // The manifest is written anew: it was read already.
        _ => None,
    }
}

fn dump_name(sqlite: bool) -> &'static str {
    if sqlite { "database.sqlite" } else { "database.sql" }
}

/// A database backup into a folder: the dump as it is.
fn write_dump(folder: &Path, kind: Kind, plain: Box<dyn Read + Send>, monitor: &Monitor) -> Result<Applied> {
    let path = folder.join(dump_name(kind == Kind::Sqlite));
    whole_file::write(&path, false, |out| whole_file::copy(plain, out, monitor))?;
    Ok(Applied { files: 1, ..Applied::default() })
}

/// What is in the way of loading a backup into this database, in words; `None` where it is empty.
pub fn occupied(database: &Database, monitor: &Monitor) -> Result<Option<String>> {
    occupied_at(&database.resolve(Path::new("/"))?, monitor)
}

fn occupied_at(connection: &Connection, monitor: &Monitor) -> Result<Option<String>> {
    let there = database::tables(connection, false, monitor)?;
    Ok(there.first().map(|first| {
        let (label, tables) = (connection.label(), there.len());
        format!("the database {label} is not empty: it has {tables} tables, {} the first of them", first.name)
    }))
}
