//! Restoring a part of a backup: some paths, some tables. Whatever else the site has is not touched.

use super::apply::{self, Applied};
use super::folders::Folders;
use super::journal::Journal;
use super::keep;
use super::swap_path::{NEW, PathSwap};
use super::target::Target;
use super::unlinked::{Looked, Unlinked};
use crate::archive::{Extractor, Input, Layout, Member, Part, Place, Reader, show, unshow};
use crate::job::member_path::join;
use crate::job::open::Opened;
use crate::job::open::suggestions::Suggestions;
use crate::look::exists;
use crate::source::exclude::{plain_path, real_path};
use crate::{Code, Error, Monitor, NoteKind, Result};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Reads members of an archive.
pub type MemberReader = Reader<Box<dyn Input>>;

/// Stages the live paths that `paths` name, and of the dump the target's tables. Both may be empty, but not both.
#[allow(clippy::too_many_lines, reason = "one pass over the members, whose steps share all that it keeps")]
pub fn stage(
    target: &Target<'_>,
    journal: &mut Journal,
    opened: &Opened,
    survey: Option<Layout>,
    paths: &[PathBuf],
    monitor: &Arc<Monitor>,
) -> Result<Applied> {
    let foreign = survey.is_some();
    let (reader, layout, first) = begin(target, opened, survey, target.folder.is_some())?;
    let folders = Folders::of(target, &layout, false, monitor)?;
    let wanted = Wanted::of(target, &folders, &layout, paths)?;
    let mut reader = match reader {
        Some(reader) => reader,
        None => wanted.reader(target, opened, &folders, &layout, monitor)?,
    };
    let mut holders = wanted.hold(target, journal)?;
    let roots: Vec<&Path> = holders.iter().map(PathBuf::as_path).collect();
    // Roots behind links that are met on the way: their numbers among the folders, and for the extractor.
    let behind = RefCell::new(BTreeMap::new());
    let place = |path: &[u8]| wanted.place(target, &folders, &layout, path, &behind.borrow());
    let mut extractor = Extractor::new(&roots, target.extract_options(), monitor, place)?;
    let (mut unlinked, mut applied) = (Unlinked::default(), Applied::default());
    let mut not_swapped = BTreeSet::new();
    let mut next = first.map_or_else(|| reader.next_member(), |member| Ok(Some(member)))?;
    while let Some(member) = next {
        let path = &member.entry.path;
        if layout.part(path) == Part::Database {
            if !target.tables.is_empty() {
                let loaded = apply::load_member(target, journal, &mut reader, Some(opened), monitor)?;
                applied.add_load(loaded);
            }
        } else {
            let before = place(path);
            // Who names the very path wants what there is.
            let is_it = before.as_ref().is_some_and(|before| before.path == NEW.as_bytes());
            let mut stays = !is_it && folders.has_a_better_one(&member.entry)?;
            if let (Some(before), false) = (before, stays) {
                let mut add = |looked, before: &Place| {
                    if let Looked::Storage(root) = looked {
                        let live = folders.live_root(root).unwrap_or_default();
                        holders.push(apply::stage(target, journal, &live)?);
                        let staged = holders.last().map_or(Path::new(""), PathBuf::as_path);
                        behind.borrow_mut().insert(root, extractor.add_root(staged)?);
                    }
                    if looked != Looked::Plain && before.path == NEW.as_bytes() {
                        not_swapped.insert(before.root);
                    }
                    Ok::<_, Error>(())
                };
                for above in folders.unmet_above(&member.entry) {
                    if let Some(before) = place(&above) {
                        add(unlinked.look_above(&folders, &above)?, &before)?;
                    }
                }
                let looked = unlinked.look(&folders, &layout, &member.entry)?;
                add(looked, &before)?;
                stays = looked == Looked::Stays;
            }
            if !stays {
                extractor.take(&member, &mut reader)?;
            }
        }
        next = reader.next_member()?;
    }
    drop(reader);
    apply::complete(&mut extractor, opened, foreign, monitor)?;
    let report = extractor.finish()?;
    applied.add_extract(&report);
    applied.stay = folders.stay()?;
    applied.stay.extend(apply::in_place_of_waiting(&report, &folders, &layout, monitor)?);
    wanted.check(opened.file())?;
    settle(journal, &not_swapped, target, monitor)?;
    unlinked.tell(false, monitor);
    Ok(applied)
}

/// What is behind a link is restored there: its own path trades no places. All others must have arrived.
fn settle(
    journal: &mut Journal,
    not_swapped: &BTreeSet<usize>,
    target: &Target<'_>,
    monitor: &Monitor,
) -> Result<()> {
    for &number in not_swapped.iter().rev() {
        journal.leave_path(number, target.document, monitor)?;
    }
    for path in journal.paths() {
        path.arrived()?;
    }
    Ok(())
}

