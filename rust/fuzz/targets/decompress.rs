//! Compressed data of every kind, as what it says it is and as what it is not.
#![no_main]

use bam::compress::{Kind, detect, reader};
use libfuzzer_sys::fuzz_target;
use std::io::{self, Cursor, Read};

fuzz_target!(|data: &[u8]| {
    let what = detect::what(&data[..data.len().min(detect::PREFIX)]);
    let _ = (what.describe(), what.unpacked_by());
    let detected = Kind::detect(data);
    for kind in [Kind::Gzip, Kind::Zstd, Kind::Bzip2, Kind::Zip] {
        // Those that it is not are refused early; trying them costs little.
        if kind == detected || data.len() < 64 {
            if let Ok(reader) = reader(kind, Cursor::new(data.to_vec()), 1) {
                let _ = io::copy(&mut reader.take(8 << 20), &mut io::sink());
            }
        }
    }
});
