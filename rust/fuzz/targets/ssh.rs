//! A file of known host keys, and a server's address.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| bam::fuzzing::ssh(text));
