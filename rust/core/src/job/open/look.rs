//! Looking into a backup: what it holds, and single files out of it.
//!
//! Nothing is shown before the backup is proven: by its MAC or its SHA-256; one that has neither is read to its end
//! first, which at least shows whether it is whole. Of an archive with an index that holds for what is shown, and no more
//! is read.

use super::Opened;
use super::suggestions::Suggestions;
use crate::archive::{Entry, EntryKind, Layout, Part, Segment, show, unshow};
use crate::catalog::{Kind, key};
use crate::config::{Document, Driver};
use crate::job::member_path::{below, join};
use crate::job::request::Restore;
use crate::job::restore::Need;
use crate::job::restore::apply::begin;
use crate::job::{lock, restore};
use crate::source::database::{Contents, Table};
use crate::source::unread_tables;
use crate::whole_file;
use crate::{Code, Error, Monitor, Result};
use serde::Serialize;
use std::io::{self, Read, Seek, Write};
use std::sync::Arc;

/// A file longer than this waits on disk until all of it is proven.
const IN_MEMORY: usize = 4 << 20;

/// One thing in a backup.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Item {
    /// A member of an archive.
    Entry {
        /// Its path in the archive; control characters and bytes that are not UTF-8 are escaped.
        path: String,
        /// `file`, `directory`, `symlink`, `hardlink` or `special`.
        #[serde(rename = "type")]
        kind: &'static str,
        /// Permission bits.
        mode: u32,
        /// The owner's name, or number where the archive has no name.
        user: String,
        /// The group's, likewise.
        group: String,
        /// Bytes.
        size: u64,
        /// Unix time of the last change.
        mtime: i64,
        /// Where a link points to.
        #[serde(skip_serializing_if = "Option::is_none")]
        target: Option<String>,
    },
    /// A table of a database: `rows`, and `bytes` in the dump.
    Table(Table),
}

/// Which backup was looked into.
#[derive(Debug, Clone, Serialize)]
pub struct Looked {
    /// Its ID, where its sidecar tells one.
    pub id: Option<u64>,
    /// Its file name.
    pub file: String,
}

impl Looked {
    fn at(opened: &Opened) -> Looked {
        Looked { id: opened.sidecar().and_then(|s| s.number(key::ID)), file: opened.file().to_owned() }
    }
}

/// Finds and proves a backup; `Some` layout where it took a pass to find out.
pub(in crate::job) fn open(
    document: &Document,
    ask: &Restore,
    need: Need,
    monitor: &Arc<Monitor>,
) -> Result<(Opened, Option<Layout>)> {
    let state_dir = lock::state_dir(document)?;
    let opened = restore::find(document, ask, need, &state_dir, monitor)?.show(
        document,
        ask.unauthenticated,
        monitor,
    )?;
    let database = opened.kind().is_some_and(Kind::is_database);
    let layout = if database { None } else { opened.foreign_layout(monitor)? };
    if database && !opened.is_checked() {
        opened.read_through(monitor)?;
    }
    Ok((opened, layout))
}

/// Tells `each` what a backup holds: members of an archive, all or those that are `path` or lie below it; tables of a
/// database, or, with `tables`, of the dump in a site archive.
///
/// Paths are as the archive has them, or as they are told here; those of the docroot may also be given relative to it.
pub fn ls(
    document: &Document,
    ask: &Restore,
    path: Option<&[u8]>,
    tables: bool,
    each: &mut dyn FnMut(Item) -> Result<()>,
    monitor: &Arc<Monitor>,
) -> Result<Looked> {
    let (opened, survey) = open(document, ask, Need::Parts, monitor)?;
    let state_dir = lock::state_dir(document)?;
    let told = |contents: Contents, each: &mut dyn FnMut(Item) -> Result<()>| {
        contents.unread.iter().for_each(|table| unread_tables::tell_listed(table, monitor));
        contents.tables.into_iter().try_for_each(|table| each(Item::Table(table)))
    };
    let wrong = |text: String| Err(Error::new(Code::Usage, text));
    match opened.kind() {
        Some(kind) if kind.is_database() => {
            if path.is_some() {
                return wrong(format!("{} holds a database: there are no paths in it", opened.file()));
            }
            told(opened.contents_of(kind.driver(), opened.dump()?, None, &state_dir, monitor)?, each)?;
            return Ok(Looked::at(&opened));
        }
        Some(Kind::Tar) if tables => {
            return wrong(format!("{} holds files: there are no tables in it", opened.file()));
        }
        _ => {}
    }
    let mut reader = if tables { opened.database_members()? } else { opened.members()? };
    let (layout, first) = begin(&mut reader, survey, opened.kind() == Some(Kind::Tar))?;
    let mut found = false;
    let mut near = path.map(|path| Suggestions::to(path.to_vec()));
    let mut next = match first {
        Some(member) => Some(member),
        None => reader.next_member()?,
    };
    while let Some(member) = next {
        monitor.check()?;
        let at = &member.entry.path;
        match &layout {
            Layout::Site(site) if tables && layout.part(at) == Part::Database => {
                let driver = Driver::named(&site.driver);
                told(opened.contents_of(driver, &mut reader, None, &state_dir, monitor)?, each)?;
                return Ok(Looked::at(&opened));
            }
            Layout::Site(_) if tables => {}
            _ if path.is_none_or(|path| is_below(&layout, at, path)) => {
                found = true;
                each(item(&member.entry, &member.user, &member.group))?;
            }
            _ if !found => near.iter_mut().for_each(|near| near.offer(told_as(&layout, at))),
            _ => {}
        }
        next = reader.next_member()?;
    }
    match path {
        _ if tables => Err(Error::new(Code::Integrity, format!("{} has no database in it", opened.file()))),
        Some(path) if !found => Err(not_held(&opened, path, near.as_ref())),
        _ => Ok(Looked::at(&opened)),
    }
}

