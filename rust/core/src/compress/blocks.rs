//! The frame of parallel encoders: the caller fills blocks, workers compress them, one thread writes them out in
//! order.

use super::pool;
use crate::{Code, Error, Result, threads};
use std::io::{self, Read, Write};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;

/// A part of what an encoder wrote that can be decompressed by itself; those of a file follow one another from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Bytes of data.
    pub data: u32,
    /// Bytes that they take compressed.
    pub packed: u32,
    /// SHA-256 of these.
    pub sha256: [u8; 32],
}

/// A block on its way round: what came in, and what goes out instead.
#[derive(Default)]
pub struct Block {
    /// Data as it was written to the encoder.
    pub input: Vec<u8>,
    /// What the worker made of it.
    pub output: Output,
    /// CRC-32 of the input, where the format has one for the whole file.
    pub crc: u32,
    /// The input is compressed already: it goes out as it is.
    pub ready: bool,
    /// Bytes of data that the block stands for.
    pub data: u32,
    /// SHA-256 of what goes out, where the format keeps one.
    pub sha256: [u8; 32],
}

impl Block {
    /// What to write, in order.
    pub fn spans(&self) -> impl Iterator<Item = &[u8]> {
        self.output.spans.iter().map(|span| match span {
            Span::Made(range) => self.output.bytes.get(range.clone()).unwrap_or_default(),
            Span::Input(range) => self.input.get(range.clone()).unwrap_or_default(),
        })
    }
}

/// Bytes that were made, with parts of the input, which are written from where they are, between them.
#[derive(Default)]
pub struct Output {
    /// Headers, trailers and compressed data. After appending to it, [`Output::made`].
    pub bytes: Vec<u8>,
    spans: Vec<Span>,
    /// How much of `bytes` belongs to spans.
    given: usize,
}

enum Span {
    Made(Range<usize>),
    Input(Range<usize>),
}

/// The most that a stored deflate block holds.
const STORED_MAX: usize = 65_535;

impl Output {
    /// Empties it, keeping the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
        self.given = 0;
    }

    /// What was appended to the bytes since the last span comes next.
    pub fn made(&mut self) {
        let range = self.given..self.bytes.len();
        self.given = range.end;
        match self.spans.last_mut() {
            Some(Span::Made(last)) => last.end = range.end,
            _ if range.is_empty() => {}
            _ => self.spans.push(Span::Made(range)),
        }
    }

    /// The whole input, of this length, comes next as it is.
    pub fn input(&mut self, length: usize) {
        self.spans.push(Span::Input(0..length));
    }

    /// Next, the input's `range` as stored deflate blocks (RFC 1951 section 3.2.4): BFINAL and BTYPE 00 in a byte,
    /// LEN, its complement, the data. The bytes before must end at a byte boundary. Returns how many bytes that is.
    pub fn stored(&mut self, range: Range<usize>, last: bool) -> usize {
        let chunks = range.len().div_ceil(STORED_MAX);
        for i in 0..chunks {
            let from = range.start + i * STORED_MAX;
            let to = range.end.min(from + STORED_MAX);
            let size = (to - from) as u16;
            self.bytes.push(u8::from(last && i + 1 == chunks));
            self.bytes.extend_from_slice(&size.to_le_bytes());
            self.bytes.extend_from_slice(&(!size).to_le_bytes());
            self.made();
            self.spans.push(Span::Input(from..to));
        }
        range.len() + chunks * 5
    }
}

/// Puts compressed blocks together to a file.
pub trait Join: Send + 'static {
    /// Writes one block.
    fn block(&mut self, block: &Block, out: &mut impl Write) -> io::Result<()>;
    /// Writes what follows the last block.
    fn end(&mut self, out: &mut impl Write) -> io::Result<()>;
}

/// Compresses what is written to it. Without [`Encoder::finish`] the end is missing and nothing says so; an encoder
/// that is dropped stops its threads.
pub struct Encoder<W> {
    size: usize,
    filling: Option<Block>,
    feeder: Option<pool::Feeder<Block>>,
    writer: Option<JoinHandle<Result<W>>>,
    abandoned: Arc<AtomicBool>,
}