/// How the archive is laid out, the reader that stands behind what tells that, and what was read of it. No reader of a
/// backup in a repository: which part of it is to be read is still to be found out.
pub fn begin(
    target: &Target<'_>,
    opened: &Opened,
    survey: Option<Layout>,
    files: bool,
) -> Result<(Option<MemberReader>, Layout, Option<Member>)> {
    if let Some(layout) = opened.kept_layout()? {
        apply::check_layout(target, &layout)?;
        return Ok((None, layout, None));
    }
    let mut reader = opened.members()?;
    let (layout, first) = apply::begin(&mut reader, survey, files)?;
    apply::check_layout(target, &layout)?;
    Ok((Some(reader), layout, first))
}

/// The live paths that are wanted.
pub struct Wanted {
    /// Absolute, none below another.
    pub live: Vec<PathBuf>,
    /// Of each whether the backup holds anything of it, and what else it may be.
    looked: RefCell<Vec<(bool, Suggestions)>>,
}

impl Wanted {
    /// Makes the hidden folders beside what is wanted, in which it comes to be.
    fn hold(&self, target: &Target<'_>, journal: &mut Journal) -> Result<Vec<PathBuf>> {
        let mut holders = Vec::new();
        for (number, live) in self.live.iter().enumerate() {
            let swap = PathSwap::plan(live, &format!("{}-{number}", target.id), &journal.state_place()?)?;
            journal.add_path(swap.clone())?;
            swap.make_holder()?;
            holders.push(swap.holder().to_owned());
        }
        Ok(holders)
    }

    /// What `paths` mean: absolute paths of the site, paths as the backup has them, or relative to the docroot (for a
    /// files source also to its folder).
    pub fn of(
        target: &Target<'_>,
        folders: &Folders<'_>,
        layout: &Layout,
        paths: &[PathBuf],
    ) -> Result<Wanted> {
        let mut live = Vec::new();
        for path in paths {
            let mut found = meaning(target, folders, layout, path);
            if let Some(path) =
                unshow(path.as_os_str().as_bytes()).filter(|_| !exists(&found).unwrap_or(true))
            {
                // As `bam ls` shows it.
                found = meaning(target, folders, layout, Path::new(OsStr::from_bytes(&path)));
            }
            if folders.live().iter().any(|root| plain_path(root) == found) && target.folder.is_some() {
                return Err(Error::of_path(Code::Usage, path, "is all of it")
                    .hint("leave --path out to restore everything"));
            }
            let site = &target.document.site;
            let settings = plain_path(&site.conf_dir().join("settings.php"));
            if (found == settings || keep::is_of_this_machine(site, &found) && exists(&found).unwrap_or(true))
                && !target.settings
            {
                let name = show(found.file_name().unwrap_or_default().as_bytes());
                return Err(Error::new(
                    Code::Usage,
                    format!("{name} holds what is true of this machine alone, and is not replaced unasked"),
                )
                .hint("say --settings, too, if the backup's is what you want"));
            }
            live.push(found);
        }
        live.sort();
        live.dedup_by(|later, earlier| later.starts_with(earlier));
        let looked = live.iter().map(|path| (false, Suggestions::to(named(target, path)))).collect();
        Ok(Wanted { live, looked: RefCell::new(looked) })
    }

    /// As [`Wanted::find`], of a member of the backup: takes note that there is something, or of how near it comes.
    pub fn look(&self, target: &Target<'_>, live: &Path) -> Option<usize> {
        let found = self.find(live);
        let mut looked = self.looked.borrow_mut();
        match found {
            Some(wanted) => {
                if let Some((held, _)) = looked.get_mut(wanted) {
                    *held = true;
                }
            }
            None => {
                let missing = looked.iter_mut().filter(|(held, _)| !held).collect::<Vec<_>>();
                if !missing.is_empty() {
                    let name = named(target, live);
                    missing.into_iter().for_each(|(_, near)| near.offer(&name));
                }
            }
        }
        found
    }

    /// Whether all of them were there, once the backup is read; an error names the first that was not.
    pub fn check(&self, file: &str) -> Result<()> {
        for (live, (held, near)) in self.live.iter().zip(self.looked.borrow().iter()) {
            if !held {
                let text = format!("{file} does not hold {}", show(live.as_os_str().as_bytes()));
                return Err(Error::new(Code::NotFound, text).hint(near.hint()));
            }
        }
        Ok(())
    }

