//! What PHP wrote: exports as `var_export` prints them, and serialized values.
#![no_main]

use bam::config::import::Import;
use bam::config::php::{parse_export, serialize, unserialize};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = parse_export(data);
    if let Ok(value) = unserialize(data) {
        let written = serialize(&value);
        let again = unserialize(&written).expect("what was written is read");
        assert_eq!(serialize(&again), written);
        let _ = value.to_json();
    }
    if let Ok(import) = Import::read(data) {
        for item in &import.items {
            let _ = item.value.to_json();
        }
    }
});
