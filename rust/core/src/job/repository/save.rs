//! Saving a backup into a repository: the dump, the folders, and last what makes it exist.
//!
//! A dump that fails, a cancel, a kill leave snapshots without the last one: no backup, and the next run forgets them.

use super::About;
use super::again::Meeting;
use super::share::outermost;
use crate::archive::show;
use crate::catalog::{Sidecar, key};
use crate::config::Document;
use crate::destination::snapshots::{
    ABOUT, DATABASE, FILE, FILES, Folders, ID, Lost, PART, PARTS, RUN, SITE, Saved, Snapshot, Snapshots,
    WHOLE, has_vanished, tag,
};
use crate::job::backup::sources::BackupPlan;
use crate::job::backup::write::{Wrote, dump};
use crate::job::member_path::below;
use crate::source::database::DumpReport;
use crate::source::files::{FileTree, TreeReport};
use crate::source::unread::{Unread, not_read};
use crate::threads::spawn_scoped;
use crate::{Code, Error, Monitor, NoteKind, Result, limits};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread::scope;

/// The tag of the machine that is saving: what it leaves unfinished is its own to forget.
const MACHINE: &str = "bam_machine";
/// Seconds after which anybody may forget what was never finished.
const GIVEN_UP: u64 = 2 * 86_400;
/// Fields that are in `bam.json` alone: they can be long.
const LONG: [&str; 6] = [
    key::EXCLUDED,
    key::EXCLUDED_PATTERNS,
    key::FOLLOWED,
    key::UNREAD,
    key::UNREAD_TABLES,
    key::CHANGED_FILES,
];

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
    let all = place.last_listed()?;
    let whole: BTreeSet<_> = all.iter().filter(|one| one.is_last()).filter_map(Snapshot::group).collect();
    let (here, now) = (machine(), u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or_default());
    let is_left = |one: &&Snapshot| {
        let ours = one.tag(SITE).as_deref() == site;
        let since = one.tag(ID).and_then(|id| id.parse::<u64>().ok()).unwrap_or(now);
        // Of a copy the number does not tell when it was begun.
        let is_given_up = !one.copied && since.saturating_add(GIVEN_UP) < now;
        let is_over = one.tag(MACHINE).as_deref() == Some(&here) || is_given_up;
        ours && is_over && one.group().is_some_and(|group| !whole.contains(&group))
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

/// Saves a backup: dump and folders at the same time, and then what makes it exist.
pub fn save(place: &dyn Snapshots, saving: &Saving<'_>, monitor: &Monitor) -> Result<Done> {
    let before = monitor.missing();
    let run = Run::new(place, saving, monitor);
    // Read before anything is saved: it is what the last run left.
    let parent = if saving.plan.trees().is_empty() { None } else { parent(place, saving.sidecar)? };
    let (dump, tree) = both(monitor, || run.dump(), || run.folders(parent));
    let (dump, mut tree) = match (dump, tree) {
        (Ok(dump), Ok(tree)) => (dump, tree),
        // One was given up because of the other.
        (Err(error), Err(other)) if error.code() == Code::Cancelled => return Err(other),
        (Err(error), _) | (_, Err(error)) => return Err(error),
    };
    if let Err(error) = run.prove(&dump, &tree) {
        let _ = place.forget(&[name(&dump), name(&tree)].concat());
        return Err(error);
    }
    if let Some((saved, found)) = &mut tree {
        found.again = run.again(saved, &found.about)?;
    }
    let mut ids = [name(&dump), name(&tree)].concat();
    let missing = monitor.missing().saturating_sub(before) + saving.plan.absent().len() as u64;
    let (about, parts, done) = run.about(dump, tree, missing);
    monitor.check()?;
    ids.push(run.mark(&about, &parts)?);
    if !place.are_there(&ids) {
        let _ = place.forget(&ids);
        return Err(Error::new(Code::Integrity, "somebody forgot snapshots of it while it was being saved")
            .hint("back up again; look at who uses this repository, and whether the clocks of all agree"));
    }
    if saving.replaces {
        replace(place, saving, saving.sidecar.get(key::SITE))?;
    }
    Ok(done)
}

/// A part that was saved, and what we know of it ourselves; `None`: the backup has none such.
type Part<T> = Option<(Saved, T)>;

fn name<T>(part: &Part<T>) -> Vec<String> {
    part.iter().map(|(saved, _)| saved.id.clone()).collect()
}

/// What trees were found to consist of.
#[derive(Default)]
struct Trees {
    /// Its places and links.
    about: About,
    followed: Vec<Vec<u8>>,
    unread: Unread,
    further: (u64, u64),
    /// Files that stand at further places, and their bytes.
    again: (u64, u64),
}

impl Trees {
    /// What could not be read, by us or by restic, as paths in the archive.
    fn unread(&self, saved: &Saved) -> Unread {
        let mut unread = self.unread.clone();
        for path in saved.lost.unread.paths().map(|path| [&b"/"[..], path].concat()) {
            self.about.places_of(path.get(1..).unwrap_or_default()).iter().for_each(|at| unread.add(at));
            // What stands for all that is below it may stand above.
            let again = self.about.again.iter().map(|again| (&again.real, &again.at));
            let all = self.about.places.iter().map(|(real, at)| (real, at)).chain(again);
            all.filter(|(real, _)| below(real, &path).is_some()).for_each(|(_, at)| unread.add(at));
        }
        unread
    }

    /// What a sidecar tells of them.
    fn report(&self, saved: &Saved) -> TreeReport {
        let mut followed = self.followed.clone();
        followed.truncate(crate::source::files::MAX_FOLLOWED);
        TreeReport {
            files: (saved.files + self.again.0).saturating_sub(self.further.0),
            bytes: (saved.bytes + self.again.1).saturating_sub(self.further.1),
            followed,
            unread: self.unread(saved).paths().map(<[u8]>::to_vec).collect(),
            ..TreeReport::default()
        }
    }
}

/// One backup that is being saved.
struct Run<'a> {
    place: &'a dyn Snapshots,
    saving: &'a Saving<'a>,
    host: String,
    /// The tags of the run, which all its snapshots have, and those of the backup.
    run: [String; 2],
    tags: Vec<String>,
    monitor: &'a Monitor,
}

