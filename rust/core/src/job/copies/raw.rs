//! A backup file as it lies at a place, for whoever takes it elsewhere: byte for byte, from anywhere on, not checked.

use crate::catalog::Backup;
use crate::destination::Destination;
use crate::job::places;
use crate::job::request::Restore;
use crate::job::select::{self, gap};
use crate::{Code, Error, Monitor, Result};
use std::io::{self, Read, Write};
use std::sync::Arc;

/// Bytes that are read in one piece.
const PIECE: usize = 256 * 1024;

/// What of a backup is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Raw {
    /// The file, from this byte on.
    File(u64),
    /// The sidecar beside it.
    Sidecar,
}

/// Writes a backup file, or its sidecar, to `out`: from the nearest place that has it whole. A copy that cannot be read
/// is passed over for the next, also in the middle. Gives the bytes of the file that were written.
pub fn raw(
    document: &crate::config::Document,
    ask: &Restore,
    what: Raw,
    out: &mut dyn Write,
    monitor: &Monitor,
) -> Result<u64> {
    let id = ask.id.as_deref().ok_or_else(select::which)?;
    let names: Vec<String> = ask.destination.iter().cloned().collect();
    let opened = places::open(document, &names)?;
    let listed = places::list(gap(id), document, &opened, ask.site.as_deref(), monitor)?;
    let backup =
        places::find(document, &listed, id, ask.source.as_deref(), ask.destination.as_deref(), monitor)?
            .clone();
    let mut copies: Vec<&Arc<dyn Destination>> =
        opened.iter().filter(|place| backup.copy_at(place.id()).is_some_and(|copy| copy.whole)).collect();
    copies.sort_by_key(|place| !place.pushes());
    let mut last = None;
    let mut sent = 0;
    for place in copies {
        let done = match what {
            Raw::Sidecar => sidecar(place.as_ref(), &backup, out),
            Raw::File(offset) => file(place.as_ref(), &backup, offset, &mut sent, out, monitor),
        };
        match done {
            Ok(()) => return Ok(sent),
            // Whoever reads has gone, or does not want any more of it.
            Err(error) if matches!(error.code(), Code::Cancelled | Code::Io) => return Err(error),
            Err(error) => last = Some(error.context(format!("the copy at {}", place.id()))),
        }
    }
    Err(last
        .unwrap_or_else(|| Error::new(Code::NotFound, format!("no destination has {} whole", backup.file))))
}

fn sidecar(place: &dyn Destination, backup: &Backup, out: &mut dyn Write) -> Result<()> {
    let text = place.sidecar(&backup.file)?.ok_or_else(|| {
        Error::new(Code::NotFound, format!("{} has no sidecar at {}", backup.file, place.id()))
    })?;
    write(out, text.as_bytes())
}

fn file(
    place: &dyn Destination,
    backup: &Backup,
    offset: u64,
    sent: &mut u64,
    out: &mut dyn Write,
    monitor: &Monitor,
) -> Result<()> {
    let from = offset.saturating_add(*sent);
    let mut reader = match place.open_at(&backup.file, from)? {
        Some(reader) => reader,
        None => {
            let mut reader = place.open(&backup.file)?;
            io::copy(&mut (&mut reader).take(from), &mut io::sink())
                .map_err(|cause| unread(backup, cause))?;
            reader
        }
    };
    let mut piece = vec![0; PIECE];
    loop {
        monitor.check()?;
        let read = match reader.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => continue,
            Err(cause) => return Err(unread(backup, cause)),
        };
        write(out, piece.get(..read).unwrap_or_default())?;
        *sent += read as u64;
    }
}

fn write(out: &mut dyn Write, bytes: &[u8]) -> Result<()> {
    out.write_all(bytes)
        .map_err(|cause| Error::new(Code::Io, "cannot write to standard output").because(cause))
}

fn unread(backup: &Backup, cause: io::Error) -> Error {
    Error::new(Code::Destination, format!("{} cannot be read", backup.file)).because(cause)
}
