//! Against the real gzip, pigz, tar and PHP, in both directions.

use super::super::testing::{Random, noise, prose};
use super::super::{Level, entropy};
use super::*;
use crate::{Code, Error};
use std::io::{self, Read, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc;

/// Standard output of a shell command that is fed `input`; its failure is the test's.
fn shell(script: &str, input: &[u8]) -> Vec<u8> {
    let mut child =
        Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feeder = std::thread::spawn(move || stdin.write_all(&input));
    let out = child.wait_with_output().unwrap();
    feeder.join().unwrap().unwrap();
    assert!(out.status.success(), "{script}");
    out.stdout
}

fn compress(data: &[u8], level: Level, threads: usize, piece: usize) -> Vec<u8> {
    let mut encoder = super::encoder(Vec::new(), level, threads).unwrap();
    for part in data.chunks(piece) {
        encoder.write_all(part).unwrap();
    }
    encoder.finish().unwrap()
}

fn decompress(file: &[u8]) -> crate::Result<Vec<u8>> {
    let mut data = Vec::new();
    reader(io::Cursor::new(file.to_vec()), 3)?.read_to_end(&mut data)?;
    Ok(data)
}

/// Text, noise and NULs in stretches of all sizes, as a tar of pages and pictures has them.
fn mixed(len: usize) -> Vec<u8> {
    let mut random = Random::new(len as u64);
    let (text, picture) = (prose(1 << 18), noise(1 << 18));
    let mut data = Vec::new();
    while data.len() < len {
        let size = 1 << random.below(18);
        match random.below(3) {
            0 => data.extend_from_slice(&text[..size]),
            1 => data.extend_from_slice(&picture[..size]),
            _ => data.resize(data.len() + size / 16, 0),
        }
    }
    data.truncate(len);
    data
}

fn samples() -> Vec<(&'static str, Vec<u8>)> {
    const MIB: usize = 1 << 20;
    let mut samples =
        vec![("text", prose(3 * MIB + 5)), ("noise", noise(3 * MIB + 5)), ("mixed", mixed(9 * MIB))];
    for len in [0, 1, 100, 65_535, 65_536, MIB - 1, MIB, MIB + 1, 2 * MIB] {
        samples.push(("text", prose(len)));
        samples.push(("noise", noise(len)));
    }
    samples
}

#[test]
fn gunzip_and_we_read_what_we_write() {
    for (name, data) in samples() {
        let file = compress(&data, Level::Default, 2, 100_003);
        assert!(shell("gunzip", &file) == data, "gunzip: {name}, {} bytes", data.len());
        assert!(decompress(&file).unwrap() == data, "bam: {name}, {} bytes", data.len());
    }
    let data = mixed(3 << 20);
    for level in [Level::Fast, Level::Best] {
        let file = compress(&data, level, 2, 1 << 20);
        assert!(shell("pigz -d", &file) == data && decompress(&file).unwrap() == data, "{level:?}");
    }
}

#[test]
fn tar_and_php_read_what_we_write() {
    let names = shell("tar xzO", &compress(&shell("tar c -C / etc/passwd", b""), Level::Default, 2, 512));
    assert_eq!(names, std::fs::read("/etc/passwd").unwrap());
    let data = mixed(4 << 20);
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("data.gz");
    std::fs::write(&path, compress(&data, Level::Default, 2, 1 << 20)).unwrap();
    let php = "$f = gzopen($argv[1], 'rb'); while (!gzeof($f)) { echo gzread($f, 524288); }";
    let out = Command::new("php").args(["-r", php]).arg(&path).output().unwrap();
    assert!(out.stdout == data, "gzopen: {}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn what_is_written_depends_on_data_and_level_alone() {
    let data = mixed(5 << 20);
    let file = compress(&data, Level::Default, 1, data.len());
    for (threads, piece) in [(1, 1000), (2, 4096), (3, 1 << 20), (8, (1 << 20) + 1), (0, 77_777)] {
        assert!(
            compress(&data, Level::Default, threads, piece) == file,
            "{threads} threads, pieces of {piece}"
        );
    }
}

#[test]
fn text_is_as_small_as_gzip_makes_it_and_noise_hardly_grows() {
    let text = prose(8 << 20);
    let (ours, theirs) = (compress(&text, Level::Default, 2, 1 << 20).len(), shell("gzip -6", &text).len());
    assert!(ours * 100 <= theirs * 101, "{ours} bytes, gzip -6 {theirs}");
    let size = |level| compress(&text, level, 2, 1 << 20).len();
    assert!(size(Level::Best) < ours && ours < size(Level::Fast));
    let noise = noise(8 << 20);
    assert!(compress(&noise, Level::Default, 2, 1 << 20).len() < noise.len() + noise.len() / 5000);
    assert!(entropy::stretches(&noise[..1 << 20]).iter().all(|stretch| stretch.1));
}

#[test]
fn foreign_gzip_is_read() {
    let data = mixed(3 << 20);
    for script in ["gzip -1", "gzip -9n", "pigz -6 -p2", "cat > /dev/null; printf x | gzip"] {
        let file = shell(script, &data);
        assert!(decompress(&file).unwrap() == shell("gunzip", &file), "{script}");
    }
    // Members of several makers in one file, ours first, between and last; padding as on tapes.
    let ours = compress(&data, Level::Fast, 2, 1 << 20);
    let theirs = shell("gzip", &data);
    for order in [[&ours, &theirs, &ours], [&theirs, &ours, &theirs]] {
        let mut file = order.map(Vec::as_slice).concat();
        assert!(decompress(&file).unwrap() == [&data[..], &data, &data].concat());
        file.extend([0; 10_000]);
        assert!(decompress(&file).unwrap() == [&data[..], &data, &data].concat());
    }
}

#[test]
fn truncated_and_damaged_files_are_integrity_errors() {
    let data = mixed(3 << 20);
    let ours = compress(&data, Level::Default, 2, 1 << 20);
    let theirs = shell("gzip", &data);
    for file in [&ours, &theirs] {
        let failure = |file: &[u8]| {
            let error =
                decompress(file).err().unwrap_or_else(|| panic!("{} bytes were accepted", file.len()));
            (error.code(), error.next_step().is_some())
        };
        let integrity = (Code::Integrity, true);
        let mut random = Random::new(5);
        let mut cuts = vec![0, 1, 2, 10, 19, 20, 21, 1000, file.len() - 9, file.len() - 8, file.len() - 1];
        cuts.extend((0..20).map(|_| random.below(file.len())));
        for cut in cuts {
            // Cut between two members it is a whole file; that is what a sidecar's size and digest are for.
            if decompress(&file[..cut]).is_ok_and(|part| cut > 0 && data.starts_with(&part)) {
                assert_eq!(file[cut..cut + 2], [0x1f, 0x8b], "cut to {cut}");
                continue;
            }
            assert_eq!(failure(&file[..cut]), integrity, "cut to {cut}");
        }
        for garbage in [&b"x"[..], b"\0\0x", b"\x1f", b"\x1f\x8b"] {
            assert_eq!(failure(&[file, garbage].concat()), integrity, "followed by {garbage:?}");
        }
        for _ in 0..50 {
            let mut broken = file.clone();
            // Not the times, levels and systems in headers, which mean nothing.
            let at = 20 + random.below(file.len() - 20);
            broken[at] ^= 1 << random.below(8);
            match decompress(&broken) {
                Err(error) => assert_eq!(error.code(), Code::Integrity, "bit flipped at {at}"),
                Ok(same) => assert!(same == data, "bit flipped at {at}"),
            }
        }
    }
    assert_eq!(decompress(b"not gzip at all, whatever it is").unwrap_err().code(), Code::Integrity);
}

#[test]
fn no_mutation_makes_the_reader_panic() {
    let data = mixed(20_000);
    let files = [compress(&data, Level::Fast, 1, 1 << 20), shell("gzip", &data)];
    let mut random = Random::new(11);
    for _ in 0..600 {
        for file in &files {
            let mut broken = file.clone();
            for _ in 0..1 + random.below(4) {
                // Mostly in the headers, where the parsing is.
                let at = if random.below(2) == 0 { random.below(40) } else { random.below(file.len()) };
                broken[at] = random.next() as u8;
            }
            broken.truncate(random.below(file.len() * 2).max(1));
            let mut out = Vec::new();
            let _ = reader(io::Cursor::new(broken), 1).unwrap().read_to_end(&mut out);
        }
    }
}

#[test]
fn errors_of_the_inner_writer_and_reader_pass_unchanged() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut encoder = super::encoder(full, Level::Default, 2).unwrap();
    let data = noise(1 << 20);
    let error = (0..100).find_map(|_| encoder.write_all(&data).err());
    assert_eq!(Error::from(error.expect("a full disk must be noticed")).code(), Code::Space);
    assert!(encoder.write_all(&data).is_err() && encoder.finish().is_err());
    // The same where the disk is full at the very end.
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut encoder = super::encoder(full, Level::Default, 2).unwrap();
    encoder.write_all(b"a little").unwrap();
    assert_eq!(encoder.finish().err().map(|e| e.code()), Some(Code::Space));

    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::from(io::ErrorKind::ConnectionReset))
        }
    }
    for file in [compress(&data, Level::Fast, 1, 1 << 20), shell("gzip", &data)] {
        let half = io::Cursor::new(file[..file.len() / 2].to_vec()).chain(Broken);
        let error = io::copy(&mut reader(half, 2).unwrap(), &mut io::sink()).unwrap_err();
        assert_eq!(Error::from(error).code(), Code::Io);
    }
}

/// Tells, when it is dropped, that it was.
struct Told(mpsc::Sender<()>);

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

impl Write for Told {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        Ok(data.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_encoder_dropped_unfinished_leaves_nothing_behind() {
    let (sender, told) = mpsc::channel();
    let mut encoder = super::encoder(Told(sender), Level::Best, 2).unwrap();
    encoder.write_all(&prose(5 << 20)).unwrap();
    drop(encoder);
    // Dropping waits for the threads, so the writer is gone by now.
    assert_eq!(told.try_recv(), Ok(()));
}

#[test]
fn a_reader_dropped_in_the_middle_does_not_hang() {
    let file = compress(&mixed(6 << 20), Level::Fast, 2, 1 << 20);
    let mut reader = reader(io::Cursor::new(file), 2).unwrap();
    let mut some = [0; 1000];
    reader.read_exact(&mut some).unwrap();
}
