//! What a C program hands over and gets back, pointer by pointer. Little here calls foreign code, so that Miri can watch the
//! rest: `tests/miri`.

use crate::archive::{
    bam_archive_create, bam_archive_extract, bam_archive_free, bam_archive_next, bam_archive_open,
};
use crate::config::{bam_config_check, bam_config_complete, bam_settings_parse};
use crate::encrypt::{bam_decrypt_file, bam_encrypt_file};
use crate::error::{bam_error, bam_last_error, bam_last_error_json};
use crate::failure::bam_status;
use crate::job::{
    bam_backup_choose, bam_job, bam_job_cancel, bam_job_finish, bam_job_free, bam_job_notes, bam_job_poll,
    bam_job_start, bam_progress, hand_out,
};
use crate::key::{bam_key_check, bam_key_create};
use crate::pointer::bam_string_free;
use crate::transfer::{bam_transfer_delete, bam_transfer_get, bam_transfer_list, bam_transfer_put};
use crate::version::{bam_abi_version, bam_version};
use bam::config::Document;
use bam::job::Job;
use serde_json::json;
use std::ffi::{CStr, CString, c_char};
use std::mem::MaybeUninit;
use std::path::Path;
use std::ptr::{null, null_mut};
use std::thread;

fn c(text: &str) -> CString {
    CString::new(text).expect("no NUL")
}

/// Takes over a string of the library's, and frees it as C has to.
fn taken(text: *mut c_char) -> String {
    assert!(!text.is_null());
    // SAFETY: the library gave it out, and it is freed once.
    unsafe {
        let copy = CStr::from_ptr(text).to_str().expect("UTF-8").to_owned();
        bam_string_free(text);
        copy
    }
}

/// The last failure of this thread: its status, and its words while they live.
fn failure() -> (bam_status, String, String, String) {
    let mut place = MaybeUninit::<bam_error>::uninit();
    // SAFETY: a place for a structure, which is filled in where the call succeeds; its strings live until the next failure.
    unsafe {
        assert_eq!(bam_last_error(place.as_mut_ptr()), bam_status::Ok);
        let error = place.assume_init();
        let text = |at: *const c_char| CStr::from_ptr(at).to_str().expect("UTF-8").to_owned();
        (error.status, text(error.code), text(error.message), text(error.hint))
    }
}

#[test]
fn a_string_goes_out_once_and_comes_back_once() {
    let mut out = null_mut();
    // SAFETY: a C string, and a place for a pointer.
    let status = unsafe { bam_config_complete(c("{}").as_ptr(), false, &raw mut out) };
    assert_eq!(status, bam_status::Ok);
    assert!(taken(out).starts_with('{'));
    let export = c(include_str!("../../../tests/fixtures/exports/source_pece_bkp.txt"));
    // SAFETY: as above.
    let status = unsafe { bam_settings_parse(export.as_ptr(), &raw mut out) };
    assert_eq!(status, bam_status::Ok, "{:?}", failure());
    assert!(taken(out).contains("\"items\":"));
    // SAFETY: freeing nothing is allowed.
    unsafe { bam_string_free(null_mut()) };
    // SAFETY: the version is a string that is never freed.
    let version = unsafe { CStr::from_ptr(bam_version()) };
    assert_eq!(version.to_str(), Ok(env!("CARGO_PKG_VERSION")));
    assert_eq!(bam_abi_version(), 1);
}

