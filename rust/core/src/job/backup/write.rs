//! Writing what a source means, in one pass.

use super::pipeline::Pipeline;
use super::sources::BackupPlan;
use crate::archive::{self, Entry, EntryKind};
use crate::catalog::{Sidecar, key};
use crate::compress::{self, Piece};
use crate::config::{CompressionLevel, Connection};
use crate::source::database::{self, DumpReport, DumpSettings};
use crate::source::files::TreeReport;
use crate::temporary::Temporary;
use crate::{Code, Error, Monitor, NoteKind, Result, threads};
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The compression of a dump that waits on disk for its turn in the tar: fast, and small enough.
const SPOOL_LEVEL: i32 = 1;

/// How many tables that could not be read are named in a sidecar; the dump names them all.
const MAX_UNREAD_TABLES: usize = 100;

/// What was written.
#[derive(Debug, Default)]
pub struct Wrote {
    /// Files, where there are any in such a backup: their number, their bytes, how many changed meanwhile.
    pub files: Option<TreeReport>,
    /// The database.
    pub dump: Option<DumpReport>,
}

impl Wrote {
    /// Notes it in the sidecar.
    pub fn describe(&self, sidecar: &mut Sidecar) {
        sidecar.set_number(key::CHANGED_FILES, self.files.as_ref().map_or(0, |files| files.changed));
        if let Some(files) = &self.files {
            sidecar.set_number(key::FILES, files.files);
            sidecar.set_number(key::FILE_BYTES, files.bytes);
            if !files.followed.is_empty() {
                sidecar.set_list(key::FOLLOWED, &files.followed);
            }
            if !files.unread.is_empty() {
                sidecar.set_paths(key::UNREAD, &files.unread);
            }
        }
        if let Some(dump) = &self.dump {
            sidecar.set_number(key::TABLES, dump.tables + dump.empty_tables);
            if !dump.unread.is_empty() {
                sidecar.set_list(key::UNREAD_TABLES, dump.unread.iter().take(MAX_UNREAD_TABLES));
            }
        }
    }
}

impl BackupPlan {
    /// Writes everything, in one pass.
    pub fn write(
        &self,
        out: &mut Pipeline,
        now: u64,
        spool_dir: &Path,
        monitor: &Arc<Monitor>,
    ) -> Result<Wrote> {
        match (&self.manifest, &self.database) {
            (None, Some((connection, settings))) => {
                let mut report = dump(connection, settings, out, monitor)?;
                out.note_tables(report.places.take(), spool_dir)?;
                Ok(Wrote { dump: Some(report), ..Wrote::default() })
            }
            (None, None) => {
                let mut tar = begin_tar(out, spool_dir)?;
                let files = self.write_trees(&mut tar, &AtomicBool::new(false), monitor)?;
                tar.finish()?;
                Ok(Wrote { files: Some(files), dump: None })
            }
            (Some(_), database) => self.write_site(database.as_ref(), out, now, spool_dir, monitor),
        }
    }

    /// Ends with an error once `stop` is set.
    fn write_trees(
        &self,
        tar: &mut archive::Writer<&mut Pipeline>,
        stop: &AtomicBool,
        monitor: &Monitor,
    ) -> Result<TreeReport> {
        let mut total = TreeReport { unread: self.absent().to_vec(), ..TreeReport::default() };
        for tree in &self.trees {
            let mut append = |entry: &Entry, body: &mut dyn Read| {
                monitor.set_current(archive::show(&entry.path));
                tar.append(entry, &mut Stoppable { body, stop }).map(drop)
            };
            let report = tree.walk(monitor, &mut append)?;
            total.files += report.files;
            total.bytes += report.bytes;
            total.changed += report.changed;
            total.followed.extend(report.followed);
            total.unread.extend(report.unread);
        }
        Ok(total)
    }

