//! What C can ask about the last failure of a thread.

use crate::boundary::run;
use crate::failure::{bam_status, last};
use crate::pointer::Out;
use std::ffi::c_char;

/// The last failure of the calling thread. The strings belong to the library and stay valid until the
/// next failure in this thread.
#[repr(C)]
pub struct bam_error {
    /// What the failed call returned; BAM_STATUS_OK while no call has failed.
    pub status: bam_status,
    /// The exit code that a command should end with.
    pub exit_code: i32,
    /// The status as a stable word: "usage", "not_found", "integrity" ...
    pub code: *const c_char,
    /// What failed and why: one sentence without a full stop.
    pub message: *const c_char,
    /// What to do about it, or an empty string.
    pub hint: *const c_char,
}

/// Tells what the last failed call of this thread failed of.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bam_last_error(error: *mut bam_error) -> bam_status {
    run(|| {
        // SAFETY: the caller's promise, passed on.
        let out = unsafe { Out::new(error, "error") }?;
        out.set(last(|last| bam_error {
            status: last.status,
            exit_code: last.exit_code,
            code: last.code.as_ptr(),
            message: last.message.as_ptr(),
            hint: last.hint.as_ptr(),
        }));
        Ok(())
    })
}

/// The same as JSON, with what is known besides: `{"code", "message", "hint", "operation", "path", "object", "database",
/// "destination", "backup", "cause"}`, of which only the first three are always there (docs/json.md). NULL while no call
/// has failed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bam_last_error_json(error_json: *mut *mut c_char) -> bam_status {
    run(|| {
        // SAFETY: the caller's promise, passed on.
        let out = unsafe { Out::new(error_json, "error_json") }?;
        let told = last(|last| last.json.clone());
        if told.is_null() {
            out.set(std::ptr::null_mut());
            return Ok(());
        }
        out.set_json(&told)
    })
}