/// Each pointer that may not be null is null once, the others are good.
#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn null_is_answered_wherever_it_stands() {
    let (json, directory) = (c("{}"), c("{\"type\": \"directory\", \"path\": \"/does/not/exist\"}"));
    let (t, d, job) = (json.as_ptr(), directory.as_ptr(), no_job());
    let (mut text, mut archive, mut started) = (null_mut(), null_mut(), null_mut());
    let (out, opened, new) = (&raw mut text, &raw mut archive, &raw mut started);
    let mut progress = MaybeUninit::<bam_progress>::uninit();
    // SAFETY: null is what these calls have to withstand; everything else is valid.
    let statuses = unsafe {
        [
            bam_config_complete(null(), true, out),
            bam_config_complete(t, true, null_mut()),
            bam_config_check(null(), out),
            bam_config_check(t, null_mut()),
            bam_settings_parse(null(), out),
            bam_settings_parse(t, null_mut()),
            bam_backup_choose(null(), out),
            bam_backup_choose(t, null_mut()),
            bam_archive_create(null(), t, null(), out),
            bam_archive_create(t, null(), null(), out),
            bam_archive_create(t, t, null(), null_mut()),
            bam_archive_extract(null(), t, t, out),
            bam_archive_extract(t, null(), t, out),
            bam_archive_extract(t, t, t, null_mut()),
            bam_archive_open(null(), opened),
            bam_archive_open(t, null_mut()),
            bam_archive_next(null(), out),
            bam_encrypt_file(null(), t, t, 0),
            bam_encrypt_file(t, null(), t, 0),
            bam_encrypt_file(t, t, null(), 0),
            bam_decrypt_file(null(), t, t, 0),
            bam_decrypt_file(t, null(), t, 0),
            bam_decrypt_file(t, t, null(), 0),
            bam_key_create(null()),
            bam_key_check(null(), out),
            bam_key_check(t, null_mut()),
            bam_transfer_put(null(), t, t, false),
            bam_transfer_put(d, null(), t, false),
            bam_transfer_put(d, t, null(), false),
            bam_transfer_get(null(), t, t),
            bam_transfer_get(d, null(), t),
            bam_transfer_get(d, t, null()),
            bam_transfer_list(null(), out),
            bam_transfer_list(d, null_mut()),
            bam_transfer_delete(null(), t),
            bam_transfer_delete(d, null()),
            bam_job_start(null(), new),
            bam_job_start(t, null_mut()),
            bam_job_poll(null(), 0, progress.as_mut_ptr()),
            bam_job_poll(job, 0, null_mut()),
            bam_job_cancel(null()),
            bam_job_notes(null(), out),
            bam_job_notes(job, null_mut()),
            bam_job_finish(null(), out),
            bam_job_finish(job, null_mut()),
            bam_last_error(null_mut()),
            bam_last_error_json(null_mut()),
        ]
    };
    let other = statuses.iter().position(|status| *status != bam_status::NullPointer);
    assert_eq!(other, None, "{statuses:?}");
    assert!(
        text.is_null() && archive.is_null() && started.is_null(),
        "nothing is written by a call that fails"
    );
    // SAFETY: freeing nothing is allowed; the job is given back once.
    unsafe {
        bam_archive_free(null_mut());
        bam_job_free(null_mut());
        bam_job_free(job);
    }
}

#[test]
fn bytes_that_are_no_text_are_refused_with_their_name() {
    let latin = CString::new(b"{\"site\": {\"name\": \"M\xfcller\"}}".to_vec()).expect("no NUL");
    let mut out = null_mut();
    // SAFETY: a C string, and a place for a pointer.
    let status = unsafe { bam_config_check(latin.as_ptr(), &raw mut out) };
    assert_eq!(status, bam_status::NotUtf8);
    let (status, code, message, hint) = failure();
    assert_eq!((status, code.as_str(), hint.as_str()), (bam_status::NotUtf8, "not_utf8", ""));
    assert!(message.contains("`config_json`"), "{message}");
}

#[test]
fn each_thread_has_its_own_last_failure() {
    let mut out = null_mut();
    // SAFETY: a C string, and a place for a pointer.
    assert_eq!(unsafe { bam_config_check(c("{").as_ptr(), &raw mut out) }, bam_status::Config);
    let other = thread::spawn(|| {
        let before = failure();
        let mut out = null_mut();
        // SAFETY: a C string, and places for pointers.
        unsafe {
            assert_eq!(bam_last_error_json(&raw mut out), bam_status::Ok);
            assert!(out.is_null(), "no call of this thread has failed");
            (before.0, bam_backup_choose(c("{}").as_ptr(), &raw mut out), failure().0)
        }
    });
    let (before, status, after) = other.join().expect("it ends");
    assert_eq!((before, status, after), (bam_status::Ok, bam_status::Usage, bam_status::Usage));
    assert_eq!(failure().0, bam_status::Config);
    // SAFETY: a place for a pointer.
    assert_eq!(unsafe { bam_last_error_json(&raw mut out) }, bam_status::Ok);
    assert!(taken(out).contains("\"code\":\"config\""));
}

