//! The configuration document: reading and checking one; what Backup and Migrate exports.

use crate::boundary::run;
use crate::failure::bam_status;
use crate::pointer::{self, Out};
use bam::config::Document;
use bam::config::import::Import;
use std::ffi::c_char;

/// Reads a configuration document (docs/configuration.md), adds what is built in, and gives it back whole. Without
/// `with_secrets`, passwords and keys are replaced by "[hidden]".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bam_config_complete(
    config_json: *const c_char,
    with_secrets: bool,
    completed_json: *mut *mut c_char,
) -> bam_status {
    run(|| {
        // SAFETY: the caller's promise, passed on.
        let (json, out) = unsafe {
            (pointer::text(config_json, "config_json")?, Out::new(completed_json, "completed_json")?)
        };
        out.set_json(&Document::from_json(json)?.to_json(with_secrets)?)
    })
}

/// Checks a configuration document: fails where it contradicts itself, else gives warnings, `[{"kind", "text"}]`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bam_config_check(
    config_json: *const c_char,
    notes_json: *mut *mut c_char,
) -> bam_status {
    run(|| {
        // SAFETY: the caller's promise, passed on.
        let (json, out) =
            unsafe { (pointer::text(config_json, "config_json")?, Out::new(notes_json, "notes_json")?) };
        let document = Document::from_json(json)?;
        document.validate()?;
        out.set_json(&document.check())
    })
}

/// Parses what Backup and Migrate, CTools or Features export; nothing is evaluated. Gives
/// `{"items": [{"type", "machine_name", "item", "document", "database", "notes"}], "notes"}`: `item` is what the export
/// says in Backup and Migrate's words, `document` the same as an entry of the configuration document. A mistake in the
/// text fails with its line and column.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bam_settings_parse(
    export: *const c_char,
    settings_json: *mut *mut c_char,
) -> bam_status {
    run(|| {
        // SAFETY: the caller's promise, passed on.
        let (text, out) =
            unsafe { (pointer::text(export, "export")?, Out::new(settings_json, "settings_json")?) };
        out.set_json(&Import::read(text.as_bytes())?.to_json()?)
    })
}
