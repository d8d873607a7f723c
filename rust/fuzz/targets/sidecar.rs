//! A sidecar: what is read of it is written so that the same is read again.
#![no_main]

use bam::catalog::{BackupId, Blocks, Sidecar, SiteIdentity, key};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let sidecar = Sidecar::parse(text);
    let written = sidecar.to_string();
    let again = Sidecar::parse(&written);
    assert_eq!(again.to_string(), written);
    assert_eq!(again.fields().count(), sidecar.fields().count());
    let identity = SiteIdentity::of_sidecar(&sidecar);
    let _ = (identity.describe(), identity.words(), identity.is_meant_by(text));
    let _ = BackupId::of(Some(&sidecar), 0);
    let _ = (sidecar.list(key::CHANGED_FILES), sidecar.digest(key::SHA256), sidecar.number(key::FILE_SIZE));
    let _ = Blocks::parse(sidecar.get(key::BLOCKS).unwrap_or(text));
});
