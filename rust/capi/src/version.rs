//! Which interface and which version this is.

use std::ffi::c_char;

/// Grows when a function or a structure of the header changes; stays when functions are added.
/// The library's name for the linker (build.rs) has the same number.
const ABI_VERSION: u32 = 1;

/// The version of this interface. A caller that was written for another one should stop here.
#[unsafe(no_mangle)]
pub extern "C" fn bam_abi_version() -> u32 {
    ABI_VERSION
}

/// The version of the library, e.g. "0.3.0". The string is never freed.
#[unsafe(no_mangle)]
pub extern "C" fn bam_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}
