//! A tar file put into a folder: nothing comes to lie beside it, and what is beside it stays.
#![no_main]

use bam::Monitor;
use bam::archive::{ExtractOptions, Extractor, Reader};
use libfuzzer_sys::fuzz_target;
use std::fs;

fuzz_target!(|data: &[u8]| {
    // Sparse members of a terabyte are no fault of the reader.
    if data.len() > 1 << 16 {
        return;
    }
    let top = tempfile::Builder::new().prefix("bam-fuzz-").tempdir_in("/dev/shm").expect("a folder");
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
});
