//! Reads tar: GNU, POSIX ustar and pax, v7, and what PEAR's Archive_Tar writes.
//!
//! Works in memory that the archive cannot choose: names and extended headers have limits. A damaged or cut
//! archive is an error of [`Code::Integrity`] that names the member.

use super::sparse::Map;
use super::{BLOCK, Entry, EntryKind, Extras, field, header, pax, show};
use crate::{Code, Error, Result};
use std::io::{self, BufRead, BufReader, Read};
use tar::Header;

/// Names and extended headers longer than this are refused; real ones are far below.
const MAX_META: u64 = 1024 * 1024;

/// How much is read ahead at once.
const BUFFER: usize = 256 * 1024;

/// One member as the archive tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// What it is. The path has lost leading `/` and `./`; it may still hold `..`.
    pub entry: Entry,
    /// The owner's name, or nothing.
    pub user: Vec<u8>,
    /// The group's name, or nothing.
    pub group: Vec<u8>,
}

/// Walks through an archive once. Between two calls of [`Reader::next_member`] it reads as the content of the
/// member (of a sparse file: its segments, one after the other).
#[derive(Debug)]
pub struct Reader<R> {
    input: BufReader<R>,
    /// Bytes of archive read so far.
    offset: u64,
    /// Bytes of the current member's content not yet read.
    left: u64,
    /// Bytes of padding behind them.
    padding: u64,
    /// For messages.
    current: Vec<u8>,
    members: u64,
    ended: bool,
    /// It may end without its mark.
    forgives: bool,
    unmarked: bool,
    /// Goes on without reading.
    skip: Option<fn(&mut R, u64) -> io::Result<u64>>,
}

/// What is read from that may know how to go on without reading.
pub trait Input: Read + Send {
    /// Passes over up to so many bytes; how many it did.
    fn skip(&mut self, bytes: u64) -> io::Result<u64>;

    /// Says that of the next so many bytes all are wanted, and perhaps none behind them: what is fetched ahead ends there.
    fn want(&mut self, _bytes: u64) {}
}

impl Input for Box<dyn Read + Send> {
    fn skip(&mut self, _bytes: u64) -> io::Result<u64> {
        Ok(0)
    }
}

impl Input for Box<dyn Input> {
    fn skip(&mut self, bytes: u64) -> io::Result<u64> {
        (**self).skip(bytes)
    }

    fn want(&mut self, bytes: u64) {
        (**self).want(bytes);
    }
}

/// The content of the current member.
impl Input for &mut Reader<Box<dyn Input>> {
    fn skip(&mut self, bytes: u64) -> io::Result<u64> {
        let bytes = bytes.min(self.left);
        self.pass(bytes)?;
        Ok(bytes)
    }

    fn want(&mut self, bytes: u64) {
        let buffered = self.input.buffer().len() as u64;
        self.input.get_mut().want(bytes.min(self.left).saturating_sub(buffered));
    }
}

impl Reader<Box<dyn Input>> {
    /// As [`Reader::new`]; contents that nobody reads are passed over.
    pub fn of(input: Box<dyn Input>) -> Self {
        Reader { skip: Some(|input, bytes| input.skip(bytes)), ..Reader::new(input) }
    }
}

/// What the members before a member said about it.
#[derive(Debug, Default)]
struct Announced {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    pax: pax::Overrides,
}

impl<R: Read> Reader<R> {
    /// Reads the archive from `input`, to its very end, so that checks behind the last byte are made too.
    pub fn new(input: R) -> Self {
        Reader {
            input: BufReader::with_capacity(BUFFER, input),
            offset: 0,
            left: 0,
            padding: 0,
            current: Vec::new(),
            members: 0,
            ended: false,
            forgives: false,
            unmarked: false,
            skip: None,
        }
    }

    /// Takes an archive whose end mark is missing behind a whole member, as GNU tar and bsdtar do: other programs leave
    /// it out. Ours never lack it.
    pub fn forgive_no_end_mark(&mut self) {
        self.forgives = true;
    }

    /// Whether the end mark was missing.
    pub fn is_unmarked(&self) -> bool {
        self.unmarked
    }

