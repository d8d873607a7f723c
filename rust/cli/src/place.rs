//! Where backups are taken from without a configuration: `--from`, `--key` and what goes with them.

use crate::args::{Global, Place, Which};
use crate::configuration;
use bam::config::Document;
use bam::destination::at_address;
use bam::job::{self, keys_of};
use bam::{Code, Error, Result};
use std::path::PathBuf;

/// The document that a verb works with: the configuration with what the options put in its place. It may be missing
/// where `--from` says where backups are, or where `optional` says that none is needed.
pub fn document(global: &Global, place: &Place, optional: bool) -> Result<Document> {
    let mut document = match place.from.is_some() || optional {
        true => configuration::find(global)?.unwrap_or_default(),
        false => configuration::load(global)?,
    };
    if !place.keys.is_empty() {
        document.encryption = keys_of(&place.keys).encryption;
    }
    if place.iterations.is_some() {
        document.encryption.iterations = place.iterations;
    }
    if let Some(from) = &place.from {
        let (name, mut destination) = at_address(from)?;
        destination.host_key.clone_from(&place.host_key);
        destination.identity_file.clone_from(&place.identity);
        destination.password_file.clone_from(&place.password_file);
        document.destinations = [(name, destination)].into();
    }
    Ok(document)
}

/// The same for a verb that reads one backup.
pub fn document_for(global: &Global, which: &Which) -> Result<Document> {
    let document = document(global, &which.place, true)?;
    if which.file.is_none() && document.destinations.is_empty() {
        return Err(Error::new(Code::Config, "there is no configuration that says where backups are").hint(
            "name the place with --from, a backup file with --file, or a configuration with --config",
        ));
    }
    Ok(document)
}

/// The path that a verb reads of a backup. With `--file` the first word is that, not an ID.
pub fn take_path(which: &mut Which, path: Option<PathBuf>) -> Result<Option<PathBuf>> {
    match (&which.file, path) {
        (None, path) => Ok(path),
        (Some(_), None) => Ok(which.id.take().map(PathBuf::from)),
        (Some(_), Some(_)) => Err(both()),
    }
}

/// Two backups are named at once.
pub fn both() -> Error {
    Error::new(Code::Usage, "--file names a backup already").hint("leave the ID out")
}

impl From<Which> for job::Restore {
    fn from(which: Which) -> Self {
        job::Restore {
            id: which.id,
            site: which.of.site,
            source: which.source,
            destination: which.destination,
            file: which.file,
            unauthenticated: which.unauthenticated,
            ..job::Restore::default()
        }
    }
}
