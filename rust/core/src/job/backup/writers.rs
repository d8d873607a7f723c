//! The threads that take a backup's bytes: one for each folder, one for the temporary file, one that hashes.

use crate::catalog::Blocks;
use crate::destination::{Growing, Spool, Upload};
use crate::{Code, Error, Result, threads};
use crossbeam_channel::{Receiver, Sender, bounded};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

/// Chunks that a slow writer may lag behind: this bounds the memory.
const DEPTH: usize = 4;

/// What was written, once all of it was.
#[derive(Debug, Clone)]
pub struct Written {
    /// Bytes.
    pub bytes: u64,
    /// SHA-256 of them.
    pub sha256: [u8; 32],
    /// Checksums of their blocks.
    pub blocks: Blocks,
}

type Chunk = Arc<Vec<u8>>;

pub(super) enum Message {
    Data(Chunk),
    End,
}

/// What a writer thread has at the end.
pub(super) enum Pushed {
    /// A folder's upload, waiting for its sidecar.
    Upload(Box<dyn Upload>),
    /// A temporary file for the remote places; where it took over from a folder, with how that failed.
    Spool(Option<Error>),
}

pub(super) struct Writer {
    /// `None` for the spool.
    pub(super) destination: Option<String>,
    pub(super) chunks: Sender<Message>,
    pub(super) thread: JoinHandle<Result<Pushed>>,
}

impl Writer {
    /// Starts one.
    pub(super) fn start(destination: Option<String>, sink: Sink) -> Result<Writer> {
        let (chunks, coming) = bounded(DEPTH);
        let thread = threads::spawn("bam-write", move || sink.run(&coming))?;
        Ok(Writer { destination, chunks, thread })
    }
}

/// Where a writer thread puts its chunks.
pub(super) enum Sink {
    Upload(Box<dyn Upload>, Option<Followed>),
    /// With the error of the folder that it stands in for.
    Spool(Spool, Option<Error>),
}

/// A folder's file that remote places follow, and where they find the rest should it fail.
pub(super) struct Followed {
    pub(super) growing: Growing,
    pub(super) spool_dir: PathBuf,
}

impl Sink {
    fn run(mut self, chunks: &Receiver<Message>) -> Result<Pushed> {
        while let Ok(message) = chunks.recv() {
            match message {
                Message::Data(chunk) => self = self.put(&chunk)?,
                Message::End => return self.end(),
            }
        }
        Err(Error::new(Code::Cancelled, "the backup stopped before its end"))
    }

    fn put(self, chunk: &[u8]) -> Result<Sink> {
        match self {
            Sink::Upload(mut upload, followed) => match upload.write_all(chunk) {
                Ok(()) => {
                    if let Some(followed) = &followed {
                        followed.growing.grew(chunk.len() as u64);
                    }
                    Ok(Sink::Upload(upload, followed))
                }
                Err(cause) => {
                    drop(upload);
                    take_over(followed, cause.into())?.put(chunk)
                }
            },
            Sink::Spool(mut spool, instead_of) => match spool.write_all(chunk) {
                Ok(()) => Ok(Sink::Spool(spool, instead_of)),
                Err(cause) => Err(instead_of.unwrap_or_else(|| cause.into())),
            },
        }
    }

    fn end(self) -> Result<Pushed> {
        match self {
            Sink::Upload(mut upload, followed) => match upload.flush() {
                Ok(()) => {
                    if let Some(followed) = followed {
                        followed.growing.finish();
                    }
                    Ok(Pushed::Upload(upload))
                }
                Err(cause) => {
                    drop(upload);
                    take_over(followed, cause.into())?.end()
                }
            },
            Sink::Spool(spool, instead_of) => {
                spool.finish();
                Ok(Pushed::Spool(instead_of))
            }
        }
    }
}

/// The folder has failed with `error`: what follows goes to those who follow it all the same, where there are any.
fn take_over(followed: Option<Followed>, error: Error) -> Result<Sink> {
    let spool = followed.map(|followed| followed.growing.fail_over(&followed.spool_dir));
    match spool {
        Some(Ok(Some(spool))) => Ok(Sink::Spool(spool, Some(error))),
        // The folder's own failure says best what is to be done.
        _ => Err(error),
    }
}

pub(super) fn hasher() -> Result<(Sender<Message>, JoinHandle<Option<Written>>)> {
    let (sender, chunks) = bounded::<Message>(DEPTH);
    let thread = threads::spawn("bam-hash", move || {
        let (mut hash, mut bytes, mut blocks) = (Sha256::new(), 0, Blocks::default());
        while let Ok(message) = chunks.recv() {
            match message {
                Message::Data(chunk) => {
                    hash.update(chunk.as_slice());
                    blocks.update(&chunk);
                    bytes += chunk.len() as u64;
                }
                Message::End => {
                    let blocks = blocks.finish();
                    return Some(Written { bytes, sha256: hash.finalize().into(), blocks });
                }
            }
        }
        None
    })?;
    Ok((sender, thread))
}

pub(super) fn join<T>(thread: JoinHandle<Result<T>>) -> Result<T> {
    thread.join().unwrap_or_else(|_| Err(bug()))
}

pub(super) fn bug() -> Error {
    Error::new(Code::Internal, "a thread of the backup stopped at a bug in bam")
}
