//! The outline of a tar: everything but the content of its files. By it a tar is walked through, and single files are
//! read out of it, without reading the rest.
//!
//! It is a row of stretches: how many bytes of the tar lie between the one before and this one (8 bytes, big-endian), how
//! long it is (4 bytes), and it itself. The first file, if it is MANIFEST.ini, and the end mark belong to it, too.

use super::Input;
use crate::{Code, Error, Result};
use std::io::{self, Read, Write};

/// Writes an outline, stretch by stretch.
#[derive(Debug)]
pub struct Outline<W> {
    out: W,
    /// Where in the tar the last stretch ended.
    end: u64,
}

impl<W: Write> Outline<W> {
    /// An empty one.
    pub fn new(out: W) -> Self {
        Outline { out, end: 0 }
    }

    /// The next stretch begins at `offset` of the tar.
    pub fn add(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        let (Some(skip), Ok(length)) = (offset.checked_sub(self.end), u32::try_from(bytes.len())) else {
            return Err(Error::new(Code::Internal, "the outline of the archive is out of order"));
        };
        self.out.write_all(&skip.to_be_bytes())?;
        self.out.write_all(&length.to_be_bytes())?;
        self.out.write_all(bytes)?;
        self.end = offset + u64::from(length);
        Ok(())
    }

    /// Gives the output back.
    pub fn into_inner(self) -> W {
        self.out
    }
}

/// Gives out any part of a tar.
pub trait Content: Send {
    /// Fills the front of `out`, with at least one byte, with what stands at `at` and before `until`.
    fn read_at(&mut self, at: u64, until: u64, out: &mut [u8]) -> io::Result<usize>;
}

/// A tar whose outline is read from `R`, and of whose contents only those are fetched that are read.
pub struct Outlined<R, C> {
    outline: R,
    content: C,
    /// Where in the tar the reader stands.
    at: u64,
    /// The stretch that this is before, or in, with its end; `None` behind the last.
    stretch: Option<(u64, u64)>,
    /// How far it is known that all is wanted; nothing, where the reader is behind that.
    wanted: u64,
}

impl<C: Content> Outlined<io::Empty, C> {
    /// The same of what is content alone, so many bytes.
    pub fn without_outline(content: C, length: u64) -> Self {
        Outlined { outline: io::empty(), content, at: 0, stretch: Some((length, length)), wanted: 0 }
    }
}

impl<R: Read, C: Content> Outlined<R, C> {
    /// At the start.
    pub fn new(outline: R, content: C) -> Result<Self> {
        let mut tar = Outlined { outline, content, at: 0, stretch: None, wanted: 0 };
        tar.advance(0)?;
        Ok(tar)
    }

    /// Goes to the stretch that follows `end`.
    fn advance(&mut self, end: u64) -> io::Result<()> {
        let (mut head, mut got) = ([0; 12], 0);
        while let Some(rest) = head.get_mut(got..).filter(|rest| !rest.is_empty()) {
            match self.outline.read(rest) {
                Ok(0) if got == 0 => {
                    self.stretch = None;
                    return Ok(());
                }
                Ok(0) => return Err(damaged().into()),
                Ok(n) => got += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        let [s0, s1, s2, s3, s4, s5, s6, s7, l0, l1, l2, l3] = head;
        let start = end.checked_add(u64::from_be_bytes([s0, s1, s2, s3, s4, s5, s6, s7]));
        let length = u64::from(u32::from_be_bytes([l0, l1, l2, l3]));
        let stretch = start.and_then(|start| Some((start, start.checked_add(length)?)));
        self.stretch = Some(stretch.ok_or_else(damaged)?);
        Ok(())
    }

    /// Passes over a stretch up to `to`, which is not beyond its end.
    fn pass(&mut self, to: u64, end: u64) -> io::Result<()> {
        let bytes = to.saturating_sub(self.at);
        if io::copy(&mut (&mut self.outline).take(bytes), &mut io::sink())? < bytes {
            return Err(damaged().into());
        }
        self.at = to;
        if to == end { self.advance(end) } else { Ok(()) }
    }
}

impl<R: Read, C: Content> Read for Outlined<R, C> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        // Empty stretches mean nothing.
        while let Some((start, end)) = self.stretch.filter(|(start, end)| start == end && *end <= self.at) {
            self.at = start;
            self.advance(end)?;
        }
        let Some((start, end)) = self.stretch else { return Ok(0) };
        if out.is_empty() {
            return Ok(0);
        }
        if self.at < start {
            let until = if self.at < self.wanted { start.min(self.wanted) } else { start };
            let got = self.content.read_at(self.at, until, out)?.min(out.len());
            if got == 0 {
                return Err(damaged().into());
            }
            self.at += got as u64;
            return Ok(got);
        }
        let most = usize::try_from(end - self.at).unwrap_or(usize::MAX).min(out.len());
        let got = self.outline.read(out.get_mut(..most).unwrap_or_default())?;
        if got == 0 {
            return Err(damaged().into());
        }
        self.at += got as u64;
        if self.at == end {
            self.advance(end)?;
        }
        Ok(got)
    }
}

