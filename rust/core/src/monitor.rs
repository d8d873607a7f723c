//! What a running job tells the outside, and how the outside stops it: counters, notes, a cancel flag.

use crate::error::told;
use crate::{Code, Error, Result};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use serde::Serialize;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How often a wait looks at the cancel flag.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// Where a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Phase {
    /// Reading settings, taking the lock, looking at the source.
    Preparing,
    /// Bytes flow from the source to the destinations.
    BackingUp,
    /// Waiting for destinations to finish, putting backups in place.
    Finishing,
    /// Checking a backup before anything is changed.
    Verifying,
    /// Bytes flow back.
    Restoring,
    /// Nothing more happens.
    Done,
}

const PHASES: [Phase; 6] =
    [Phase::Preparing, Phase::BackingUp, Phase::Finishing, Phase::Verifying, Phase::Restoring, Phase::Done];

/// How much a [`Note`] matters, the gravest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoteKind {
    /// Worth knowing: what was chosen, what was skipped on purpose.
    Info,
    /// The result is whole, but something deserves attention (a file changed while it was read).
    Warning,
    /// Something is missing from the result although the run went on: exit code 3.
    Missing,
}

/// One thing that a job has to say besides its result. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// How much it matters.
    pub kind: NoteKind,
    /// One sentence with the path or table it is about.
    pub text: String,
}

/// A snapshot of a job's counters.
#[derive(Debug, Clone, Serialize)]
pub struct Progress {
    /// Where the job is.
    pub phase: Phase,
    /// Bytes read from the source so far (on a restore: from the backup).
    pub bytes_in: u64,
    /// Bytes written to the destinations so far, counted once.
    pub bytes_out: u64,
    /// What `bytes_in` is expected to reach; 0 while unknown.
    pub bytes_total: u64,
    /// Files, folders and links handled so far.
    pub entries: u64,
    /// What is being worked on: a path or a table.
    pub current: String,
}

/// How many notes are kept word for word; of the rest only the number is told, so that memory stays bounded.
const MAX_NOTES: usize = 1000;

#[derive(Debug, Default)]
struct Notes {
    kept: Vec<Note>,
    /// How many more there were, and the gravest kind among them.
    more: u64,
    gravest: Option<NoteKind>,
    /// How many say that something is missing, of all.
    missing: u64,
}

impl Notes {
    /// Counts further ones, of which nothing else is kept.
    fn count(&mut self, kind: NoteKind, number: u64) {
        self.more += number;
        self.gravest = self.gravest.max(Some(kind));
        self.missing += if kind == NoteKind::Missing { number } else { 0 };
    }
}

/// What of a job outlives one call, of a connection, say: its cancel flag, and whom to tell. One of its own is never raised.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    cancelled: AtomicBool,
    /// One part of the work failed, and the others end.
    halted: AtomicBool,
    current: Mutex<String>,
    notes: Mutex<Notes>,
}

impl Cancel {
    /// Fails with [`Code::Cancelled`] once [`Monitor::cancel`] was called.
    pub fn check(&self) -> Result<()> {
        if self.0.cancelled.load(Relaxed) {
            return Err(Error::new(Code::Cancelled, "cancelled"));
        }
        if self.0.halted.load(Relaxed) {
            return Err(Error::new(Code::Cancelled, "given up: another part of the work failed"));
        }
        Ok(())
    }

    /// As [`Monitor::set_current`].
    pub(crate) fn set_current(&self, what: impl Into<String>) {
        *lock(&self.0.current) = told(what);
    }

    /// As [`Monitor::note`].
    pub(crate) fn note(&self, kind: NoteKind, text: impl Into<String>) {
        let mut notes = lock(&self.0.notes);
        if notes.kept.len() < MAX_NOTES {
            notes.missing += u64::from(kind == NoteKind::Missing);
            notes.kept.push(Note { kind, text: told(text) });
        } else {
            notes.count(kind, 1);
        }
    }
}

/// The counter of what is read alone, for readers that outlive one call.
#[derive(Debug, Clone, Default)]
pub struct Meter(Arc<AtomicU64>);

impl Meter {
    /// Counts bytes read, as [`Monitor::add_in`] does.
    pub fn add(&self, bytes: u64) {
        self.0.fetch_add(bytes, Relaxed);
    }
}

/// Shared by all threads of one job. Cheap to call from inner loops.
#[derive(Debug)]
pub struct Monitor {
    cancelled: Cancel,
    phase: AtomicU8,
    bytes_in: Meter,
    bytes_out: AtomicU64,
    bytes_total: AtomicU64,
    entries: AtomicU64,
}

impl Default for Monitor {
    fn default() -> Self {
        Self::new()
    }
}

impl Monitor {
    /// A monitor at [`Phase::Preparing`] with all counters at zero.
    pub fn new() -> Self {
        Monitor {
            cancelled: Cancel::default(),
            phase: AtomicU8::new(0),
            bytes_in: Meter::default(),
            bytes_out: AtomicU64::new(0),
            bytes_total: AtomicU64::new(0),
            entries: AtomicU64::new(0),
        }
    }