/// Nothing is there: each call fails behind its pointers, and leaves the place for its result alone.
#[test]
fn files_that_are_not_there_are_told() {
    let (none, to) = (c("/does/not/exist"), c("/does/not/exist.out"));
    let (from, to) = (none.as_ptr(), to.as_ptr());
    let (mut text, mut archive) = (null_mut(), null_mut());
    let (out, opened) = (&raw mut text, &raw mut archive);
    // SAFETY: C strings, and places for pointers.
    let statuses = unsafe {
        [
            bam_archive_create(from, to, c("{\"ignore_errors\": true}").as_ptr(), out),
            bam_archive_open(from, opened),
            bam_encrypt_file(from, to, from, 0),
            bam_key_check(from, out),
        ]
    };
    assert!(statuses.iter().all(|status| *status as i32 != 0), "{statuses:?}");
    assert!(failure().2.contains("/does/not/exist"), "{:?}", failure());
    let unknown = c("{\"owner\": 1}");
    // SAFETY: as above.
    let status = unsafe { bam_archive_extract(from, to, unknown.as_ptr(), out) };
    assert_eq!((status, failure().0), (bam_status::Usage, bam_status::Usage), "{:?}", failure());
    // SAFETY: as above.
    let status = unsafe { bam_transfer_list(c("[]").as_ptr(), out) };
    assert_eq!(status, bam_status::Config, "{:?}", failure());
    assert!(text.is_null() && archive.is_null());
}

/// A handle as threads of C pass it around.
struct Handle<T>(*mut T);

impl<T> Clone for Handle<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Handle<T> {}

// SAFETY: what it points to is behind a lock of its own, which is what these tests are about.
unsafe impl<T> Send for Handle<T> {}

impl<T> Handle<T> {
    /// As a method: a closure would take the bare pointer otherwise.
    fn get(self) -> *mut T {
        self.0
    }
}

#[test]
fn an_archive_is_listed_by_several_threads() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds/archive/ustar.tar");
    let file = c(file.to_str().expect("UTF-8"));
    let mut archive = null_mut();
    // SAFETY: a C string, and a place for a handle.
    assert_eq!(unsafe { bam_archive_open(file.as_ptr(), &raw mut archive) }, bam_status::Ok);
    let handle = Handle(archive);
    let list = move || {
        let mut found = Vec::new();
        loop {
            let mut member = null_mut();
            // SAFETY: the handle lives until all threads have ended.
            assert_eq!(unsafe { bam_archive_next(handle.get(), &raw mut member) }, bam_status::Ok);
            if member.is_null() {
                return found;
            }
            found.push(taken(member));
        }
    };
    let threads = [thread::spawn(list), thread::spawn(list)];
    let found: Vec<String> = threads.into_iter().flat_map(|thread| thread.join().expect("it ends")).collect();
    assert!(!found.is_empty());
    assert!(found.iter().all(|member| member.contains("\"path\":")));
    // SAFETY: it is given back once, and nobody uses it any more.
    unsafe { bam_archive_free(archive) };
}

/// A job that fails by itself, before it touches anything.
fn no_job() -> *mut bam_job {
    let document = Document::from_json("{\"destinations\": {}}").expect("a document");
    let request = serde_json::from_value(json!({ "job": "backup", "what": "nothing" })).expect("a request");
    hand_out(Job::start(document, request).expect("started"))
}

/// Uses a job from several threads at the same time, to its end, and frees it.
fn use_by_many(job: *mut bam_job, ends: bam_status) {
    let handle = Handle(job);
    let poll = move || {
        let mut progress = MaybeUninit::<bam_progress>::uninit();
        // SAFETY: the handle lives until all threads have ended; what is written is read only where the call succeeds.
        unsafe {
            let status = bam_job_poll(handle.get(), 1, progress.as_mut_ptr());
            if status == bam_status::Ok {
                let progress = progress.assume_init();
                assert!(CStr::from_ptr(progress.current.as_ptr()).to_bytes().len() < progress.current.len());
            }
            status
        }
    };
    let finish = move || {
        let mut result = null_mut();
        // SAFETY: as above.
        let status = unsafe { bam_job_finish(handle.get(), &raw mut result) };
        if status == bam_status::Ok {
            taken(result);
        }
        status
    };
    let notes = move || {
        let mut notes = null_mut();
        // SAFETY: as above.
        let status = unsafe { bam_job_notes(handle.get(), &raw mut notes) };
        taken(notes);
        status
    };
    // SAFETY: as above.
    let cancel = move || unsafe { bam_job_cancel(handle.get()) };
    let others = [thread::spawn(poll), thread::spawn(cancel), thread::spawn(poll), thread::spawn(notes)];
    let results = [thread::spawn(finish), thread::spawn(finish)].map(|end| end.join().expect("it ends"));
    // Whoever comes second is told that there is nothing any more.
    assert!(results.contains(&bam_status::Usage), "{results:?}");
    assert!(results.iter().any(|it| [ends, bam_status::Cancelled].contains(it)), "{results:?}");
    for other in others {
        assert!(matches!(other.join().expect("it ends"), bam_status::Ok | bam_status::Usage));
    }
    assert_eq!(notes(), bam_status::Ok);
    // SAFETY: it is given back once, and nobody uses it any more.
    unsafe { bam_job_free(job) };
}

