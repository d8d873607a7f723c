//! Which key a job uses, and whether anybody would still have it after a disaster.

use crate::config::{AesModule, Document};
use crate::encrypt::{Passphrase, aes_module};
use crate::{Code, Error, Monitor, NoteKind, Result, ResultExt};
use std::fs;
use std::path::{Path, PathBuf};

/// The passphrase of `.enc` files: `encryption.key_file`, `key`, `key_env`, else the aes module's key where the site
/// has one.
pub fn passphrase(document: &Document) -> Result<Passphrase> {
    let settings = &document.encryption;
    if let Some(path) = &settings.key_file {
        return Passphrase::from_file(path);
    }
    if let Some(key) = &settings.key {
        return Passphrase::from_first_line(key.expose());
    }
    if let Some(name) = &settings.key_env {
        let value = std::env::var_os(name).ok_or_else(|| {
            Error::new(Code::Key, format!("the environment variable {name}, which holds the key, is not set"))
                .hint("set it, or use encryption.key_file")
        })?;
        return Passphrase::from_first_line(value.as_encoded_bytes());
    }
    match &settings.aes_module {
        Some(AesModule { key: Some(key), .. }) => Passphrase::from_first_line(key.expose()),
        Some(AesModule { key_file: Some(path), .. }) => Passphrase::from_file(path),
        _ => Err(Error::new(Code::Key, "no key is set, but the backup is to be encrypted")
            .hint("make one with `bam keygen FILE` or `drush bam-key`, and set encryption.key_file")),
    }
}

/// The settings of the Drupal module aes, for `.aes` files.
pub fn aes_settings(document: &Document) -> Result<aes_module::Settings> {
    match &document.encryption.aes_module {
        Some(module) => aes_module::Settings::from_document(module),
        None => Err(Error::new(
            Code::Key,
            "the file is encrypted by Drupal's aes module, but its key is not known",
        )
        .hint("set encryption.aes_module: implementation, key or key_file, and iv for mcrypt")),
    }
}

/// Warns when what is being backed up contains the only copy of the key that we know of: such a backup cannot be
/// opened after the disaster it was made for.
pub fn warn_if_inside(document: &Document, backed_up: &[PathBuf], database: bool, monitor: &Monitor) {
    let settings = &document.encryption;
    let module = settings.aes_module.as_ref();
    let file = settings.key_file.as_ref().or_else(|| module.and_then(|m| m.key_file.as_ref()));
    if let Some(file) = file {
        if let Ok(real) = fs::canonicalize(file)
            && backed_up.iter().any(|root| is_below(&real, root))
        {
            monitor.note(
                NoteKind::Warning,
                format!(
                    "the key {} lies inside what it encrypts: keep a copy on another machine, or the backup cannot \
                     be opened when this one is lost",
                    file.display()
                ),
            );
        }
    } else if database && settings.key.is_none() && settings.key_env.is_none() && module.is_some() {
        monitor.note(
            NoteKind::Warning,
            "the key (the aes module's variable aes_key) lies inside the database that it encrypts: keep a copy on \
             another machine, or the backup cannot be opened when this one is lost",
        );
    }
}

fn is_below(path: &Path, root: &Path) -> bool {
    fs::canonicalize(root).at("cannot find", root).is_ok_and(|root| path.starts_with(root))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Encryption;

    #[test]
    fn a_key_inside_the_backup_is_warned_of_and_one_outside_is_not() {
        let site = tempfile::tempdir().expect("a folder");
        let elsewhere = tempfile::tempdir().expect("a folder");
        let warned = |key: PathBuf| {
            fs::write(&key, "secret\n").expect("written");
            let encryption = Encryption { key_file: Some(key), ..Encryption::default() };
            let document = Document { encryption, ..Document::default() };
            let monitor = Monitor::new();
            warn_if_inside(&document, &[site.path().to_owned()], true, &monitor);
            monitor.notes().len()
        };
        assert_eq!(warned(site.path().join("key")), 1);
        assert_eq!(warned(elsewhere.path().join("key")), 0);
    }

    #[test]
    fn without_any_key_the_error_says_how_to_make_one() {
        let error = passphrase(&Document::default()).expect_err("no key");
        assert_eq!(error.code(), Code::Key);
        assert!(error.to_string().contains("bam keygen"), "{error}");
    }
}
