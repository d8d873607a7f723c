//! Putting a decoded backup in place: a database, a folder, or a site archive with both.
//!
//! Everything goes beside the live data first; the [`Journal`] then makes it live in one go.

use super::folders::Folders;
use super::journal::Journal;
use super::target::Target;
use super::unlinked::{Looked, Unlinked};
use crate::archive::{
    Entry, ExtractReport, Extractor, Input, Layout, Member, Part, Reader, Survey, Without, show,
};
use crate::config::{Driver, names_table};
use crate::job::open::{DumpShare, Opened};
use crate::job::pipe::{PipeWriter, pipe};
use crate::job::restore;
use crate::job::scope;
use crate::look;
use crate::source::database::{LoadReport, LoadSettings, Replacement};
use crate::source::unread_tables;
use crate::{Code, Error, Monitor, NoteKind, Result, threads};
use serde::Serialize;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An [`Target::id`] that no other restore has.
pub fn unique_id() -> String {
    format!("{:x}{:x}", jiff::Timestamp::now().as_second(), std::process::id())
}

/// What was put in place.
#[derive(Debug, Default, Serialize)]
pub struct Applied {
    /// Files, further names of them included.
    pub files: u64,
    /// Folders.
    pub directories: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Tables.
    pub tables: u64,
    /// Tables that went because the backup does not have them.
    pub removed_tables: Vec<String>,
    /// What stays besides what [`Target::keep`] says ([`Folders::stay`]).
    #[serde(skip)]
    pub stay: Vec<PathBuf>,
}

impl Applied {
    pub fn add_load(&mut self, report: LoadReport) {
        self.tables += report.tables;
        self.removed_tables.extend(report.removed);
    }

    pub fn add_extract(&mut self, report: &ExtractReport) {
        self.files += report.files;
        self.directories += report.directories;
        self.symlinks += report.symlinks;
    }
}

/// Restores a database dump.
pub fn database(
    target: &Target<'_>,
    journal: &mut Journal,
    dump: Box<dyn Read + Send>,
    monitor: &Monitor,
) -> Result<Applied> {
    let mut applied = Applied::default();
    applied.add_load(load(target, journal, dump, BTreeMap::new(), monitor)?);
    Ok(applied)
}

/// Restores a database backup, of which no more is read than the target's tables take.
pub fn dump(
    target: &Target<'_>,
    journal: &mut Journal,
    opened: &Opened,
    monitor: &Monitor,
) -> Result<Applied> {
    let DumpShare { gaps, counts } = share(target, opened, monitor)?;
    let dump = Box::new(Without::new(opened.dump()?, gaps));
    let mut applied = Applied::default();
    applied.add_load(load(target, journal, dump, counts, monitor)?);
    Ok(applied)
}

/// What of a dump the target's tables take.
fn share(target: &Target<'_>, opened: &Opened, monitor: &Monitor) -> Result<DumpShare> {
    let connection = target.document.connection(&target.database)?;
    opened.share_of_dump(target.tables, target.translate.then_some(connection.prefix.as_str()), monitor)
}

/// `counts`: as many rows tables must have ([`LoadSettings::counts`]).
fn load(
    target: &Target<'_>,
    journal: &mut Journal,
    dump: Box<dyn Read + Send>,
    counts: BTreeMap<String, u64>,
    monitor: &Monitor,
) -> Result<LoadReport> {
    let connection = target.document.connection(&target.database)?;
    let mut replacement = Replacement::plan(&connection, target.state_dir, &target.id)?;
    journal.set_database(&target.database, replacement.clone())?;
    let settings = LoadSettings {
        tables: (!target.tables.is_empty()).then(|| target.tables.to_vec()),
        prefix: target.translate.then(|| connection.prefix.clone()),
        counts,
        database: target.only.map(str::to_owned),
        untrusted: !target.authentic,
        // On the site nothing whole gives way to it; elsewhere there is nothing better.
        unread: target.unread_tables.clone(),
        take_unread: !target.translate,
        ..LoadSettings::default()
    };
    let loaded = replacement.load(&connection, dump, &settings, monitor);
    journal.set_database(&target.database, replacement)?;
    let loaded = loaded?;
    let comes = loaded.names.iter().map(String::as_str);
    unread_tables::check_asked(target.tables, &loaded.unread, comes.clone(), &connection.prefix)?;
    let known = comes.chain(loaded.unread.iter().map(String::as_str));
    check_tables(target.tables, known, &connection.prefix)?;
    Ok(loaded)
}

