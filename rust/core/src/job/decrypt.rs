//! Decrypting one file as it is, without decompressing it or putting it anywhere.

use super::keys;
use super::open::Local;
use crate::beside;
use crate::config::{AesModule, Document, Encryption};
use crate::encrypt::{Kind, enc};
use crate::{Code, Error, Monitor, Result, ResultExt};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

/// A document that holds nothing but this key file: its first line is the passphrase, and the key of Drupal's aes module
/// as phpseclib uses it.
pub fn keys_of(key_file: &Path) -> Document {
    let module = AesModule {
        implementation: "phpseclib".into(),
        key_file: Some(key_file.to_owned()),
        ..AesModule::default()
    };
    let encryption =
        Encryption { key_file: Some(key_file.to_owned()), aes_module: Some(module), ..Encryption::default() };
    Document { encryption, ..Document::default() }
}

/// Decrypts `from` with the document's keys into `out`; how many bytes came out.
///
/// Where its sidecar lies beside it, the file is proven against it before the first byte comes out. Without one it may
/// be anything that `openssl enc -aes-256-cbc` wrote: `iterations` says with how many PBKDF2 iterations, else those are
/// tried that the document, bam and OpenSSL use by default, until a backup comes out.
pub fn decrypt(
    document: &Document,
    from: &Path,
    iterations: Option<u32>,
    out: &mut dyn Write,
    monitor: &Monitor,
) -> Result<u64> {
    let mut local = Local::from_path(from)?;
    let plain: Box<dyn Read> = match (local.encryption()?, iterations) {
        (Kind::None, _) => {
            return Err(Error::new(Code::Integrity, format!("{} is not encrypted", from.display()))
                .hint("it is damaged, or meant to be read as it is; `file` tells what it looks like"));
        }
        (Kind::Enc, Some(iterations)) => {
            let input = File::open(from).at("cannot read", from)?;
            let reader = enc::Reader::new(input, &keys::passphrase(document)?, iterations);
            Box::new(reader.map_err(|error| error.context(from.display()))?)
        }
        _ => local.prove(document, true, monitor)?.decrypted()?,
    };
    beside::copy(plain, out, monitor)
        .map_err(|error| if error.code() == Code::Integrity { error.context(from.display()) } else { error })
}
