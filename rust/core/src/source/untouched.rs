//! Whether a swap has changed a live database, where that database does not tell: a file in the state folder, there as long as
//! nothing was changed. Taking back must then leave alone what visitors have written meanwhile, and waits for nobody.

use crate::{Error, Result, ResultExt};
use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Nothing live is changed yet, or again. A power cut may lose that; it is taken back then, as if something were.
pub(super) fn note(path: &Path) -> Result<()> {
    let made = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    made.map(drop).at("cannot write", path)
}

/// From here on something may be; that is on disk before anything is.
pub(super) fn forget(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(()),
        done => done.at("cannot remove", path)?,
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|cause| Error::io("cannot flush", folder, cause))
}
