//! Copying a database page by page, and the bytes of its file.

use super::connect::{PATIENCE, failed, locked};
use crate::{Code, Error, Monitor, Result, ResultExt};
use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// Pages between two looks at the cancel flag.
const PAGES: i32 = 4096;
/// How every database file begins (<https://www.sqlite.org/fileformat.html>).
const MAGIC: &[u8] = b"SQLite format 3\0";

/// Why copying stopped.
pub(super) enum Stopped {
    Sqlite(rusqlite::Error),
    Ours(Error),
}

impl From<rusqlite::Error> for Stopped {
    fn from(cause: rusqlite::Error) -> Self {
        Stopped::Sqlite(cause)
    }
}

impl Stopped {
    pub(super) fn at(self, path: &Path) -> Error {
        match self {
            Stopped::Sqlite(cause) => failed(path, cause),
            Stopped::Ours(error) => error,
        }
    }
}

/// Copies all pages, in one transaction on either side.
pub(super) fn copy_pages(
    from: &Connection,
    to: &mut Connection,
    monitor: &Monitor,
) -> std::result::Result<(), Stopped> {
    // Holding the snapshot over all steps: without it, each write of the site would start the copy anew.
    from.execute_batch("BEGIN")?;
    from.query_row("SELECT COUNT(*) FROM sqlite_master", [], |_| Ok(()))?;
    // SQLite waits for readers of the target; in short pieces, so that a cancel is seen.
    to.busy_timeout(Duration::from_secs(1))?;
    let started = Instant::now();
    let mut copy = || {
        let backup = Backup::new(from, to)?;
        loop {
            monitor.check().map_err(Stopped::Ours)?;
            match backup.step(PAGES)? {
                StepResult::Done => return Ok(()),
                StepResult::More => {}
                _ if started.elapsed() < PATIENCE => {}
                _ => return Err(Stopped::Ours(locked())),
            }
        }
    };
    let done = copy();
    // Of what was only read; it is over in any case.
    let _ = from.execute_batch("COMMIT");
    done
}

/// Copies a stream.
pub(super) fn pour(input: &mut dyn Read, out: &mut dyn Write, monitor: &Monitor) -> Result<u64> {
    let mut block = vec![0; 256 * 1024];
    let mut written = 0;
    loop {
        monitor.check()?;
        let n = match input.read(&mut block) {
            Ok(0) => return Ok(written),
            Ok(n) => n,
            Err(cause) if cause.kind() == ErrorKind::Interrupted => continue,
            Err(cause) => return Err(cause.into()),
        };
        out.write_all(block.get(..n).unwrap_or_default())?;
        written += n as u64;
    }
}

/// Marks the copy of a database with a write-ahead log as one without: a log would lie beside its name. (Bytes 18 and
/// 19 of the header; the change counter at 24 makes SQLite look again.)
pub(super) fn leave_wal(copy: &File) -> io::Result<()> {
    let mut header = [0; 28];
    copy.read_exact_at(&mut header, 0)?;
    if let [.., b'\x02', b'\x02', _, _, _, _, a, b, c, d] = header {
        copy.write_all_at(&[1, 1], 18)?;
        copy.write_all_at(&u32::from_be_bytes([a, b, c, d]).wrapping_add(1).to_be_bytes(), 24)?;
    }
    Ok(())
}

pub(super) fn check_magic(path: &Path) -> Result<()> {
    match File::open(path).and_then(|file| has_magic(&file)).at("cannot read", path)? {
        true => Ok(()),
        false => Err(no_database()),
    }
}

pub(super) fn no_database() -> Error {
    Error::new(Code::Integrity, "the backup holds no SQLite database")
        .hint("restore it onto the kind of database from which it was made")
}

pub(super) fn has_magic(file: &File) -> io::Result<bool> {
    let mut start = [0; MAGIC.len()];
    match file.read_exact_at(&mut start, 0) {
        Err(cause) if cause.kind() == ErrorKind::UnexpectedEof => Ok(false),
        done => done.map(|()| start == MAGIC),
    }
}