impl<'a> Run<'a> {
    fn new(place: &'a dyn Snapshots, saving: &'a Saving<'a>, monitor: &'a Monitor) -> Self {
        let run = getrandom::u64().unwrap_or_default();
        let run = [tag(MACHINE, &machine()), tag(RUN, &format!("{run:016x}"))];
        let mut tags = Vec::new();
        for field in [key::ID, key::SITE, key::SOURCE_ID, key::PROFILE, key::SCHEDULE_ID] {
            if let Some(value) = saving.sidecar.get(field) {
                tags.push(tag(field, value));
            }
        }
        Run { place, saving, host: host(saving.document), run, tags, monitor }
    }

    fn time(&self) -> i64 {
        let time = self.saving.sidecar.number(key::DATESTAMP);
        time.and_then(|time| i64::try_from(time).ok()).unwrap_or_default()
    }

    fn tags(&self, part: &str) -> Vec<String> {
        [self.run.as_slice(), &self.tags, &[tag(PART, part)]].concat()
    }

    fn dump(&self) -> Result<Part<DumpReport>> {
        let plan = self.saving.plan;
        let Some((connection, settings)) = plan.database() else { return Ok(None) };
        let mut report = None;
        let mut write = |out: &mut dyn Write| {
            let mut out = BufWriter::with_capacity(1 << 18, out);
            report = Some(dump(connection, settings, &mut out, self.monitor)?);
            Ok(out.flush()?)
        };
        let (_, name) = plan.dump_name();
        let saved =
            self.place.save_stream(name, &self.host, &self.tags(DATABASE), &mut write, self.monitor)?;
        let report = report.ok_or_else(|| Error::new(Code::Internal, "restic read no dump"))?;
        Ok(Some((saved, report)))
    }

