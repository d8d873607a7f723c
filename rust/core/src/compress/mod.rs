//! Compression: gzip, zstd, bzip2, zip and none, as `Write` and `Read` wrappers; and telling what a file is.
//!
//! What is written is what the standard tools read (gunzip, zstd, bunzip2, unzip, PHP's gzopen, bzopen and
//! ZipArchive). Reading tells a truncated or damaged file from its end: whatever is wrong with the compressed bytes is
//! [`Code::Integrity`], while errors of the reader below pass unchanged. This room knows nothing of tar or keys.
//!
//! | module | what |
//! | --- | --- |
//! | [`detect`] | what a file is, by its first bytes |
//! | `gzip` | parallel, and stores what does not compress; parallel reading of its own files |
//! | `zstd`, `bzip2`, `zip` | the others |
//! | `blocks`, `pool` | what the parallel ones share: blocks on their way round through several threads |
//! | `entropy` | finding what does not compress |

mod blocks;
mod bzip2;
pub mod detect;
mod entropy;
mod gzip;
mod pool;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod zip;
mod zstd;

pub use crate::config::{Compression as Kind, CompressionLevel as Level};
pub use blocks::Piece;
pub use gzip::{aside, unpack_piece};

use crate::{Code, Error, Result};
use detect::What;
use std::io::{self, BufRead, BufReader, Read, Write};

impl Kind {
    /// What a file's name gets, without the dot; empty for [`Kind::None`].
    pub fn extension(self) -> &'static str {
        match self {
            Kind::Gzip => "gz",
            Kind::Zstd => "zst",
            Kind::Bzip2 => "bz2",
            Kind::Zip => "zip",
            Kind::None => "",
        }
    }

    /// From a name's last part: what we write, and what others do (`tgz`, `bz`, `zstd` …). `None` where it names no
    /// compression.
    pub fn from_extension(extension: &str) -> Option<Kind> {
        Some(match extension.to_ascii_lowercase().as_str() {
            "gz" | "gzip" | "tgz" => Kind::Gzip,
            "zst" | "zstd" | "tzst" => Kind::Zstd,
            "bz2" | "bz" | "bzip2" | "tbz" | "tbz2" => Kind::Bzip2,
            "zip" => Kind::Zip,
            _ => return None,
        })
    }

    /// From a file's first bytes; [`Kind::None`] where they are those of none of our compressions.
    pub fn detect(prefix: &[u8]) -> Kind {
        Kind::detect_as(detect::what(prefix))
    }

    /// The same where it is known what the file is.
    pub fn detect_as(what: What) -> Kind {
        match what {
            What::Gzip => Kind::Gzip,
            What::Zstd => Kind::Zstd,
            What::Bzip2 => Kind::Bzip2,
            What::Zip => Kind::Zip,
            _ => Kind::None,
        }
    }
}

/// Compresses what is written to it. Without [`Encoder::finish`] the end is missing, and an encoder that is dropped
/// never makes its file look whole.
pub struct Encoder<W: Write>(Inner<W>);

enum Inner<W: Write> {
    Gzip(blocks::Encoder<W>, gzip::Pieces),
    Zip(blocks::Encoder<W>),
    Bzip2(bzip2::Encoder<W>),
    Zstd(::zstd::stream::write::Encoder<'static, W>),
    None(W),
}

/// An encoder of `kind` into `out`. `entry` is the name of the file inside a zip. `threads` compress (0: one per
/// processor); writing to `out` happens on another thread, except for zstd, bzip2 (which works on one thread) and none. What is written depends on the
/// data and the level alone, not on `threads` or the pieces in which it comes. Memory is 50 MiB at the most, whatever
/// `threads` says; with two it is 7 to 16 MiB, for [`Level::Best`] up to 40.
pub fn writer<W>(kind: Kind, level: Level, entry: &str, out: W, threads: usize) -> Result<Encoder<W>>
where
    W: Write + Send + 'static,
{
    Ok(Encoder(match kind {
        Kind::Gzip => {
            let (encoder, pieces) = gzip::encoder(out, level, threads)?;
            Inner::Gzip(encoder, pieces)
        }
        Kind::Bzip2 => Inner::Bzip2(bzip2::encoder(out)),
        Kind::Zip => Inner::Zip(zip::encoder(out, level, entry, threads)?),
        Kind::Zstd => Inner::Zstd(zstd::encoder(out, level, threads)?),
        Kind::None => Inner::None(out),
    }))
}

impl<W: Write + Send + 'static> Encoder<W> {
    /// Writes what is left and gives back the inner writer, which it does not flush.
    pub fn finish(self) -> Result<W> {
        self.finish_pieces().map(|(out, _)| out)
    }

