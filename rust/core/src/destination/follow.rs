//! A local file that is read while it is still being written.
//!
//! One writer ([`Growing`]) says how far the bytes are; any number of readers ([`Follow`]) follow at their own
//! pace, by position, so that each can go back and resume. What is not yet sent waits in the file (and the page
//! cache), never in our memory.

use crate::{Code, Error, Monitor, Result, ResultExt};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often a waiting reader looks at the cancel flag.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Growing,
    Finished,
    Failed,
}

/// The reading side: shared by all destinations that follow one file.
#[derive(Debug)]
pub struct Follow {
    file: File,
    progress: Mutex<(u64, State)>,
    changed: Condvar,
    sha256: Mutex<Option<[u8; 32]>>,
}

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
    pub fn growing(file: File) -> (Growing, Arc<Follow>) {
        let follow = Arc::new(Follow::new(file, 0, State::Growing));
        (Growing { follow: Arc::clone(&follow), finished: false }, follow)
    }

    /// A file that is whole already, e.g. a backup that is to be replicated.
    pub fn finished(file: File) -> Result<Follow> {
        let bytes = file.metadata()?.len();
        Ok(Follow::new(file, bytes, State::Finished))
    }

    fn new(file: File, bytes: u64, state: State) -> Self {
        Follow {
            file,
            progress: Mutex::new((bytes, state)),
            changed: Condvar::new(),
            sha256: Mutex::new(None),
        }
    }

    /// Waits until more than `offset` bytes are there, the file is finished, or `patience` is over (then
    /// `bytes` may be at most `offset`). Fails when the writer failed or the job is cancelled.
    pub fn wait(&self, offset: u64, patience: Duration, monitor: &Monitor) -> Result<Available> {
        let until = Instant::now() + patience;
        let mut progress = self.lock();
        loop {
            monitor.check()?;
            let (bytes, state) = *progress;
            let left = until.saturating_duration_since(Instant::now());
            match state {
                State::Failed => {
                    return Err(Error::new(Code::Cancelled, "stopped, because the backup itself failed"));
                }
                State::Finished => return Ok(Available { bytes, finished: true }),
                State::Growing if bytes > offset || left.is_zero() => {
                    return Ok(Available { bytes, finished: false });
                }
                State::Growing => {}
            }
            let waited = self.changed.wait_timeout(progress, left.min(LOOK));
            progress = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The size, once the writer is done.
    pub fn finished_size(&self) -> Option<u64> {
        match *self.lock() {
            (bytes, State::Finished) => Some(bytes),
            _ => None,
        }
    }

    /// Whether the writer is done, successfully.
    pub fn is_finished(&self) -> bool {
        self.finished_size().is_some()
    }

    /// Waits for the end and returns the file's size.
    pub fn wait_finished(&self, monitor: &Monitor) -> Result<u64> {
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
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.file
            .read_exact_at(buffer, offset)
            .map_err(|cause| Error::from(cause).context("cannot read the backup back from the local disk"))
    }

    /// A second handle on the file, for programs that read it when it is finished.
    pub fn reader(&self) -> Result<File> {
        Ok(self.file.try_clone()?)
    }

    /// Tells the digest of the finished file, where the writer knows it: saves reading it all again.
    pub fn set_sha256(&self, digest: [u8; 32]) {
        *self.sha256.lock().unwrap_or_else(PoisonError::into_inner) = Some(digest);
    }

    /// SHA-256 of the finished file; computed, once for all followers, where nobody told it.
    pub fn sha256(&self, monitor: &Monitor) -> Result<[u8; 32]> {
        let mut known = self.sha256.lock().unwrap_or_else(PoisonError::into_inner);
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

    fn lock(&self) -> MutexGuard<'_, (u64, State)> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writing side of a followed file. Dropped without [`Growing::finish`], it makes all followers give up.
#[derive(Debug)]
pub struct Growing {
    follow: Arc<Follow>,
    finished: bool,
}

impl Growing {
    /// Says that `bytes` more can be read.
    pub fn grew(&self, bytes: u64) {
        self.follow.lock().0 += bytes;
        self.follow.changed.notify_all();
    }

    /// Says that this is all.
    pub fn finish(mut self) {
        self.finished = true;
        self.follow.lock().1 = State::Finished;
        self.follow.changed.notify_all();
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        if !self.finished {
            self.follow.lock().1 = State::Failed;
            self.follow.changed.notify_all();
        }
    }
}

/// A temporary file without a name for backups that have no local destination. It vanishes with the process.
#[derive(Debug)]
pub struct Spool {
    file: File,
    growing: Growing,
    folder: std::path::PathBuf,
}

impl Spool {
    /// A spool on the disk of `folder` (mode 0600, no name), and its reading side.
    pub fn create(folder: &Path) -> Result<(Spool, Arc<Follow>)> {
        let file = tempfile::tempfile_in(folder).at("cannot make a temporary file in", folder)?;
        let reader = file.try_clone().at("cannot make a temporary file in", folder)?;
        let (growing, follow) = Follow::growing(reader);
        Ok((Spool { file, growing, folder: folder.to_owned() }, follow))
    }

    /// Says that all is written.
    pub fn finish(self) {
        self.growing.finish();
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes).at(
            "the backup waits for its upload in a temporary file, which cannot be written, in",
            &self.folder,
        )?;
        self.growing.grew(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn two_readers_follow_a_spool_to_its_end() {
        let (mut spool, follow) = Spool::create(&std::env::temp_dir()).unwrap();
        let readers: Vec<_> = [1000, 7]
            .map(|step| {
                let follow = Arc::clone(&follow);
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
