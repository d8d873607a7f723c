//! `bam decrypt`: one file, a key, nothing else needed.

use crate::args::{Decrypt, Global};
use crate::configuration;
use crate::print::{Output, size};
use crate::signals::Hold;
use crate::stream::Out;
use bam::config::Document;
use bam::job::{decrypt, keys_of, refuse_plain};
use bam::look;
use bam::{Code, Error, Monitor, Result, whole_file};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

pub fn run(global: &Global, args: Decrypt, output: &Output) -> Result<u8> {
    check(&args.file)?;
    let to = target(&args)?;
    let document = keys(global, &args)?;
    let monitor = Arc::new(Monitor::new());
    if let Some(path) = &to {
        // The key on the command line needs no configuration, but one that is there knows what is served.
        let known = match args.key_files.is_empty() {
            true => None,
            false => configuration::find(global).ok().flatten(),
        };
        refuse_plain(known.as_ref().unwrap_or(&document), path, &monitor)
            .inspect_err(|_| output.notes(&json!(monitor.notes())))?;
    }
    let hold = Hold::begin()?;
    hold.cancels(Arc::clone(&monitor));
    let (from, iterations) = (&args.file, args.iterations);
    let written = match &to {
        None => {
            let mut out = Out::new();
            let written = decrypt(&document, from, iterations, &mut out, &monitor);
            out.done(written).map(Option::unwrap_or_default)
        }
        Some(path) => {
            whole_file::write(path, args.force, |out| decrypt(&document, from, iterations, out, &monitor))
        }
    };
    output.notes(&json!(monitor.notes()));
    let written = written?;
    if let Some(path) = &to {
        output.result(&json!({ "file": path, "bytes": written }), || {
            format!("Wrote {} ({}).\n", path.display(), size(written))
        });
    }
    Ok(0)
}

/// Whether there is such a file: a slip of the pen is told as that, not by the name's ending.
fn check(file: &Path) -> Result<()> {
    let found = fs::metadata(file).map_err(|cause| {
        let missing = cause.kind() == io::ErrorKind::NotFound;
        let error = Error::io("cannot read", file, cause);
        // The ID of a backup is no file.
        let name = file.display().to_string();
        if missing && (name == "latest" || name.bytes().all(|byte| byte.is_ascii_digit())) {
            error.hint(format!(
                "name a file; that of a backup which bam lists is written by `bam cat {name} --raw > FILE`"
            ))
        } else {
            error
        }
    })?;
    match found.is_dir() {
        true => Err(Error::of_path(Code::Usage, file, "is a folder").hint("name the encrypted file")),
        false => Ok(()),
    }
}

/// Where the plaintext goes; `None` is standard output.
fn target(args: &Decrypt) -> Result<Option<PathBuf>> {
    let path = match &args.output {
        Some(path) if path == Path::new("-") => return Ok(None),
        Some(path) => path.clone(),
        None => {
            let known = args.file.extension().is_some_and(|ext| ext == "enc" || ext == "aes" || ext == "age");
            match args.file.file_stem() {
                Some(stem) if known => PathBuf::from(stem),
                _ => {
                    let name = args.file.display();
                    return Err(Error::new(
                        Code::Usage,
                        format!("the name of {name} does not end in .enc, .age or .aes"),
                    )
                    .hint("say where to write with -o OUT, or -o - for standard output"));
                }
            }
        }
    };
    if !args.force && look::exists(&path)? {
        return Err(Error::of_path(Code::Usage, path, "exists already")
            .hint("choose another name with -o, or replace it with --force"));
    }
    Ok(Some(path))
}

/// The key file of the command line, else the configuration's keys.
fn keys(global: &Global, args: &Decrypt) -> Result<Document> {
    if !args.key_files.is_empty() {
        return Ok(keys_of(&args.key_files));
    }
    configuration::find(global)?
        .ok_or_else(|| Error::new(Code::Usage, "no key is given").hint("name the key file with --key-file K"))
}