    fn write_site(
        &self,
        database: Option<&(Connection, DumpSettings)>,
        out: &mut Pipeline,
        now: u64,
        spool_dir: &Path,
        monitor: &Arc<Monitor>,
    ) -> Result<Wrote> {
        let (driver, file) = self.dump_name();
        let mtime = i64::try_from(now).unwrap_or_default();
        let manifest = self.manifest(driver, file, mtime).unwrap_or_default();
        let gzip = out.splices();
        let failed = AtomicBool::new(false);
        let failed = &failed;
        std::thread::scope(|scope| {
            // tar wants the dump's size before its bytes: it waits on disk while the files are archived.
            let spooling = match database {
                Some((connection, settings)) => Some(threads::spawn_scoped(scope, "bam-spool", move || {
                    let spooled = Spooled::dump(connection, settings, spool_dir, gzip, monitor);
                    // Without a dump the files go nowhere: no need to read and send them for hours.
                    failed.store(spooled.is_err(), Relaxed);
                    spooled
                })?),
                None => None,
            };
            let mut tar = begin_tar(out, spool_dir)?;
            tar.append_bytes(b"MANIFEST.ini", 0o644, mtime, manifest.as_bytes())?;
            let walked = self.write_trees(&mut tar, failed, monitor);
            // Before that stops the dump, too.
            let dump_failed = failed.load(Relaxed);
            if walked.is_err() {
                // The dump must not go on for minutes for nothing.
                monitor.halt();
            }
            let spooled = spooling.map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err(Error::new(Code::Internal, "the dump stopped at a bug in bam")))
            });
            // What comes next, as a repository, is not given up.
            monitor.go_on();
            // Where the dump has failed, that is why the files did not come to their end.
            let spooled = match spooled {
                Some(Err(error)) if dump_failed && walked.is_err() => return Err(error),
                other => other,
            };
            let (mut wrote, mut places) = (Wrote { files: Some(walked?), dump: None }, None);
            if let Some(spooled) = spooled {
                let mut spooled = spooled?;
                places = spooled.report.places.take();
                wrote.dump = Some(spooled.report.clone());
                spooled.append_to(&mut tar, file, mtime)?;
            }
            tar.finish()?.note_tables(places, spool_dir)?;
            Ok(wrote)
        })
    }
}

/// Dumps a database. One without tables makes a good backup of nothing, which is said: it may be the wrong one, or have lost
/// them.
pub fn dump(
    connection: &Connection,
    settings: &DumpSettings,
    out: &mut dyn Write,
    monitor: &Monitor,
) -> Result<DumpReport> {
    let report = database::dump(connection, settings, out, monitor)?;
    if report.tables + report.empty_tables == 0 && database::tables(connection, false, monitor)?.is_empty() {
        let text = format!(
            "the database {} holds no tables, so the backup has nothing of it: see whether it is the right one",
            connection.label()
        );
        monitor.note(NoteKind::Missing, text);
    }
    Ok(report)
}

/// A tar that gets an index.
fn begin_tar<'p>(out: &'p mut Pipeline, spool_dir: &Path) -> Result<archive::Writer<&'p mut Pipeline>> {
    out.begin_index(spool_dir)?;
    Ok(archive::Writer::new(out).noting(|out, offset, bytes| out.note(offset, bytes)))
}

/// A file's body that ends with an error once `stop` is set.
struct Stoppable<'a> {
    body: &'a mut dyn Read,
    stop: &'a AtomicBool,
}

impl Read for Stoppable<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.load(Relaxed) {
            return Err(io::Error::other("given up, since something else has failed"));
        }
        self.body.read(buffer)
    }
}

/// A dump in a temporary file without a name, compressed: on disk, it is never in the clear under a name.
struct Spooled {
    file: Temporary,
    report: DumpReport,
    /// It is compressed just as the backup is, into these pieces, so that it is compressed once; else by zstd.
    pieces: Option<Vec<Piece>>,
}

impl Spooled {
    fn dump(
        connection: &Connection,
        settings: &DumpSettings,
        folder: &Path,
        gzip: Option<CompressionLevel>,
        monitor: &Monitor,
    ) -> Result<Spooled> {
        let file = Temporary::new(folder)?;
        let (mut file, report, pieces) = match gzip {
            Some(level) => {
                // Next to it, all processors compress the files: few are shared, since either may be the larger part; of
                // many, half will do, for the sake of memory.
                let processors = std::thread::available_parallelism().map_or(1, usize::from);
                let threads = processors.min((processors / 2).max(4));
                let mut encoder = compress::writer(compress::Kind::Gzip, level, "", file, threads)?;
                let report = dump(connection, settings, &mut encoder, monitor)?;
                let (file, pieces) = encoder.finish_pieces()?;
                (file, report, Some(pieces))
            }
            None => {
                let mut encoder = zstd::Encoder::new(file, SPOOL_LEVEL)?;
                let report = dump(connection, settings, &mut encoder, monitor)?;
                (encoder.finish()?, report, None)
            }
        };
        file.rewind()?;
        Ok(Spooled { file, report, pieces })
    }

    fn append_to(mut self, tar: &mut archive::Writer<&mut Pipeline>, name: &str, mtime: i64) -> Result<()> {
        let entry = Entry {
            path: name.as_bytes().to_vec(),
            kind: EntryKind::File { size: self.report.bytes },
            mode: 0o600,
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            mtime,
            extras: Default::default(),
        };
        if let Some(pieces) = &self.pieces {
            return tar.append_by(&entry, |out| out.splice(self.report.bytes, &mut self.file, pieces));
        }
        let mut dump = zstd::Decoder::new(self.file)?;
        let appended = tar.append(&entry, &mut dump)?;
        if appended.padded > 0 || io::copy(&mut dump, &mut io::sink())? > 0 {
            return Err(Error::new(
                Code::Internal,
                "the dump on disk has another size than the dump that was made",
            ));
        }
        Ok(())
    }
}
