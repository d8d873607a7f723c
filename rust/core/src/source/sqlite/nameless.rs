//! Database files without a name: nobody else finds them, and they go with the process. SQLite opens files by name alone,
//! so for a moment they have one; it tells of which process, and what a killed run left of that moment goes at the next.

use super::connect::failed;
use crate::{Code, Error, Result, ResultExt, temporary};
use rusqlite::Connection;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What the names begin with; the process and something random follow.
const PREFIX: &str = ".bam-sqlite-";

/// A new file in `folder` and the connection to it that `connect` makes.
///
/// # Errors
///
/// Those of the folder, and of `connect`.
pub(super) fn open(
    folder: &Path,
    connect: impl FnOnce(&Path) -> rusqlite::Result<Connection>,
) -> Result<(Connection, File)> {
    temporary::sweep(folder, PREFIX);
    let file = tempfile::Builder::new()
        .prefix(&temporary::prefix(PREFIX))
        .tempfile_in(folder)
        .at("cannot write in", folder)?;
    let database = connect(file.path()).map_err(|cause| failed(file.path(), cause))?;
    // Had somebody removed it, SQLite would have made another.
    let seen = fs::symlink_metadata(file.path()).at("cannot look at", file.path())?;
    let ours = file.as_file().metadata().at("cannot look at", file.path())?;
    if (seen.dev(), seen.ino()) != (ours.dev(), ours.ino()) {
        return Err(Error::new(Code::Io, format!("somebody exchanged {}", file.path().display()))
            .hint("give the temporary files another folder (TMPDIR)"));
    }
    let (bytes, name) = file.into_parts();
    name.close().at("cannot remove a file in", folder)?;
    Ok((database, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_no_name_and_what_a_killed_run_left_goes() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut child = std::process::Command::new("true").spawn().expect("a process");
        let gone = dir.path().join(format!("{PREFIX}{}-abc", child.id()));
        let alive = dir.path().join(format!("{PREFIX}{}-abc", std::process::id()));
        let other = dir.path().join(".bam-sqlite-x");
        child.wait().expect("ended");
        for path in [&gone, &alive, &other] {
            fs::write(path, "x").expect("written");
        }
        let (database, bytes) = open(dir.path(), |path| Connection::open(path)).expect("open");
        // Its journal would lie beside its name.
        database.execute_batch("pragma journal_mode = off; create table t (a)").expect("written");
        assert!(bytes.metadata().expect("there").len() > 0, "the file is the database's");
        let mut left: Vec<_> =
            fs::read_dir(dir.path()).expect("listed").flatten().map(|it| it.path()).collect();
        left.sort();
        let mut expected = vec![alive, other];
        expected.sort();
        assert_eq!(left, expected);
    }
}
