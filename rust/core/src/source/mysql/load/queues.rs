//! Several connections that work off chunks of a dump side by side, each chunk by one of them.
//!
//! Knows which chunks are under way for which table, nothing of what is in them. Waiting chunks are bounded in bytes.

use crate::monitor::TICK;
use crate::sync::{Condvar, Mutex, MutexGuard};
use crate::{Code, Error, Monitor, Result};
use memchr::memchr_iter;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// How much may wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Bytes that may wait for one connection: as much as it takes to have the next at hand.
    waiting: usize,
    /// Bytes that may wait and be under way in all; a longer chunk goes alone.
    most: usize,
}

const BOUNDS: Bounds = Bounds { waiting: 2 << 20, most: 8 << 20 };
/// How often a transaction is tried that the server has ended because of another.
const TRIES: u32 = 10;
/// Bytes between two commits: enough to make them cheap. A connection with nothing to do commits, too.
const COMMIT: usize = 8 << 20;

/// Whom chunks are given to: a connection.
pub(crate) trait Feed {
    /// Runs a script of whole statements, each ended by a semicolon; what it answers is passed over.
    fn feed(&mut self, script: &[u8]) -> Result<()>;
    /// Lines it was given before what is fed next, as errors count them.
    fn lines(&self) -> u64;
    /// Whether it can be used after an error.
    fn goes_on(&self) -> bool;
    /// What the server calls this connection, where nothing but its being killed ends its wait for an answer.
    fn id(&self) -> Option<u32>;
}

/// What one connection runs in one go.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    /// SQL, each statement with its `;`.
    pub(crate) text: Vec<u8>,
    /// The tables it is about.
    pub(crate) tables: Vec<usize>,
    /// Commit at once.
    pub(crate) commit: bool,
    /// It is a transaction of its own, which is done again where the server ends it for the sake of another.
    pub(crate) alone: bool,
    /// Its statements are each as long as the server takes them: not to be sent in one packet.
    pub(crate) long: bool,
    /// So many bytes of `text` set up the session; what comes after them can be run again.
    pub(crate) prefix: usize,
    /// Lines of `text` (from 0) and the lines of the dump that they came from, where a statement begins.
    pub(crate) lines: Vec<(u64, u64)>,
}

/// How far a table has come.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Progress {
    /// Chunks that are not committed yet.
    pub(crate) pending: usize,
    /// Whether some were committed since it was made.
    pub(crate) begun: bool,
    /// Who got the last one.
    pub(crate) queue: usize,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Chunk>,
    bytes: usize,
}

#[derive(Default)]
struct QueueState {
    queues: Vec<Queue>,
    tables: Vec<Progress>,
    /// Waiting and under way.
    bytes: usize,
    error: Option<Error>,
    closed: bool,
    /// Connections that wait for the server's answers whatever happens here.
    sessions: Vec<String>,
}

/// The connections' work.
pub(crate) struct Queues<'m> {
    state: Mutex<QueueState>,
    changed: Condvar,
    stop: AtomicBool,
    monitor: &'m Monitor,
    bounds: Bounds,
}

impl<'m> Queues<'m> {
    pub(crate) fn new(count: usize, monitor: &'m Monitor) -> Self {
        let queues = std::iter::repeat_with(Queue::default).take(count).collect();
        let state = Mutex::new(QueueState { queues, ..QueueState::default() });
        Queues { state, changed: Condvar::new(), stop: AtomicBool::new(false), monitor, bounds: BOUNDS }
    }

