//! The C interface, with what a careless program hands to it: texts that are no JSON, files that are no archives. No
//! jobs: those do what they are told, also to this machine.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::ffi::{CString, c_char, c_int, c_void};
use std::io::Write;
use std::ptr::null_mut;

unsafe extern "C" {
    fn bam_config_complete(config: *const c_char, with_secrets: bool, out: *mut *mut c_char) -> c_int;
    fn bam_config_check(config: *const c_char, out: *mut *mut c_char) -> c_int;
    fn bam_settings_parse(text: *const c_char, out: *mut *mut c_char) -> c_int;
    fn bam_backup_choose(request: *const c_char, out: *mut *mut c_char) -> c_int;
    fn bam_archive_open(file: *const c_char, out: *mut *mut c_void) -> c_int;
    fn bam_archive_next(archive: *const c_void, out: *mut *mut c_char) -> c_int;
    fn bam_archive_free(archive: *mut c_void);
    fn bam_key_check(file: *const c_char, out: *mut *mut c_char) -> c_int;
    fn bam_string_free(text: *mut c_char);
    fn bam_last_error(error: *mut Failure) -> c_int;
}

/// `bam_error`.
#[repr(C)]
struct Failure {
    status: c_int,
    exit_code: i32,
    code: *const c_char,
    message: *const c_char,
    hint: *const c_char,
}

/// Calls one function; a failure has words, a success a text that is freed.
unsafe fn call(function: impl FnOnce(*mut *mut c_char) -> c_int) -> Option<()> {
    let mut out = null_mut();
    let status = function(&mut out);
    unsafe {
        if status != 0 {
            let mut failure = std::mem::zeroed::<Failure>();
            assert_eq!(bam_last_error(&mut failure), 0);
            assert_eq!(failure.status, status);
            assert!(
                !matches!(status, 15 | 18),
                "a bug in bam: {:?}",
                std::ffi::CStr::from_ptr(failure.message)
            );
            return None;
        }
        let more = (!out.is_null()).then_some(());
        bam_string_free(out);
        more
    }
}

fuzz_target!(|data: &[u8]| {
    // So that the library with these symbols is linked.
    use bam_capi as _;
    let Ok(text) = CString::new(data) else { return files(data) };
    unsafe {
        call(|out| bam_config_complete(text.as_ptr(), true, out));
        call(|out| bam_config_check(text.as_ptr(), out));
        call(|out| bam_settings_parse(text.as_ptr(), out));
        call(|out| bam_backup_choose(text.as_ptr(), out));
    }
    files(data);
});

fn files(data: &[u8]) {
    let mut file = tempfile::NamedTempFile::new_in("/dev/shm").expect("a file");
    file.write_all(data).expect("written");
    let path = CString::new(file.path().as_os_str().as_encoded_bytes()).expect("a path");
    unsafe {
        call(|out| bam_key_check(path.as_ptr(), out));
        let mut archive = null_mut();
        if bam_archive_open(path.as_ptr(), &mut archive) == 0 {
            let mut members = 0;
            while call(|out| bam_archive_next(archive, out)).is_some() && members < 10_000 {
                members += 1;
            }
            bam_archive_free(archive);
        }
    }
}
