//! Bzip2, in one stream, on one thread: the format is kept for the sake of Backup and Migrate, whose PHP (bzopen) reads no further than
//! the first stream of a file.

use super::{BUFFER, Decoding};
use crate::{Code, Error, Result};
use bzip2::bufread::MultiBzDecoder;
use bzip2::{Action, Compress, Compression, Status};
use std::io::{self, BufReader, Read, Write};

/// A bzip2 file on its way to `out`. There is one level: bzip2's lower ones are no faster. The crate's own writer would end
/// the file also when it is dropped.
pub struct Encoder<W> {
    out: W,
    compress: Compress,
    packed: Vec<u8>,
}

/// As [`Encoder`].
pub fn encoder<W: Write>(out: W) -> Encoder<W> {
    Encoder { out, compress: Compress::new(Compression::best(), 0), packed: Vec::with_capacity(BUFFER) }
}

impl<W: Write> Encoder<W> {
    fn step(&mut self, data: &[u8], action: Action) -> io::Result<(usize, Status)> {
        let before = self.compress.total_in();
        self.packed.clear();
        let status = self
            .compress
            .compress_vec(data, &mut self.packed, action)
            .map_err(|cause| Error::new(Code::Internal, "bzip2 failed").because(cause))?;
        self.out.write_all(&self.packed)?;
        Ok(((self.compress.total_in() - before) as usize, status))
    }

    /// Writes what is left and gives back the inner writer, which it does not flush.
    pub fn finish(mut self) -> Result<W> {
        while self.step(&[], Action::Finish)?.1 != Status::StreamEnd {}
        Ok(self.out)
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let mut taken = 0;
        while taken == 0 && !data.is_empty() {
            taken = self.step(data, Action::Run)?.0;
        }
        Ok(taken)
    }

    /// Does nothing: ending a block early would change what is written in the end.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Decompresses all streams of a file.
pub fn reader<R: Read>(input: R) -> Decoding<impl Read> {
    Decoding::new("bzip2", MultiBzDecoder::new(BufReader::with_capacity(BUFFER, input)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::prose;
    use super::super::{Kind, Level, writer};
    use super::*;
    use std::process::Command;

    /// Needs PHP's bz2 extension, as Backup and Migrate does.
    #[test]
    fn phps_bzopen_reads_to_the_end() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("data.bz2");
        let data = prose(3 * 900_000 + 17);
        let file = std::fs::File::create(&path).unwrap();
        let mut encoder = writer(Kind::Bzip2, Level::Default, "", file, 2).unwrap();
        encoder.write_all(&data).unwrap();
        encoder.finish().unwrap();
        let script = "if (!function_exists('bzopen')) { exit(9); }
            $f = bzopen($argv[1], 'r'); while (!feof($f)) { echo bzread($f, 8192); }";
        let run = Command::new("php").args(["-r", script]).arg(&path).output().unwrap();
        assert_ne!(run.status.code(), Some(9), "install PHP's bz2 extension (Debian: php-bz2)");
        assert!(run.stdout == data, "{} bytes of {}", run.stdout.len(), data.len());
    }
}