    fn state(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Set when the others are to give up.
    pub(crate) fn stop(&self) -> &AtomicBool {
        &self.stop
    }

    /// Makes a table known; gives its number.
    pub(crate) fn add_table(&self) -> usize {
        let mut state = self.state();
        state.tables.push(Progress::default());
        state.tables.len() - 1
    }

    pub(crate) fn progress(&self, table: usize) -> Progress {
        self.state().tables.get(table).copied().unwrap_or_default()
    }

    /// A table was made anew: nothing of it may be pending.
    pub(crate) fn reset(&self, table: usize) {
        if let Some(progress) = self.state().tables.get_mut(table) {
            progress.begun = false;
        }
    }

    /// Waits until `ready`; fails where a connection has failed.
    fn wait<T>(&self, mut ready: impl FnMut(&mut QueueState) -> Option<T>) -> Result<T> {
        let mut state = self.state();
        loop {
            if let Some(error) = state.error.take() {
                return Err(error);
            }
            if let Some(found) = ready(&mut state) {
                return Ok(found);
            }
            self.monitor.check()?;
            let waited = self.changed.wait_timeout(state, TICK);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until everything about `table` is committed.
    pub(crate) fn wait_for(&self, table: usize) -> Result<()> {
        self.wait(|state| state.tables.get(table).is_none_or(|it| it.pending == 0).then_some(()))
    }

    /// Waits until everything is committed.
    pub(crate) fn wait_for_all(&self) -> Result<()> {
        self.wait(|state| state.tables.iter().all(|it| it.pending == 0).then_some(()))
    }

    /// Waits for room and says which of the queues `among` is to have the next chunk of `length` bytes: the one with the
    /// least to do.
    pub(crate) fn choose(&self, among: &Range<usize>, length: usize) -> Result<usize> {
        self.wait(|state| {
            if state.bytes > 0 && state.bytes + length > self.bounds.most {
                return None;
            }
            let queues = state.queues.iter().enumerate().filter(|(number, _)| among.contains(number));
            let (number, least) = queues.min_by_key(|(_, it)| it.bytes)?;
            (least.bytes < self.bounds.waiting).then_some(number)
        })
    }

    /// Gives a connection something to do.
    pub(crate) fn give(&self, queue: usize, chunk: Chunk) {
        let mut state = self.state();
        state.bytes += chunk.text.len();
        for &table in &chunk.tables {
            if let Some(progress) = state.tables.get_mut(table) {
                progress.pending += 1;
                progress.queue = queue;
            }
        }
        if let Some(queue) = state.queues.get_mut(queue) {
            queue.bytes += chunk.text.len();
            queue.waiting.push_back(chunk);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Nothing more comes; with `stop` what is waiting is dropped.
    pub(crate) fn close(&self, stop: bool) {
        self.stop.store(stop, Relaxed);
        self.state().closed = true;
        self.changed.notify_all();
    }

    /// The server's names of connections whose waiting only the server can end.
    pub(crate) fn sessions(&self) -> Vec<String> {
        self.state().sessions.clone()
    }

    /// What came of it all, once every connection has ended: the error that one met, unless somebody has had it already, else `done`.
    pub(crate) fn outcome<T>(&self, done: Result<T>) -> Result<T> {
        match self.state().error.take() {
            Some(error) => Err(error),
            None => done,
        }
    }

    /// Works as connection `number`, which `open` makes, until everything is done or something has failed.
    pub(crate) fn work<C: Feed>(&self, number: usize, open: impl FnOnce() -> Result<C>) {
        let unless_it_ends = Panicked(self);
        let ended = self.run(number, open);
        std::mem::forget(unless_it_ends);
        match ended {
            Ok(()) => self.changed.notify_all(),
            Err(error) => self.fail(error),
        }
    }

    /// The others fail because they are stopped: the first is who tells.
    fn fail(&self, error: Error) {
        let mut state = self.state();
        if !self.stop.swap(true, Relaxed) {
            state.error = Some(error);
        }
        drop(state);
        self.changed.notify_all();
    }

    fn run<C: Feed>(&self, number: usize, open: impl FnOnce() -> Result<C>) -> Result<()> {
        let mut open = Some(open);
        let mut session: Option<C> = None;
        let mut uncommitted = 0;
        let mut tables: Vec<usize> = Vec::new();
        loop {
            let Some(chunk) = self.next(number) else { return Ok(()) };
            if let Some(open) = open.take() {
                let opened = open()?;
                self.state().sessions.extend(opened.id().map(|id| id.to_string()));
                session = Some(opened);
            }
            let Some(session) = session.as_mut() else { return Ok(()) };
            if chunk.alone && uncommitted > 0 {
                self.commit(session, &mut tables)?;
                uncommitted = 0;
            }
            self.feed(session, &chunk)?;
            uncommitted += chunk.text.len();
            tables.extend(chunk.tables);
            let mut state = self.state();
            state.bytes -= chunk.text.len();
            let idle = state.queues.get(number).is_none_or(|queue| queue.waiting.is_empty());
            drop(state);
            if idle || chunk.commit || chunk.alone || uncommitted >= COMMIT {
                self.commit(session, &mut tables)?;
                uncommitted = 0;
            }
            self.changed.notify_all();
        }
    }

    fn commit(&self, session: &mut impl Feed, tables: &mut Vec<usize>) -> Result<()> {
        session.feed(b"COMMIT;\n")?;
        let mut state = self.state();
        for table in tables.drain(..) {
            if let Some(progress) = state.tables.get_mut(table) {
                progress.pending -= 1;
                progress.begun = true;
            }
        }
        Ok(())
    }

    /// Runs a chunk, again where the server has ended its transaction.
    fn feed(&self, session: &mut impl Feed, chunk: &Chunk) -> Result<()> {
        let from = session.lines();
        let mut result = session.feed(&chunk.text).map_err(|error| placed(error, from, &chunk.lines));
        let (prefix, body) = chunk.text.split_at(chunk.prefix.min(chunk.text.len()));
        for _ in 1..TRIES {
            match &result {
                Err(error) if chunk.alone && session.goes_on() && is_conflict(error) => {}
                _ => break,
            }
            if self.stop.load(Relaxed) {
                break;
            }
            let breaks = memchr_iter(b'\n', prefix).count() as u64;
            let lines = chunk.lines.iter().map(|&(at, dump)| (at.saturating_sub(breaks), dump));
            let lines: Vec<(u64, u64)> = lines.collect();
            session.feed(b"ROLLBACK;\n")?;
            let from = session.lines();
            result = session.feed(body).map_err(|error| placed(error, from, &lines));
        }
        result
    }

    /// The next chunk for a connection; `None`: there is none any more.
    fn next(&self, number: usize) -> Option<Chunk> {
        let mut state = self.state();
        loop {
            if self.stop.load(Relaxed) {
                return None;
            }
            if let Some(queue) = state.queues.get_mut(number)
                && let Some(chunk) = queue.waiting.pop_front()
            {
                let was_full = queue.bytes >= self.bounds.waiting;
                queue.bytes -= chunk.text.len();
                if was_full && queue.bytes < self.bounds.waiting {
                    drop(state);
                    self.changed.notify_all();
                }
                return Some(chunk);
            }
            if state.closed {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Nobody waits for what a connection's thread no longer does.
struct Panicked<'q, 'm>(&'q Queues<'m>);

impl Drop for Panicked<'_, '_> {
    fn drop(&mut self) {
        self.0.fail(Error::new(Code::Internal, "a thread that loads ended before its work did"));
    }
}

/// Whether the server has ended a transaction because of another one: a deadlock, or a lock that took too long.
fn is_conflict(error: &Error) -> bool {
    ["ERROR 1213 (", "ERROR 1205 ("].iter().any(|number| error.message().contains(number))
}

/// Says where in the dump the statement stands, not where in what one client was given: `from` lines came before.
pub(crate) fn placed(error: Error, from: u64, lines: &[(u64, u64)]) -> Error {
    const AT: &str = " at line ";
    let message = error.message().to_owned();
    if error.code() == Code::Cancelled || !message.contains("ERROR ") {
        return error;
    }
    // ERROR 1062 (23000) at line 7: …; the message after it may name a line, too.
    let Some((before, rest)) = message.split_once(AT) else { return error };
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (number, after) = rest.split_at(digits);
    let Some(line) = number.parse::<u64>().ok().and_then(|line| line.checked_sub(from + 1)) else {
        return error;
    };
    let Some(&(_, dump)) = lines.iter().rev().find(|(at, _)| *at <= line) else { return error };
    let told =
        Error::new(error.code(), format!("{before} in what begins at line {dump} of the SQL dump{after}"));
    match error.next_step() {
        Some(hint) => told.hint(hint),
        None => told,
    }
}

#[cfg(test)]
mod tests {
    use super::super::connection::LoadConnection;
    use super::*;

    #[test]
    fn nobody_waits_for_a_thread_that_panicked() {
        let monitor = Monitor::new();
        let queues = Queues::new(1, &monitor);
        let tables = vec![queues.add_table()];
        std::thread::scope(|scope| {
            let thread =
                scope.spawn(|| queues.work(0, || -> Result<LoadConnection<'_>> { panic!("on purpose") }));
            queues.give(0, Chunk { tables, ..Chunk::default() });
            assert_eq!(queues.wait_for_all().map_err(|error| error.code()), Err(Code::Internal));
            assert!(thread.join().is_err());
        });
    }
}

#[cfg(all(test, feature = "shuttle"))]
#[path = "queues_model.rs"]
mod model;
