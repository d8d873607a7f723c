//! `bam decrypt`: one file, a key, nothing else needed.

use crate::args::{Decrypt, Global};
use crate::configuration;
use crate::print::{Output, size};
use crate::work::stop_flag;
use bam::config::AesModule;
use bam::encrypt::{Kind, Passphrase, aes_module, detect, enc, kdf};
use bam::{Code, Error, Result, ResultExt};
use serde_json::json;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// What one read or write moves.
const BLOCK: usize = 256 * 1024;
/// How many first bytes tell what a file is.
const PREFIX: usize = 32;

pub fn run(global: &Global, args: Decrypt, output: &Output) -> Result<u8> {
    let to = target(&args)?;
    let mut input = open(&args.file)?;
    let kind = {
        let name = args.file.to_string_lossy();
        let prefix = input.fill_buf().at("cannot read", &args.file)?;
        detect(&name, prefix.get(..PREFIX).unwrap_or(prefix))
    };
    let key_file = key_file(global, &args)?;
    let plain = plain(kind, input, &key_file, &args).map_err(|error| error.context(args.file.display()))?;
    let stop = stop_flag()?;
    let written = match &to {
        None => copy(plain, io::stdout().lock(), Path::new("standard output"), &stop),
        Some(path) => write_file(plain, path, args.force, &stop),
    };
    let written = written.map_err(|error| match error.code() {
        Code::Integrity => error.context(args.file.display()),
        _ => error,
    })?;
    if let Some(path) = &to {
        output.result(&json!({ "file": path, "bytes": written }), || {
            format!("Wrote {} ({}).\n", path.display(), size(written))
        });
    }
    Ok(0)
}

/// Where the plaintext goes; `None` is standard output.
fn target(args: &Decrypt) -> Result<Option<PathBuf>> {
    let path = match &args.output {
        Some(path) if path == Path::new("-") => return Ok(None),
        Some(path) => path.clone(),
        None => {
            let stem =
                ["enc", "aes"].iter().find(|known| args.file.extension().is_some_and(|ext| ext == **known));
            match (stem, args.file.file_stem()) {
                (Some(_), Some(stem)) => PathBuf::from(stem),
                _ => {
                    return Err(Error::new(Code::Usage, "the file's name does not end in .enc or .aes")
                        .hint("say where to write with -o OUT, or -o - for standard output"));
                }
            }
        }
    };
    if path.exists() && !args.force {
        return Err(exists(&path));
    }
    Ok(Some(path))
}

fn exists(path: &Path) -> Error {
    Error::new(Code::Usage, format!("{} exists already", path.display()))
        .hint("choose another name with -o, or replace it with --force")
}

fn open(file: &Path) -> Result<BufReader<Box<dyn Read>>> {
    let reader: Box<dyn Read> = if file == Path::new("-") {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(file).at("cannot read", file)?)
    };
    Ok(BufReader::with_capacity(BLOCK, reader))
}

/// The key file of the command line, else of the configuration.
fn key_file(global: &Global, args: &Decrypt) -> Result<PathBuf> {
    if let Some(file) = &args.key_file {
        return Ok(file.clone());
    }
    let found = configuration::find(global)?.and_then(|document| document.encryption.key_file);
    found
        .ok_or_else(|| Error::new(Code::Usage, "no key is given").hint("name the key file with --key-file K"))
}

/// The decrypting reader for what the file is.
fn plain(
    kind: Kind,
    input: BufReader<Box<dyn Read>>,
    key_file: &Path,
    args: &Decrypt,
) -> Result<Box<dyn Read>> {
    Ok(match kind {
        Kind::Enc => {
            let iterations = args.iterations.unwrap_or(kdf::DEFAULT_ITERATIONS);
            Box::new(enc::Reader::new(input, &Passphrase::from_file(key_file)?, iterations)?)
        }
        Kind::AesModule => {
            let module = AesModule {
                implementation: "phpseclib".into(),
                key_file: Some(key_file.to_owned()),
                ..AesModule::default()
            };
            Box::new(aes_module::Reader::new(input, &aes_module::Settings::from_document(&module)?))
        }
        _ => {
            return Err(Error::new(Code::Integrity, "this is not an encrypted file that bam knows")
                .hint("it is damaged, or not encrypted at all; `file` tells what it looks like"));
        }
    })
}

/// Writes into a temporary file beside `path` that takes its name at the very end: there is never half of it.
fn write_file(plain: Box<dyn Read>, path: &Path, force: bool, stop: &AtomicBool) -> Result<u64> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut part =
        tempfile::Builder::new().prefix(".bam-decrypt-").tempfile_in(folder).at("cannot write to", folder)?;
    let written = copy(plain, part.as_file_mut(), path, stop)?;
    part.as_file().sync_all().at("cannot write", path)?;
    let named = if force { part.persist(path) } else { part.persist_noclobber(path) };
    match named {
        Ok(_) => Ok(written),
        Err(cause) if cause.error.kind() == io::ErrorKind::AlreadyExists => Err(exists(path)),
        Err(cause) => Err(Error::io("cannot write", path, cause.error)),
    }
}

/// Copies until the end or a signal; how much it was.
fn copy(mut plain: Box<dyn Read>, mut to: impl Write, path: &Path, stop: &AtomicBool) -> Result<u64> {
    let mut block = vec![0; BLOCK];
    let mut written = 0;
    loop {
        if stop.load(Relaxed) {
            return Err(Error::new(Code::Cancelled, "cancelled; nothing was written"));
        }
        let count = match plain.read(&mut block) {
            Ok(0) => break,
            Ok(count) => count,
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => continue,
            Err(cause) => return Err(cause.into()),
        };
        to.write_all(block.get(..count).unwrap_or_default()).at("cannot write", path)?;
        written += count as u64;
    }
    to.flush().at("cannot write", path)?;
    Ok(written)
}