/// Writes one file of an archive to `out`, or a whole database backup: its dump. How many bytes it was.
pub fn cat(
    document: &Document,
    ask: &Restore,
    path: Option<&[u8]>,
    out: &mut dyn Write,
    monitor: &Arc<Monitor>,
) -> Result<u64> {
    let (opened, survey) = open(document, ask, Need::Members, monitor)?;
    let Some(path) = file_in(&opened, path)? else {
        return whole_file::copy(opened.decode()?, out, monitor);
    };
    if let Some(layout) = opened.kept_layout()?
        && let Some(content) = opened.kept_file(&meant(&layout, path), monitor)?
    {
        return whole_file::copy(content, out, monitor);
    }
    let mut wanted = path.to_vec();
    let mut near = Suggestions::to(wanted.clone());
    // A second name of a file has its content under the first, which comes earlier.
    for _ in 0..2 {
        match (Search { document, opened: &opened, wanted: &wanted }).pass(
            survey.clone(),
            &mut near,
            out,
            monitor,
        )? {
            Found::Written(bytes) => return Ok(bytes),
            Found::Under(first) => wanted = first,
            Found::Nowhere => break,
        }
    }
    Err(not_held(&opened, &wanted, Some(&near)))
}

/// The path that has to be asked for, as the backup is an archive; `None` where it is a dump, and that is asked for.
fn file_in<'p>(opened: &Opened, path: Option<&'p [u8]>) -> Result<Option<&'p [u8]>> {
    match (opened.kind().is_some_and(Kind::is_database), path) {
        (true, None) => Ok(None),
        (false, Some(path)) => Ok(Some(path)),
        (true, Some(_)) => {
            let text = format!("{} holds a database: there are no paths in it", opened.file());
            Err(Error::new(Code::Usage, text).hint("leave the path out to get the whole dump"))
        }
        (false, None) => {
            let text = format!("{} holds many files: which one?", opened.file());
            Err(Error::new(Code::Usage, text).hint("`bam ls ID` lists them"))
        }
    }
}

/// A file that is looked for in an archive.
struct Search<'a> {
    document: &'a Document,
    opened: &'a Opened,
    wanted: &'a [u8],
}

/// What came of it.
enum Found {
    /// So many bytes.
    Written(u64),
    /// It is a second name of this one.
    Under(Vec<u8>),
    /// The archive has no such file.
    Nowhere,
}

impl Search<'_> {
    /// Reads the archive up to the file and writes that to `out`.
    fn pass(
        &self,
        survey: Option<Layout>,
        near: &mut Suggestions,
        out: &mut dyn Write,
        monitor: &Monitor,
    ) -> Result<Found> {
        let mut reader = self.opened.members()?;
        let (layout, first) = begin(&mut reader, survey, self.opened.kind() == Some(Kind::Tar))?;
        let mut next = match first {
            Some(member) => Some(member),
            None => reader.next_member()?,
        };
        while let Some(member) = next {
            monitor.check()?;
            let at = &member.entry.path;
            if is_at(&layout, at, self.wanted) {
                if layout.part(at) == Part::Manifest
                    && let EntryKind::File { .. } = &member.entry.kind
                {
                    return self.manifest(&layout, out, monitor);
                }
                return self.write(&member.entry, reader, out, monitor);
            }
            if is_below(&layout, at, self.wanted) {
                return Err(no_file(self.wanted, &EntryKind::Directory));
            }
            near.offer(told_as(&layout, at));
            next = reader.next_member()?;
        }
        Ok(Found::Nowhere)
    }

    /// It was read already, to know the layout.
    fn manifest(&self, layout: &Layout, out: &mut dyn Write, monitor: &Monitor) -> Result<Found> {
        let Layout::Site(site) = layout else {
            return Err(not_held(self.opened, self.wanted, None));
        };
        let text = site.manifest.to_string();
        Ok(Found::Written(whole_file::copy(text.as_bytes(), out, monitor)?))
    }

    /// Of the member that `content` reads.
    fn write(
        &self,
        entry: &Entry,
        content: impl Read,
        out: &mut dyn Write,
        monitor: &Monitor,
    ) -> Result<Found> {
        let bytes = match &entry.kind {
            EntryKind::File { .. } => {
                whole_file::copy(proven(self.document, self.opened, content, monitor)?, out, monitor)?
            }
            EntryKind::Sparse { size, data } => {
                let content = proven(self.document, self.opened, content, monitor)?;
                with_holes(content, *size, data, out, monitor)?
            }
            EntryKind::Hardlink(first) => return Ok(Found::Under(first.clone())),
            other => return Err(no_file(&entry.path, other)),
        };
        Ok(Found::Written(bytes))
    }
}

