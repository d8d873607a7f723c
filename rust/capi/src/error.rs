//! Statuses, and what the last failure of a thread was.

use crate::boundary::run;
use crate::pointer::{Out, to_c};
use bam::Code;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::ffi::{CString, c_char};

/// How a call ended. Numbers and names are stable.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum bam_status {
    /// Success.
    Ok = 0,
    /// The request itself is wrong: an unknown argument, source, profile or destination.
    Usage = 1,
    /// The configuration document cannot be read or contradicts itself.
    Config = 2,
    /// What was asked for does not exist.
    NotFound = 3,
    /// Reading or writing failed.
    Io = 4,
    /// A disk or quota is full.
    Space = 5,
    /// The operating system or a server refused access.
    Permission = 6,
    /// A database server or its client failed.
    Database = 7,
    /// A destination could not be reached or refused.
    Destination = 8,
    /// A key is missing or unusable.
    Key = 9,
    /// Bytes are not what they should be: wrong MAC, damaged or truncated data, wrong key.
    Integrity = 10,
    /// Another run holds the lock.
    Locked = 11,
    /// The job was cancelled.
    Cancelled = 12,
    /// Done, but not everywhere.
    Partial = 13,
    /// A format, cipher or feature that bam does not handle.
    Unsupported = 14,
    /// A bug in bam.
    Internal = 15,
    /// A pointer was null that must not be.
    NullPointer = 16,
    /// A string was not UTF-8.
    NotUtf8 = 17,
    /// A bug in bam stopped the call half-way.
    Panic = 18,
}

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

/// Why a call failed: an error of the engine, or a mistake in how it was called.
pub enum Failure {
    Engine(bam::Error),
    Null(&'static str),
    NotText(&'static str),
    Panic,
}

impl From<bam::Error> for Failure {
    fn from(error: bam::Error) -> Self {
        Failure::Engine(error)
    }
}

struct Last {
    status: bam_status,
    exit_code: i32,
    code: CString,
    message: CString,
    hint: CString,
    /// All of it and what else is known.
    json: Value,
}

impl Last {
    fn new(status: bam_status, exit_code: u8, told: Value) -> Last {
        let text = |key: &str| to_c(told[key].as_str().unwrap_or_default());
        Last {
            status,
            exit_code: exit_code.into(),
            code: text("code"),
            message: text("message"),
            hint: text("hint"),
            json: told,
        }
    }
}

thread_local! {
    static LAST: RefCell<Last> = RefCell::new(Last::new(bam_status::Ok, 0, Value::Null));
}

/// Keeps a failure for [`bam_last_error`] and gives its status.
pub fn remember(failure: Failure) -> bam_status {
    let misused = |code: &str, message: String| json!({ "code": code, "message": message, "hint": null });
    let usage = Code::Usage.exit_code();
    let last = match failure {
        Failure::Engine(error) => Last::new(status_of(error.code()), error.code().exit_code(), json!(error)),
        Failure::Null(name) => {
            let told = misused("null_pointer", format!("the parameter `{name}` is a null pointer"));
            Last::new(bam_status::NullPointer, usage, told)
        }
        Failure::NotText(name) => {
            let told = misused("not_utf8", format!("the parameter `{name}` is not UTF-8"));
            Last::new(bam_status::NotUtf8, usage, told)
        }
        Failure::Panic => {
            let told = json!({
                "code": "panic",
                "message": "a bug in bam stopped this call",
                "hint": "please report it with the command that led here",
            });
            Last::new(bam_status::Panic, Code::Internal.exit_code(), told)
        }
    };
    let status = last.status;
    // While a thread ends its storage may be gone; the status says enough then.
    let _ = LAST.try_with(|place| *place.borrow_mut() = last);
    status
}

fn status_of(code: Code) -> bam_status {
    match code {
        Code::Usage => bam_status::Usage,
        Code::Config => bam_status::Config,
        Code::NotFound => bam_status::NotFound,
        Code::Io => bam_status::Io,
        Code::Space => bam_status::Space,
        Code::Permission => bam_status::Permission,
        Code::Database => bam_status::Database,
        Code::Destination => bam_status::Destination,
        Code::Key => bam_status::Key,
        Code::Integrity => bam_status::Integrity,
        Code::Locked => bam_status::Locked,
        Code::Cancelled => bam_status::Cancelled,
        Code::Partial => bam_status::Partial,
        Code::Unsupported => bam_status::Unsupported,
        // `Code` may grow; what this ABI has no number for is still told by its name and message.
        _ => bam_status::Internal,
    }
}

/// Tells what the last failed call of this thread failed of.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bam_last_error(error: *mut bam_error) -> bam_status {
    run(|| {
        // SAFETY: the caller's promise, passed on.
        let out = unsafe { Out::new(error, "error") }?;
        LAST.with(|last| {
            let last = last.borrow();
            out.set(bam_error {
                status: last.status,
                exit_code: last.exit_code,
                code: last.code.as_ptr(),
                message: last.message.as_ptr(),
                hint: last.hint.as_ptr(),
            });
        });
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
        let told = LAST.with(|last| last.borrow().json.clone());
        if told.is_null() {
            out.set(std::ptr::null_mut());
            return Ok(());
        }
        out.set_json(&told)
    })
}
