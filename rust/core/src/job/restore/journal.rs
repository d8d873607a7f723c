//! What a restore has done so far, on disk, so that a killed one can be finished or taken back.
//!
//! ```text
//! staging ── staged ── checked ── swapping ── swapped ── tidying
//!    └──────────┴─────────┴───────┐   │  └──────┐│
//!                                 │   └──── reverting
//!                                 └─────────── reverted
//! ```
//!
//! Up to [`JournalState::Swapping`] the live site is untouched, and everything that can fail is tried before. Each step that is
//! repeated after a kill can be repeated, also those that take a swap back. Tidying up fails nothing: the site is online
//! by then, and what cannot be removed is left for later ([`leftovers`]). What follows a kill: [`super::recover`].

use super::leftovers::{self, Leftover};
use super::swap::{TreeSwap, flush};
use super::swap_path::PathSwap;
use crate::config::Document;
use crate::job::{lock, site};
use crate::look::{self, exists};
use crate::source::database::Replacement;
use crate::{Code, Error, Monitor, NoteKind, Result, ResultExt};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// The journal's name in the state folder.
pub const FILE: &str = "restore.json";

/// How far a restore has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JournalState {
    /// The new data is being put beside the old.
    Staging,
    /// The new data is whole.
    Staged,
    /// All that can fail was tried.
    Checked,
    /// The new data takes the old one's place.
    Swapping,
    /// The new data is live, the old still there.
    Swapped,
    /// The old data is being removed.
    Tidying,
    /// The old data takes its place again.
    Reverting,
    /// The old data is live; the new is being removed.
    Reverted,
    /// Of journals before there was [`JournalState::Checked`]: the new data is live; what stays of the old is moved over, the
    /// rest goes.
    Settling,
}

/// Which other version wrote a journal that this one cannot read; `None` where that is not told.
fn foreign_maker(text: &[u8]) -> Option<String> {
    let told: serde_json::Value = serde_json::from_slice(text).ok()?;
    told["bam"].as_str().filter(|maker| *maker != env!("CARGO_PKG_VERSION")).map(str::to_owned)
}

/// What is left behind by a restore that came to nothing.
pub const AS_BEFORE: &str = "Everything is as it was before the restore";
/// The same where the site's answer, whether it is online again, is missing.
const AS_BEFORE_BUT_OFFLINE: &str =
    "The data is as it was before the restore, but the site may still be in maintenance mode";

/// Finds what of a live folder stays, relative to it.
pub type Keep<'a> = &'a dyn Fn(&Path) -> Result<Vec<PathBuf>>;

/// One restore.
#[derive(Debug, Serialize, Deserialize)]
pub struct Journal {
    /// The version of bam that restores it.
    #[serde(default)]
    bam: String,
    /// The backup's file name, for messages.
    pub backup: String,
    state: JournalState,
    trees: Vec<TreeSwap>,
    #[serde(default)]
    paths: Vec<PathSwap>,
    /// The machine name of the database in the document, and its replacement.
    database: Option<(String, Replacement)>,
    /// We put the site into maintenance mode, or were about to.
    #[serde(default)]
    offline: bool,
    /// Nobody else will take it out of that: this is the run which did it.
    #[serde(skip)]
    ours: bool,
    /// It is online again, as far as that was up to us.
    #[serde(skip)]
    online: bool,
    /// Nothing that anybody uses is replaced.
    #[serde(skip)]
    drill: bool,
    #[serde(skip)]
    path: PathBuf,
}

impl Journal {
    /// Begins a restore; there must be none (see [`super::recover`]).
    pub fn begin(state_dir: &Path, backup: &str) -> Result<Journal> {
        let journal = Journal {
            bam: env!("CARGO_PKG_VERSION").to_owned(),
            backup: backup.to_owned(),
            state: JournalState::Staging,
            trees: Vec::new(),
            paths: Vec::new(),
            database: None,
            offline: false,
            ours: false,
            online: false,
            drill: false,
            path: state_dir.join(FILE),
        };
        // It may be there all the same, only not flushed.
        journal.save().inspect_err(|_| drop(fs::remove_file(&journal.path)))?;
        Ok(journal)
    }

    /// The same for a drill, where it is no matter in what state a failure leaves the place.
    pub fn of_a_drill(self) -> Journal {
        Journal { drill: true, ..self }
    }

    /// The one that a run left which was killed.
    pub fn read(path: &Path, text: &[u8]) -> Result<Journal> {
        let mut journal: Journal = serde_json::from_slice(text).map_err(|cause| match foreign_maker(text) {
            Some(maker) => Error::new(
                Code::Unsupported,
                format!("the journal of a restore, {}, is too new, or damaged", path.display()),
            )
            .because(cause)
            .hint(format!("bam {maker} began that restore: run `bam recover` of that version or a later one")),
            None => Error::new(Code::Integrity, format!("the journal of a restore, {}, is damaged", path.display()))
                .because(cause)
                .hint("look for folders and databases with .bam- or bam_ in their names, then remove the journal"),
        })?;
        journal.path = path.to_owned();
        Ok(journal)
    }

