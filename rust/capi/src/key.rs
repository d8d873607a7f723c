//! Key files.

use crate::boundary::run;
use crate::failure::bam_status;
use crate::pointer::{self, Out};
use bam::encrypt::{KeyId, Passphrase, key};
use serde_json::json;
use std::ffi::c_char;
use std::path::Path;

/// Makes a key file: 32 random bytes as base64 on one line, readable by its owner only. Never replaces a file.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bam_key_create(key_file: *const c_char) -> bam_status {
    run(|| {
        // SAFETY: the caller's promise, passed on.
        let path = unsafe { pointer::text(key_file, "key_file") }?;
        key::create(Path::new(path))?;
        Ok(())
    })
}

/// Looks at a key file: `{"id": what sidecars call it by, "notes": [{"kind", "text"}]}`. Fails where it cannot be used.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bam_key_check(key_file: *const c_char, report_json: *mut *mut c_char) -> bam_status {
    run(|| {
        // SAFETY: the caller's promise, passed on.
        let (path, out) =
            unsafe { (pointer::text(key_file, "key_file")?, Out::new(report_json, "report_json")?) };
        let notes = key::check(Path::new(path))?;
        let id = KeyId::of(&Passphrase::from_file(Path::new(path))?);
        out.set_json(&json!({ "id": id.to_string(), "notes": notes }))
    })
}