    /// Asks the job to stop at its next [`Monitor::check`].
    pub fn cancel(&self) {
        self.cancelled.0.cancelled.store(true, Relaxed);
    }

    /// Fails with [`Code::Cancelled`] once [`Monitor::cancel`] was called. Long loops call it at least once a block.
    pub fn check(&self) -> Result<()> {
        self.cancelled.check()
    }

    /// Does a part of the work, beside which others go on: where it fails, they end at their next [`Monitor::check`], until
    /// [`Monitor::go_on`].
    pub(crate) fn halting<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        work().inspect_err(|_| self.halt())
    }

    /// The others end, see [`Monitor::halting`].
    pub(crate) fn halt(&self) {
        self.cancelled.0.halted.store(true, Relaxed);
    }

    /// All parts have ended: what comes next is not given up.
    pub(crate) fn go_on(&self) {
        self.cancelled.0.halted.store(false, Relaxed);
    }

    /// What outlives one call.
    pub fn flag(&self) -> Cancel {
        self.cancelled.clone()
    }

    /// Waits for what another thread sends; `None` where nothing will ever come. Fails when the work is cancelled.
    pub(crate) fn receive<T>(&self, from: &Receiver<T>) -> Result<Option<T>> {
        loop {
            match from.recv_timeout(TICK) {
                Ok(it) => return Ok(Some(it)),
                Err(RecvTimeoutError::Timeout) => self.check()?,
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
            }
        }
    }

    /// Enters a phase.
    pub fn phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Relaxed);
    }

    /// Counts bytes read from the source (or from the backup on a restore).
    pub fn add_in(&self, bytes: u64) {
        self.bytes_in.add(bytes);
    }

    /// The counter of what is read alone.
    pub fn meter(&self) -> Meter {
        self.bytes_in.clone()
    }

    /// Counts bytes written.
    pub fn add_out(&self, bytes: u64) {
        self.bytes_out.fetch_add(bytes, Relaxed);
    }

    /// Says what `bytes_in` will reach at least, as far as known. What was said before and is more holds.
    pub fn set_total(&self, bytes: u64) {
        self.bytes_total.fetch_max(bytes, Relaxed);
    }

    /// Says how many bytes more will be read at least: each time that a file is read through counts.
    pub fn expect(&self, bytes: u64) {
        self.set_total(self.bytes_in.0.load(Relaxed).saturating_add(bytes));
    }

    /// Counts one file, folder, link or table.
    pub fn add_entry(&self) {
        self.entries.fetch_add(1, Relaxed);
    }

    /// Says what is being worked on.
    pub fn set_current(&self, what: impl Into<String>) {
        self.cancelled.set_current(what);
    }

    /// Adds a note to the job's result.
    pub fn note(&self, kind: NoteKind, text: impl Into<String>) {
        self.cancelled.note(kind, text);
    }

    /// Counts notes like the one before, which nobody will read.
    pub(crate) fn note_more(&self, kind: NoteKind, number: u64) {
        if number > 0 {
            lock(&self.cancelled.0.notes).count(kind, number);
        }
    }

    /// How many notes so far say that something is missing, those included of which only the number is kept.
    pub(crate) fn missing(&self) -> u64 {
        lock(&self.cancelled.0.notes).missing
    }

    /// The notes so far, in order; where there were very many, the last one says how many more.
    pub fn notes(&self) -> Vec<Note> {
        let notes = lock(&self.cancelled.0.notes);
        let more =
            notes.gravest.map(|kind| Note { kind, text: format!("and {} more like these", notes.more) });
        notes.kept.iter().cloned().chain(more).collect()
    }

    /// The counters now.
    pub fn snapshot(&self) -> Progress {
        Progress {
            phase: PHASES.get(usize::from(self.phase.load(Relaxed))).copied().unwrap_or(Phase::Done),
            bytes_in: self.bytes_in.0.load(Relaxed),
            bytes_out: self.bytes_out.load(Relaxed),
            bytes_total: self.bytes_total.load(Relaxed),
            entries: self.entries.load(Relaxed),
            current: lock(&self.cancelled.0.current).clone(),
        }
    }
}

/// A thread that panicked while holding the lock leaves plain text behind, which is still good.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_notes_is_counted_and_its_gravest_kind_kept() {
        let monitor = Monitor::new();
        for i in 0..MAX_NOTES + 20 {
            monitor.note(if i == MAX_NOTES + 5 { NoteKind::Missing } else { NoteKind::Info }, i.to_string());
        }
        let notes = monitor.notes();
        assert_eq!((notes.len(), notes[MAX_NOTES].kind), (MAX_NOTES + 1, NoteKind::Missing));
        assert!(notes[MAX_NOTES].text.contains("20"), "{:?}", notes[MAX_NOTES]);
        monitor.note_more(NoteKind::Missing, 30);
        assert_eq!(monitor.missing(), 31);
        assert!(monitor.notes()[MAX_NOTES].text.contains("50"));
    }
}