#[test]
fn a_job_is_polled_cancelled_and_finished_from_many_threads() {
    use_by_many(no_job(), bam_status::Usage);
    // SAFETY: given back once, without having been finished: that ends it.
    unsafe { bam_job_free(no_job()) };
}

/// What Miri has no word for: signal masks, and the calls by which files are put in place.
#[cfg(not(miri))]
mod foreign {
    use super::*;

    #[test]
    fn a_file_goes_through_each_call_and_comes_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| c(folder.path().join(name).to_str().expect("UTF-8"));
        std::fs::create_dir(folder.path().join("site")).expect("made");
        std::fs::create_dir(folder.path().join("out")).expect("made");
        std::fs::write(folder.path().join("site/a"), "a file\n").expect("written");
        let (key, tar, enc, back) = (at("key"), at("a.tar"), at("a.enc"), at("back.tar"));
        let (site, out, got) = (at("site"), at("out"), at("got.tar"));
        let destination = c(&json!({ "type": "directory", "path": folder.path().join("there") }).to_string());
        let (mut text, name) = (null_mut(), c("a.tar"));
        let place = &raw mut text;
        // SAFETY: C strings, and a place for a pointer, whose string is taken over.
        unsafe {
            assert_eq!(bam_key_create(key.as_ptr()), bam_status::Ok);
            assert_eq!(bam_key_check(key.as_ptr(), place), bam_status::Ok);
            assert!(taken(text).contains("\"id\":"));
            assert_eq!(bam_archive_create(site.as_ptr(), tar.as_ptr(), null(), place), bam_status::Ok);
            assert!(taken(text).contains("\"files\":1"));
            assert_eq!(bam_encrypt_file(tar.as_ptr(), enc.as_ptr(), key.as_ptr(), 1000), bam_status::Ok);
            assert_eq!(bam_decrypt_file(enc.as_ptr(), back.as_ptr(), key.as_ptr(), 1000), bam_status::Ok);
            let put = bam_transfer_put(destination.as_ptr(), back.as_ptr(), name.as_ptr(), false);
            assert_eq!(put, bam_status::Ok, "{:?}", failure());
            assert_eq!(bam_transfer_list(destination.as_ptr(), place), bam_status::Ok);
            assert!(taken(text).contains("\"a.tar\""));
            assert_eq!(bam_transfer_get(destination.as_ptr(), name.as_ptr(), got.as_ptr()), bam_status::Ok);
            assert_eq!(bam_transfer_delete(destination.as_ptr(), name.as_ptr()), bam_status::Ok);
            assert_eq!(bam_archive_extract(got.as_ptr(), out.as_ptr(), null(), place), bam_status::Ok);
            assert!(taken(text).contains("\"bytes\":7"));
        }
        assert_eq!(std::fs::read(folder.path().join("out/a")).expect("read"), b"a file\n");
    }

    #[test]
    fn a_job_that_c_started() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = json!({
            "destinations": { "manual": { "type": "directory", "path": folder.path() } },
            "state_dir": folder.path().join("state"),
        });
        let request = c(&json!({ "config": config, "request": { "job": "backups" } }).to_string());
        let start = || {
            let mut job = null_mut();
            // SAFETY: a C string, and a place for a handle.
            assert_eq!(unsafe { bam_job_start(request.as_ptr(), &raw mut job) }, bam_status::Ok);
            job
        };
        use_by_many(start(), bam_status::Ok);
        // SAFETY: given back once, without having been finished: that ends it.
        unsafe { bam_job_free(start()) };
    }
}
