//! A dump in PostgreSQL's SQL, as `psql` reads it.
#![no_main]

use bam::Monitor;
use bam::config::Driver;
use bam::source::database::contents;
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(|dump: &[u8]| {
    let monitor = Monitor::new();
    let mut input = dump;
    let _ = contents(Some(Driver::Pgsql), &mut input, None, Path::new("/dev/shm"), &monitor);
});