    fn folders(&self, parent: Option<String>) -> Result<Part<Trees>> {
        if self.saving.plan.trees().is_empty() {
            return Ok(None);
        }
        let (mut folders, mut found) = (Folders { parent, ..Folders::default() }, Trees::default());
        self.saving.plan.absent().iter().for_each(|path| found.unread.add(path));
        let outline = |tree: &FileTree| tree.outline(self.monitor);
        let outlines = self.saving.plan.trees().iter().map(outline).collect::<Result<Vec<_>>>()?;
        found.about.places = outlines.iter().flat_map(|outline| outline.places.iter().cloned()).collect();
        let meeting = Meeting::of(&outlines, &found.about);
        (found.about.again, found.about.only_again) = (meeting.again, meeting.only_again);
        folders.left_out = meeting.left_out;
        folders.targets = found.about.places.iter().map(|(real, _)| real.clone()).collect();
        for outline in outlines {
            found.about.links.extend(outline.links);
            found.followed.extend(outline.followed);
            found.unread.join(&outline.unread);
            found.further.0 += outline.further.0;
            found.further.1 += outline.further.1;
        }
        let saved = self.place.save_folders(&folders, &self.host, &self.tags(FILES), self.monitor)?;
        Ok(Some((saved, found)))
    }

    /// Files that stand at more than one place, for each further one, and their bytes.
    fn again(&self, saved: &Saved, about: &About) -> Result<(u64, u64)> {
        let roots = about.again.iter().map(|again| &again.real).chain(&about.only_again);
        let links: BTreeMap<_, _> =
            about.links.iter().map(|link| (link.path.as_slice(), link.hard)).collect();
        let mut again = (0, 0);
        for root in outermost(roots.cloned().collect()) {
            for node in self.place.nodes_below(&saved.id, &root)?.filter(|node| node.is_file) {
                self.monitor.check()?;
                let places = about.places_of(node.path.trim_start_matches('/').as_bytes());
                // restic counts it once; what is a further name in a tree is taken off besides.
                let counts = |place: &&Vec<u8>| links.get(place.as_slice()).is_none_or(|hard| *hard);
                let further = places.iter().filter(counts).count().saturating_sub(1) as u64;
                again.0 += further;
                again.1 += further * node.size;
            }
        }
        Ok(again)
    }

    /// Fails where what was saved is not all that was to be.
    fn prove(&self, dump: &Part<DumpReport>, tree: &Part<Trees>) -> Result<()> {
        if dump.as_ref().is_some_and(|(saved, report)| saved.bytes != report.bytes) {
            return Err(Error::new(Code::Integrity, "restic saved another size than the dump has"));
        }
        let Some((saved, _)) = tree else { return Ok(()) };
        tell_lost(&saved.lost, self.saving.plan.ignores_errors(), self.monitor)
    }

    /// What is told of the backup; its parts; how large it is. `missing`: how many things it lacks.
    fn about(
        &self,
        dump: Part<DumpReport>,
        tree: Part<Trees>,
        missing: u64,
    ) -> (About, Vec<&'static str>, Done) {
        let plan = self.saving.plan;
        let mut about = About { time: self.time(), ..About::default() };
        let (mut wrote, mut parts, mut done) = (Wrote::default(), Vec::new(), Done { bytes: 0, added: 0 });
        let (driver, name) = plan.dump_name();
        if let Some((dump, report)) = dump {
            done.bytes += dump.bytes;
            done.added += dump.added;
            about.database = Some((name.to_owned(), report.bytes));
            wrote.dump = Some(report);
            parts.push(DATABASE);
        }
        if let Some((tree, found)) = tree {
            done.added += tree.added;
            let files = found.report(&tree);
            done.bytes += files.bytes;
            wrote.files = Some(files);
            about = About { time: about.time, database: about.database, ..found.about };
            parts.push(FILES);
        }
        about.manifest = plan.manifest(driver, name, about.time);
        let mut sidecar = self.saving.sidecar.clone();
        wrote.describe(&mut sidecar);
        plan.describe_excludes(&mut sidecar);
        // restic does not tell.
        sidecar.remove(key::CHANGED_FILES);
        sidecar.set_missing(missing);
        sidecar.set_number(key::CONTENT_SIZE, done.bytes);
        sidecar.set_number(key::ADDED, done.added);
        about.sidecar = sidecar;
        (about, parts, done)
    }

