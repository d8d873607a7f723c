//! Reading: in parallel as long as members carry their length, member after member from the first that does not.

use super::super::{BUFFER, damaged, integrity, pool};
use super::{HEADER, HEADER_LEN, TRAILER_LEN};
use crate::{Code, Error, Result, threads};
use flate2::bufread::GzDecoder;
use libdeflater::{Decompressor, crc32};
use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};
use std::thread::JoinHandle;

/// Members are handed to a worker in batches of at least this many bytes, packed or unpacked.
const BATCH: usize = 1 << 20;
/// A batch takes 2 to 4 MiB.
const MOST_THREADS: usize = 8;
/// A member larger than this, packed or unpacked, is none of ours: it is read piece by piece.
const MEMBER_MAX: usize = 4 << 20;

/// Decompresses a gzip file of any origin: several members, trailing NULs (which gzip(1) allows, too). Anything else
/// behind the last member is [`crate::Code::Integrity`], as are truncated and damaged data.
pub struct GzipReader<R>(GzipState<R>);

enum GzipState<R> {
    Parallel(Parallel<R>),
    Serial(Serial<R>),
    Ended,
    Failed,
}

/// `threads` decompress (0: one per processor), one more reads `input`, where the file is one of ours.
pub fn reader<R: Read + Send + 'static>(mut input: R, threads: usize) -> Result<GzipReader<R>> {
    let mut start = Vec::new();
    read_more(&mut input, &mut start, HEADER_LEN)?;
    Ok(GzipReader(if length_of(&start).is_some() {
        GzipState::Parallel(Parallel::start(Rest { start, input }, threads)?)
    } else {
        GzipState::Serial(Serial::new(Rest { start, input }))
    }))
}

impl<R: Read + Send + 'static> GzipReader<R> {
    /// Makes sure that there is something to give out, unless the end is reached.
    fn advance(&mut self) -> io::Result<()> {
        if let GzipState::Parallel(parallel) = &mut self.0
            && !parallel.advance()?
            && let GzipState::Parallel(parallel) = std::mem::replace(&mut self.0, GzipState::Failed)
        {
            self.0 = match parallel.rest()? {
                Some(rest) => GzipState::Serial(Serial::new(rest)),
                None => GzipState::Ended,
            };
        }
        match &mut self.0 {
            GzipState::Serial(serial) => serial.advance(),
            _ => Ok(()),
        }
    }
}

impl<R: Read + Send + 'static> BufRead for GzipReader<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if let Err(error) = self.advance() {
            // Nothing from behind a failure is ever given out.
            if error.kind() != io::ErrorKind::Interrupted {
                self.0 = GzipState::Failed;
            }
            return Err(error);
        }
        match &self.0 {
            GzipState::Parallel(parallel) => {
                Ok(parallel.batch.data.get(parallel.taken..).unwrap_or_default())
            }
            GzipState::Serial(serial) => {
                Ok(serial.buffer.get(serial.taken..serial.filled).unwrap_or_default())
            }
            GzipState::Ended => Ok(&[]),
            GzipState::Failed => Err(damaged("gzip", "as found before").into()),
        }
    }

    fn consume(&mut self, n: usize) {
        match &mut self.0 {
            GzipState::Parallel(parallel) => parallel.taken += n,
            GzipState::Serial(serial) => serial.taken += n,
            GzipState::Ended | GzipState::Failed => {}
        }
    }
}

impl<R: Read + Send + 'static> Read for GzipReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(out)?;
        self.consume(n);
        Ok(n)
    }
}

/// Input of which the beginning has been read already.
struct Rest<R> {
    start: Vec<u8>,
    input: R,
}

/// Members on their way round: read whole by one thread, decompressed by another.
#[derive(Default)]
struct Batch {
    /// The members one after another, and the length of each.
    packed: Vec<u8>,
    members: Vec<usize>,
    data: Vec<u8>,
}

impl Batch {
    /// With room for one block as the encoder makes it, whose members end with it: growing would take up to twice that.
    fn roomy() -> Batch {
        Batch {
            packed: Vec::with_capacity(BATCH + BATCH / 16),
            members: Vec::new(),
            data: Vec::with_capacity(BATCH),
        }
    }
}

