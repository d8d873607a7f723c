//! Saving a backup into a repository: the dump, the folders, and last what makes it exist.
//!
//! A dump that fails, a cancel, a kill leave snapshots without the last one: no backup, and the next run forgets them.

use super::About;
use crate::archive::show;
use crate::catalog::{Sidecar, key};
use crate::config::Document;
use crate::destination::snapshots::{
    ABOUT, DATABASE, FILE, FILES, Folders, ID, PART, PARTS, SITE, Snapshot, Snapshots, WHOLE, tag,
};
use crate::job::backup::sources::BackupPlan;
use crate::job::backup::write::Wrote;
use crate::source::database;
use crate::source::files::TreeReport;
use crate::{Code, Error, Monitor, NoteKind, Result};
use std::collections::BTreeSet;
use std::io::{BufWriter, Write};
use std::path::Path;

/// The tag of the machine that is saving: what it leaves unfinished is its own to forget.
const MACHINE: &str = "bam_machine";
/// Seconds after which anybody may forget what was never finished.
const GIVEN_UP: u64 = 2 * 86_400;
/// Fields that are in `bam.json` alone: they can be long.
const LONG: [&str; 4] = [key::EXCLUDED, key::EXCLUDED_PATTERNS, key::FOLLOWED, key::CHANGED_FILES];

/// What was saved.
pub struct Done {
    /// Bytes of all that is in it.
    pub bytes: u64,
    /// Bytes that it added.
    pub added: u64,
}

/// What is to be saved, and how it is called.
pub struct Saving<'a> {
    /// The configuration.
    pub document: &'a Document,
    /// Dump and folders.
    pub plan: &'a BackupPlan,
    /// The backup's file name.
    pub file: &'a str,
    /// What its sidecar says before anything is read.
    pub sidecar: &'a Sidecar,
    /// Whether another of the same name goes once this one is whole.
    pub replaces: bool,
}

/// Forgets what runs that did not come to their end left behind: this machine's own of this site, and what is too old to
/// be somebody's who is still at it. The site's lock is held.
pub fn forget_leftovers(place: &dyn Snapshots, site: Option<&str>) -> Result<()> {
    let all = place.all()?;
    let group = |one: &Snapshot| (one.tag(ID), one.tag(SITE));
    let whole: BTreeSet<_> =
        all.iter().filter(|one| one.tag(PART).as_deref() == Some(WHOLE)).map(group).collect();
    let (here, now) = (machine(), u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or_default());
    let is_left = |one: &&Snapshot| {
        let ours = one.tag(SITE).as_deref() == site && one.tag(PART).is_some() && one.tag(ID).is_some();
        let since = one.tag(ID).and_then(|id| id.parse::<u64>().ok()).unwrap_or(now);
        // Of a copy the number does not tell when it was begun.
        let is_given_up = !one.copied && since.saturating_add(GIVEN_UP) < now;
        let is_over = one.tag(MACHINE).as_deref() == Some(&here) || is_given_up;
        ours && is_over && !whole.contains(&group(one))
    };
    let left: Vec<String> = all.iter().filter(is_left).map(|one| one.id.clone()).collect();
    match place.forget(&left) {
        // Where nothing may be deleted it stays.
        Err(error) if error.code() == Code::Permission => Ok(()),
        done => done,
    }
}

