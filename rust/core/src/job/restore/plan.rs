//! What a restore would do: which files and tables it would replace, add and take away. Changes nothing.

use super::apply;
use super::folders::Folders;
use super::partial::{self, Wanted};
use super::swap::refuse_link_to_nothing;
use super::swap_path::{folder_above, refuse_link_to_folder};
use super::target::Target;
use super::unlinked::{Looked, Unlinked};
use crate::archive::{Entry, EntryKind, Input, Layout, Part, refuse_misplaced, show};
use crate::catalog::Kind;
use crate::config::{Driver, names_table};
use crate::job::open::Opened;
use crate::long_path;
use crate::look;
use crate::source::database::{self, Contents, Table};
use crate::source::exclude::plain_path;
use crate::source::path_set::PathSet;
use crate::source::unread_tables;
use crate::{Monitor, Result, ResultExt};
use serde::Serialize;
use std::collections::HashSet;
use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How many names of each group are told.
const FIRST: usize = 10;

/// What would happen.
#[derive(Debug, Default, Serialize)]
pub struct RestorePlan {
    /// To files and links; `None` where none are restored.
    pub files: Option<Files>,
    /// To tables, likewise.
    pub tables: Option<Tables>,
}

/// What happens to files and links.
#[derive(Debug, Default, Serialize)]
pub struct Files {
    added: Group,
    /// Those that differ from the backup's by kind, size, time or target.
    replaced: Group,
    unchanged: Group,
    /// Those that the backup does not have, and that do not stay.
    lost: Group,
}

/// Some files: how many, their size (of those that are added or replaced: the backup's), and the first of them.
#[derive(Debug, Default, Serialize)]
struct Group {
    count: u64,
    bytes: u64,
    first: Vec<String>,
}