struct Parallel<R> {
    drain: pool::Drain<Batch>,
    /// Ends with what it did not read as members of known length.
    reading: JoinHandle<Result<Option<Rest<R>>>>,
    batch: Batch,
    taken: usize,
}

impl<R: Read + Send + 'static> Parallel<R> {
    fn start(rest: Rest<R>, threads: usize) -> Result<Self> {
        let threads = pool::threads(threads, MOST_THREADS);
        let workers = (0..threads)
            .map(|_| {
                let mut decompressor = Decompressor::new();
                move |batch: &mut Batch| unpack(batch, &mut decompressor)
            })
            .collect();
        // One batch being read, one being given out, one waiting.
        let slots = (0..threads + 3).map(|_| Batch::roomy()).collect();
        let (feeder, drain) = pool::start("bam-gunzip", workers, slots)?;
        let reading = threads::spawn("bam-gunzip-in", move || read_members(rest, feeder))?;
        Ok(Parallel { drain, reading, batch: Batch::default(), taken: 0 })
    }

    /// Goes on to the next batch where this one is used up; false at the end of what is read in parallel.
    fn advance(&mut self) -> Result<bool> {
        while self.taken >= self.batch.data.len() {
            let Some(next) = self.drain.next() else { return Ok(false) };
            let used = std::mem::replace(&mut self.batch, next?);
            // The first one is not from the ring.
            if used.packed.capacity() > 0 {
                self.drain.give_back(used);
            }
            self.taken = 0;
        }
        Ok(true)
    }

    /// What the reading thread ended with.
    fn rest(self) -> Result<Option<Rest<R>>> {
        self.reading.join().unwrap_or_else(|_| Err(Error::new(Code::Internal, "the gzip reader panicked")))
    }
}

/// Reads members of known length into batches until the end (`None`) or the first other thing.
fn read_members<R: Read>(mut rest: Rest<R>, mut feeder: pool::Feeder<Batch>) -> Result<Option<Rest<R>>> {
    loop {
        let Some(mut batch) = feeder.take() else { return Ok(None) };
        batch.packed.clear();
        batch.members.clear();
        let mut unpacked = 0;
        while batch.packed.len() < BATCH && unpacked < BATCH {
            let Some(length) = length_of(&rest.start).filter(|&length| length <= MEMBER_MAX) else {
                feeder.put(batch);
                return Ok((!rest.start.is_empty()).then_some(rest));
            };
            let at = batch.packed.len();
            let whole = HEADER_LEN + length + TRAILER_LEN;
            batch.packed.append(&mut rest.start);
            // The rest of this member and the next one's header.
            read_more(&mut rest.input, &mut batch.packed, whole)?;
            let member = batch.packed.get(at..at + whole).and_then(<[u8]>::last_chunk);
            let Some(size) =
                member.map(|size| u32::from_le_bytes(*size) as usize).filter(|&n| n <= MEMBER_MAX)
            else {
                // Truncated, which the other way of reading will find out, or too large to be decompressed whole.
                rest.start.extend(batch.packed.drain(at..));
                feeder.put(batch);
                return Ok(Some(rest));
            };
            rest.start.extend(batch.packed.drain(at + whole..));
            batch.members.push(whole);
            unpacked += size;
        }
        if !feeder.put(batch) {
            return Ok(None);
        }
    }
}

/// Appends up to `n` bytes to `buffer`, fewer only at the end of the input.
fn read_more(input: &mut impl Read, buffer: &mut Vec<u8>, n: usize) -> Result<()> {
    buffer.reserve(n);
    input.take(n as u64).read_to_end(buffer)?;
    Ok(())
}

/// The length of the deflate data that follows, where `start` is a whole header of the kind that we write.
fn length_of(start: &[u8]) -> Option<usize> {
    // What a header says of time, level and system (bytes 4 to 9) is the writer's business.
    let fixed =
        |header: &[u8]| header.get(..4) == HEADER.get(..4) && header.get(10..16) == HEADER.get(10..16);
    match start.split_last_chunk::<4>() {
        Some((header, length)) if start.len() == HEADER_LEN && fixed(header) => {
            Some(u32::from_le_bytes(*length) as usize)
        }
        _ => None,
    }
}

