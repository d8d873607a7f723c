//! Encrypting and decrypting single files (docs/formats.md), without anything around them.

use crate::boundary::run;
use crate::failure::{Failure, bam_status};
use crate::pointer;
use bam::encrypt::{Passphrase, enc, kdf};
use bam::job::{decrypt, keys_of};
use bam::{Monitor, ResultExt, whole_file};
use std::ffi::c_char;
use std::fs::File;
use std::path::Path;

/// Encrypts a file as `openssl enc -aes-256-cbc -pbkdf2` does, with the first line of `key_file` as passphrase.
/// `iterations` 0 means the default, 600 000. `to` must not exist; it appears when it is whole. Blocks until then.
///
/// The format has no integrity check of its own; a backup's is in its sidecar.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bam_encrypt_file(
    from: *const c_char,
    to: *const c_char,
    key_file: *const c_char,
    iterations: u32,
) -> bam_status {
    run(|| {
        // SAFETY: the caller's promise, passed on.
        let (from, to, key_file) =
            unsafe { (path(from, "from")?, path(to, "to")?, path(key_file, "key_file")?) };
        let passphrase = Passphrase::from_file(key_file)?;
        let input = File::open(from).at("cannot read", from)?;
        Ok(whole_file::write(to, false, |out| {
            let mut writer = enc::Writer::new(out, &passphrase, or_default(iterations))?;
            whole_file::copy(input, &mut writer, &Monitor::new())?;
            writer.finish()?;
            Ok(())
        })?)
    })
}

/// Decrypts what bam_encrypt_file or `openssl enc` wrote, or a file of the Drupal module aes 7.x (`.aes`, written with
/// phpseclib). Where a backup's sidecar lies beside it, the backup is proven against it first; else `iterations` 0 means
/// that the usual ones are tried. The rest as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bam_decrypt_file(
    from: *const c_char,
    to: *const c_char,
    key_file: *const c_char,
    iterations: u32,
) -> bam_status {
    run(|| {
        // SAFETY: the caller's promise, passed on.
        let (from, to, key_file) =
            unsafe { (path(from, "from")?, path(to, "to")?, path(key_file, "key_file")?) };
        let iterations = (iterations > 0).then_some(iterations);
        let document = keys_of(&[key_file]);
        whole_file::write(to, false, |out| decrypt(&document, from, iterations, out, &Monitor::new()))?;
        Ok(())
    })
}

/// # Safety
/// As [`pointer::text`].
unsafe fn path<'a>(text: *const c_char, name: &'static str) -> Result<&'a Path, Failure> {
    // SAFETY: the caller's promise.
    unsafe { pointer::text(text, name) }.map(Path::new)
}

fn or_default(iterations: u32) -> u32 {
    if iterations == 0 { kdf::DEFAULT_ITERATIONS } else { iterations }
}