    /// The same, with the pieces that were written: of gzip alone.
    pub fn finish_pieces(self) -> Result<(W, Vec<Piece>)> {
        Ok(match self.0 {
            Inner::Gzip(encoder, pieces) => (encoder.finish()?, pieces.take()),
            Inner::Zip(encoder) => (encoder.finish()?, Vec::new()),
            Inner::Bzip2(encoder) => (encoder.finish()?, Vec::new()),
            Inner::Zstd(encoder) => (encoder.finish()?, Vec::new()),
            Inner::None(out) => (out, Vec::new()),
        })
    }

    /// Whether [`Encoder::splice`] works: only gzip's files may follow one another and be read as one, by everybody.
    pub fn splices(&self) -> bool {
        matches!(self.0, Inner::Gzip(..))
    }

    /// Takes over a whole file that another encoder of this kind made of `pieces`, as if what it was made from had been
    /// written here.
    pub fn splice(&mut self, ready: &mut impl Read, pieces: &[Piece]) -> Result<()> {
        match &mut self.0 {
            Inner::Gzip(encoder, _) => encoder.splice(ready, pieces),
            _ => Err(Error::new(Code::Internal, "this format takes over no compressed data")),
        }
    }
}

impl<W: Write + Send + 'static> Write for Encoder<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Inner::Gzip(encoder, _) | Inner::Zip(encoder) => encoder.write(data),
            Inner::Bzip2(encoder) => encoder.write(data),
            Inner::Zstd(encoder) => encoder.write(data),
            Inner::None(out) => out.write(data),
        }
    }

    /// Does nothing but for [`Kind::None`]: handing on what is there would change what is written in the end.
    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Inner::Gzip(..) | Inner::Zip(_) | Inner::Bzip2(_) | Inner::Zstd(_) => Ok(()),
            Inner::None(out) => out.flush(),
        }
    }
}

/// Bytes that decoders read, and give out, at once.
const BUFFER: usize = 128 * 1024;

/// Decompresses `input`. Every error of the compressed data, its being cut short included, is [`Code::Integrity`];
/// errors of `input` pass unchanged. `threads` (0: one per processor) are used for gzip that we wrote.
pub fn reader<R>(kind: Kind, input: R, threads: usize) -> Result<Box<dyn BufRead + Send>>
where
    R: Read + Send + 'static,
{
    let input = Below(input);
    Ok(match kind {
        Kind::Gzip => Box::new(gzip::reader(input, threads)?),
        Kind::Zstd => Box::new(BufReader::with_capacity(BUFFER, zstd::reader(input)?)),
        Kind::Bzip2 => Box::new(BufReader::with_capacity(BUFFER, bzip2::reader(input))),
        Kind::Zip => Box::new(BufReader::with_capacity(BUFFER, zip::reader(input)?)),
        Kind::None => Box::new(BufReader::with_capacity(BUFFER, input)),
    })
}

/// Compressed bytes that make no sense, with the decoder's words.
fn damaged(what: &str, cause: &str) -> Error {
    Error::new(Code::Integrity, format!("{what} data is damaged or truncated: {cause}"))
        .hint("use another copy of this backup")
}

/// Turns a decoder's error into [`Code::Integrity`], but leaves an error of the reader below it as it is (those are
/// marked by [`Below`]).
fn integrity(what: &str, error: io::Error) -> io::Error {
    let ours = error.get_ref().is_some_and(|inner| inner.is::<Error>());
    if ours || error.kind() == io::ErrorKind::Interrupted {
        return error;
    }
    let cause = match error.kind() {
        io::ErrorKind::UnexpectedEof => "it ends too early".to_owned(),
        _ => error.to_string(),
    };
    damaged(what, &cause).into()
}

/// The reader below a decoder: makes each of its errors a [`crate::Error`], so that [`integrity`] can tell them from
/// the decoder's own.
struct Below<R>(R);

impl<R: io::Read> io::Read for Below<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.read(out).map_err(|e| match e.kind() {
            io::ErrorKind::Interrupted => e,
            _ => Error::from(e).into(),
        })
    }
}

/// A decoder whose errors are [`integrity`]'s, and which gives out nothing from behind one.
struct Decoding<D> {
    what: &'static str,
    decoder: D,
    failed: bool,
}

impl<D: Read> Decoding<D> {
    fn new(what: &'static str, decoder: D) -> Self {
        Decoding { what, decoder, failed: false }
    }
}

impl<D: Read> Read for Decoding<D> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.failed {
            return Err(damaged(self.what, "as found before").into());
        }
        self.decoder.read(out).map_err(|e| {
            self.failed = e.kind() != io::ErrorKind::Interrupted;
            integrity(self.what, e)
        })
    }
}
