//! What comes in and goes out through pointers: checked here, once.
//!
//! The functions are `unsafe` because only the caller in C can promise what the header asks: that a pointer which is
//! not null points to what its type says and stays valid during the call.

use crate::failure::Failure;
use crate::text::to_c;
use serde::Serialize;
use std::ffi::{CStr, CString, c_char};

/// The text behind a `const char *`.
///
/// # Safety
/// `text` is null or a NUL-terminated string that lives until the call returns.
pub unsafe fn text<'a>(text: *const c_char, name: &'static str) -> Result<&'a str, Failure> {
    if text.is_null() {
        return Err(Failure::Null(name));
    }
    // SAFETY: not null, and the caller's promise covers the rest.
    let bytes = unsafe { CStr::from_ptr(text) };
    bytes.to_str().map_err(|_| Failure::NotText(name))
}

/// A handle or a place for a result, as a reference.
///
/// # Safety
/// `pointer` is null or points to a `T` that lives, and that nobody else writes to, until the call returns.
pub unsafe fn reference<'a, T>(pointer: *const T, name: &'static str) -> Result<&'a T, Failure> {
    // SAFETY: the caller's promise.
    unsafe { pointer.as_ref() }.ok_or(Failure::Null(name))
}

/// A place for a result: checked before the work, written after it.
pub struct Out<T>(*mut T);

impl<T> Out<T> {
    /// Checks the pointer.
    ///
    /// # Safety
    /// `place` is null or valid for writing a `T` until the call returns.
    pub unsafe fn new(place: *mut T, name: &'static str) -> Result<Self, Failure> {
        if place.is_null() { Err(Failure::Null(name)) } else { Ok(Out(place)) }
    }

    /// Writes the result. What was there before is not dropped: C may leave it uninitialized.
    pub fn set(self, value: T) {
        // SAFETY: `new` checked it, and its caller promised that it stays valid.
        unsafe { self.0.write(value) }
    }
}

impl Out<*mut c_char> {
    /// Writes a string that C frees with `bam_string_free`.
    pub fn set_text(self, text: &str) {
        self.set(to_c(text).into_raw());
    }

    /// Writes a value as JSON.
    pub fn set_json(self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(value).map_err(|cause| {
            bam::Error::new(bam::Code::Internal, "cannot write the result as JSON").because(cause)
        })?;
        self.set_text(&text);
        Ok(())
    }
}

/// Frees a string that this library gave out. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bam_string_free(string: *mut c_char) {
    if !string.is_null() {
        // SAFETY: strings are given out through `CString::into_raw` only, and the caller gives this one back once.
        crate::boundary::swallow(|| drop(unsafe { CString::from_raw(string) }));
    }
}
