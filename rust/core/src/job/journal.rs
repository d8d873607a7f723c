//! What a restore has done so far, on disk, so that a killed one can be finished or taken back.
//!
//! Up to [`State::Swapping`] the live site is untouched and recovery throws the new data away; from there on the new
//! data is complete and recovery puts it in place. Every step that recovery repeats can be repeated.

use super::{
    lock, site,
    swap::{TreeSwap, flush},
    swap_path::PathSwap,
};
use crate::config::Document;
use crate::source::database::Replacement;
use crate::{Code, Error, Monitor, NoteKind, Result, ResultExt};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

const FILE: &str = "restore.json";

/// How far a restore has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The new data is being put beside the old.
    Staging,
    /// The new data is whole, and takes the old one's place.
    Swapping,
    /// The new data is live; what stays of the old is moved over, the rest goes.
    Settling,
}

/// One restore.
#[derive(Debug, Serialize, Deserialize)]
pub struct Journal {
    /// The backup's file name, for messages.
    pub backup: String,
    state: State,
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
    #[serde(skip)]
    path: PathBuf,
}

impl Journal {
    /// Begins a restore; there must be none (see [`recover`]).
    pub fn begin(state_dir: &Path, backup: &str) -> Result<Journal> {
        let journal = Journal {
            backup: backup.to_owned(),
            state: State::Staging,
            trees: Vec::new(),
            paths: Vec::new(),
            database: None,
            offline: false,
            ours: false,
            path: state_dir.join(FILE),
        };
        journal.save()?;
        Ok(journal)
    }

    /// Puts the site into maintenance mode until the restore is over, if it is online and can be asked.
    pub fn go_offline(&mut self, document: &Document, monitor: &Monitor) -> Result<()> {
        if !site::answers(document) {
            return Ok(());
        }
        self.offline = true;
        self.save()?;
        match site::offline(document, "") {
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
        self.trees.push(TreeSwap::plan(live, id, inside)?);
        self.save()?;
        if !self.tree(at)?.make()? {
            *self.tree(at)? = TreeSwap::plan(live, id, true)?;
            self.save()?;
            self.tree(at)?.make()?;
        }
        self.save()?;
        Ok(at)
    }

    /// One of the folders that are being replaced.
    pub fn tree(&mut self, at: usize) -> Result<&mut TreeSwap> {
        let lost = || Error::new(Code::Internal, "the restore's journal lost a folder");
        self.trees.get_mut(at).ok_or_else(lost)
    }

    /// The folders that are being replaced.
    pub fn trees(&mut self) -> &mut [TreeSwap] {
        &mut self.trees
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

    /// Tries all that can fail before anything live changes ([`Replacement::check`]), and notes what that taught.
    pub fn check(&mut self, document: &Document, monitor: &Monitor) -> Result<()> {
        if let Some((name, replacement)) = &mut self.database {
            let connection = document.connection(name)?;
            replacement.check(&connection, monitor)?;
            self.save()?;
        }
        Ok(())
    }

    /// All new data is whole: makes it live. On failure the old data is live again.
    pub fn commit(mut self, document: &Document, monitor: &Monitor) -> Result<()> {
        monitor.check()?;
        // The old data goes soon after: a power cut must not find the new only in memory.
        for folder in self.trees.iter().map(TreeSwap::staged).chain(self.paths.iter().map(PathSwap::holder)) {
            flush(folder)?;
        }
        self.state = State::Swapping;
        self.save()?;
        if let Err(error) = self.swap(document, monitor) {
            self.revert(document, monitor)?;
            return Err(error);
        }
        self.settle(document, monitor)
    }

    /// Gives up before [`Journal::commit`]: the new data goes, the site is as it was.
    pub fn abandon(self, document: &Document, monitor: &Monitor) -> Result<()> {
        self.clean(document, monitor)
    }

    fn swap(&self, document: &Document, monitor: &Monitor) -> Result<()> {
        for tree in &self.trees {
            tree.swap()?;
        }
        for path in &self.paths {
            path.swap()?;
        }
        if let Some((name, replacement)) = &self.database {
            replacement.swap(&document.connection(name)?, monitor)?;
        }
        Ok(())
    }

    fn revert(mut self, document: &Document, monitor: &Monitor) -> Result<()> {
        if let Some((name, replacement)) = &self.database {
            replacement.revert(&document.connection(name)?, &Monitor::new())?;
        }
        for tree in &self.trees {
            tree.revert()?;
        }
        for path in &self.paths {
            path.revert()?;
        }
        self.state = State::Staging;
        self.save()?;
        self.clean(document, monitor)
    }

    fn settle(mut self, document: &Document, monitor: &Monitor) -> Result<()> {
        self.state = State::Settling;
        self.save()?;
        for tree in &self.trees {
            tree.settle()?;
        }
        for path in &self.paths {
            path.settle()?;
        }
        self.clean(document, monitor)
    }

    /// A cancel that comes while cleaning must not leave anything behind, hence the monitor of its own.
    fn clean(self, document: &Document, monitor: &Monitor) -> Result<()> {
        for tree in &self.trees {
            tree.clean()?;
        }
        for path in &self.paths {
            path.clean()?;
        }
        if let Some((name, replacement)) = &self.database {
            replacement.clean(&document.connection(name)?, &Monitor::new())?;
        }
        if self.state == State::Settling {
            refresh(document, monitor);
        }
        self.go_online(document, monitor);
        fs::remove_file(&self.path).at("cannot remove", &self.path)
    }

    /// Takes the site out of maintenance mode, if it was us who put it into it. The restored database has the record of
    /// that, too ([`Replacement::adapt`]).
    fn go_online(&self, document: &Document, monitor: &Monitor) {
        let done = match (self.ours, self.offline) {
            (true, _) => site::online(document),
            (false, true) => site::repair(document).map(drop),
            (false, false) => Ok(()),
        };
        if let Err(error) = done {
            monitor.note(
                NoteKind::Warning,
                format!("the site may still be in maintenance mode, look at it and see to that: {error}"),
            );
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

/// Whether a restore was killed and waits for [`recover`].
pub fn pending(state_dir: &Path) -> bool {
    state_dir.join(FILE).exists()
}

/// Finishes or takes back a restore that was killed; says what it found. `None`: there was nothing to do. The site's
/// lock must be held.
pub fn recover(document: &Document, state_dir: &Path, monitor: &Monitor) -> Result<Option<String>> {
    let path = state_dir.join(FILE);
    // Killed while it was written.
    let _ = fs::remove_file(lock::part_of(&path));
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(Error::io("cannot read the restore's journal", &path, cause)),
    };
    let mut journal: Journal = serde_json::from_slice(&text).map_err(|cause| {
        Error::new(Code::Integrity, format!("the journal of a restore, {}, is damaged", path.display()))
            .because(cause)
            .hint("look for folders and databases with .bam- or bam_ in their names, then remove the journal")
    })?;
    journal.path = path;
    let backup = journal.backup.clone();
    let told = match journal.state {
        State::Staging => {
            journal.clean(document, monitor)?;
            format!(
                "a restore of {backup} had stopped before it changed anything: its traces are removed, the site is as it was"
            )
        }
        State::Swapping | State::Settling => {
            if journal.state == State::Swapping {
                journal.swap(document, monitor)?;
            }
            journal.settle(document, monitor)?;
            format!("a restore of {backup} had stopped while it put the data in place: it is finished now")
        }
    };
    monitor.note(NoteKind::Info, told.clone());
    Ok(Some(told))
}
