//! The writing side of a followed file, and the temporary file that stands in where no destination is local.

use super::Follow;
use super::{Extent, ExtentState, LOOK, Shared};
use crate::{Result, ResultExt, temporary};
use rustix::fs::{FallocateFlags, fallocate};
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

/// Bytes behind the slowest reader that are kept all the same: a resumed upload compares some.
const KEEP: u64 = 2 << 20;

/// One writer of a followed file. Dropped without [`Growing::finish`], its bytes end; when all writers' do, the
/// followers give up.
#[derive(Debug)]
pub struct Growing {
    shared: Arc<Shared>,
    extent: usize,
    finished: bool,
}

impl Growing {
    pub(crate) fn add(
        shared: &Arc<Shared>,
        extents: &mut Vec<Extent>,
        file: Arc<File>,
        start: u64,
    ) -> Growing {
        extents.push(Extent { file, start, end: start, state: ExtentState::Growing });
        Growing { shared: Arc::clone(shared), extent: extents.len() - 1, finished: false }
    }

    /// Says that `bytes` more can be read.
    pub fn grew(&self, bytes: u64) {
        if let Some(extent) = self.shared.extents().get_mut(self.extent) {
            extent.end += bytes;
        }
        self.shared.changed.notify_all();
    }

    /// Says that this is all.
    pub fn finish(mut self) {
        self.finished = true;
        self.end(ExtentState::Finished);
    }

    /// Says that no more comes here. Where nobody else writes the same, a spool on the disk of `folder` takes over for
    /// those who still read.
    pub fn fail_over(mut self, folder: &Path) -> Result<Option<Spool>> {
        self.finished = true;
        if self.shared.readers().is_empty() {
            self.end(ExtentState::Failed);
            return Ok(None);
        }
        let file = temporary::file(folder).map(Arc::new);
        let mut extents = self.shared.extents();
        let mut start = 0;
        if let Some(extent) = extents.get_mut(self.extent) {
            extent.state = ExtentState::Failed;
            start = extent.end;
        }
        // Whoever fails last sees no other: the lock decides, and readers never see that there is none.
        let spool = match file {
            _ if extents.iter().any(|extent| extent.state != ExtentState::Failed) => Ok(None),
            Ok(file) => {
                let growing = Growing::add(&self.shared, &mut extents, Arc::clone(&file), start);
                Ok(Some(Spool { file, growing, folder: folder.to_owned(), at: start }))
            }
            Err(error) => Err(error),
        };
        drop(extents);
        self.shared.changed.notify_all();
        spool
    }

    fn end(&self, state: ExtentState) {
        if let Some(extent) = self.shared.extents().get_mut(self.extent) {
            extent.state = state;
        }
        self.shared.changed.notify_all();
    }

    /// Where a full disk keeps this from growing: gives up what every reader is done with. Waits until there is some;
    /// false where there will be none.
    pub(super) fn make_room(&self) -> bool {
        let mut extents = self.shared.extents();
        loop {
            let readers = self.shared.readers();
            let slowest = readers
                .iter()
                .filter(|reader| !reader.wants_all.load(Ordering::Relaxed))
                .map(|reader| reader.done.load(Ordering::Relaxed))
                .min();
            let Some(slowest) = slowest else { return false };
            let up_to = slowest.saturating_sub(KEEP);
            let mut freed = false;
            for extent in extents.iter_mut().filter(|extent| extent.start < up_to.min(extent.end)) {
                let length = up_to.min(extent.end) - extent.start;
                let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
                freed |= fallocate(&*extent.file, hole, extent.start, length).is_ok();
                extent.start += length;
            }
            let all = extents.iter().map(|extent| extent.end).max().unwrap_or(0);
            if freed || slowest >= all {
                return freed;
            }
            let waited = self.shared.changed.wait_timeout(extents, LOOK);
            extents = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        if !self.finished {
            self.end(ExtentState::Failed);
        }
    }
}

/// A temporary file without a name for backups that have no local destination. It vanishes with the process.
///
/// On a full disk it goes on as fast as its readers let go of what they have.
#[derive(Debug)]
pub struct Spool {
    file: Arc<File>,
    growing: Growing,
    folder: PathBuf,
    at: u64,
}

impl Spool {
    /// A spool on the disk of `folder` (mode 0600, no name), and its reading side.
    pub fn create(folder: &Path) -> Result<(Spool, Follow)> {
        let file = Arc::new(temporary::file(folder)?);
        let (growing, follow) =
            Follow::growing(file.try_clone().at("cannot use a temporary file in", folder)?);
        Ok((Spool { file, growing, folder: folder.to_owned(), at: 0 }, follow))
    }

    /// Says that all is written.
    pub fn finish(self) {
        self.growing.finish();
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = loop {
            match self.file.write_at(bytes, self.at) {
                Err(cause) if is_full(&cause) && self.growing.make_room() => {}
                written => break written,
            }
        };
        let written = written.at(
            "the backup waits for its upload in a temporary file, which cannot be written, in",
            &self.folder,
        )?;
        self.at += written as u64;
        self.growing.grew(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn is_full(cause: &io::Error) -> bool {
    matches!(cause.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}