/// This machine's name.
fn machine() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Saves a backup.
pub fn save(place: &dyn Snapshots, saving: &Saving<'_>, monitor: &Monitor) -> Result<Done> {
    let site = saving.sidecar.get(key::SITE);
    let host = host(saving.document);
    let mut shared = vec![tag(MACHINE, &machine())];
    for field in [key::ID, key::SITE, key::SOURCE_ID, key::PROFILE, key::SCHEDULE_ID] {
        if let Some(value) = saving.sidecar.get(field) {
            shared.push(tag(field, value));
        }
    }
    let tags = |part: &str| {
        let mut tags = shared.clone();
        tags.push(tag(PART, part));
        tags
    };
    let (mut parts, mut saved) = (Vec::new(), Vec::new());
    let mut about = About {
        time: saving
            .sidecar
            .number(key::DATESTAMP)
            .and_then(|time| i64::try_from(time).ok())
            .unwrap_or_default(),
        ..About::default()
    };
    let mut wrote = Wrote::default();
    let mut done = Done { bytes: 0, added: 0 };
    let missing = || monitor.notes().iter().filter(|note| note.kind == NoteKind::Missing).count();
    let before = missing();
    let plan = saving.plan;
    let (driver, name) = plan.dump_name();
    if let Some((connection, settings)) = plan.database() {
        let mut report = None;
        let mut write = |out: &mut dyn Write| {
            let mut out = BufWriter::with_capacity(1 << 18, out);
            report = Some(database::dump(connection, settings, &mut out, monitor)?);
            Ok(out.flush()?)
        };
        let dump = place.save_stream(name, &host, &tags(DATABASE), &mut write, monitor)?;
        let report = report.ok_or_else(|| Error::new(Code::Internal, "restic read no dump"))?;
        if report.bytes != dump.bytes {
            let _ = place.forget(&[dump.id]);
            return Err(Error::new(Code::Integrity, "restic saved another size than the dump has"));
        }
        done.bytes += dump.bytes;
        done.added += dump.added;
        about.database = Some((name.to_owned(), report.bytes));
        wrote.dump = Some(report);
        parts.push(DATABASE);
        saved.push(dump.id);
    }
    if !plan.trees().is_empty() {
        let mut folders = Folders { parent: parent(place, saving.sidecar)?, ..Folders::default() };
        let mut files = TreeReport::default();
        let mut further = (0, 0);
        for tree in plan.trees() {
            let outline = tree.outline(monitor)?;
            folders.targets.extend(outline.places.iter().map(|(real, _)| real.clone()));
            folders.left_out.extend(outline.left_out);
            about.places.extend(outline.places);
            about.links.extend(outline.links);
            files.followed.extend(outline.followed);
            further = (further.0 + outline.further.0, further.1 + outline.further.1);
        }
        // What lies elsewhere in the archive is no less wanted for lying in what another tree leaves out.
        let wanted: BTreeSet<&Vec<u8>> = folders.targets.iter().collect();
        folders.left_out.retain(|path| !wanted.contains(path));
        let tree = place.save_folders(&folders, &host, &tags(FILES), monitor)?;
        saved.push(tree.id.clone());
        if let Err(error) = tell_lost(&tree.lost, plan.ignores_errors(), monitor) {
            let _ = place.forget(&saved);
            return Err(error);
        }
        files.files = tree.files.saturating_sub(further.0);
        files.bytes = tree.bytes.saturating_sub(further.1);
        files.followed.truncate(crate::source::files::MAX_FOLLOWED);
        done.bytes += files.bytes;
        done.added += tree.added;
        wrote.files = Some(files);
        parts.push(FILES);
    }
    about.manifest = plan.manifest(driver, name, about.time);
    let mut sidecar = saving.sidecar.clone();
    wrote.describe(&mut sidecar);
    plan.describe_excludes(&mut sidecar);
    // restic does not tell.
    sidecar.remove(key::CHANGED_FILES);
    if let Some(missing) = missing().checked_sub(before).filter(|missing| *missing > 0) {
        sidecar.set_number(key::MISSING, missing as u64);
    }
    sidecar.set_number(key::CONTENT_SIZE, done.bytes);
    sidecar.set_number(key::ADDED, done.added);
    about.sidecar = sidecar.clone();
    let mut last = vec![
        tag(PART, WHOLE),
        tag(FILE, saving.file),
        tag(PARTS, &parts.join("+")),
        tag(MACHINE, &machine()),
    ];
    let fields = sidecar.fields().filter(|(name, value)| !LONG.contains(name) && !value.is_empty());
    last.extend(fields.map(|(name, value)| tag(name, value)));
    let text = about.to_json().to_string();
    let mut write = |out: &mut dyn Write| Ok(out.write_all(text.as_bytes())?);
    monitor.check()?;
    place.save_stream(ABOUT, &host, &last, &mut write, monitor)?;
    if saving.replaces {
        replace(place, saving, site)?;
    }
    Ok(done)
}

/// The host of snapshots: the site's, so that it is the same whatever the machine is called.
fn host(document: &Document) -> String {
    let url = crate::catalog::SiteUrl::parse(&document.site.url);
    url.map(|url| url.host()).filter(|host| !host.is_empty()).unwrap_or_else(machine)
}

/// The last snapshot of the same folders, whole backup or not.
fn parent(place: &dyn Snapshots, sidecar: &Sidecar) -> Result<Option<String>> {
    let same = |one: &&Snapshot| {
        one.tag(PART).as_deref() == Some(FILES)
            && one.tag(SITE).as_deref() == sidecar.get(key::SITE)
            && one.tag(key::SOURCE_ID).as_deref() == sidecar.get(key::SOURCE_ID)
    };
    let number = |one: &&Snapshot| one.tag(ID).and_then(|id| id.parse::<u64>().ok());
    let all = place.all()?;
    Ok(all.iter().filter(same).max_by_key(number).map(|one| one.id.clone()))
}

/// What restic could not read: what has vanished is told; all else fails the backup, unless errors are ignored.
fn tell_lost(lost: &[(String, String)], ignore_errors: bool, monitor: &Monitor) -> Result<()> {
    let shown = |path: &str| show(path.as_bytes());
    let mut first = None;
    for (path, cause) in lost {
        let cause = cause.rsplit(": ").next().unwrap_or(cause);
        if cause.to_ascii_lowercase().contains("no such file") {
            monitor.note(NoteKind::Warning, format!("{} vanished while the backup was made", shown(path)));
        } else if ignore_errors {
            monitor.note(NoteKind::Missing, format!("{} could not be read: {cause}", shown(path)));
        } else {
            first.get_or_insert((path, cause));
        }
    }
    match first {
        None => Ok(()),
        Some((path, cause)) => Err(Error::of_path(Code::Permission, Path::new(path), format!("cannot be read: {cause}")).hint(
            "give the user who runs this access to it, exclude it, or set ignore_errors in the profile to go on without it",
        )),
    }
}

/// Forgets the site's older backups of the same name and source.
fn replace(place: &dyn Snapshots, saving: &Saving<'_>, site: Option<&str>) -> Result<()> {
    let all = place.all()?;
    let number = saving.sidecar.get(key::ID);
    let of_source = |one: &Snapshot| one.tag(key::SOURCE_ID).as_deref() == saving.sidecar.get(key::SOURCE_ID);
    let older: BTreeSet<_> = all
        .iter()
        .filter(|one| one.tag(FILE).as_deref() == Some(saving.file) && one.tag(SITE).as_deref() == site)
        .filter(|one| of_source(one) && one.tag(ID).as_deref() != number)
        .map(|one| one.tag(ID))
        .collect();
    let go = all.iter().filter(|one| older.contains(&one.tag(ID)) && one.tag(SITE).as_deref() == site);
    let go: Vec<String> = go.filter(|one| one.tag(PART).is_some()).map(|one| one.id.clone()).collect();
    place.forget(&go)
}