    /// What of it lies about on the site, and is no part of that.
    pub fn leftovers(&self) -> Vec<PathBuf> {
        let folders = self.trees.iter().flat_map(TreeSwap::leftovers);
        folders.chain(self.paths.iter().map(|path| path.holder().to_owned())).collect()
    }

    /// How far it came.
    pub fn state(&self) -> JournalState {
        self.state
    }

    /// Whether the restore put the site into maintenance mode, or was about to.
    pub fn is_offline(&self) -> bool {
        self.offline
    }

    /// The database that is being replaced, by its machine name.
    pub fn database(&self) -> Option<&str> {
        self.database.as_ref().map(|(name, _)| name.as_str())
    }

    /// Puts the site into maintenance mode until the restore is over, if it is online and can be asked.
    pub fn go_offline(&mut self, document: &Document, monitor: &Monitor) -> Result<()> {
        if !site::answers(document) {
            return Ok(());
        }
        self.offline = true;
        self.save()?;
        match site::offline(document, "", std::path::absolute(&self.path).ok().as_deref(), monitor) {
            Ok(done) => self.ours = done,
            // A site that is broken is a reason to restore it.
            Err(error) => monitor.note(
                NoteKind::Info,
                format!("the site is not put into maintenance mode while it is restored: {error}"),
            ),
        }
        Ok(())
    }

    /// Makes the folder that is to replace `live`, or with `inside` its content ([`TreeSwap::plan`]); gives its place among
    /// [`Journal::trees`]. Each name is on disk before there is a folder of that name.
    pub fn stage(&mut self, live: &Path, id: &str, inside: bool) -> Result<usize> {
        let at = self.trees.len();
        let state = self.state_place()?;
        self.trees.push(TreeSwap::plan(live, id, inside, &state)?);
        self.save()?;
        if !self.tree(at)?.make()? {
            *self.tree(at)? = TreeSwap::plan(live, id, true, &state)?;
            self.save()?;
            self.tree(at)?.make()?;
        }
        self.save()?;
        Ok(at)
    }

    /// What nothing may take the place of while this journal is needed.
    pub fn state_place(&self) -> Result<PathBuf> {
        lock::state_place(self.path.parent().unwrap_or(&self.path))
    }

    /// One of the folders that are being replaced.
    pub fn tree(&mut self, at: usize) -> Result<&mut TreeSwap> {
        let lost = || Error::new(Code::Internal, "the restore's journal lost a folder");
        self.trees.get_mut(at).ok_or_else(lost)
    }

    /// The folders that are being replaced.
    pub fn trees(&self) -> &[TreeSwap] {
        &self.trees
    }

    /// Replaces this folder not after all; what was made for it goes.
    pub fn leave(&mut self, live: &Path, document: &Document, monitor: &Monitor) -> Result<()> {
        let live = look::real_as_far(live)?;
        let Some(at) = self.trees.iter().position(|tree| tree.live() == live) else { return Ok(()) };
        let tree = self.trees.remove(at);
        self.drop_folders(tree.leftovers(), document, monitor)
    }

    /// Replaces one of [`Journal::paths`] not after all.
    pub fn leave_path(&mut self, at: usize, document: &Document, monitor: &Monitor) -> Result<()> {
        if at >= self.paths.len() {
            return Ok(());
        }
        let path = self.paths.remove(at);
        self.drop_folders([path.holder().to_owned()], document, monitor)
    }

    fn drop_folders(
        &self,
        folders: impl IntoIterator<Item = PathBuf>,
        document: &Document,
        monitor: &Monitor,
    ) -> Result<()> {
        let all = folders
            .into_iter()
            .filter(|path| exists(path).unwrap_or(true))
            .map(|path| Leftover::Folder(path.into()));
        let state_dir = self.path.parent().unwrap_or(Path::new("."));
        leftovers::remember(state_dir, leftovers::clear(all.collect(), document, monitor))?;
        self.save()
    }

    /// Adds a path that is to be replaced. On disk before anything is written into its holder.
    pub fn add_path(&mut self, path: PathSwap) -> Result<()> {
        self.paths.push(path);
        self.save()
    }

    /// The paths that are being replaced.
    pub fn paths(&mut self) -> &mut [PathSwap] {
        &mut self.paths
    }

