//! Sending a file that may still be growing over one SFTP connection, from where the server's part ends.

use super::channels::{self, Failure};
use super::digest::Along;
use super::folder::Folder;
use super::stripes;
use crate::destination::follow::Follow;
use crate::destination::names;
use crate::destination::ssh::retry::Trouble;
use crate::{Code, Error, Monitor, Result};
use ssh2::{FileStat, OpenFlags};
use std::time::Duration;

/// Bytes at the end of a part that must be the local file's.
const TAIL: u64 = 1 << 20;
/// Spots before the tail that are compared, too, and their size.
const SPOTS: u64 = 16;
const SPOT: u64 = 32 << 10;
/// Free bytes on the server below which a refused write means: full.
const FULL: u64 = 1 << 20;

/// Where to go on: bytes of the part `.NAME.part` that are the local file's. `acked` are the bytes that this run
/// has sent and the server confirmed; `None` for a part that an earlier run left.
pub(crate) fn resume_point(
    folder: &Folder,
    name: &str,
    file: &Follow,
    acked: Option<u64>,
    monitor: &Monitor,
) -> Result<u64, Trouble> {
    let part = names::part(name);
    let Some(size) = folder.stat(&part)?.and_then(|stat| stat.size) else { return Ok(0) };
    // What is on its way is written in any order: only before that there can be no holes.
    let claim = match acked {
        Some(acked) => size.min(acked),
        None => size.saturating_sub(stripes::SPREAD),
    };
    if claim == 0 || file.wait(claim - 1, Duration::ZERO, monitor)?.bytes < claim {
        return Ok(0);
    }
    let mut remote = folder.open(&part, OpenFlags::READ)?;
    let tail = claim.saturating_sub(TAIL);
    let mut ranges = vec![(tail, claim - tail)];
    if acked.is_none() {
        let spots = (0..SPOTS).map(|spot| tail / SPOTS * spot);
        ranges.extend(spots.map(|start| (start, SPOT.min(claim - start))));
    }
    for (start, length) in ranges {
        monitor.check()?;
        let mut theirs = vec![0; usize::try_from(length).unwrap_or(0)];
        let mut ours = theirs.clone();
        folder.read_at(&mut remote, &part, &mut theirs, start)?;
        file.read_exact_at(&mut ours, start)?;
        if ours != theirs {
            return Ok(0);
        }
    }
    Ok(claim)
}

/// A new part, or the one that is there, cut to the bytes that are good; with room for the rest, as far as known.
pub(crate) fn open_part(
    folder: &Folder,
    name: &str,
    file: &Follow,
    offset: u64,
) -> Result<ssh2::File, Trouble> {
    let part = names::part(name);
    let mut remote = if offset == 0 {
        folder.create(&part)?
    } else {
        let mut remote = folder.open(&part, OpenFlags::WRITE)?;
        let stat =
            FileStat { size: Some(offset), uid: None, gid: None, perm: None, atime: None, mtime: None };
        let cut = remote.setstat(stat);
        cut.map_err(|cause| folder.trouble("cannot cut to what is good of it", &folder.path(&part), &cause))?;
        remote
    };
    if let Some(size) = file.finished_size()
        && let Some(free) = folder.room_around(&mut remote)?
        && free < size.saturating_sub(offset)
    {
        return Err(no_room(folder, Some((size.saturating_sub(offset), free))).into());
    }
    Ok(remote)
}

/// Sends the file into the part from `offset` to its end and flushes it there. Returns the SHA-256 of all of it, where
/// the server hashed along. `acked` always holds how far the server has confirmed, also after a failure.
pub(crate) fn send(
    folder: &Folder,
    name: &str,
    file: &Follow,
    offset: u64,
    acked: &mut Option<u64>,
    monitor: &Monitor,
) -> Result<Option<[u8; 32]>, Trouble> {
    let part = names::part(name);
    let acked = acked.insert(offset);
    let mut remote = open_part(folder, name, file, offset)?;
    file.done(offset);
    std::thread::scope(|scope| {
        let along = Along::start(scope, folder, &part, file, monitor);
        if let Err(failure) = channels::send(folder, &part, &mut remote, file, acked, monitor) {
            return Err(match failure {
                Failure::Trouble(trouble) => trouble,
                Failure::Write(cause) => write_trouble(folder, &part, &cause),
            });
        }
        finish_part(folder, name, remote, *acked)?;
        Ok(along.finish())
    })
}

/// Flushes a part on the server, closes it and compares its size with that of what was `sent`.
pub(crate) fn finish_part(
    folder: &Folder,
    name: &str,
    mut remote: ssh2::File,
    sent: u64,
) -> Result<(), Trouble> {
    let part = names::part(name);
    folder.fsync(&mut remote, &part)?;
    drop(remote);
    match folder.stat(&part)?.and_then(|stat| stat.size) {
        Some(size) if size == sent => Ok(()),
        size => Err(Error::new(
            Code::Destination,
            format!("{}: the server has {} bytes of {sent} sent", folder.place(), size.unwrap_or(0)),
        )
        .into()),
    }
}

/// OpenSSH answers a full disk with plain "failure": looks whether it is that.
fn write_trouble(folder: &Folder, part: &str, cause: &std::io::Error) -> Trouble {
    let trouble = folder.io_trouble("cannot write", &folder.path(part), cause);
    if trouble.broken || trouble.error.code() == Code::Permission {
        return trouble;
    }
    // Over another connection: in this one answers to other writes may be on their way, and requests half sent.
    let room = folder.server.connect().ok().and_then(|connection| {
        let other = Folder { connection, server: folder.server.clone(), mode: folder.mode };
        let mut file = other.open(part, OpenFlags::READ).ok()?;
        other.room_around(&mut file).ok().flatten()
    });
    if room.is_some_and(|free| free < FULL) || trouble.error.code() == Code::Space {
        return no_room(folder, None).into();
    }
    let error = trouble.error.hint("most often the disk or the quota there is full: look on the server");
    Trouble { error, broken: false }
}

/// The server's disk is full, or will be: `needed` and free bytes.
pub(crate) fn no_room(folder: &Folder, needed: Option<(u64, u64)>) -> Error {
    let how = match needed {
        Some((needed, free)) => format!(": {needed} bytes are needed, {free} are free"),
        None => String::new(),
    };
    Error::new(Code::Space, format!("the disk is full on {}{how}", folder.place()))
        .hint("free some space there (`bam prune`, or a larger disk), then run it again")
}
