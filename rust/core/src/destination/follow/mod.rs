//! A local file that is read while it is still being written.
//!
//! Writers ([`Growing`]) say how far the bytes are; any number of readers ([`Follow`]) follow at their own pace, by
//! position, so that each can go back and resume. What is not yet sent waits in the file (and the page cache), never
//! in our memory. The same bytes may grow in several files at once, and when the last of them fails go on in a
//! [`Spool`]: readers do not notice.

mod growing;

pub use growing::{Growing, Spool};

use crate::sync::{Condvar, Mutex, MutexGuard};
use crate::{Code, Error, Monitor, Result};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, Weak};
use std::time::{Duration, Instant};

/// How often somebody who waits looks whether there is still something to wait for.
pub(crate) const LOOK: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExtentState {
    Growing,
    Finished,
    Failed,
}

/// A file that holds the bytes from `start` to `end`, each at its place.
#[derive(Debug)]
pub(crate) struct Extent {
    pub file: Arc<File>,
    pub start: u64,
    pub end: u64,
    pub state: ExtentState,
}

/// How far one reader is.
#[derive(Debug, Default)]
pub(crate) struct ExtentReader {
    /// Bytes from the start that it will not read again.
    pub done: AtomicU64,
    /// It begins when all is there.
    pub wants_all: AtomicBool,
    /// Where the bytes go, their name is ours.
    pub begun: AtomicBool,
    /// It reads no more.
    pub gone: AtomicBool,
}

/// What writers and readers share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub extents: Mutex<Vec<Extent>>,
    pub changed: Condvar,
    pub readers: Mutex<Vec<Weak<ExtentReader>>>,
    sha256: Mutex<Option<[u8; 32]>>,
}

impl Shared {
    pub fn extents(&self) -> MutexGuard<'_, Vec<Extent>> {
        self.extents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn readers(&self) -> Vec<Arc<ExtentReader>> {
        let readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        let there = readers.iter().filter_map(Weak::upgrade);
        there.filter(|reader| !reader.gone.load(Ordering::Relaxed)).collect()
    }

    /// Changes what others wait for, none of whom looks meanwhile.
    fn change(&self, change: impl FnOnce()) {
        let extents = self.extents();
        change();
        drop(extents);
        self.changed.notify_all();
    }
}

/// The reading side: one for each destination that follows.
#[derive(Debug)]
pub struct Follow {
    pub(crate) shared: Arc<Shared>,
    reader: Arc<ExtentReader>,
}

/// What tells that a reader has begun.
#[derive(Debug)]
pub(crate) struct Beginning(Arc<ExtentReader>);

/// How much of a followed file can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Available {
    /// Bytes from the start of the file.
    pub bytes: u64,
    /// Whether that is all there will be.
    pub finished: bool,
}

impl Follow {
    /// Follows `file`, of which nothing is written yet. The writer reports through [`Growing`].
    pub fn growing(file: File) -> (Growing, Follow) {
        let follow = Follow::new(Vec::new());
        (follow.also_in(file), follow)
    }

    /// A file that is whole already, e.g. a backup that is to be replicated.
    pub fn finished(file: File) -> Result<Follow> {
        let end = file.metadata()?.len();
        Ok(Follow::new(vec![Extent { file: Arc::new(file), start: 0, end, state: ExtentState::Finished }]))
    }

    fn new(extents: Vec<Extent>) -> Self {
        let shared = Shared {
            extents: Mutex::new(extents),
            changed: Condvar::new(),
            readers: Mutex::default(),
            sha256: Mutex::new(None),
        };
        Follow { shared: Arc::new(shared), reader: Arc::default() }
    }

    /// The same bytes grow in this file, too: should another fail, they are read from here.
    pub fn also_in(&self, file: File) -> Growing {
        Growing::add(&self.shared, &mut self.shared.extents(), Arc::new(file), 0)
    }

    /// Another reader of the same bytes. While it lives, nothing is given up that it did not call [`Follow::done`].
    #[must_use]
    pub fn another(&self) -> Follow {
        let reader = Arc::<ExtentReader>::default();
        let mut readers = self.shared.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.push(Arc::downgrade(&reader));
        Follow { shared: Arc::clone(&self.shared), reader }
    }

    /// Says that the place which this reader reads for has taken the name; what else fails has other reasons.
    pub fn begun(&self) {
        self.shared.change(|| self.reader.begun.store(true, Ordering::Release));
    }