    /// Notes how the database is replaced: after planning and again after loading.
    pub fn set_database(&mut self, name: &str, replacement: Replacement) -> Result<()> {
        self.database = Some((name.to_owned(), replacement));
        self.save()
    }

    /// Makes the new database fit the live site ([`Replacement::adapt`]).
    pub fn adapt(&self, document: &Document, monitor: &Monitor) -> Result<()> {
        match &self.database {
            Some((name, replacement)) => replacement.adapt(&document.connection(name)?, monitor),
            None => Ok(()),
        }
    }

    /// The new data is whole: tries all that can fail before anything live changes, and puts what of the live folders
    /// stays into the new ones. May be called again after a kill; `keep` then has nothing to add.
    pub fn check(&mut self, document: &Document, keep: Keep<'_>, monitor: &Monitor) -> Result<()> {
        self.enter(JournalState::Staged)?;
        if let Some((name, replacement)) = &mut self.database {
            let connection = document.connection(name)?;
            replacement.check(&connection, monitor)?;
            self.save()?;
        }
        let list = |number: usize| self.path.with_extension(format!("moves-{number}"));
        for (number, tree) in self.trees.iter_mut().enumerate() {
            let kept = keep(tree.live())?;
            tree.check(&kept, &list(number))?;
        }
        for (number, path) in self.paths.iter_mut().enumerate() {
            let kept = keep(path.live())?;
            path.check(&kept, &list(self.trees.len() + number))?;
        }
        monitor.check()?;
        // The old data goes soon after: a power cut must not find the new only in memory.
        for folder in self.trees.iter().map(TreeSwap::staged).chain(self.paths.iter().map(PathSwap::holder)) {
            flush(folder)?;
        }
        self.enter(JournalState::Checked)
    }

    /// Makes the new data live, once it is checked. On failure the old data is live again, see [`Journal::give_up`].
    pub fn commit(mut self, document: &Document, monitor: &Monitor) -> Result<()> {
        if let Err(error) = self.begin_swap() {
            self.state = JournalState::Checked;
            return Err(self.give_up(error, document, monitor));
        }
        if let Err(error) = self.swap(document, monitor) {
            return Err(self.give_up(error, document, monitor));
        }
        self.end(document, monitor);
        Ok(())
    }

    /// Ends a restore that has failed, and says in what state that leaves the site: what has begun to trade places is taken
    /// back, the new data goes.
    pub fn give_up(mut self, error: Error, document: &Document, monitor: &Monitor) -> Error {
        let swapping = self.state == JournalState::Swapping;
        if swapping && let Err(second) = self.take_back(document, monitor) {
            return error.followed_by(&second);
        }
        if !swapping {
            self.abandon(document, monitor);
        }
        match self.offline && !self.online {
            _ if self.drill => error,
            true => error.leaving(AS_BEFORE_BUT_OFFLINE),
            false => error.leaving(AS_BEFORE),
        }
    }

    /// The new data goes, the old was never touched, or is back.
    pub fn abandon(&mut self, document: &Document, monitor: &Monitor) {
        self.go_online(document, monitor);
        self.tidy(JournalState::Reverted, document, monitor);
    }

    /// From here on the live site changes.
    pub fn begin_swap(&mut self) -> Result<()> {
        self.enter(JournalState::Swapping)
    }

    /// Makes the new data live. May be called again after a kill.
    pub fn swap(&self, document: &Document, monitor: &Monitor) -> Result<()> {
        // What can fail here is the database, so it comes first; one that is a file may lie in a folder that is replaced.
        if !self.is_in_a_file() {
            self.swap_database(document, monitor)?;
        }
        for tree in &self.trees {
            tree.swap()?;
        }
        for path in &self.paths {
            path.swap()?;
        }
        if self.is_in_a_file() { self.swap_database(document, monitor) } else { Ok(()) }
    }

    fn is_in_a_file(&self) -> bool {
        matches!(self.database, Some((_, Replacement::Sqlite(_))))
    }

    fn swap_database(&self, document: &Document, monitor: &Monitor) -> Result<()> {
        match &self.database {
            Some((name, replacement)) => replacement.swap(&document.connection(name)?, monitor),
            None => Ok(()),
        }
    }

    /// Makes the old data live again, and ends the restore. On failure it stays as far as it came, to be tried again.
    pub fn take_back(&mut self, document: &Document, monitor: &Monitor) -> Result<()> {
        self.enter(JournalState::Reverting).and_then(|()| self.revert(document)).map_err(|error| {
            let error = error.context(format!("taking the restore of {} back failed", self.backup));
            error.hint(
                "the site may be half old and half new, and is left in maintenance mode: see to what is said here, then \
                 run `bam recover`; `bam recover --finish` makes the new data live instead",
            )
        })?;
        // The site is whole again: what looks at the journal may take it back online.
        self.enter(JournalState::Reverted).map_err(|error| {
            let text = format!("the restore of {} is taken back, which cannot be put on record", self.backup);
            error.context(text).hint(
                "the data is as it was before the restore, and the site may be in maintenance mode: see to what is said \
                 here, then run `bam recover`",
            )
        })?;
        self.abandon(document, monitor);
        Ok(())
    }

