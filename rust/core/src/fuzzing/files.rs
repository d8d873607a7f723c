//! Archives, compressed and encrypted files.

use crate::Monitor;
use crate::archive::outline::{Content, Outline, Outlined};
use crate::archive::{ExtractOptions, Extractor, Manifest, Reader};
use crate::compress::{Kind, aside, detect, reader};
use crate::encrypt::aes_module::{self, Settings};
use crate::encrypt::age::{self, Identities};
use crate::encrypt::{Passphrase, enc};
use crate::job::index::tables;
use std::fs;
use std::io::{self, Cursor, Read};
use std::sync::LazyLock;

/// A tar file, compressed or not: its members and their bytes.
pub fn archive(data: &[u8]) {
    let mut unpacked = Vec::new();
    let data = match Kind::detect(data) {
        Kind::None => data,
        kind => {
            let Ok(reader) = reader(kind, Cursor::new(data.to_vec()), 1) else { return };
            let _ = reader.take(1 << 20).read_to_end(&mut unpacked);
            &unpacked
        }
    };
    let mut reader = Reader::new(data);
    reader.forgive_no_end_mark();
    while let Ok(Some(member)) = reader.next_member() {
        assert!(!member.entry.path.contains(&0));
        if member.entry.path == b"MANIFEST.ini" {
            let mut text = Vec::new();
            if reader.by_ref().take(1 << 16).read_to_end(&mut text).is_ok() {
                let _ = Manifest::parse(&text);
            }
        }
        // Sparse files may be as large as they say.
        let _ = io::copy(&mut reader.by_ref().take(1 << 20), &mut io::sink());
    }
}

/// A tar file put into a folder: nothing comes to lie beside it, and what is beside it stays.
pub fn extract(data: &[u8]) {
    // Sparse members of a terabyte are no fault of the reader.
    if data.len() > 1 << 16 {
        return;
    }
    let top = tempfile::Builder::new().prefix("bam-fuzz-").tempdir().expect("a folder");
    let inside = top.path().join("inside");
    fs::create_dir(&inside).expect("a folder");
    fs::write(top.path().join("beside"), "untouched").expect("a file");
    let monitor = Monitor::new();
    let options = ExtractOptions { owners: false, ..ExtractOptions::default() };
    if let Ok(extractor) = Extractor::into_folder(&inside, options, &monitor) {
        let _ = extractor.run(&mut Reader::new(data));
    }
    let mut names: Vec<_> = fs::read_dir(top.path())
        .expect("a listing")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["beside", "inside"]);
    assert_eq!(fs::read_to_string(top.path().join("beside")).expect("the file"), "untouched");
}

/// Compressed data of every kind, as what it says it is and as what it is not.
pub fn decompress(data: &[u8]) {
    let what = detect::what(&data[..data.len().min(detect::PREFIX)]);
    let _ = (what.describe(), what.unpacked_by());
    let detected = Kind::detect(data);
    for kind in [Kind::Gzip, Kind::Zstd, Kind::Bzip2, Kind::Zip] {
        // Those that it is not are refused early; trying them costs little.
        if (kind == detected || data.len() < 64)
            && let Ok(reader) = reader(kind, Cursor::new(data.to_vec()), 1)
        {
            let _ = io::copy(&mut reader.take(8 << 20), &mut io::sink());
        }
    }
}

/// Of the age test kit (C2SP/CCTV), whose files are among the seeds.
static KEY: LazyLock<Identities> = LazyLock::new(|| {
    Identities::parse("AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0")
        .expect("a key")
});

/// Encrypted files: whatever is in them, decrypting ends, and with an error where it is damaged.
pub fn container(data: &[u8]) {
    let _ = crate::encrypt::detect("x.age", data);
    let passphrase = Passphrase::from_first_line(b"a passphrase").expect("a passphrase");
    if let Ok(mut reader) = enc::EncReader::new(data, &passphrase, 1) {
        let _ = io::copy(&mut reader, &mut io::sink());
    }
    for settings in [
        Settings::phpseclib(b"a key"),
        Settings::mcrypt(b"a key", b"aXY="),
        Settings::real_aes(&[7; 16]).expect("16 bytes"),
    ] {
        let _ = io::copy(&mut aes_module::AesModuleReader::new(data, &settings), &mut io::sink());
    }
    if let Ok(Some(mut reader)) = age::AgeReader::new(data, &KEY) {
        let _ = io::copy(&mut reader, &mut io::sink());
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = Identities::parse(text);
    }
}

/// An archive's index: the bytes beside compressed data, where the tables of a dump stand, and a tar's outline.
pub fn index(data: &[u8]) {
    let mut read = Vec::new();
    if aside::Reader::new(data).read_to_end(&mut read).is_ok() {
        let mut written = Vec::new();
        aside::write(&mut &*read, &mut written).expect("written");
        let mut again = Vec::new();
        aside::Reader::new(&*written).read_to_end(&mut again).expect("what was written is read");
        assert_eq!(again, read);
    }
    if let Ok(places) = tables::parse(data) {
        assert!(places.makes_sense());
        let _ = (places.without_others(&["node".to_owned()], None), places.without_counted());
    }
    if let Ok(tar) = Outlined::new(data, Zeros) {
        let _ = io::copy(&mut tar.take(1 << 20), &mut io::sink());
    }
    let mut outline = Outline::new(Vec::new());
    let _ = outline.add(u64::from(data.first().copied().unwrap_or_default()), data);
    let written = outline.into_inner();
    if let Ok(tar) = Outlined::new(&*written, Zeros) {
        io::copy(&mut tar.take(1 << 20), &mut io::sink()).expect("its own outline");
    }
}

/// What an outline calls content.
struct Zeros;

impl Content for Zeros {
    fn read_at(&mut self, at: u64, until: u64, out: &mut [u8]) -> io::Result<usize> {
        assert!(at < until);
        let length = usize::try_from(until - at).unwrap_or(usize::MAX).min(out.len());
        out.iter_mut().take(length).for_each(|byte| *byte = 0);
        Ok(length)
    }
}