/// Decompresses the members of a batch.
fn unpack(batch: &mut Batch, decompressor: &mut Decompressor) -> Result<()> {
    batch.data.clear();
    let mut packed = batch.packed.as_slice();
    for &whole in &batch.members {
        let (member, later) = packed.split_at_checked(whole).unwrap_or_default();
        packed = later;
        let Some((deflated, [c0, c1, c2, c3, s0, s1, s2, s3])) =
            member.get(HEADER_LEN..).unwrap_or_default().split_last_chunk()
        else {
            return Err(Error::new(Code::Internal, "a gzip member is shorter than was checked"));
        };
        let size = u32::from_le_bytes([*s0, *s1, *s2, *s3]) as usize;
        let at = batch.data.len();
        batch.data.resize(at + size, 0);
        let room = batch.data.get_mut(at..).unwrap_or_default();
        match decompressor.deflate_decompress(deflated, room) {
            Ok(n) if n == size && crc32(room) == u32::from_le_bytes([*c0, *c1, *c2, *c3]) => {}
            Ok(_) => return Err(damaged("gzip", "a checksum does not match")),
            Err(_) => return Err(damaged("gzip", "a block does not decompress")),
        }
    }
    Ok(())
}

/// Appends the `data` bytes that a piece of what we wrote ([`super::super::Piece`]) stands for.
pub fn unpack_piece(packed: &[u8], data: usize, out: &mut Vec<u8>) -> Result<()> {
    let mut batch = Batch { packed: packed.to_vec(), members: Vec::new(), data: Vec::new() };
    let (mut rest, mut unpacked) = (packed, 0);
    while !rest.is_empty() {
        let whole =
            rest.get(..HEADER_LEN).and_then(length_of).map(|length| HEADER_LEN + length + TRAILER_LEN);
        let member = whole.and_then(|whole| rest.split_at_checked(whole));
        let size = member.and_then(|(member, _)| member.last_chunk());
        let (Some((member, later)), Some(size)) = (member, size) else {
            return Err(damaged("gzip", "a block is not what the index says"));
        };
        unpacked += u32::from_le_bytes(*size) as usize;
        if unpacked > data {
            break;
        }
        batch.members.push(member.len());
        rest = later;
    }
    if unpacked != data {
        return Err(damaged("gzip", "a block is not what the index says"));
    }
    unpack(&mut batch, &mut Decompressor::new())?;
    out.append(&mut batch.data);
    Ok(())
}

/// Decompresses member after member on the caller's thread.
struct Serial<R> {
    /// `None` at the end of the input.
    member: Option<GzDecoder<Input<R>>>,
    buffer: Vec<u8>,
    taken: usize,
    filled: usize,
}

type Input<R> = BufReader<Chain<Cursor<Vec<u8>>, R>>;

impl<R: Read> Serial<R> {
    fn new(rest: Rest<R>) -> Self {
        let input = BufReader::with_capacity(BUFFER, Cursor::new(rest.start).chain(rest.input));
        Serial { member: Some(GzDecoder::new(input)), buffer: vec![0; BUFFER], taken: 0, filled: 0 }
    }

    /// Decompresses the next piece where this one is used up.
    fn advance(&mut self) -> io::Result<()> {
        while self.taken >= self.filled {
            let Some(mut member) = self.member.take() else { return Ok(()) };
            match member.read(&mut self.buffer) {
                Ok(0) => self.member = next_member(member.into_inner())?,
                Ok(n) => {
                    (self.taken, self.filled) = (0, n);
                    self.member = Some(member);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => self.member = Some(member),
                Err(e) => return Err(integrity("gzip", e)),
            }
        }
        Ok(())
    }
}

/// What stands behind a member: another one, or NULs up to the end.
fn next_member<R: Read>(mut input: Input<R>) -> io::Result<Option<GzDecoder<Input<R>>>> {
    let mut padding = false;
    loop {
        let bytes = match input.fill_buf() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            bytes => bytes?,
        };
        match bytes.first() {
            None => return Ok(None),
            Some(0x1f) if !padding => return Ok(Some(GzDecoder::new(input))),
            Some(0) if bytes.iter().all(|&byte| byte == 0) => padding = true,
            Some(_) => return Err(damaged("gzip", "something else follows its end").into()),
        }
        let n = bytes.len();
        input.consume(n);
    }
}
