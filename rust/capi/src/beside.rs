//! Files that appear under their name when they are whole, and not before.

use bam::{Code, Error, Result, ResultExt};
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;
use tempfile::NamedTempFile;

/// What one read moves.
const BLOCK: usize = 256 * 1024;

/// Writes `path`, readable by its owner only, through `work`. An existing file is left alone and is an error.
pub fn write(path: &Path, work: impl FnOnce(&mut BufWriter<NamedTempFile>) -> Result<()>) -> Result<()> {
    if path.exists() {
        return Err(exists(path));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let part = tempfile::Builder::new().prefix(".bam-").suffix(".part").tempfile_in(folder);
    let mut out = BufWriter::with_capacity(BLOCK, part.at("cannot write to", folder)?);
    work(&mut out)?;
    let part = out.into_inner().map_err(io::IntoInnerError::into_error).at("cannot write", path)?;
    part.as_file().sync_all().at("cannot write", path)?;
    match part.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(cause) if cause.error.kind() == io::ErrorKind::AlreadyExists => Err(exists(path)),
        Err(cause) => Err(Error::io("cannot write", path, cause.error)),
    }
}

/// Copies everything in blocks. Errors of the engine keep their kind.
pub fn copy(mut from: impl Read, to: &mut impl Write) -> Result<()> {
    let mut block = vec![0; BLOCK];
    loop {
        match from.read(&mut block) {
            Ok(0) => return Ok(()),
            Ok(count) => to.write_all(block.get(..count).unwrap_or_default())?,
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(cause.into()),
        }
    }
}

fn exists(path: &Path) -> Error {
    Error::new(Code::Usage, format!("{} exists already", path.display())).hint("choose another name")
}
