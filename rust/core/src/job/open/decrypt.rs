//! Decrypting one file as it is, without decompressing it or putting it anywhere.

use crate::config::{AesModule, Document, Encryption};
use crate::encrypt::kdf::{Derivation, Kdf};
use crate::encrypt::{Kind, enc};
use crate::job::keys;
use crate::job::local::Local;
use crate::look;
use crate::whole_file;
use crate::{Code, Error, Fact, Monitor, Result, ResultExt, Told};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::Path;

/// A document that holds nothing but these key files and folders of such. The first file's first line is the passphrase,
/// and the key of Drupal's aes module as phpseclib uses it.
pub fn keys_of<P: AsRef<Path>>(keys: &[P]) -> Document {
    let keys = keys.iter().map(AsRef::as_ref);
    let (folders, files): (Vec<&Path>, Vec<&Path>) =
        keys.partition(|path| look::is_folder(path).unwrap_or(false));
    let first = files.first().map(|path| path.to_path_buf());
    let module = first.clone().map(|key_file| AesModule {
        implementation: "phpseclib".into(),
        key_file: Some(key_file),
        ..AesModule::default()
    });
    let more = files.iter().skip(1).chain(&folders).map(|path| path.to_path_buf());
    let encryption =
        Encryption { key_file: first, keys: more.collect(), aes_module: module, ..Encryption::default() };
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
            return Err(Error::of_path(Code::Integrity, from, "is not encrypted")
                .hint("it is damaged, or meant to be read as it is; `file` tells what it looks like"));
        }
        (Kind::Enc, Some(iterations)) => {
            let mut input = File::open(from).at("cannot read", from)?;
            let kdf = Kdf::ours(iterations);
            // Without its sidecar nothing tells a wrong key before the end: the first one is meant.
            let salt = enc::read_salt(&mut input).within(Fact::Path, from.display())?;
            let passphrase = keys::Ring::of(document).first()?;
            let derived = Derivation::start(kdf, &passphrase, salt)?.keys_unless_cancelled(monitor)?;
            input.rewind().at("cannot read", from)?;
            Box::new(enc::EncReader::with_keys(input, &derived)?)
        }
        _ => local.prove(document, true, monitor)?.decrypted()?,
    };
    whole_file::copy(plain, out, monitor).map_err(|error| {
        if error.code() == Code::Integrity { error.within(Fact::Path, from.display()) } else { error }
    })
}
