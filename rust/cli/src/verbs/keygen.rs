//! `bam keygen` and `bam keys`.

use crate::args::{Global, Keygen};
use crate::configuration;
use crate::print::{Align::Left, Output, table};
use bam::config::Document;
use bam::job::keys::Ring;
use bam::{Error, Result, ResultExt, encrypt};
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
    if args.age {
        return identity(&file, output);
    }
    // bam.yml may lie elsewhere than whoever types this stands.
    let file = std::path::absolute(&file)?;
    let id = encrypt::KeyId::of(&encrypt::key::create(&file)?);
    let shown = file.display();
    output.result(&json!({ "key_file": file, "key_id": id.to_string() }), || {
        format!(
            "Wrote a new key, ID {id}, to {shown} (only its owner can read it).\n\
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

fn identity(file: &Path, output: &Output) -> Result<u8> {
    let recipient = encrypt::key::create_identity(file)?;
    let shown = file.display();
    output.result(&json!({ "identity_file": file, "recipient": recipient }), || {
        format!(
            "Wrote a new age identity to {shown} (only its owner can read it). Its public key is\n\
             \n  \
               {recipient}\n\
             \n\
             Without this file no backup that is encrypted to it can ever be opened again: keep two copies of it, none\n\
             on the machine that makes the backups. That machine's bam.yml gets\n\
             \n  \
               encryption: {{ recipients: [{recipient}] }}\n\
             \n\
             and its profiles `encryption: age`. To restore, bring the identity and name it: `encryption: {{ keys: [FILE] }}`.\n"
        )
    });
    Ok(0)
}

/// Lists the key ring.
pub fn list(document: &Document, output: &Output) -> Result<u8> {
    let ring = Ring::of(document);
    let unusable: Vec<&str> = ring.unusable().iter().map(Error::message).collect();
    let keys = ring.list();
    unusable.iter().for_each(|why| output.warn(why));
    output.asked(&json!({ "keys": keys, "unusable": unusable }), || {
        let rows: Vec<_> = keys
            .iter()
            .map(|key| {
                let name = key.key_id.clone().unwrap_or_else(|| key.recipients.join(","));
                [name, key.place.clone()]
            })
            .collect();
        if rows.is_empty() {
            return "There are no keys.\n".into();
        }
        table([("id", Left), ("where", Left)], &rows)
    });
    Ok(if unusable.is_empty() { 0 } else { 3 })
}

/// The default place. Its folder is made where it is missing, for all to pass through: the key may be given to the user who
/// runs the backups.
fn default() -> Result<PathBuf> {
    let file = Path::new(DEFAULT);
    if let Some(folder) = file.parent() {
        DirBuilder::new().recursive(true).mode(0o711).create(folder).at("cannot make the folder", folder)?;
    }
    Ok(file.to_owned())
}

fn configured(global: &Global) -> Result<Option<PathBuf>> {
    Ok(configuration::find(global)?.and_then(|document| document.encryption.key_file))
}
