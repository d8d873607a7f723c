//! Archives that are damaged or cut off are told from whole ones, and the member is named.

use super::*;
use crate::Code;
use std::io::Read;

fn sample() -> Vec<u8> {
    archive(&[
        file("first", "1"),
        bare("folder", EntryKind::Directory),
        file("folder/second", &"2".repeat(1500)),
    ])
}

/// Reads everything; the number of members, or the error.
fn read_all(bytes: &[u8]) -> Result<usize> {
    let mut reader = Reader::new(bytes);
    let mut members = 0;
    while reader.next_member()?.is_some() {
        std::io::copy(&mut reader, &mut std::io::sink())?;
        members += 1;
    }
    Ok(members)
}

#[test]
fn cut_at_any_byte() {
    let whole = sample();
    assert_eq!(read_all(&whole).unwrap(), 3);
    // One block of the end mark is enough to know that nothing is missing.
    for len in 0..whole.len() - BLOCK {
        let error = read_all(&whole[..len]).unwrap_err();
        assert_eq!(error.code(), Code::Integrity, "cut at {len}: {error}");
    }
    let error = read_all(&whole[..whole.len() - 3 * BLOCK]).unwrap_err();
    assert!(error.message().contains("folder/second"), "{error}");
}

#[test]
fn a_missing_end_mark_is_forgiven_behind_a_whole_member_where_that_was_asked_for() {
    let whole = sample();
    let read = |bytes: &[u8], forgives: bool| {
        let mut reader = Reader::new(bytes);
        if forgives {
            reader.forgive_no_end_mark();
        }
        let mut members = 0;
        while reader.next_member()?.is_some() {
            members += 1;
        }
        Ok::<_, crate::Error>((members, reader.is_unmarked(), reader.offset()))
    };
    let unmarked = &whole[..whole.len() - 2 * BLOCK];
    assert_eq!(read(unmarked, true).unwrap(), (3, true, unmarked.len() as u64));
    assert_eq!(read(unmarked, false).unwrap_err().code(), Code::Integrity);
    assert_eq!(read(&whole[..whole.len() - 3 * BLOCK], true).unwrap_err().code(), Code::Integrity);
    assert_eq!(read(&[], true).unwrap_err().code(), Code::Integrity, "nothing is no archive");
    for forgives in [true, false] {
        let (members, is_unmarked, _) = read(&whole, forgives).unwrap();
        assert_eq!((members, is_unmarked), (3, false));
    }
}

#[test]
fn a_flipped_bit_in_a_header_is_noticed() {
    let whole = sample();
    for byte in 0..BLOCK {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            // The third header: after two blocks of the first member and one of the folder.
            bytes[3 * BLOCK + byte] ^= 1 << bit;
            let noticed = read_all(&bytes).map_err(|e| e.code());
            // Spaces and NULs around the checksum itself mean the same.
            let in_checksum = (148..156).contains(&byte);
            assert!(noticed == Err(Code::Integrity) || in_checksum, "byte {byte} bit {bit}: {noticed:?}");
        }
    }
}

#[test]
fn no_archive_at_all() {
    for (bytes, what) in [(&b""[..], "empty"), (&[b'x'; 4096], "no tar"), (b"short", "no tar")] {
        let error = read_all(bytes).unwrap_err();
        assert!(error.code() == Code::Integrity && error.message().contains(what), "{error}");
    }
}

/// Fails at its end, as a decoder does whose checksum comes last.
struct BadEnd<'a>(&'a [u8]);

impl Read for BadEnd<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        match self.0.read(buf)? {
            0 => Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "wrong checksum")),
            n => Ok(n),
        }
    }
}

#[test]
fn what_the_decoder_says_behind_the_last_byte_is_heard() {
    let whole = sample();
    let mut reader = Reader::new(BadEnd(&whole));
    let mut last = reader.next_member();
    while let Ok(Some(_)) = last {
        last = reader.next_member();
    }
    let error = last.unwrap_err();
    assert!(error.code() == Code::Integrity && error.message().contains("wrong checksum"), "{error}");
}

#[test]
fn a_body_that_is_too_short_is_made_up_and_one_too_long_cut() {
    let mut writer = Writer::new(Vec::new());
    let kind = || EntryKind::File { size: 1000 };
    let short = writer.append(&entry("short", kind()), &mut [b's'; 300].as_slice()).unwrap();
    let long = writer.append(&entry("long", kind()), &mut [b'l'; 5000].as_slice()).unwrap();
    assert_eq!((short.padded, long.padded), (700, 0));
    let bytes = writer.finish().unwrap();
    let mut reader = Reader::new(bytes.as_slice());
    for (name, len) in [("short", 300), ("long", 1000)] {
        assert_eq!(reader.next_member().unwrap().unwrap().entry.path, name.as_bytes());
        let mut content = Vec::new();
        reader.read_to_end(&mut content).unwrap();
        assert_eq!(content.len(), 1000);
        assert_eq!(content.iter().filter(|b| **b != 0).count(), len);
    }
    assert!(reader.next_member().unwrap().is_none());
}

#[test]
fn a_failing_body_fails_the_archive() {
    let error = Writer::new(Vec::new())
        .append(&entry("a", EntryKind::File { size: 9 }), &mut BadEnd(b"abc"))
        .unwrap_err();
    assert!(error.message().contains("wrong checksum"), "{error}");
}