impl<R: Read + Send, C: Content> Input for Outlined<R, C> {
    fn skip(&mut self, bytes: u64) -> io::Result<u64> {
        let to = self.at.checked_add(bytes).ok_or_else(damaged)?;
        while let Some((start, end)) = self.stretch.filter(|(start, _)| *start < to) {
            self.at = self.at.max(start);
            self.pass(to.min(end), end)?;
            if self.at == to {
                return Ok(bytes);
            }
        }
        match self.stretch {
            Some(_) => self.at = to,
            // It goes on only as far as the outline does.
            None => return Err(damaged().into()),
        }
        Ok(bytes)
    }

    fn want(&mut self, bytes: u64) {
        self.wanted = self.at.saturating_add(bytes);
    }
}

fn damaged() -> Error {
    Error::new(Code::Integrity, "the index of the archive is damaged").hint("use another copy of this backup")
}

#[cfg(test)]
mod tests {
    use super::super::{Entry, EntryKind, Extras, Reader, Writer};
    use super::*;
    use std::sync::{Arc, Mutex};

    struct Out {
        tar: Vec<u8>,
        outline: Outline<Vec<u8>>,
    }

    impl Write for Out {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.tar.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The tar, which counts what is read of it.
    struct Bytes(Vec<u8>, Arc<Mutex<u64>>);

    impl Content for Bytes {
        fn read_at(&mut self, at: u64, until: u64, out: &mut [u8]) -> io::Result<usize> {
            let part = self.0.get(at as usize..until as usize).unwrap_or_default();
            let got = (&*part).read(out)?;
            *self.1.lock().unwrap() += got as u64;
            Ok(got)
        }
    }

    fn entry(path: &str, kind: EntryKind) -> Entry {
        let extras = Extras { nanos: 5, ..Extras::default() };
        Entry { path: path.as_bytes().to_vec(), kind, mode: 0o644, uid: 1, gid: 2, mtime: 3, extras }
    }

    fn archive() -> Out {
        let out = Out { tar: Vec::new(), outline: Outline::new(Vec::new()) };
        let mut tar = Writer::new(out).noting(|out, at, bytes| out.outline.add(at, bytes));
        tar.append_bytes(b"MANIFEST.ini", 0o644, 1, b"[x]\n").unwrap();
        for (number, size) in [0u64, 1, 511, 512, 513, 300_000].into_iter().enumerate() {
            let path = format!("{}{number}", "long/".repeat(number * 30));
            let entry = entry(&path, EntryKind::File { size });
            // One changes while it is read: zeros take the place of what it lacks.
            let body = vec![number as u8; size.saturating_sub(number as u64) as usize];
            tar.append(&entry, &mut &*body).unwrap();
        }
        tar.append(&entry("link", EntryKind::Symlink(b"to".repeat(200))), &mut io::empty()).unwrap();
        tar.append_by(&entry("by", EntryKind::File { size: 700 }), |out| Ok(out.write_all(&[9; 700])?))
            .unwrap();
        tar.finish().unwrap()
    }

    type Indexed = Outlined<io::Cursor<Vec<u8>>, Bytes>;

    /// The tar by its outline, and how much of its contents is read.
    fn indexed(out: &Out) -> (Indexed, Arc<Mutex<u64>>) {
        let read = Arc::new(Mutex::new(0));
        let outline = io::Cursor::new(out.outline.out.clone());
        (Outlined::new(outline, Bytes(out.tar.clone(), Arc::clone(&read))).unwrap(), read)
    }

    #[test]
    fn all_of_it_reads_as_the_tar() {
        let out = archive();
        let mut all = Vec::new();
        indexed(&out).0.read_to_end(&mut all).unwrap();
        assert!(all == out.tar);
    }