/// Fails where one of the tables that were asked for is not among those that were found.
pub fn check_tables<'n>(
    asked: &[String],
    found: impl Iterator<Item = &'n str> + Clone,
    prefix: &str,
) -> Result<()> {
    for table in asked {
        let named = std::slice::from_ref(table);
        let here = |name: &str| {
            names_table(named, name, prefix) || names_table(named, &format!("{prefix}{name}"), "")
        };
        if !found.clone().any(here) {
            return Err(Error::new(Code::NotFound, format!("the backup has no table {table}"))
                .hint("`bam ls --tables` lists those it has"));
        }
    }
    Ok(())
}

/// Restores a tar: a folder's or a site's. `survey` as for [`begin`].
pub fn tar(
    target: &Target<'_>,
    journal: &mut Journal,
    opened: &Opened,
    survey: Option<Layout>,
    monitor: &Arc<Monitor>,
) -> Result<Applied> {
    let mut reader = Reader::of(Box::new(opened.decode()?));
    let foreign = survey.is_some();
    let (layout, first) = begin(&mut reader, survey, target.folder.is_some())?;
    check_layout(target, &layout)?;
    let folders = Folders::of(target, &layout, true, monitor)?;
    let (staged, mut refused) = stage_roots(target, journal, &folders, monitor)?;
    let roots: Vec<&Path> = staged.iter().map(PathBuf::as_path).collect();
    let wanted_root = Cell::new(None);
    let select = |path: &[u8]| {
        let place = folders.put(layout.part(path))?;
        if refused.contains_key(&place.root) {
            wanted_root.set(Some(place.root));
            return None;
        }
        Some(place)
    };
    let mut extractor = Extractor::new(&roots, target.extract_options(), monitor, select)?;
    let mut unlinked = Unlinked::default();
    let journal = &RefCell::new(journal);
    let mut applied = Applied::default();
    let mut load = |reader: &mut Reader<_>| {
        applied.add_load(load_member(target, &mut journal.borrow_mut(), reader, None, monitor)?);
        Ok(())
    };
    members(&layout, first, &mut reader, &mut extractor, Some(&mut load), &mut |entry, extractor| {
        let add = |looked, extractor: &mut Extractor<'_>| {
            if let Looked::Storage(root) = looked {
                let live = folders.live_root(root).unwrap_or_default();
                extractor.add_root(&stage(target, &mut journal.borrow_mut(), &live)?)?;
            }
            Ok::<_, Error>(())
        };
        for above in folders.unmet_above(entry) {
            add(unlinked.look_above(&folders, &above)?, extractor)?;
        }
        let looked = unlinked.look(&folders, &layout, entry)?;
        add(looked, extractor)?;
        let stays = looked == Looked::Stays || folders.is_link_that_stays(entry);
        Ok(stays || folders.has_a_better_one(entry)?)
    })?;
    drop(reader);
    unlinked.tell(false, monitor);
    let mut journal = journal.borrow_mut();
    complete(&mut extractor, opened, foreign, monitor)?;
    let report = extractor.finish()?;
    applied.add_extract(&report);
    if let Some(error) = wanted_root.get().and_then(|root| refused.remove(&root)) {
        return Err(error);
    }
    let (unseen, mut stay) = folders.unseen(monitor)?;
    for live in unseen {
        journal.leave(&live, target.document, monitor)?;
    }
    stay.extend(folders.stay()?);
    stay.extend(in_place_of_waiting(&report, &folders, &layout, monitor)?);
    applied.stay = stay;
    Ok(applied)
}

/// A second pass over the archive, where hard links are restored and the first names of their files are not, which have the
/// content. That is only known when they come.
pub fn complete(
    extractor: &mut Extractor<'_>,
    opened: &Opened,
    foreign: bool,
    monitor: &Monitor,
) -> Result<()> {
    if !extractor.waits()? {
        return Ok(());
    }
    let mut reader =
        opened.members_around(&mut |path| extractor.waits_for(path).unwrap_or(true), false, monitor)?;
    if foreign {
        reader.forgive_no_end_mark();
    }
    extractor.complete(&mut reader)
}