    /// Makes the backup exist, by this snapshot.
    fn mark(&self, about: &About, parts: &[&str]) -> Result<String> {
        let mut tags = vec![tag(PART, WHOLE), tag(FILE, self.saving.file), tag(PARTS, &parts.join("+"))];
        tags.extend_from_slice(&self.run);
        let fields = about.sidecar.fields().filter(|(name, value)| !LONG.contains(name) && !value.is_empty());
        tags.extend(fields.map(|(name, value)| tag(name, value)));
        let text = about.to_json().to_string();
        let mut write = |out: &mut dyn Write| Ok(out.write_all(text.as_bytes())?);
        let saved = self.place.save_stream(ABOUT, &self.host, &tags, &mut write, self.monitor)?;
        self.place.remember_small(&saved.id, text.as_bytes());
        Ok(saved.id)
    }
}

/// Does both at the same time, or one after the other where there is no thread for that. Where one fails, the other is
/// given up.
fn both<A: Send, B>(
    monitor: &Monitor,
    one: impl FnOnce() -> Result<A> + Send,
    other: impl FnOnce() -> Result<B>,
) -> (Result<A>, Result<B>) {
    let one = Mutex::new(Some(one));
    // There when its turn comes: nobody else takes it.
    let first = || match one.lock().unwrap_or_else(PoisonError::into_inner).take() {
        Some(work) => monitor.halting(work),
        None => Err(Error::new(Code::Internal, "a dump is made once")),
    };
    let done = scope(|scope| {
        let beside = spawn_scoped(scope, "bam-dump", first);
        match beside {
            Ok(thread) => {
                let other = monitor.halting(other);
                let bug = |_| Err(Error::new(Code::Internal, "saving the dump stopped at a bug in bam"));
                (thread.join().unwrap_or_else(bug), other)
            }
            Err(_) => {
                let one = first();
                let other = if one.is_ok() { other() } else { Err(Error::new(Code::Cancelled, "given up")) };
                (one, other)
            }
        }
    });
    monitor.go_on();
    done
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
    let all = place.last_listed()?;
    Ok(all.iter().filter(same).max_by_key(number).map(|one| one.id.clone()))
}

/// What restic could not read: what has vanished is told; all else fails the backup, unless errors are ignored.
fn tell_lost(lost: &Lost, ignore_errors: bool, monitor: &Monitor) -> Result<()> {
    let shown = |path: &str| show(path.as_bytes());
    let mut first = None;
    for (path, cause) in &lost.told {
        let cause = cause.rsplit(": ").next().unwrap_or(cause);
        if has_vanished(cause) {
            monitor.note(NoteKind::Warning, format!("{} vanished while the backup was made", shown(path)));
        } else if ignore_errors {
            monitor.note(NoteKind::Missing, format!("{} could not be read: {cause}", shown(path)));
        } else {
            first.get_or_insert((path, cause));
        }
    }
    match first {
        None => {
            monitor.note_more(NoteKind::Missing, lost.further);
            Ok(())
        }
        Some((path, cause)) => {
            let refused = cause.ends_with("permission denied") || cause.ends_with("operation not permitted");
            let code = if refused { Code::Permission } else { Code::Io };
            let error = Error::of_path(code, Path::new(path), format!("cannot be read: {cause}"));
            Err(not_read(limits::told(cause).into_iter().fold(error, Error::hint)))
        }
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
