//! `bam keygen`.

use crate::args::{Global, Keygen};
use crate::configuration;
use crate::print::Output;
use bam::{Result, ResultExt, encrypt};
use serde_json::json;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

const DEFAULT: &str = "/etc/bam/key";

/// Makes a key file and says how to keep a copy of it.
pub fn run(global: &Global, args: Keygen, output: &Output) -> Result<u8> {
    let file = match args.file {
        Some(file) => file,
        None => configured(global)?.map_or_else(default, Ok)?,
    };
    encrypt::key::create(&file)?;
    let shown = file.display();
    output.result(&json!({ "key_file": file }), || {
        format!(
            "Wrote a new key to {shown} (only its owner can read it).\n\
             \n\
             Without this file no encrypted backup can ever be opened again. Keep a copy off this machine, now:\n\
             \n  \
               scp {shown} you@another-machine:bam-key     or print it: it is one line of text\n\
             \n\
             and tell bam where it is, in bam.yml:\n\
             \n  \
               encryption: {{ key_file: {shown} }}\n"
        )
    });
    Ok(0)
}

/// The default place; its folder is made where it is missing.
fn default() -> Result<PathBuf> {
    let file = Path::new(DEFAULT);
    if let Some(folder) = file.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).at("cannot make the folder", folder)?;
    }
    Ok(file.to_owned())
}

fn configured(global: &Global) -> Result<Option<PathBuf>> {
    Ok(configuration::find(global)?.and_then(|document| document.encryption.key_file))
}
