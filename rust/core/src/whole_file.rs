//! Files that appear under their name when they are whole, and not before.

use crate::{Code, Error, Monitor, Result, ResultExt};
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;
use tempfile::NamedTempFile;

/// What one read moves.
const BLOCK: usize = 256 * 1024;

/// Writes `path`, readable by its owner only, through `work`. Where a file of that name exists it is an error
/// ([`Code::Usage`]), unless `replace` says that its time is over; until the new one is whole the old one stays.
pub fn write<T>(
    path: &Path,
    replace: bool,
    work: impl FnOnce(&mut BufWriter<NamedTempFile>) -> Result<T>,
) -> Result<T> {
    if path.exists() && !replace {
        return Err(exists(path));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let part = tempfile::Builder::new().prefix(".bam-").suffix(".part").tempfile_in(folder);
    let mut out = BufWriter::with_capacity(BLOCK, part.at("cannot write to", folder)?);
    let done = work(&mut out)?;
    let part = out.into_inner().map_err(io::IntoInnerError::into_error).at("cannot write", path)?;
    part.as_file().sync_all().at("cannot write", path)?;
    let named = if replace { part.persist(path) } else { part.persist_noclobber(path) };
    match named {
        Ok(_) => Ok(done),
        Err(cause) if cause.error.kind() == io::ErrorKind::AlreadyExists => Err(exists(path)),
        Err(cause) => Err(Error::io("cannot write", path, cause.error)),
    }
}

/// Copies everything in blocks, until `monitor` says to stop; how many bytes it was. Errors of the engine keep their
/// kind.
pub fn copy(mut from: impl Read, to: &mut (impl Write + ?Sized), monitor: &Monitor) -> Result<u64> {
    let mut block = vec![0; BLOCK];
    let mut copied = 0;
    loop {
        monitor.check()?;
        match from.read(&mut block) {
            Ok(0) => return Ok(copied),
            Ok(count) => {
                to.write_all(block.get(..count).unwrap_or_default())?;
                copied += count as u64;
            }
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(cause.into()),
        }
    }
}

fn exists(path: &Path) -> Error {
    Error::of_path(Code::Usage, path, "exists already").hint("choose another name")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_fails_leaves_what_was_there() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("file");
        let torn = |out: &mut BufWriter<NamedTempFile>| {
            out.write_all(b"half")?;
            Err::<(), _>(Error::new(Code::Integrity, "torn"))
        };
        write(&path, false, torn).expect_err("torn");
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 0);

        write(&path, false, |out| Ok(out.write_all(b"whole")?)).expect("written");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(write(&path, false, |_| Ok(())).expect_err("it exists").code(), Code::Usage);
        write(&path, true, torn).expect_err("torn");
        assert_eq!(fs::read(&path).expect("read"), b"whole");
        write(&path, true, |out| Ok(out.write_all(b"new")?)).expect("replaced");
        assert_eq!(fs::read(&path).expect("read"), b"new");
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 1);
    }

    #[test]
    fn a_cancelled_copy_stops() {
        let monitor = Monitor::new();
        assert_eq!(copy(&b"all of it"[..], &mut Vec::new(), &monitor).expect("copied"), 9);
        monitor.cancel();
        assert_eq!(
            copy(io::repeat(0), &mut io::sink(), &monitor).expect_err("stopped").code(),
            Code::Cancelled
        );
    }
}