    /// Waits until [`Follow::begun`] was said by all `readers`, or `over` is true of those that have not, at most for
    /// `patience`.
    pub(crate) fn wait_begun(&self, readers: &[Beginning], patience: Duration, over: &dyn Fn(usize) -> bool) {
        let until = Instant::now() + patience;
        let mut extents = self.shared.extents();
        let waits =
            |(at, Beginning(reader)): (usize, &Beginning)| !reader.begun.load(Ordering::Acquire) && !over(at);
        while readers.iter().enumerate().any(waits) && Instant::now() < until {
            let waited = self.shared.changed.wait_timeout(extents, LOOK);
            extents = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// To wait for [`Follow::begun`] of this reader.
    pub(crate) fn beginning(&self) -> Beginning {
        Beginning(Arc::clone(&self.reader))
    }

    /// Says that this reader has no more use for what is well before `offset`.
    pub fn done(&self, offset: u64) {
        if self.done_so_far() != offset {
            self.shared.change(|| self.reader.done.store(offset, Ordering::Relaxed));
        }
    }

    /// What was last said by [`Follow::done`].
    pub fn done_so_far(&self) -> u64 {
        self.reader.done.load(Ordering::Relaxed)
    }

    /// Waits until more than `offset` bytes are there, the file is finished, or `patience` is over (then
    /// `bytes` may be at most `offset`). Fails when the writer failed or the job is cancelled.
    pub fn wait(&self, offset: u64, patience: Duration, monitor: &Monitor) -> Result<Available> {
        let until = Instant::now() + patience;
        let mut extents = self.shared.extents();
        loop {
            monitor.check()?;
            if let Some(bytes) = finished(&extents) {
                return Ok(Available { bytes, finished: true });
            }
            if extents.iter().all(|extent| extent.state == ExtentState::Failed) {
                return Err(Error::new(Code::Cancelled, "stopped, because the backup itself failed"));
            }
            let bytes = extents.iter().map(|extent| extent.end).max().unwrap_or(0);
            let left = until.saturating_duration_since(Instant::now());
            if bytes > offset || left.is_zero() {
                return Ok(Available { bytes, finished: false });
            }
            let waited = self.shared.changed.wait_timeout(extents, left.min(LOOK));
            extents = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The size, once the writer is done.
    pub fn finished_size(&self) -> Option<u64> {
        finished(&self.shared.extents())
    }

    /// Whether the writer is done, successfully.
    pub fn is_finished(&self) -> bool {
        self.finished_size().is_some()
    }

    /// Waits for the end and returns the file's size.
    pub fn wait_finished(&self, monitor: &Monitor) -> Result<u64> {
        self.shared.change(|| self.reader.wants_all.store(true, Ordering::Relaxed));
        loop {
            let available = self.wait(u64::MAX, Duration::from_secs(3600), monitor)?;
            if available.finished {
                return Ok(available.bytes);
            }
        }
    }

    /// Reads at `offset`: some bytes, or 0 at the end of the finished file. Waits for the writer.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64, monitor: &Monitor) -> Result<usize> {
        loop {
            let available = self.wait(offset, Duration::from_secs(3600), monitor)?;
            if available.bytes > offset {
                let most = buffer.len().min(usize::try_from(available.bytes - offset).unwrap_or(usize::MAX));
                let buffer = buffer.get_mut(..most).unwrap_or_default();
                self.read_exact_at(buffer, offset)?;
                return Ok(most);
            }
            if available.finished {
                return Ok(0);
            }
        }
    }

    /// Reads bytes that [`Follow::wait`] reported.
    pub fn read_exact_at(&self, mut buffer: &mut [u8], mut offset: u64) -> Result<()> {
        while !buffer.is_empty() {
            let (file, end) = self.piece_at(offset)?;
            let here = buffer.len().min(usize::try_from(end - offset).unwrap_or(usize::MAX));
            let (now, later) = buffer.split_at_mut(here);
            file.read_exact_at(now, offset).map_err(|cause| {
                Error::from(cause).context("cannot read the backup back from the local disk")
            })?;
            (buffer, offset) = (later, offset + here as u64);
        }
        Ok(())
    }

    fn piece_at(&self, offset: u64) -> Result<(Arc<File>, u64)> {
        let extents = self.shared.extents();
        let holds = |extent: &&Extent| extent.start <= offset && offset < extent.end;
        let found = extents.iter().find(holds).map(|extent| (Arc::clone(&extent.file), extent.end));
        found.ok_or_else(|| {
            Error::new(Code::Space, "its beginning was given up here already, as this machine's disk is full")
                .hint("free some space, then make a new backup")
        })
    }

    /// A second handle on the finished file, for programs that read all of it.
    pub fn reader(&self) -> Result<File> {
        let finished = self.shared.extents().iter().find_map(|extent| {
            (extent.state == ExtentState::Finished).then(|| (Arc::clone(&extent.file), extent.start))
        });
        let (file, start) =
            finished.ok_or_else(|| Error::new(Code::Internal, "the backup is not finished yet"))?;
        // Its beginning is in the file that failed.
        let (mut buffer, mut at) = (vec![0; 1 << 18], 0);
        while at < start {
            let length = buffer.len().min(usize::try_from(start - at).unwrap_or(usize::MAX));
            let block = buffer.get_mut(..length).unwrap_or_default();
            self.read_exact_at(block, at)?;
            file.write_all_at(block, at)?;
            at += length as u64;
        }
        Ok(file.try_clone()?)
    }

    /// Tells the digest of the finished file, where the writer knows it: saves reading it all again.
    pub fn set_sha256(&self, digest: [u8; 32]) {
        *self.shared.sha256.lock().unwrap_or_else(PoisonError::into_inner) = Some(digest);
    }

    /// SHA-256 of the finished file; computed, once for all followers, where nobody told it.
    pub fn sha256(&self, monitor: &Monitor) -> Result<[u8; 32]> {
        let mut known = self.shared.sha256.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(digest) = *known {
            return Ok(digest);
        }
        let (mut hash, mut buffer, mut offset) = (Sha256::new(), vec![0; 1 << 18], 0);
        loop {
            let read = self.read_at(&mut buffer, offset, monitor)?;
            if read == 0 {
                return Ok(*known.insert(hash.finalize().into()));
            }
            hash.update(buffer.get(..read).unwrap_or_default());
            offset += read as u64;
        }
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        self.shared.change(|| self.reader.gone.store(true, Ordering::Relaxed));
    }
}

/// The size of what is finished.
fn finished(extents: &[Extent]) -> Option<u64> {
    extents.iter().find(|extent| extent.state == ExtentState::Finished).map(|extent| extent.end)
}

#[cfg(test)]
mod tests {
    use super::super::Spool;
    use super::*;
    use std::io::Write;
    use std::thread;

    #[test]
    fn two_readers_follow_a_spool_to_its_end() {
        let (mut spool, follow) = Spool::create(&std::env::temp_dir()).unwrap();
        let readers: Vec<_> = [1000, 7]
            .map(|step| {
                let follow = follow.another();
                thread::spawn(move || {
                    let (monitor, mut all, mut buffer) = (Monitor::new(), Vec::new(), vec![0; step]);
                    loop {
                        match follow.read_at(&mut buffer, all.len() as u64, &monitor).unwrap() {
                            0 => return all,
                            read => all.extend_from_slice(&buffer[..read]),
                        }
                    }
                })
            })
            .into();
        let bytes: Vec<u8> = (0..100_000u32).map(|i| (i % 251) as u8).collect();
        for chunk in bytes.chunks(9_999) {
            spool.write_all(chunk).unwrap();
        }
        spool.finish();
        for reader in readers {
            assert!(reader.join().unwrap() == bytes);
        }
    }

    #[test]
    fn a_failed_writer_stops_its_readers() {
        let (spool, follow) = Spool::create(&std::env::temp_dir()).unwrap();
        let reader = thread::spawn(move || follow.wait_finished(&Monitor::new()).map_err(|e| e.code()));
        drop(spool);
        assert_eq!(reader.join().unwrap(), Err(Code::Cancelled));
    }

    #[test]
    fn a_cancelled_reader_stops_waiting() {
        let (_spool, follow) = Spool::create(&std::env::temp_dir()).unwrap();
        let monitor = Arc::new(Monitor::new());
        let theirs = Arc::clone(&monitor);
        let reader = thread::spawn(move || follow.wait_finished(&theirs).map_err(|e| e.code()));
        monitor.cancel();
        assert_eq!(reader.join().unwrap(), Err(Code::Cancelled));
    }
}

#[cfg(all(test, feature = "shuttle"))]
mod model;