    /// Bytes of archive read so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next member, whatever is left of the one before skipped; `None` at the end mark.
    pub fn next_member(&mut self) -> Result<Option<Member>> {
        if self.ended {
            return Ok(None);
        }
        self.skip_rest()?;
        let mut announced = Announced::default();
        loop {
            let Some(header) = self.next_header()? else {
                self.drain()?;
                return Ok(None);
            };
            let size = field::parse_unsigned(&header.as_old().size).ok_or_else(|| self.damaged("size"))?;
            match header.entry_type().as_byte() {
                b'L' => announced.path = Some(header::text(&self.meta(size)?).to_vec()),
                b'K' => announced.link = Some(header::text(&self.meta(size)?).to_vec()),
                b'x' | b'X' => {
                    let records = self.meta(size)?;
                    announced.pax = pax::parse(&records).map_err(|e| self.located(e))?;
                }
                // Global headers carry comments; volume labels nothing.
                b'g' | b'V' => {
                    self.begin(size)?;
                    self.skip_rest()?;
                }
                b'M' => {
                    return Err(Error::new(Code::Unsupported, "the archive continues one on another medium")
                        .hint("join its parts with GNU tar first"));
                }
                flag => return self.member(&header, flag, size, announced).map(Some),
            }
        }
    }

    fn member(&mut self, header: &Header, flag: u8, size: u64, announced: Announced) -> Result<Member> {
        let old = header.as_old();
        let Announced { path, link, pax } = announced;
        let raw = pax.path.or(path).unwrap_or_else(|| match header.as_ustar() {
            Some(ustar) => [header::text(&ustar.prefix), b"/", header::text(&ustar.name)].concat(),
            None => header::text(&old.name).to_vec(),
        });
        let link = pax.link.or(link).unwrap_or_else(|| header::text(&old.linkname).to_vec());
        self.current = header::clean_path(&raw);
        // Only pax records can hold one; no file has such a name.
        if raw.contains(&0) || link.contains(&0) {
            return Err(self.damaged("name"));
        }
        self.members += 1;

        let has_content = !matches!(flag, b'1'..=b'6');
        self.begin(if has_content { pax.size.unwrap_or(size) } else { 0 })?;
        let kind = match flag {
            b'S' => self.gnu_sparse(header)?,
            b'1' => EntryKind::Hardlink(header::clean_path(&link)),
            b'2' => EntryKind::Symlink(link),
            b'5' | b'D' => EntryKind::Directory,
            b'0' | 0 | b'7' if pax.map_in_body || pax.map.is_some() => {
                let map = match pax.map {
                    Some(map) => map,
                    None => self.map_in_body()?,
                };
                let size = pax.real_size.ok_or_else(|| self.damaged("sparse size"))?;
                let data = map.finish(size, self.left).map_err(|e| self.located(e))?;
                EntryKind::Sparse { size, data }
            }
            // In v7 archives a folder is an empty file whose name ends in a slash.
            b'0' | 0 if raw.ends_with(b"/") => EntryKind::Directory,
            b'0' | 0 | b'7' => EntryKind::File { size: self.left },
            other => EntryKind::Special(other),
        };
        let number = |field: &[u8], what| field::parse(field).ok_or_else(|| self.damaged(what));
        let id = |over: Option<u32>, field: &[u8], what| match over {
            Some(id) => Ok(id),
            None => number(field, what).map(|id| u32::try_from(id).unwrap_or(u32::MAX)),
        };
        let (user, group) = owner_names(header);
        let (mtime, nanos) = match pax.mtime {
            Some(mtime) => mtime,
            None => (number(&old.mtime, "time")?, 0),
        };
        Ok(Member {
            entry: Entry {
                path: self.current.clone(),
                kind,
                mode: (number(&old.mode, "mode")? & 0o7777) as u32,
                uid: id(pax.uid, &old.uid, "owner")?,
                gid: id(pax.gid, &old.gid, "group")?,
                mtime,
                extras: Extras { nanos, attributes: pax.attributes },
            },
            user: pax.user.unwrap_or(user),
            group: pax.group.unwrap_or(group),
        })
    }

