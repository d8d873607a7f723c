#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bam::fuzzing::run("mask", data));