    /// Which of the wanted paths this live path is, or lies below.
    pub fn find(&self, live: &Path) -> Option<usize> {
        self.live.iter().position(|wanted| live.starts_with(wanted))
    }

    /// Reads no more of a backup in a repository than it takes for what is wanted, and for the tables of the target.
    pub fn reader(
        &self,
        target: &Target<'_>,
        opened: &Opened,
        folders: &Folders<'_>,
        layout: &Layout,
        monitor: &Monitor,
    ) -> Result<MemberReader> {
        let holds = &mut |path: &[u8]| {
            let place = folders.place(layout.part(path));
            place.is_some_and(|place| self.find(&plain_path(&folders.live_path(&place))).is_some())
        };
        if self.live.is_empty() {
            return opened.database_members();
        }
        opened.members_around(holds, !target.tables.is_empty(), monitor)
    }

    /// Where a member goes: below the holder of the wanted path it belongs to.
    fn place(
        &self,
        target: &Target<'_>,
        folders: &Folders<'_>,
        layout: &Layout,
        path: &[u8],
        behind: &BTreeMap<usize, usize>,
    ) -> Option<Place> {
        let inside = folders.place(layout.part(path))?;
        let live = plain_path(&folders.live_path(&inside));
        let root = self.look(target, &live)?;
        if let Some(root) = behind.get(&inside.root) {
            return Some(Place { root: *root, path: inside.path });
        }
        let rest = live.strip_prefix(self.live.get(root)?).ok()?;
        Some(Place { root, path: join(NEW.as_bytes(), rest.as_os_str().as_bytes()) })
    }
}

/// A live path as it may be given to `--path`.
fn named(target: &Target<'_>, live: &Path) -> Vec<u8> {
    let bases = target.folder.iter().chain([&target.document.site.root]);
    let inside = bases
        .filter(|base| !base.as_os_str().is_empty())
        .find_map(|base| live.strip_prefix(plain_path(base)).ok());
    inside.unwrap_or(live).as_os_str().as_bytes().to_vec()
}

fn meaning(target: &Target<'_>, folders: &Folders<'_>, layout: &Layout, path: &Path) -> PathBuf {
    let site = &target.document.site;
    if path.is_absolute() {
        // As it was typed, or through links.
        let plain = plain_path(path);
        let inside = |path: &Path| folders.live().iter().any(|root| path.starts_with(plain_path(root)));
        if inside(&plain) {
            return plain;
        }
        for root in &folders.live() {
            if let Ok(rest) = real_path(path).strip_prefix(real_path(root)) {
                return plain_path(&root.join(rest));
            }
        }
        return plain;
    }
    let bytes = path.as_os_str().as_bytes();
    let bytes = bytes.strip_prefix(b"./").unwrap_or(bytes);
    let bytes = bytes.strip_suffix(b"/").unwrap_or(bytes);
    // First: as `bam ls` shows it, a path relative to the docroot would mean another one in a files backup.
    let below_source = target.folder.as_ref().and_then(|folder| {
        let folder = plain_path(folder);
        plain_path(&site.root.join(path)).strip_prefix(&folder).ok().map(|rest| folder.join(rest))
    });
    if let Some(live) = below_source.filter(|_| !site.root.as_os_str().is_empty()) {
        return live;
    }
    if let Some(place) = folders.place(layout.part(bytes)) {
        return plain_path(&folders.live_path(&place));
    }
    if let Layout::Site(archive) = layout {
        let inside = [archive.prefix.as_slice(), archive.docroot.as_slice(), bytes];
        let inside = inside.into_iter().fold(Vec::new(), |path, part| join(&path, part));
        if let Some(place) = folders.place(layout.part(&inside)) {
            return plain_path(&folders.live_path(&place));
        }
    }
    plain_path(&target.folder.as_ref().unwrap_or(&site.root).join(path))
}

/// Says what the target does not take of a backup of files or of a database.
pub fn check(paths: &[PathBuf], tables: &[String], files: bool, database: bool, file: &str) -> Result<()> {
    let wrong = |what: &str| Error::new(Code::Usage, format!("{file} holds no {what}"));
    match (paths.is_empty(), tables.is_empty()) {
        (false, _) if !files => Err(wrong("files").hint("name its tables with --table")),
        (_, false) if !database => Err(wrong("database").hint("name its files with --path")),
        _ => Ok(()),
    }
}

/// Tells that a part may not fit the rest.
pub fn note(monitor: &Monitor, tables: &[String]) {
    if !tables.is_empty() {
        monitor.note(
            NoteKind::Info,
            "single tables may refer to rows of others that are not as old: look at the site afterwards",
        );
    }
}