    /// The map in the header and its extension blocks, which lie before the content.
    fn gnu_sparse(&mut self, header: &Header) -> Result<EntryKind> {
        let gnu = header.as_gnu().ok_or_else(|| self.damaged("sparse header"))?;
        let size = field::parse_unsigned(&gnu.realsize).ok_or_else(|| self.damaged("sparse size"))?;
        let mut map = Map::default();
        map.add_slots(&gnu.sparse).map_err(|e| self.located(e))?;
        let mut more = gnu.is_extended();
        while more {
            let mut block = tar::GnuExtSparseHeader::new();
            if self.block(block.as_mut_bytes())? < BLOCK {
                return Err(self.cut());
            }
            map.add_slots(block.sparse()).map_err(|e| self.located(e))?;
            more = block.is_extended();
        }
        let data = map.finish(size, self.left).map_err(|e| self.located(e))?;
        Ok(EntryKind::Sparse { size, data })
    }

    /// GNU sparse format 1.0: decimal numbers, one to a line, padded to a block: how many, then offset and length of each.
    fn map_in_body(&mut self) -> Result<Map> {
        let mut used = 0u64;
        let count = self.decimal_line(&mut used)?;
        let mut map = Map::default();
        for _ in 0..count {
            let offset = self.decimal_line(&mut used)?;
            let len = self.decimal_line(&mut used)?;
            map.add(offset, len).map_err(|e| self.located(e))?;
        }
        let padding = used.wrapping_neg() % BLOCK as u64;
        if io::copy(&mut self.take(padding), &mut io::sink())? < padding {
            return Err(self.damaged("sparse map"));
        }
        Ok(map)
    }

    fn decimal_line(&mut self, used: &mut u64) -> Result<u64> {
        let mut value: Option<u64> = None;
        loop {
            let mut byte = [0];
            if self.read(&mut byte)? == 0 {
                return Err(self.damaged("sparse map"));
            }
            *used += 1;
            match byte {
                [b'\n'] => return value.ok_or_else(|| self.damaged("sparse map")),
                [digit @ b'0'..=b'9'] => {
                    let more = value.unwrap_or(0).checked_mul(10);
                    let more = more.and_then(|v| v.checked_add(u64::from(digit - b'0')));
                    value = Some(more.ok_or_else(|| self.damaged("sparse map"))?);
                }
                _ => return Err(self.damaged("sparse map")),
            }
        }
    }

    /// The next header that is one, or `None` at the end mark.
    fn next_header(&mut self) -> Result<Option<Header>> {
        let mut header = Header::new_old();
        let got = self.block(header.as_mut_bytes())?;
        if got == 0 && self.members > 0 && self.forgives {
            self.unmarked = true;
            return Ok(None);
        }
        if got == 0 {
            let text = match self.members {
                0 => "there is no tar archive here: the file is empty".to_owned(),
                _ => format!("the archive is cut off after {}: its end mark is missing", show(&self.current)),
            };
            return Err(Error::new(Code::Integrity, text).hint("use another copy of this backup"));
        }
        if got < BLOCK && self.members == 0 {
            return Err(no_tar());
        }
        if got < BLOCK {
            return Err(self.cut());
        }
        if header.as_bytes().iter().all(|b| *b == 0) {
            return Ok(None);
        }
        // It stands before all that a fuzzer could find behind it.
        if !cfg!(fuzzing) && !header::checksum_is_right(header.as_bytes()) {
            return Err(match self.members {
                0 => no_tar(),
                _ => self.damaged("header after it"),
            });
        }
        Ok(Some(header))
    }