    /// A cancel must not leave half of it, hence the monitor of its own.
    fn revert(&self, document: &Document) -> Result<()> {
        if let Some((name, replacement)) = &self.database {
            replacement.revert(&document.connection(name)?, &Monitor::new())?;
        }
        for path in self.paths.iter().rev() {
            path.revert()?;
        }
        for tree in self.trees.iter().rev() {
            tree.revert()?;
        }
        Ok(())
    }

    /// The new data is live: the site goes online, then the old data goes. Nothing here fails the restore.
    pub fn end(&mut self, document: &Document, monitor: &Monitor) {
        if let Err(error) = self.enter(JournalState::Swapped) {
            monitor.note(
                NoteKind::Warning,
                format!("the backup is restored, but that is not on record: {error}"),
            );
        }
        self.close(document, monitor);
    }

    /// The same where that is on record.
    pub fn close(&mut self, document: &Document, monitor: &Monitor) {
        refresh(document, monitor);
        self.go_online(document, monitor);
        self.tidy(JournalState::Tidying, document, monitor);
    }

    /// For a journal of old: moves over what stays.
    pub fn settle(&self) -> Result<()> {
        for tree in &self.trees {
            tree.settle()?;
        }
        for path in &self.paths {
            path.settle()?;
        }
        Ok(())
    }

    /// Removes what is not live, and the journal. `state` says which side that is.
    pub fn tidy(&mut self, state: JournalState, document: &Document, monitor: &Monitor) {
        let state_dir = self.path.parent().unwrap_or(Path::new(".")).to_owned();
        let done = self.enter(state).and_then(|()| {
            let folders = self.leftovers().into_iter();
            let mut all: Vec<Leftover> = folders
                .filter(|path| exists(path).unwrap_or(true))
                .map(|path| Leftover::Folder(path.into()))
                .collect();
            if let Some((name, replacement)) = &self.database {
                all.push(Leftover::Database(name.clone(), Box::new(replacement.clone())));
            }
            let mut stay = leftovers::clear(all, document, monitor);
            stay.extend((self.offline && !self.online).then_some(Leftover::Maintenance));
            leftovers::remember(&state_dir, stay)?;
            let lists = self.trees.iter().filter_map(TreeSwap::list);
            for list in lists.chain(self.paths.iter().filter_map(PathSwap::list)) {
                // The next restore writes it anew.
                let _ = fs::remove_file(list);
            }
            fs::remove_file(&self.path).at("cannot remove", &self.path)
        });
        if let Err(error) = done {
            monitor.note(NoteKind::Warning, format!("tidying up is left to the next run: {error}"));
        }
    }

    fn enter(&mut self, state: JournalState) -> Result<()> {
        self.state = state;
        self.save()
    }

    /// Takes the site out of maintenance mode, if it was us who put it into it. The restored database has the record of
    /// that, too ([`Replacement::adapt`]).
    pub fn go_online(&mut self, document: &Document, monitor: &Monitor) {
        let done = match (self.ours, self.offline) {
            (true, _) => site::online(document),
            (false, true) => site::repair(document, &Monitor::new()).map(drop),
            (false, false) => Ok(()),
        };
        match done {
            Ok(()) => self.online = true,
            Err(error) => monitor.note(
                NoteKind::Missing,
                format!("the site may still be in maintenance mode, look at it and see to that: {error}"),
            ),
        }
    }

    fn save(&self) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).map_err(|cause| {
            Error::new(Code::Internal, "cannot write the restore's journal").because(cause)
        })?;
        lock::write_state(&self.path, &text)
    }
}

/// Empties the restored site's caches and sees whether it starts; tells what to do where it does not.
fn refresh(document: &Document, monitor: &Monitor) {
    if !site::answers(document) {
        return;
    }
    match site::refresh(document, monitor) {
        Ok(()) => monitor.note(NoteKind::Info, "the restored site starts; its caches are empty"),
        Err(error) if error.code() == Code::Cancelled => monitor
            .note(NoteKind::Warning, "the backup is restored; whether the site starts was not waited for"),
        Err(error) => monitor.note(
            NoteKind::Missing,
            format!(
                "the backup is restored, but the site does not start: {error}. See whether its code and settings.php \
                 fit the backup; to go back to another one: `bam backups`, `bam restore ID`"
            ),
        ),
    }
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
