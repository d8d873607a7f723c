//! Walks and opens ahead of whoever takes the files, so that neither waits for the disk; the order stays.
//!
//! One thread walks and cuts what it finds into batches. A few others open the files of a batch and read the small
//! ones. The taker goes through the batches in order, and does itself what nobody has begun. How far they run
//! ahead is bounded, in files and in bytes.

use super::content::Opened;
use super::walk::{Found, Losses, Walk, What};
use crate::sync::{Condvar, Mutex, MutexGuard};
use crate::{Code, Error, Result, threads};
use crossbeam_channel::{Receiver, Sender, bounded};
use rustix::io::Errno;
use std::sync::{Arc, PoisonError};

/// Files in a batch, and batches on the way: at most 128 files, 4 MiB of them in memory, 128 descriptors.
const BATCH: usize = 8;
const BATCHES: usize = 16;

/// What was found, its file opened.
pub type Loaded = (Found, Option<Result<Opened, Errno>>);

/// Walks to the end and gives everything found to `take`, in order, opened by `threads` threads ahead of it; 0 opens each
/// file when it is its turn.
pub fn run(mut walk: Walk<'_>, threads: usize, take: &mut dyn FnMut(Loaded) -> Result<()>) -> Result<Losses> {
    // Threads do not pay for what fits in a few batches.
    let mut first = Vec::new();
    while first.len() < 4 * BATCH && threads > 0 {
        match walk.next()? {
            Some(found) => first.push(found),
            None => break,
        }
    }
    let small = first.len() < 4 * BATCH;
    for found in first {
        take(load(found, false))?;
    }
    if small {
        while let Some(found) = walk.next()? {
            take(load(found, false))?;
        }
        return Ok(walk.losses);
    }
    std::thread::scope(|scope| {
        let (to_taker, batches) = bounded(BATCHES);
        let (to_openers, work) = bounded::<Arc<Batch>>(BATCHES);
        for _ in 0..threads {
            let work = work.clone();
            threads::spawn_scoped(scope, "bam-open", move || work.iter().for_each(|batch| batch.work()))?;
        }
        drop(work);
        let walker = threads::spawn_scoped(scope, "bam-walk", move || feed(walk, &to_taker, &to_openers))?;
        let taken = take_all(&batches, take);
        // Whoever still waits to hand something over learns that nobody listens.
        drop(batches);
        let losses = walker.join().map_err(|_| broken())?;
        taken.map(|()| losses)
    })
}

/// Sends batches both ways until the walk ends, fails, or nobody takes them any more.
fn feed(mut walk: Walk<'_>, taker: &Sender<Result<Arc<Batch>>>, openers: &Sender<Arc<Batch>>) -> Losses {
    loop {
        let mut found = Vec::with_capacity(BATCH);
        let ended = loop {
            match walk.next() {
                Ok(Some(next)) => found.push(next),
                Ok(None) => break Some(None),
                Err(error) => break Some(Some(error)),
            }
            if found.len() == BATCH {
                break None;
            }
        };
        let batch = Arc::new(Batch::new(found));
        let sent = taker.send(Ok(Arc::clone(&batch))).is_ok() && openers.send(batch).is_ok();
        match ended {
            None if sent => {}
            Some(Some(error)) if sent => {
                // If the taker is gone, it has an error of its own.
                let _ = taker.send(Err(error));
                return walk.losses;
            }
            _ => return walk.losses,
        }
    }
}

fn take_all(
    batches: &Receiver<Result<Arc<Batch>>>,
    take: &mut dyn FnMut(Loaded) -> Result<()>,
) -> Result<()> {
    for batch in batches {
        for loaded in batch?.result()? {
            take(loaded)?;
        }
    }
    Ok(())
}

/// Some files, and how far they are.
#[derive(Debug)]
struct Batch {
    state: Mutex<BatchState>,
    changed: Condvar,
}

#[derive(Debug)]
enum BatchState {
    Waiting(Vec<Found>),
    InWork,
    Done(Vec<Loaded>),
    /// Whoever worked on it panicked.
    Broken,
}

/// Wakes the taker, whatever became of the work.
struct Notify<'b>(&'b Batch);

impl Drop for Notify<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        if matches!(*state, BatchState::InWork) {
            *state = BatchState::Broken;
        }
        self.0.changed.notify_one();
    }
}

impl Batch {
    fn new(found: Vec<Found>) -> Self {
        Batch { state: Mutex::new(BatchState::Waiting(found)), changed: Condvar::new() }
    }

    /// Opens the files, unless somebody has begun.
    fn work(&self) {
        let mut state = self.lock();
        let BatchState::Waiting(found) = &mut *state else { return };
        let found = std::mem::take(found);
        *state = BatchState::InWork;
        drop(state);
        let notify = Notify(self);
        let loaded = found.into_iter().map(|found| load(found, true)).collect();
        *self.lock() = BatchState::Done(loaded);
        drop(notify);
    }

    /// The opened files; opens them here and now if nobody has begun.
    fn result(&self) -> Result<Vec<Loaded>> {
        self.work();
        let mut state = self.lock();
        loop {
            match &mut *state {
                BatchState::Done(loaded) => return Ok(std::mem::take(loaded)),
                BatchState::Broken => return Err(broken()),
                _ => state = self.changed.wait(state).map_err(|_| broken())?,
            }
        }
    }

    /// No code that may panic runs while it is locked.
    fn lock(&self) -> MutexGuard<'_, BatchState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn load(found: Found, ahead: bool) -> Loaded {
    let What::File(place) = &found.what else { return (found, None) };
    let mut opened = Opened::new(&found.path, place);
    if let Ok(opened) = &mut opened
        && ahead
    {
        opened.read_ahead();
    }
    (found, Some(opened))
}

fn broken() -> Error {
    Error::new(Code::Internal, "a thread that reads files ended before its work did")
}

#[cfg(all(test, feature = "shuttle"))]
#[path = "prefetch_model.rs"]
mod model;