    /// Fills a block; less than a block only at the end of the input.
    fn block(&mut self, block: &mut [u8; BLOCK]) -> Result<usize> {
        let mut got = 0;
        while let Some(rest) = block.get_mut(got..).filter(|rest| !rest.is_empty()) {
            match self.input.read(rest) {
                Ok(0) => break,
                Ok(n) => got += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.input_error(e)),
            }
        }
        self.offset += got as u64;
        Ok(got)
    }

    /// The content of a member that only describes the next one.
    fn meta(&mut self, size: u64) -> Result<Vec<u8>> {
        if size > MAX_META {
            return Err(self.damaged("name or extended header (too long)"));
        }
        self.begin(size)?;
        let mut content = Vec::new();
        self.read_to_end(&mut content)?;
        self.skip_rest()?;
        Ok(content)
    }

    fn begin(&mut self, size: u64) -> Result<()> {
        if i64::try_from(size).is_err() {
            return Err(self.damaged("size"));
        }
        self.left = size;
        self.padding = size.wrapping_neg() % BLOCK as u64;
        Ok(())
    }

    /// Moves to the next header.
    fn skip_rest(&mut self) -> Result<()> {
        self.left += std::mem::take(&mut self.padding);
        self.pass(self.left)
    }

    /// Passes over so many bytes of the content, of which there are as many.
    fn pass(&mut self, bytes: u64) -> Result<()> {
        let mut left = bytes;
        if let Some(skip) = self.skip {
            // What is buffered comes first.
            let buffered = left.min(self.input.buffer().len() as u64);
            self.consume(usize::try_from(buffered).unwrap_or_default());
            left -= buffered;
            if left > 0 {
                let skipped = match skip(self.input.get_mut(), left) {
                    Ok(skipped) => skipped.min(left),
                    Err(e) => return Err(self.input_error(e)),
                };
                self.left -= skipped;
                self.offset += skipped;
                left -= skipped;
            }
        }
        while left > 0 {
            let got = self.fill_buf()?.len();
            let got = usize::try_from(left).unwrap_or(usize::MAX).min(got);
            self.consume(got);
            left -= got as u64;
        }
        Ok(())
    }

    /// Reads on to the end of the input: what lies behind the end mark means nothing, but the layers below check
    /// their sums there.
    fn drain(&mut self) -> Result<()> {
        self.ended = true;
        loop {
            let got = match self.input.fill_buf() {
                Ok(bytes) => bytes.len(),
                Err(e) => return Err(self.input_error(e)),
            };
            if got == 0 {
                return Ok(());
            }
            self.offset += got as u64;
            self.input.consume(got);
        }
    }

    fn cut(&self) -> Error {
        let text = format!("the archive is cut off in the middle of {}", show(&self.current));
        Error::new(Code::Integrity, text).hint("use another copy of this backup")
    }

    fn damaged(&self, what: &str) -> Error {
        let text =
            format!("the archive is damaged at byte {}, {}: bad {what}", self.offset, show(&self.current));
        Error::new(Code::Integrity, text).hint("use another copy of this backup")
    }

    fn located(&self, error: Error) -> Error {
        error.context(format_args!("the archive is damaged at byte {}, {}", self.offset, show(&self.current)))
    }

    /// Decoders below report damage as invalid data; say where it struck.
    fn input_error(&self, cause: io::Error) -> Error {
        use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        let at = format!("cannot read on at {}", show(&self.current));
        if matches!(cause.kind(), InvalidData | InvalidInput | UnexpectedEof) {
            return Error::new(Code::Integrity, at).because(cause).hint("use another copy of this backup");
        }
        Error::from(cause).context(at)
    }
}

impl<R: Read> BufRead for Reader<R> {
    /// The content of the current member that is at hand; empty at its end.
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            return Ok(&[]);
        }
        // Twice, because the borrow checker does not let an error path use `self` after a loan that may be returned.
        match self.input.fill_buf() {
            Ok([]) => return Err(self.cut().into()),
            Err(e) => return Err(self.input_error(e).into()),
            Ok(_) => {}
        }
        let bytes = self.input.buffer();
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
        Ok(bytes.get(..most).unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        let amount = amount.min(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.input.consume(amount);
        self.left -= amount as u64;
        self.offset += amount as u64;
    }
}

impl<R: Read> Read for Reader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let got = self.fill_buf()?.read(buf)?;
        self.consume(got);
        Ok(got)
    }
}

fn no_tar() -> Error {
    Error::new(Code::Integrity, "this is no tar archive").hint("check what kind of file it is")
}

/// The owner's and group's names, which lie at the same place in GNU and ustar headers; v7 has none.
fn owner_names(header: &Header) -> (Vec<u8>, Vec<u8>) {
    let names = match (header.as_gnu(), header.as_ustar()) {
        (Some(gnu), _) => Some((&gnu.uname, &gnu.gname)),
        (None, Some(ustar)) => Some((&ustar.uname, &ustar.gname)),
        (None, None) => None,
    };
    names.map_or_else(Default::default, |(u, g)| (header::text(u).to_vec(), header::text(g).to_vec()))
}