/// The members of an archive of ours that a path may mean.
fn meant(layout: &Layout, path: &[u8]) -> Vec<Vec<u8>> {
    let as_shown = unshow(path);
    let mut paths = Vec::new();
    for path in [Some(path), as_shown.as_deref()].into_iter().flatten().map(plain) {
        paths.push(path.to_vec());
        if let Layout::Site(site) = layout {
            paths.push(
                [site.prefix.as_slice(), &site.docroot, path]
                    .into_iter()
                    .fold(Vec::new(), |at, part| join(&at, part)),
            );
        }
    }
    paths
}

/// A member's content; of a backup that is read in parts not before the last of them is proven.
fn proven<'r>(
    document: &Document,
    opened: &Opened,
    mut content: impl Read + 'r,
    monitor: &Monitor,
) -> Result<Box<dyn Read + 'r>> {
    if !opened.is_in_parts() {
        return Ok(Box::new(content));
    }
    let state_dir = lock::state_dir(document)?;
    let mut kept = tempfile::spooled_tempfile_in(IN_MEMORY, &state_dir);
    whole_file::copy(&mut content, &mut kept, monitor)?;
    kept.rewind()?;
    Ok(Box::new(kept))
}

fn no_file(path: &[u8], kind: &EntryKind) -> Error {
    let what = match kind {
        EntryKind::Directory => "a folder".into(),
        EntryKind::Symlink(target) => format!("a symbolic link to {}", show(target)),
        _ => "a device or the like".into(),
    };
    Error::new(Code::Usage, format!("{} is {what}, not a file", show(path)))
}

fn not_held(opened: &Opened, path: &[u8], near: Option<&Suggestions>) -> Error {
    let error = Error::new(Code::NotFound, format!("{} holds no {}", opened.file(), show(path)));
    error.hint(near.map_or_else(|| "`bam ls ID` lists what it holds".to_owned(), Suggestions::hint))
}

/// A member's path as people name it: relative to the docroot, or as the archive has it.
fn told_as<'m>(layout: &Layout, member: &'m [u8]) -> &'m [u8] {
    match layout.part(member) {
        Part::Docroot(inside) | Part::File(inside) => inside,
        _ => member,
    }
}

/// The path without what people type around it.
fn plain(path: &[u8]) -> &[u8] {
    let path = path.strip_prefix(b"./").unwrap_or(path);
    path.strip_suffix(b"/").unwrap_or(path)
}

/// Whether a member is what `path` names, in the archive's words or relative to the docroot.
fn is_at(layout: &Layout, member: &[u8], path: &[u8]) -> bool {
    rest(layout, member, path) == Some(b"")
}

/// Whether a member is `path` or lies below it.
fn is_below(layout: &Layout, member: &[u8], path: &[u8]) -> bool {
    rest(layout, member, path).is_some()
}

fn rest<'m>(layout: &Layout, member: &'m [u8], path: &[u8]) -> Option<&'m [u8]> {
    let as_shown = || rest_of(layout, member, &unshow(path)?);
    rest_of(layout, member, path).or_else(as_shown)
}

fn rest_of<'m>(layout: &Layout, member: &'m [u8], path: &[u8]) -> Option<&'m [u8]> {
    let path = plain(path);
    below(member, path).or_else(|| match layout.part(member) {
        Part::Docroot(inside) | Part::File(inside) => below(inside, path),
        _ => None,
    })
}

fn item(entry: &Entry, user: &[u8], group: &[u8]) -> Item {
    let owner = |name: &[u8], number: u32| if name.is_empty() { number.to_string() } else { show(name) };
    Item::Entry {
        path: show(&entry.path),
        kind: entry.kind.name(),
        mode: entry.mode,
        user: owner(user, entry.uid),
        group: owner(group, entry.gid),
        size: entry.kind.size(),
        mtime: entry.mtime,
        target: entry.kind.target().map(show),
    }
}

/// The content of a sparse file, its holes as zeros.
fn with_holes(
    mut body: impl Read,
    size: u64,
    data: &[Segment],
    out: &mut dyn Write,
    monitor: &Monitor,
) -> Result<u64> {
    let mut at = 0;
    let end = Segment { offset: size, len: 0 };
    for segment in data.iter().chain([&end]) {
        whole_file::copy(io::repeat(0).take(segment.offset.saturating_sub(at)), out, monitor)?;
        whole_file::copy((&mut body).take(segment.len), out, monitor)?;
        at = segment.offset.saturating_add(segment.len);
    }
    Ok(size)
}
