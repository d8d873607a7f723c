//! One suite for every kind, against the real tools.

use super::testing::{Random, mixed, noise, prose, shell};
use super::*;
use std::fs::{File, OpenOptions};
use std::io::Cursor;
use std::sync::mpsc;

const KINDS: [Kind; 5] = [Kind::Gzip, Kind::Zstd, Kind::Bzip2, Kind::Zip, Kind::None];
const MIB: usize = 1 << 20;

fn compress(kind: Kind, data: &[u8], level: Level, threads: usize, piece: usize) -> Vec<u8> {
    let mut encoder = writer(kind, level, "site.tar", Vec::new(), threads).unwrap();
    data.chunks(piece).for_each(|part| encoder.write_all(part).unwrap());
    encoder.finish().unwrap()
}

fn decompress(kind: Kind, file: &[u8]) -> Result<Vec<u8>> {
    let mut data = Vec::new();
    reader(kind, Cursor::new(file.to_vec()), 3)?.read_to_end(&mut data)?;
    Ok(data)
}

/// The tool that everybody has for it.
fn tool(kind: Kind, file: &[u8]) -> Vec<u8> {
    shell(
        match kind {
            Kind::Gzip => "gunzip",
            Kind::Zstd => "zstd -dc",
            Kind::Bzip2 => "bunzip2",
            Kind::Zip => "t=$(mktemp) && cat >$t && unzip -tqq $t && unzip -p $t && rm $t",
            Kind::None => "cat",
        },
        file,
    )
}

/// Made by somebody else.
fn foreign(kind: Kind, data: &[u8]) -> Vec<u8> {
    shell(
        match kind {
            Kind::Gzip => "gzip",
            Kind::Zstd => "zstd -c",
            Kind::Bzip2 => "bzip2",
            Kind::Zip => "zip -q - -",
            Kind::None => "cat",
        },
        data,
    )
}

#[test]
fn the_tools_and_we_read_what_we_write() {
    let mut samples =
        vec![("noise", noise(2 * MIB + 5)), ("mixed", mixed(3 * MIB + 5)), ("NULs", vec![0; 2 * MIB])];
    for len in [0, 1, 100, 65_535, 65_536] {
        samples.push(("text", prose(len)));
        samples.push(("noise", noise(len)));
        samples.push(("NULs", vec![0; len]));
    }
    // About bzip2's blocks and ours.
    samples.extend([718_999, 719_000, 719_001, MIB - 1, MIB, MIB + 1].map(|len| ("text", prose(len))));
    // The worst that bzip2's first run-length coding knows.
    samples.push(("fours", (0..MIB).map(|i| (i / 4) as u8).collect()));
    for kind in KINDS {
        for (name, data) in &samples {
            let file = compress(kind, data, Level::Default, 2, 100_003);
            assert!(tool(kind, &file) == *data, "{kind:?}'s tool: {name}, {} bytes", data.len());
            assert!(decompress(kind, &file).unwrap() == *data, "{kind:?}: {name}, {} bytes", data.len());
        }
        let data = mixed(MIB + 5);
        for level in [Level::Fast, Level::Best] {
            let file = compress(kind, &data, level, 2, MIB);
            assert!(tool(kind, &file) == data, "{kind:?}'s tool, {level:?}");
            assert!(decompress(kind, &file).unwrap() == data, "{kind:?}, {level:?}");
        }
    }
}

#[test]
fn we_read_what_the_tools_write() {
    for kind in KINDS {
        for data in [vec![], b"x".to_vec(), mixed(MIB + 77)] {
            let file = foreign(kind, &data);
            assert!(decompress(kind, &file).unwrap() == data, "{kind:?}, {} bytes", data.len());
        }
    }
}

#[test]
fn what_is_written_depends_on_data_and_level_alone() {
    let data = mixed(3 * MIB);
    for kind in KINDS {
        let file = compress(kind, &data, Level::Default, 1, data.len());
        for (threads, piece) in [(2, 4096), (3, MIB + 1), (0, 77_777)] {
            let again = compress(kind, &data, Level::Default, threads, piece);
            assert!(again == file, "{kind:?}, {threads} threads, pieces of {piece}");
        }
    }
}

#[test]
fn truncated_and_damaged_files_are_integrity_errors() {
    for kind in [Kind::Gzip, Kind::Zstd, Kind::Bzip2, Kind::Zip] {
        // More than one block where blocks are read in parallel.
        let data = mixed(if kind == Kind::Gzip { MIB + 200_000 } else { 300_000 });
        for file in [compress(kind, &data, Level::Default, 2, MIB), foreign(kind, &data)] {
            let refused = |file: &[u8], what: &str| match decompress(kind, file) {
                // Cut between two gzip members it is whole: that is what a sidecar's size and digest are for.
                Ok(part) if kind == Kind::Gzip && !part.is_empty() && data.starts_with(&part) => {}
                Ok(_) => panic!("{kind:?} {what} was accepted"),
                Err(error) => {
                    assert_eq!(error.code(), Code::Integrity, "{kind:?} {what}: {error}");
                    assert!(error.next_step().is_some());
                }
            };
            let mut random = Random::new(5);
            let mut cuts = vec![0, 1, 2, 3, 10, 19, 20, 21, 1000];
            cuts.extend([9, 8, 5, 4, 1].map(|n| file.len() - n));
            cuts.extend((0..20).map(|_| random.below(file.len())));
            cuts.iter().for_each(|&cut| refused(&file[..cut], &format!("cut to {cut}")));
            for garbage in [&b"x"[..], b"\0\0x", b"\x1f", b"\x1f\x8b", b"BZ", b"\x28\xb5\x2f\xfd"] {
                refused(&[&file, garbage].concat(), &format!("followed by {garbage:?}"));
            }
            for _ in 0..40 {
                let mut broken = file.clone();
                let at = random.below(file.len());
                broken[at] ^= 1 << random.below(8);
                // Some bits mean nothing: times in headers, names, padding.
                if decompress(kind, &broken).is_ok_and(|same| same == data) {
                    continue;
                }
                refused_or_unsupported(kind, &broken, at);
            }
        }
        let error = decompress(kind, b"not compressed at all, whatever the name says").unwrap_err();
        assert_eq!(error.code(), Code::Integrity, "{kind:?}: {error}");
    }
}

