//! Why a call failed, and what the last failure of each thread was.

use crate::text::to_c;
use bam::Code;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::ffi::CString;

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

/// A failure as C gets it.
pub struct Last {
    pub status: bam_status,
    pub exit_code: i32,
    pub code: CString,
    pub message: CString,
    pub hint: CString,
    /// All of it and what else is known.
    pub json: Value,
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

/// Keeps a failure for `bam_last_error` and gives its status.
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

/// The last failure of this thread; one of status `Ok` while no call has failed.
pub fn last<T>(look: impl FnOnce(&Last) -> T) -> T {
    LAST.with(|last| look(&last.borrow()))
}