/// What stays, as [`Folders::stay`] says it, as the archive has hard links in its place whose content it lacks.
pub fn in_place_of_waiting(
    report: &ExtractReport,
    folders: &Folders<'_>,
    layout: &Layout,
    monitor: &Monitor,
) -> Result<Vec<PathBuf>> {
    if report.missing == 0 {
        return Ok(Vec::new());
    }
    monitor.note(NoteKind::Info, "where the site has files of these names, they stay");
    if report.missing > report.waiting.len() as u64 {
        // Too many to name: whatever the backup lacks.
        return folders.live().iter().map(|root| look::real_as_far(root)).collect();
    }
    let places = report.waiting.iter().filter_map(|path| folders.place(layout.part(path)));
    places.map(|place| look::real_but_last(&folders.live_path(&place))).collect()
}

/// Stages a new folder beside each live one. Those that cannot be replaced are no failure where they lie in another, as
/// nothing may be meant for them: they are given besides.
fn stage_roots(
    target: &Target<'_>,
    journal: &mut Journal,
    folders: &Folders<'_>,
    monitor: &Monitor,
) -> Result<(Vec<PathBuf>, BTreeMap<usize, Error>)> {
    let (mut staged, mut refused) = (Vec::new(), BTreeMap::new());
    for (root, live) in folders.live().iter().enumerate() {
        match stage(target, journal, live) {
            Ok(folder) => staged.push(folder),
            Err(error) if folders.is_inner(root) => {
                staged.push(target.state_dir.to_owned());
                let error = match look::is_folder(live)? {
                    true => error,
                    false => Error::of_path(
                        Code::Unsupported,
                        live,
                        "is a mount point and no folder: it cannot be replaced",
                    )
                    .hint("unmount it first, or name what else is wanted with --path"),
                };
                refused.insert(root, error);
                journal.leave(live, target.document, monitor)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok((staged, refused))
}

/// Refuses an archive that is not of what the target is.
pub fn check_layout(target: &Target<'_>, layout: &Layout) -> Result<()> {
    match (layout, &target.folder) {
        (Layout::Files { .. }, Some(_)) => Ok(()),
        (Layout::Site(site), None) => {
            let connection = target.document.connection(&target.database)?;
            restore::check_driver(Driver::named(&site.driver), &connection, "the site archive")
        }
        (Layout::Site(_), Some(folder)) => Err(Error::new(
            Code::Usage,
            format!("this backup holds a whole site and cannot be put into the folder {}", folder.display()),
        )
        .hint("restore it onto the source \"archive\"")),
        (Layout::Files { .. }, None) => Err(no_site()),
    }
}

/// How an archive is laid out, and its first member where that had to be read. `survey` is the result of an earlier
/// pass over a foreign archive; without it the archive is one of ours: `files`, or a site, whose first member tells.
pub fn begin(
    reader: &mut Reader<Box<dyn Input>>,
    survey: Option<Layout>,
    files: bool,
) -> Result<(Layout, Option<Member>)> {
    match survey {
        Some(layout) => {
            reader.forgive_no_end_mark();
            Ok((layout, None))
        }
        None if files => Ok((Layout::Files { base: Vec::new() }, None)),
        None => {
            let member = reader.next_member()?.ok_or_else(no_site)?;
            let mut survey = Survey::default();
            survey.observe(&member.entry, reader)?;
            Ok((survey.layout(), Some(member)))
        }
    }
}

fn no_site() -> Error {
    Error::new(Code::Usage, "this backup holds files, but no site: it has no MANIFEST.ini and no database")
        .hint("restore it onto a source of type files")
}

/// Makes the folder that is to replace `folder`, and notes both in the journal.
pub fn stage(target: &Target<'_>, journal: &mut Journal, folder: &Path) -> Result<PathBuf> {
    let at = journal.stage(folder, &target.id, false)?;
    let tree = journal.tree(at)?;
    tree.copy_attributes().map(|()| tree.staged().to_owned())
}

/// What loads the dump of a site archive, which the reader stands at.
pub type LoadDump<'a> = &'a mut dyn FnMut(&mut Reader<Box<dyn Input>>) -> Result<()>;

/// What looks at a member before it is extracted, and says whether it is not to be.
pub type Skip<'a, 'e> = &'a mut dyn FnMut(&Entry, &mut Extractor<'e>) -> Result<bool>;

/// Gives every member to the extractor but those that `skip` names, and the dump of a site to `load` where there is one.
/// A site archive without a dump is an error.
pub fn members<'e>(
    layout: &Layout,
    first: Option<Member>,
    reader: &mut Reader<Box<dyn Input>>,
    extractor: &mut Extractor<'e>,
    mut load: Option<LoadDump<'_>>,
    skip: Skip<'_, 'e>,
) -> Result<()> {
    let mut dumped = false;
    let mut next = match first {
        Some(member) => Some(member),
        None => reader.next_member()?,
    };
    while let Some(member) = next {
        let dump = layout.part(&member.entry.path) == Part::Database;
        match &mut load {
            Some(load) if dump => load(reader)?,
            _ if skip(&member.entry, extractor)? => {}
            _ => drop(extractor.take(&member, reader)?),
        }
        dumped |= dump;
        next = reader.next_member()?;
    }
    match layout {
        Layout::Site(site) if !dumped => Err(Error::new(
            Code::Integrity,
            format!("the site archive has no database: {} is missing", show(&site.database)),
        )
        .hint("use another copy of this backup")),
        _ => Ok(()),
    }
}

/// Loads the dump that `reader` stands at; of one in `opened`, no more than the target's tables take.
pub fn load_member(
    target: &Target<'_>,
    journal: &mut Journal,
    reader: &mut Reader<Box<dyn Input>>,
    opened: Option<&Opened>,
    monitor: &Monitor,
) -> Result<LoadReport> {
    let share = opened.map(|opened| share(target, opened, monitor)).transpose()?;
    let DumpShare { gaps, counts } = share.unwrap_or_default();
    // The loader takes its input over.
    let (writer, input) = pipe();
    std::thread::scope(|scope| {
        let loading = threads::spawn_scoped(scope, "bam-load", move || {
            load(target, journal, Box::new(input), counts, monitor)
        })?;
        let fed = feed(Without::new(reader, gaps), writer);
        let loaded = loading
            .join()
            .unwrap_or_else(|_| Err(Error::new(Code::Internal, "loading stopped at a bug in bam")));
        match (fed, loaded) {
            // A loader that gave up is why the feeding broke; a feeder that broke is why the dump was cut short.
            (Err(fed), _) if fed.kind() != io::ErrorKind::BrokenPipe => Err(fed.into()),
            (_, loaded) => loaded,
        }
    })
}

fn feed(mut reader: impl Read, mut writer: PipeWriter) -> io::Result<()> {
    io::copy(&mut reader, &mut writer)?;
    writer.finish()
}

/// What of a live folder stays, relative to it; the empty path: whatever the backup lacks.
pub fn kept(target: &Target<'_>, stay: &[PathBuf], live: &Path) -> Result<Vec<PathBuf>> {
    let mut kept = (target.keep)(live)?;
    let real = look::real_as_far(live)?;
    for path in stay {
        match path.strip_prefix(&real) {
            Ok(inside) => kept.push(inside.to_owned()),
            // All that is below it stays.
            Err(_) if real.starts_with(path) => kept.push(PathBuf::new()),
            Err(_) => {}
        }
    }
    // What lies below a kept folder goes with it.
    kept.sort();
    kept.dedup_by(|later, earlier| later.starts_with(earlier));
    Ok(kept)
}

/// An older backup of the files may hold a copy of the SQLite database in use, which is not to take its place.
pub fn spare_databases(target: &Target<'_>, journal: &Journal) -> Result<()> {
    if target.folder.is_none() {
        return Ok(());
    }
    let databases = scope::database_files(target.document);
    for tree in journal.trees() {
        for file in &databases {
            let file = look::real_as_far(file)?;
            let Ok(inside) = file.strip_prefix(tree.live()) else { continue };
            let copy = tree.staged().join(inside);
            match std::fs::remove_file(&copy) {
                Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::io("cannot remove", &copy, cause));
                }
                _ => {}
            }
        }
    }
    Ok(())
}