/// A flipped bit may turn a zip into one with a password.
fn refused_or_unsupported(kind: Kind, file: &[u8], at: usize) {
    let error = decompress(kind, file).expect_err("accepted with other data");
    let allowed = error.code() == Code::Integrity || kind == Kind::Zip && error.code() == Code::Unsupported;
    assert!(allowed, "{kind:?}, bit flipped in byte {at}: {error}");
}

#[test]
fn no_mutation_makes_a_reader_panic() {
    let data = mixed(20_000);
    let mut random = Random::new(11);
    for kind in [Kind::Gzip, Kind::Zstd, Kind::Bzip2, Kind::Zip] {
        let files = [compress(kind, &data, Level::Fast, 1, MIB), foreign(kind, &data)];
        for round in 0..300 {
            let mut broken = files[round % 2].clone();
            let whole = broken.len();
            for _ in 0..1 + random.below(4) {
                // Mostly in headers and ends, where the parsing is.
                let at = match random.below(3) {
                    0 => random.below(60),
                    1 => whole - 1 - random.below(100),
                    _ => random.below(whole),
                };
                broken[at] = random.next() as u8;
            }
            broken.truncate(random.below(whole * 2).max(1));
            let _ = decompress(kind, &broken);
        }
        for len in 0..200 {
            let _ = decompress(kind, &noise(len));
        }
    }
}

#[test]
fn errors_of_the_inner_writer_and_reader_pass_unchanged() {
    let full = || OpenOptions::new().write(true).open("/dev/full").unwrap();
    let data = noise(MIB);
    for kind in KINDS {
        let mut encoder = writer(kind, Level::Default, "", full(), 2).unwrap();
        let error = (0..100).find_map(|_| encoder.write_all(&data).err());
        assert_eq!(Error::from(error.expect("a full disk must be noticed")).code(), Code::Space, "{kind:?}");
        // The same where the disk is full at the very end.
        if kind != Kind::None {
            let mut encoder = writer(kind, Level::Default, "", full(), 2).unwrap();
            encoder.write_all(b"a little").unwrap();
            assert_eq!(encoder.finish().err().map(|e| e.code()), Some(Code::Space), "{kind:?}");
        }

        for file in [compress(kind, &data, Level::Fast, 1, MIB), foreign(kind, &data)] {
            let half = Cursor::new(file[..file.len() / 2].to_vec()).chain(Broken);
            let error = io::copy(&mut reader(kind, half, 2).unwrap(), &mut io::sink()).unwrap_err();
            assert_eq!(Error::from(error).code(), Code::Io, "{kind:?}");
        }
    }
}

struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::ConnectionReset.into())
    }
}

/// Tells what was written to it when it is dropped.
struct Told(Vec<u8>, mpsc::Sender<Vec<u8>>);

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.1.send(std::mem::take(&mut self.0));
    }
}

impl Write for Told {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.write(data)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_encoder_dropped_unfinished_leaves_no_thread_and_no_whole_file() {
    let data = prose(3 * MIB + 1);
    for kind in [Kind::Gzip, Kind::Zstd, Kind::Bzip2, Kind::Zip] {
        let (sender, told) = mpsc::channel();
        let mut encoder = writer(kind, Level::Best, "x", Told(Vec::new(), sender), 2).unwrap();
        encoder.write_all(&data).unwrap();
        drop(encoder);
        // Dropping waits for the threads, so the writer is gone by now.
        let written = told.try_recv().unwrap();
        assert!(decompress(kind, &written).map_or(true, |part| part.len() < data.len()), "{kind:?}");
    }
}

#[test]
fn a_reader_dropped_in_the_middle_does_not_hang() {
    let data = mixed(3 * MIB);
    for kind in KINDS {
        let file = compress(kind, &data, Level::Fast, 2, MIB);
        let mut reader = reader(kind, Cursor::new(file), 2).unwrap();
        reader.read_exact(&mut [0; 1000]).unwrap();
    }
}

#[test]
fn names_and_bytes_tell_the_kind() {
    for kind in KINDS {
        assert_eq!(Kind::from_extension(kind.extension()).unwrap_or(Kind::None), kind);
        let file = compress(kind, b"-- a dump", Level::Default, 1, 100);
        assert_eq!(Kind::detect(&file), kind);
    }
    assert_eq!(Kind::from_extension("TGZ"), Some(Kind::Gzip));
    assert_eq!(Kind::from_extension("bz"), Some(Kind::Bzip2));
    assert_eq!(Kind::from_extension("tar"), None);
    let plain = File::open("/etc/passwd").unwrap();
    assert!(reader(Kind::Gzip, plain, 1).unwrap().fill_buf().is_err());
}
