//! A tar file: its members and their bytes.
#![no_main]

use bam::archive::{Manifest, Reader};
use libfuzzer_sys::fuzz_target;
use std::io::{self, Read};

fuzz_target!(|data: &[u8]| {
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
});
