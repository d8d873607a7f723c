//! A dump in MariaDB's and MySQL's SQL.
#![no_main]

use bam::Monitor;
use bam::config::Driver;
use bam::source::database::{contents, fingerprints};
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(|dump: &[u8]| {
    bam::fuzzing::mysql(dump);
    let monitor = Monitor::new();
    let mut input = dump;
    let _ = contents(Some(Driver::Mysql), &mut input, None, Path::new("/dev/shm"), &monitor);
    let mut input = dump;
    let _ = fingerprints(Some(Driver::Mysql), &mut input, &monitor);
});
