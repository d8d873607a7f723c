//! The configuration document, as YAML and as JSON.
#![no_main]

use bam::config::Document;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for read in [Document::from_yaml(text), Document::from_json(text)] {
        match read {
            Ok(document) => {
                let _ = document.contradictions();
                let _ = document.to_yaml(false);
                let _ = document.to_json(true);
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
});
