//! Text on its way to C.

use std::ffi::CString;

/// A C string; a NUL inside, which C cannot carry, becomes U+FFFD.
pub fn to_c(text: &str) -> CString {
    CString::new(text).unwrap_or_else(|_| CString::new(text.replace('\0', "\u{fffd}")).unwrap_or_default())
}