    #[test]
    fn members_are_the_same_and_only_wanted_contents_are_read() {
        let out = archive();
        let (tar, read) = indexed(&out);
        let (mut some, mut all) = (Reader::of(Box::new(tar)), Reader::new(&*out.tar));
        while let Some(member) = all.next_member().unwrap() {
            assert_eq!(some.next_member().unwrap(), Some(member.clone()));
            if member.entry.path.ends_with(b"/3") || member.entry.path == b"by" {
                let (mut here, mut there) = (Vec::new(), Vec::new());
                all.read_to_end(&mut there).unwrap();
                some.read_to_end(&mut here).unwrap();
                assert!(here == there && !here.is_empty());
            }
            assert_eq!(some.offset(), all.offset());
        }
        assert_eq!(some.next_member().unwrap(), None);
        assert!(*read.lock().unwrap() <= 512 + 1024, "{}", read.lock().unwrap());
    }

    #[test]
    fn what_is_cut_or_makes_no_sense_is_damaged() {
        let out = archive();
        for cut in [1, 11, 13, out.outline.out.len() - 1] {
            let outline = out.outline.out.get(..cut).unwrap().to_vec();
            let content = Bytes(out.tar.clone(), Arc::default());
            let walked = Outlined::new(io::Cursor::new(outline), content).and_then(|tar| {
                let mut tar = Reader::of(Box::new(tar));
                while tar.next_member()?.is_some() {}
                Ok(())
            });
            assert_eq!(walked.unwrap_err().code(), Code::Integrity, "{cut}");
        }
        let far = [[255; 8].as_slice(), &[255; 4]].concat();
        let content = Bytes(Vec::new(), Arc::default());
        assert!(Outlined::new(io::Cursor::new(far), content).is_err());
    }

    #[test]
    fn what_has_no_outline_is_read_to_its_end() {
        let tar = || Outlined::without_outline(Bytes(b"0123456789".to_vec(), Arc::default()), 9);
        let mut all = Vec::new();
        tar().read_to_end(&mut all).unwrap();
        assert_eq!(all, b"012345678");
        for skip in 0..=9 {
            let (mut tar, mut rest) = (tar(), Vec::new());
            assert_eq!(tar.skip(skip).unwrap(), skip);
            tar.read_to_end(&mut rest).unwrap();
            assert_eq!(rest, all[skip as usize..]);
        }
        assert!(tar().skip(10).is_err());
        all.clear();
        Outlined::without_outline(Bytes(Vec::new(), Arc::default()), 0).read_to_end(&mut all).unwrap();
        assert!(all.is_empty());
    }

    #[test]
    fn skipping_comes_to_where_reading_does() {
        let out = archive();
        let all = out.tar.len();
        let skips = [0, 1, 3, 511, 512, 513, 1024, 1500, 2048, 5000, all - 2000, all - 513, all - 512];
        for (head, skip) in [0, 1, 512, 700, 1024].into_iter().flat_map(|head| skips.map(|skip| (head, skip)))
        {
            let (mut tar, to) = (indexed(&out).0, head + skip);
            tar.read_exact(&mut vec![0; head]).unwrap();
            let skipped = tar.skip(skip as u64);
            let mut rest = Vec::new();
            match out.tar.get(to..) {
                Some(left) => {
                    assert_eq!(skipped.unwrap(), skip as u64);
                    tar.read_to_end(&mut rest).unwrap();
                    assert!(rest == left, "{head} {skip}: {} and {}", rest.len(), left.len());
                }
                None => assert!(skipped.is_err(), "{head} {skip}"),
            }
        }
        for cut in [13, out.outline.out.len() - 1] {
            let outline = out.outline.out.get(..cut).unwrap().to_vec();
            let content = Bytes(out.tar.clone(), Arc::default());
            let mut tar = Outlined::new(io::Cursor::new(outline), content).unwrap();
            assert!(tar.skip(all as u64).is_err(), "cut at {cut}");
        }
    }

    /// One byte at a time, and a signal before each.
    struct Halting(io::Cursor<Vec<u8>>, bool);

    impl Read for Halting {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            match self.1 {
                true => Err(io::ErrorKind::Interrupted.into()),
                false => self.0.read(out.get_mut(..1).unwrap_or_default()),
            }
        }
    }

    #[test]
    fn empty_stretches_mean_nothing_and_no_signal_ends_it() {
        let stretch = |after: u64, bytes: &[u8]| {
            [&after.to_be_bytes()[..], &(bytes.len() as u32).to_be_bytes(), bytes].concat()
        };
        let outline =
            [stretch(0, b""), stretch(2, b"abc"), stretch(0, b""), stretch(2, b""), stretch(1, b"xy")]
                .concat();
        let content = Bytes(b"0123456789".to_vec(), Arc::default());
        let mut all = Vec::new();
        let outline = Halting(io::Cursor::new(outline), false);
        Outlined::new(outline, content).unwrap().read_to_end(&mut all).unwrap();
        assert_eq!(String::from_utf8(all).unwrap(), "01abc567xy");
    }
}