impl<W: Write + Send + 'static> Encoder<W> {
    /// Each of `workers` compresses blocks of `size` bytes (the last may be shorter) on a thread of its own; one more
    /// thread joins them and writes to `out`.
    pub fn new<F>(out: W, name: &str, size: usize, workers: Vec<F>, join: impl Join) -> Result<Self>
    where
        F: FnMut(&mut Block) -> Result<()> + Send + 'static,
    {
        // One block being filled, one being written, one waiting.
        let slots = (0..workers.len() + 3).map(|_| Block::default()).collect();
        let (feeder, drain) = pool::start(name, workers, slots)?;
        let abandoned = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&abandoned);
        let writer = threads::spawn(&format!("{name}-out"), move || write_out(drain, out, join, &stop))?;
        Ok(Encoder { size, filling: None, feeder: Some(feeder), writer: Some(writer), abandoned })
    }

    /// Compresses the rest and waits until all is written; gives back the inner writer, which it does not flush.
    pub fn finish(mut self) -> Result<W> {
        if let Some(block) = self.filling.take() {
            self.put(block)?;
        }
        self.join()
    }

    /// Takes over what another encoder of this format has compressed into `pieces`: nothing of it is compressed again. Only
    /// for formats whose files may follow one another, and whose workers pass on blocks that are [`Block::ready`].
    pub fn splice(&mut self, ready: &mut impl Read, pieces: &[Piece]) -> Result<()> {
        if let Some(block) = self.filling.take() {
            self.put(block)?;
        }
        for piece in pieces {
            let mut block = self.take_slot()?;
            (block.ready, block.data) = (true, piece.data);
            let packed = u64::from(piece.packed);
            block.input.reserve_exact(piece.packed as usize);
            if ready.take(packed).read_to_end(&mut block.input)? as u64 != packed {
                return Err(Error::new(Code::Internal, "compressed data is shorter than it was"));
            }
            self.put(block)?;
        }
        match ready.read(&mut [0])? {
            0 => Ok(()),
            _ => Err(Error::new(Code::Internal, "compressed data is longer than it was")),
        }
    }

    fn take_slot(&mut self) -> Result<Block> {
        match self.feeder.as_ref().and_then(pool::Feeder::take) {
            Some(mut block) => {
                block.input.clear();
                block.input.reserve_exact(self.size);
                block.ready = false;
                Ok(block)
            }
            None => Err(self.failure()),
        }
    }

    fn put(&mut self, block: Block) -> Result<()> {
        if self.feeder.as_mut().is_some_and(|feeder| feeder.put(block)) {
            Ok(())
        } else {
            Err(self.failure())
        }
    }

    /// Why the writing thread has gone.
    fn failure(&mut self) -> Error {
        match self.join() {
            Err(error) => error,
            Ok(_) => Error::new(Code::Internal, "the compressing writer ended too early"),
        }
    }

    fn join(&mut self) -> Result<W> {
        // Without a feeder the workers finish, then the writer.
        self.feeder = None;
        match self.writer.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(Error::new(Code::Internal, "the compressing writer panicked")),
            None => Err(Error::new(Code::Internal, "the compressing writer has failed before")),
        }
    }
}

impl<W> Drop for Encoder<W> {
    fn drop(&mut self) {
        self.abandoned.store(true, Relaxed);
        self.feeder = None;
        if let Some(writer) = self.writer.take() {
            // Nobody is left to hear of a failure.
            let _ = writer.join();
        }
    }
}

impl<W: Write + Send + 'static> Write for Encoder<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if data.is_empty() {
            return Ok(0);
        }
        let mut block = match self.filling.take() {
            Some(block) => block,
            None => self.take_slot()?,
        };
        let (now, _) = data.split_at(data.len().min(self.size - block.input.len()));
        block.input.extend_from_slice(now);
        if block.input.len() == self.size {
            self.put(block)?;
        } else {
            self.filling = Some(block);
        }
        Ok(now.len())
    }

    /// Does nothing: cutting a block short would change what is written.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_out<W: Write>(
    mut drain: pool::Drain<Block>,
    mut out: W,
    mut join: impl Join,
    abandoned: &AtomicBool,
) -> Result<W> {
    while let Some(block) = drain.next() {
        if abandoned.load(Relaxed) {
            return Ok(out);
        }
        let block = block?;
        join.block(&block, &mut out)?;
        drain.give_back(block);
    }
    // An abandoned file must not look like a whole one.
    if !abandoned.load(Relaxed) {
        join.end(&mut out)?;
    }
    Ok(out)
}