/// What happens to tables.
#[derive(Debug, Default, Serialize)]
pub struct Tables {
    added: Vec<Change>,
    replaced: Vec<Change>,
    lost: Vec<Change>,
    /// Those that were left out of the backup, or that it does not know of.
    kept: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Change {
    name: String,
    /// Rows in the backup.
    rows: Option<u64>,
    /// Rows now.
    live_rows: Option<u64>,
}

impl Group {
    fn add(&mut self, path: &Path, bytes: u64) {
        self.count += 1;
        self.bytes += bytes;
        if self.first.len() < FIRST {
            self.first.push(show(path.as_os_str().as_bytes()));
        }
    }
}

/// Reads the backup to its end and compares it with what is there.
pub fn of(
    target: &Target<'_>,
    opened: &Opened,
    survey: Option<Layout>,
    paths: &[PathBuf],
    monitor: &Arc<Monitor>,
) -> Result<RestorePlan> {
    if let Some(kind) = opened.kind().filter(|kind| kind.is_database()) {
        let tables = tables(target, opened, kind.driver(), opened.dump()?, monitor)?;
        return Ok(RestorePlan { files: None, tables: Some(tables) });
    }
    let (reader, layout, first) = partial::begin(target, opened, survey, opened.kind() == Some(Kind::Tar))?;
    let whole = paths.is_empty() && target.tables.is_empty();
    let folders = Folders::of(target, &layout, whole, monitor)?;
    let wanted = Wanted::of(target, &folders, &layout, paths)?;
    let mut unlinked = Unlinked::default();
    let mut reader = match reader {
        Some(reader) => reader,
        None if whole => opened.members()?,
        None => wanted.reader(target, opened, &folders, &layout, monitor)?,
    };
    let (mut files, mut plan, seen) = (Files::default(), RestorePlan::default(), PathSet::new()?);
    let mut next = first.map_or_else(|| reader.next_member(), |member| Ok(Some(member)))?;
    while let Some(member) = next {
        monitor.check()?;
        let part = layout.part(&member.entry.path);
        if let (Part::Database, Layout::Site(site)) = (part, &layout) {
            if whole || !target.tables.is_empty() {
                let driver = Driver::named(&site.driver);
                plan.tables = Some(tables(target, opened, driver, &mut reader, monitor)?);
            }
        } else if let Some(place) = folders.place(part) {
            refuse_misplaced(&member.entry, None)?;
            let live = plain_path(&folders.live_path(&place));
            let asked = if whole { None } else { wanted.look(target, &live) };
            if whole || asked.is_some() {
                refuse_misplaced(&member.entry, Some(&place))?;
                for above in folders.unmet_above(&member.entry) {
                    let live = folders.place(layout.part(&above)).map(|place| folders.live_path(&place));
                    if whole || live.is_some_and(|live| wanted.look(target, &plain_path(&live)).is_some()) {
                        unlinked.look_above(&folders, &above)?;
                    }
                }
                let looked = unlinked.look(&folders, &layout, &member.entry)?;
                let is_it =
                    asked.and_then(|number| wanted.live.get(number)).is_some_and(|path| *path == live);
                if is_it && member.entry.kind == EntryKind::Directory && looked == Looked::Plain {
                    refuse_link_to_folder(&live)?;
                }
                if looked != Looked::Stays && (is_it || !folders.has_a_better_one(&member.entry)?) {
                    folders.put(part);
                    compare(&member.entry, &live, &seen, &mut files)?;
                }
            }
        } else {
            refuse_misplaced(&member.entry, None)?;
        }
        next = reader.next_member()?;
    }
    wanted.check(opened.file())?;
    wanted.live.iter().try_for_each(|live| folder_above(live).map(drop))?;
    unlinked.tell(true, monitor);
    losses(target, &folders, (!whole).then_some(&wanted), &seen, &mut files.lost, monitor)?;
    plan.files = (whole || !paths.is_empty()).then_some(files);
    Ok(plan)
}

/// Counts what the restore removes: of all, or of what is `wanted`. What the backup does not speak of stays.
fn losses(
    target: &Target<'_>,
    folders: &Folders<'_>,
    wanted: Option<&Wanted>,
    seen: &PathSet,
    group: &mut Group,
    monitor: &Monitor,
) -> Result<()> {
    let (unseen, mut stay) = if wanted.is_none() { folders.unseen(monitor)? } else { Default::default() };
    stay.extend(folders.stay()?);
    let behind = folders.live().into_iter().enumerate().filter(|(root, _)| folders.is_behind(*root));
    let mut roots: Vec<PathBuf> = match wanted {
        None => folders.live(),
        Some(wanted) => {
            wanted.live.iter().cloned().chain(behind.map(|(_, live)| plain_path(&live))).collect()
        }
    };
    roots.dedup();
    for root in roots.iter().filter(|root| !unseen.contains(root)) {
        refuse_link_to_nothing(root)?;
        lost(target, (folders, &stay), &plain_path(root), seen, group, monitor)?;
    }
    Ok(())
}

fn compare(entry: &Entry, live: &Path, seen: &PathSet, files: &mut Files) -> Result<()> {
    if !seen.insert(live.as_os_str().as_bytes())? || entry.kind == EntryKind::Directory {
        return Ok(());
    }
    let found = match long_path::look(live) {
        Ok(found) => Some(found),
        Err(cause)
            if matches!(
                cause.kind(),
                ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename
            ) =>
        {
            None
        }
        Err(cause) => return Err(crate::Error::io("cannot look at", live, cause)),
    };
    let group = match found {
        None => &mut files.added,
        Some(found) if is_same(entry, live, &found) => &mut files.unchanged,
        Some(_) => &mut files.replaced,
    };
    group.add(live, entry.kind.size());
    Ok(())
}

fn is_same(entry: &Entry, live: &Path, found: &Metadata) -> bool {
    match &entry.kind {
        EntryKind::File { size } | EntryKind::Sparse { size, .. } => {
            found.is_file() && found.len() == *size && found.mtime() == entry.mtime
        }
        // Its size stands where its content is.
        EntryKind::Hardlink(_) => found.is_file() && found.mtime() == entry.mtime,
        EntryKind::Symlink(to) => {
            long_path::read_link(live).is_ok_and(|found| found.as_os_str().as_bytes() == to)
        }
        EntryKind::Directory | EntryKind::Special(_) => false,
    }
}

/// Counts what is below `root` and neither in the backup nor stays.
fn lost(
    target: &Target<'_>,
    (inside, stay): (&Folders<'_>, &[PathBuf]),
    root: &Path,
    seen: &PathSet,
    group: &mut Group,
    monitor: &Monitor,
) -> Result<()> {
    let real = look::real(root)?.unwrap_or_else(|| root.to_owned());
    let kept: HashSet<PathBuf> = apply::kept(target, stay, &real)?.into_iter().collect();
    if kept.contains(Path::new("")) {
        return Ok(());
    }
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        monitor.check()?;
        let path = real.join(&folder);
        let names = match long_path::names(&path) {
            Ok(names) => names,
            Err(cause) if matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => continue,
            Err(cause) => return Err(crate::Error::io("cannot list", &path, cause)),
        };
        for name in names {
            let rest = folder.join(name.at("cannot list", &path)?);
            // A root of its own is looked at on its own.
            if kept.contains(&rest) || inside.is_root(&root.join(&rest)) {
                continue;
            }
            let at = real.join(&rest);
            let found = long_path::look(&at).at("cannot look at", &at)?;
            if found.is_dir() {
                folders.push(rest);
            } else if !seen.contains(root.join(&rest).as_os_str().as_bytes())? {
                group.add(&root.join(rest), found.len());
            }
        }
    }
    Ok(())
}

fn tables(
    target: &Target<'_>,
    opened: &Opened,
    driver: Option<Driver>,
    dump: impl Input,
    monitor: &Monitor,
) -> Result<Tables> {
    let connection = target.document.connection(&target.database)?;
    let contents = opened.contents_of(driver, dump, target.only, target.state_dir, monitor)?;
    let Contents { tables, excluded, complete, unread, .. } = contents.with_prefix(&connection.prefix);
    let wanted =
        |name: &str| target.tables.is_empty() || names_table(target.tables, name, &connection.prefix);
    let mut live = database::tables(&connection, true, monitor)?;
    let mut plan = Tables::default();
    for Table { name, rows, .. } in tables {
        if !wanted(&name) {
            live.retain(|table| table.name != name);
            continue;
        }
        let there = live.iter().position(|table| table.name == name).map(|at| live.remove(at));
        if unread.contains(&name) {
            if there.is_some() {
                unread_tables::tell_kept(&name, monitor);
                plan.kept.push(name);
                continue;
            }
            unread_tables::tell_taken(&name, monitor);
        }
        let live_rows = there.as_ref().and_then(|table| table.rows);
        let group = if there.is_some() { &mut plan.replaced } else { &mut plan.added };
        group.push(Change { name, rows, live_rows });
    }
    let comes = plan.replaced.iter().chain(&plan.added).map(|table| table.name.as_str());
    unread_tables::check_asked(target.tables, &unread, comes.clone(), &connection.prefix)?;
    let known = comes.chain(unread.iter().map(String::as_str));
    apply::check_tables(target.tables, known, &connection.prefix)?;
    for Table { name, rows, .. } in live {
        match complete && target.tables.is_empty() && !excluded.contains(&name) {
            true => plan.lost.push(Change { name, rows: None, live_rows: rows }),
            false => plan.kept.push(name),
        }
    }
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn all_are_counted_and_the_first_named() {
        let mut group = Group::default();
        for number in 0..FIRST + 2 {
            group.add(Path::new(&format!("/{number}")), 3);
        }
        assert_eq!((group.count, group.bytes), (12, 36));
        assert_eq!(group.first.len(), FIRST);
        assert_eq!(group.first.first().map(String::as_str), Some("/0"));
    }

    #[test]
    fn a_file_is_the_same_by_kind_size_and_time_and_a_link_by_its_target() {
        let dir = tempfile::tempdir().expect("a folder");
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        fs::write(&file, "four").expect("written");
        std::os::unix::fs::symlink("file", &link).expect("linked");
        let time = fs::metadata(&file).expect("there").mtime();
        let same = |live: &Path, kind: EntryKind, mtime: i64| {
            let entry =
                Entry { path: b"x".into(), kind, mode: 0, uid: 0, gid: 0, mtime, extras: Default::default() };
            is_same(&entry, live, &fs::symlink_metadata(live).expect("there"))
        };
        let of_size = |size| EntryKind::File { size };
        assert!(same(&file, of_size(4), time));
        assert!(!same(&file, of_size(5), time) && !same(&file, of_size(4), time + 1));
        let second_name = || EntryKind::Hardlink(b"other".into());
        assert!(same(&file, second_name(), time) && !same(&file, second_name(), time + 1));
        let link_time = fs::symlink_metadata(&link).expect("there").mtime();
        assert!(!same(&link, of_size(4), link_time) && !same(&link, second_name(), link_time));
        assert!(same(&link, EntryKind::Symlink(b"file".into()), 0));
        assert!(!same(&link, EntryKind::Symlink(b"other".into()), 0));
        assert!(!same(&file, EntryKind::Symlink(b"file".into()), time));
    }
}
