//! Encrypting and decrypting single files (docs/formats.md), without anything around them.

use crate::beside;
use crate::boundary::run;
use crate::error::{Failure, bam_status};
use crate::pointer;
use bam::config::AesModule;
use bam::encrypt::{Kind, Passphrase, aes_module, detect, enc, kdf};
use bam::{Code, Error, Result, ResultExt};
use std::ffi::c_char;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// How many first bytes tell what a file is.
const PREFIX: usize = 32;

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
        let (from, to, passphrase) = unsafe { arguments(from, to, key_file) }?;
        let input = File::open(from).at("cannot read", from)?;
        Ok(beside::write(to, |out| {
            let mut writer = enc::Writer::new(out, &passphrase, or_default(iterations))?;
            beside::copy(input, &mut writer)?;
            writer.finish()?;
            Ok(())
        })?)
    })
}

/// Decrypts what bam_encrypt_file or `openssl enc` wrote, or a file of the Drupal module aes 7.x (`.aes`, written with
/// phpseclib). The rest as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bam_decrypt_file(
    from: *const c_char,
    to: *const c_char,
    key_file: *const c_char,
    iterations: u32,
) -> bam_status {
    run(|| {
        // SAFETY: the caller's promise, passed on; `key_file` is read a second time.
        let ((from, to, passphrase), key_file) =
            unsafe { (arguments(from, to, key_file)?, path(key_file, "key_file")?) };
        let mut input = BufReader::new(File::open(from).at("cannot read", from)?);
        let prefix = input.fill_buf().at("cannot read", from)?;
        let kind = detect(&from.to_string_lossy(), prefix.get(..PREFIX).unwrap_or(prefix));
        let decrypted = beside::write(to, |out| match kind {
            Kind::Enc => beside::copy(enc::Reader::new(input, &passphrase, or_default(iterations))?, out),
            Kind::AesModule => {
                let module = AesModule {
                    implementation: "phpseclib".into(),
                    key_file: Some(key_file.to_owned()),
                    ..AesModule::default()
                };
                let settings = aes_module::Settings::from_document(&module)?;
                beside::copy(aes_module::Reader::new(input, &settings), out)
            }
            _ => Err(Error::new(Code::Integrity, "this is not an encrypted file that bam knows")
                .hint("it is damaged, or not encrypted at all")),
        });
        Ok(decrypted.map_err(|error| error.context(from.display()))?)
    })
}

/// # Safety
/// Each is null or a NUL-terminated string that lives until the call returns.
unsafe fn arguments<'a>(
    from: *const c_char,
    to: *const c_char,
    key_file: *const c_char,
) -> Result<(&'a Path, &'a Path, Passphrase), Failure> {
    // SAFETY: the caller's promise.
    let (from, to, key_file) = unsafe { (path(from, "from")?, path(to, "to")?, path(key_file, "key_file")?) };
    Ok((from, to, Passphrase::from_file(key_file)?))
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
