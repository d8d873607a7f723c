//! A bounded pipe between two threads that tells a clean end from a torn one.
//!
//! `std::io::pipe` would cost two copies through the kernel and read a dead writer as end of file: a backup cut short
//! would look whole.

use crossbeam_channel::{Receiver, Sender, bounded};
use std::io::{self, Read, Write};

/// Blocks in flight; with [`BLOCK`] this bounds the pipe's memory to 2 MiB.
const DEPTH: usize = 4;
/// Bytes gathered before they are handed over.
const BLOCK: usize = 512 * 1024;

enum Message {
    Data(Vec<u8>),
    Failed(io::Error),
    End,
}

/// The writing end. Without [`PipeWriter::finish`] the reader gets an error, not an end.
pub struct PipeWriter {
    blocks: Sender<Message>,
    used: Receiver<Vec<u8>>,
    block: Vec<u8>,
}

/// The reading end. Dropping it makes the writer fail with `BrokenPipe`.
pub struct PipeReader {
    blocks: Receiver<Message>,
    used: Sender<Vec<u8>>,
    block: Vec<u8>,
    at: usize,
    ended: bool,
}

/// Both ends.
pub fn pipe() -> (PipeWriter, PipeReader) {
    let (blocks_in, blocks) = bounded(DEPTH);
    let (used_in, used) = bounded(DEPTH + 1);
    (
        PipeWriter { blocks: blocks_in, used, block: Vec::with_capacity(BLOCK) },
        PipeReader { blocks, used: used_in, block: Vec::new(), at: 0, ended: false },
    )
}

impl PipeWriter {
    fn hand_over(&mut self) -> io::Result<()> {
        let mut next = self.used.try_recv().unwrap_or_else(|_| Vec::with_capacity(BLOCK));
        next.clear();
        let full = std::mem::replace(&mut self.block, next);
        self.blocks.send(Message::Data(full)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Says that everything was written.
    pub fn finish(mut self) -> io::Result<()> {
        if !self.block.is_empty() {
            self.hand_over()?;
        }
        self.blocks.send(Message::End).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Hands an error to the reader in place of an end.
    pub fn fail(self, error: io::Error) {
        let _ = self.blocks.send(Message::Failed(error));
    }
}

impl Write for PipeWriter {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let room = BLOCK - self.block.len();
        let take = buf.len().min(room);
        self.block.extend_from_slice(buf.get(..take).unwrap_or(buf));
        if take == room {
            self.hand_over()?;
        }
        Ok(take)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl PipeReader {
    /// The next block, without copying it out; empty at the end.
    pub fn next_block(&mut self) -> io::Result<&[u8]> {
        if self.at >= self.block.len() && !self.ended {
            match self.blocks.recv() {
                Ok(Message::Data(block)) => {
                    let _ = self.used.try_send(std::mem::replace(&mut self.block, block));
                    self.at = 0;
                }
                Ok(Message::Failed(error)) => return Err(error),
                Ok(Message::End) => self.ended = true,
                Err(_) => {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the writing side stopped early",
                    ));
                }
            }
        }
        if self.ended {
            return Ok(&[]);
        }
        let from = std::mem::replace(&mut self.at, self.block.len());
        Ok(self.block.get(from..).unwrap_or_default())
    }
}

impl Read for PipeReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let block = self.next_block()?;
        let take = block.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..take), block.get(..take)) {
            to.copy_from_slice(from);
        }
        let rest = block.len() - take;
        self.at -= rest;
        Ok(take)
    }
}

/// A decoder that runs on a thread of its own, so that decrypting and decompressing overlap with extracting.
pub fn on_a_thread(mut input: Box<dyn Read + Send>) -> crate::Result<PipeReader> {
    let (mut writer, reader) = pipe();
    crate::threads::spawn("bam-decode", move || match io::copy(&mut input, &mut writer) {
        Ok(_) => drop(writer.finish()),
        Err(error) => writer.fail(error),
    })?;
    Ok(reader)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_through_in_order_and_end_cleanly() {
        let (mut w, mut r) = pipe();
        let sent: Vec<u8> = (0..5_000_000u32).map(|i| (i % 251) as u8).collect();
        let copy = sent.clone();
        let writer = std::thread::spawn(move || {
            for piece in copy.chunks(70_001) {
                w.write_all(piece)?;
            }
            w.finish()
        });
        let mut got = Vec::new();
        r.read_to_end(&mut got).expect("read");
        assert!(writer.join().expect("joined").is_ok());
        assert!(got == sent);
    }

    #[test]
    fn a_writer_that_dies_is_not_an_end() {
        let (mut w, mut r) = pipe();
        w.write_all(b"half").expect("written");
        drop(w);
        let error = r.read_to_end(&mut Vec::new()).expect_err("torn");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_reader_that_goes_stops_the_writer() {
        let (mut w, r) = pipe();
        drop(r);
        let error = w.write_all(&vec![0; 2 * BLOCK]).expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
