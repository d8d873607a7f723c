//! What restic is called for: to save, to read, to forget, to look after what it keeps.

use super::Repository;
use super::lock::with_lock;
use super::nodes::Nodes;
use super::pipes::{self, Feed};
use super::program::Call;
use super::reading;
use super::saving;
use crate::destination::Destination as _;
use crate::destination::snapshots::{Folders, Known, Node, Saved, Snapshot, Snapshots};
use crate::look;
use crate::{Code, Monitor, Result};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

impl Repository {
    /// Gives what it printed, once it is done; it may be without a sign of life for so long.
    pub(super) fn call<S: AsRef<std::ffi::OsStr>>(
        &self,
        args: impl IntoIterator<Item = S>,
        limit: Duration,
    ) -> Result<Vec<u8>> {
        let call = Call::new(args, &self.job()).within(limit);
        with_lock(&self.access, &call.cancel, || {
            let mut printed = Vec::new();
            pipes::lines(&self.access, &call, None, &mut |line| {
                printed.extend_from_slice(line);
                printed.push(b'\n');
                Ok(())
            })
            .and_then(|ended| ended.check(&self.access))
            .map(|_| std::mem::take(&mut printed))
        })
        .map_err(|error| self.headless(error))
    }

    /// Saves; `monitor` hears what it tells meanwhile.
    fn save(&self, call: &Call, mut write: Option<&mut Feed<'_>>, monitor: &Monitor) -> Result<Saved> {
        with_lock(&self.access, &monitor.flag(), || {
            let mut report = saving::Report::default();
            let feed: Option<&mut Feed<'_>> = match &mut write {
                Some(write) => Some(&mut **write),
                None => None,
            };
            let mut ended = pipes::lines(&self.access, call, feed, &mut |line| {
                report.line(line, monitor);
                Ok(())
            })?;
            ended.each_line(&mut |line| report.line(line, monitor))?;
            // 3: something could not be read; the snapshot is there.
            match (ended.status.code(), report.saved) {
                (Some(0 | 3), Some(saved)) => Ok(Saved { lost: report.lost, ..saved }),
                _ => Err(self.access.explain(ended.status, &ended.said)),
            }
        })
        .map_err(|error| self.headless(error))
    }

    fn run(&self, call: &Call, monitor: &Monitor) -> Result<()> {
        with_lock(&self.access, &monitor.flag(), || {
            pipes::lines(&self.access, call, None, &mut |_| Ok(()))?.check(&self.access).map(drop)
        })
    }
}

/// Where restic takes a path for a pattern: each byte of it that would mean something else stands for itself. A line cannot
/// hold a line break, nor begin or end with a blank, and `$` begins a variable.
fn as_pattern(path: &[u8]) -> Vec<u8> {
    let mut pattern = Vec::with_capacity(path.len());
    for byte in path {
        match byte {
            b'*' | b'?' | b'[' | b'\\' => pattern.extend([b'\\', *byte]),
            b'$' => pattern.extend(b"$$"),
            b' ' => pattern.extend(b"[ ]"),
            // Ranges of three or fewer around it.
            b'\t' | b'\n' | 0x0b => pattern.extend(b"[\t-\x0b]"),
            b'\r' | 0x0c => pattern.extend(b"[\x0c-\x0e]"),
            other => pattern.push(*other),
        }
    }
    pattern
}

impl Snapshots for Repository {
    fn init(&self, monitor: &Monitor) -> Result<()> {
        self.attend(&monitor.flag());
        self.check_free()?;
        if let Some(folder) = self.access.local.as_deref().and_then(Path::parent) {
            look::make_folders(folder, 0o777, "cannot make the folder")?;
        }
        self.run(&Call::new(["init", "--quiet"], &monitor.flag()).within(self.access.silence()), monitor)
    }

    fn all(&self) -> Result<Vec<Snapshot>> {
        self.list_now(true)
    }

    fn last_listed(&self) -> Result<Vec<Snapshot>> {
        // A folder of this machine tells at once whether anything has come.
        let known = if self.access.local.is_some() { None } else { self.seen().all.clone() };
        known.map_or_else(|| self.list_now(true), Ok)
    }

    fn save_stream(
        &self,
        name: &str,
        host: &str,
        tags: &[String],
        write: &mut dyn FnMut(&mut dyn Write) -> Result<()>,
        monitor: &Monitor,
    ) -> Result<Saved> {
        let call = Call::new(["backup", "--json", "--stdin", "--stdin-filename", name], &monitor.flag());
        let saved = self.save(&tagged(call, host, tags), Some(write), monitor)?;
        Ok(self.noted(saved, host, tags))
    }

    fn save_folders(
        &self,
        folders: &Folders,
        host: &str,
        tags: &[String],
        monitor: &Monitor,
    ) -> Result<Saved> {
        let call = Call::new(["backup", "--json"], &monitor.flag());
        let mut call = tagged(call, host, tags);
        if let Some(parent) = &folders.parent {
            call = call.arg("--parent").arg(parent);
        }
        let mut targets = Vec::new();
        for target in &folders.targets {
            targets.extend_from_slice(target);
            targets.push(0);
        }
        let mut left_out = Vec::new();
        for path in &folders.left_out {
            left_out.extend(as_pattern(path));
            left_out.push(b'\n');
        }
        call.files = vec![("--files-from-raw", targets), ("--exclude-file", left_out)];
        let saved = self.save(&call, None, monitor)?;
        Ok(self.noted(saved, host, tags))
    }

    fn read(&self, snapshot: &str, path: &[u8]) -> Result<Box<dyn Read + Send>> {
        use std::os::unix::ffi::OsStrExt;
        let call =
            Call::new(["dump", "--quiet", snapshot], &self.job()).arg(std::ffi::OsStr::from_bytes(path));
        Ok(Box::new(reading::open(&self.access, self.reader(call))?))
    }

    fn read_tar(&self, snapshot: &str, below: Option<&[u8]>) -> Result<Box<dyn Read + Send>> {
        use std::os::unix::ffi::OsStrExt;
        let path = std::ffi::OsStr::from_bytes(below.unwrap_or(b"/"));
        let call = Call::new(["dump", "--quiet", "--archive", "tar", snapshot], &self.job()).arg(path);
        Ok(Box::new(reading::open(&self.access, self.reader(call))?))
    }

    fn nodes(&self, snapshot: &str) -> Result<Box<dyn Iterator<Item = Node> + Send>> {
        let call = self.reader(Call::new(["ls", "--json", snapshot], &self.job()));
        Ok(Box::new(Nodes::new(reading::open(&self.access, call)?)))
    }

    fn nodes_below(&self, snapshot: &str, path: &[u8]) -> Result<Box<dyn Iterator<Item = Node> + Send>> {
        use std::os::unix::ffi::OsStrExt;
        let call = Call::new(["ls", "--json", "--recursive", snapshot], &self.job());
        let call = self.reader(call.arg(std::ffi::OsStr::from_bytes(path)));
        Ok(Box::new(Nodes::new(reading::open(&self.access, call)?)))
    }

    fn read_small(&self, snapshot: &str, path: &[u8], most: u64) -> Result<Vec<u8>> {
        self.remembering(snapshot, most, || {
            let mut content = Vec::new();
            self.read(snapshot, path)?.take(most).read_to_end(&mut content)?;
            Ok(content)
        })
    }

    fn remember_small(&self, snapshot: &str, content: &[u8]) {
        self.keep_small(snapshot, content);
    }

    fn copy_from(&self, from: &dyn Snapshots, snapshots: &[String], monitor: &Monitor) -> Result<()> {
        self.copy_of(from.repository(), snapshots, monitor)
    }

    fn repository(&self) -> &Repository {
        self
    }

    fn forget(&self, snapshots: &[String]) -> Result<()> {
        if snapshots.is_empty() {
            return Ok(());
        }
        let call = Call::new(["forget", "--quiet"], &self.job());
        let done = self
            .call(call.args.into_iter().chain(snapshots.iter().map(Into::into)), self.access.silence())
            .map(drop);
        self.remember_refusal(&done);
        if done.is_ok() {
            self.unlearn(snapshots);
        }
        done
    }

    fn are_there(&self, snapshots: &[String]) -> bool {
        self.has_all(snapshots)
    }

    fn is_damaged(&self) -> bool {
        self.was_damaged()
    }

    fn prune(&self, monitor: &Monitor) -> Result<()> {
        self.run(&Call::new(["prune", "--quiet"], &monitor.flag()), monitor)
    }

    fn check(&self, percent: Option<f64>, monitor: &Monitor) -> Result<()> {
        let found = self.look_through(percent, monitor);
        self.remember_look(percent, &found, monitor);
        found
    }

    fn mount(&self, tags: &[String], folder: &Path, monitor: &Monitor) -> Result<()> {
        self.mount_at(tags, folder, monitor)
    }

    fn known(&self) -> Known {
        self.what_is_known()
    }
}

impl Repository {
    fn look_through(&self, percent: Option<f64>, monitor: &Monitor) -> Result<()> {
        let mut call = Call::new(["check", "--quiet"], &monitor.flag());
        if let Some(percent) = percent {
            call = call.arg(format!("--read-data-subset={percent}%"));
        }
        with_lock(&self.access, &monitor.flag(), || {
            let ended = pipes::lines(&self.access, &call, None, &mut |_| Ok(()))?;
            if ended.status.success() {
                return Ok(());
            }
            let error = self.headless(self.access.found(ended.status, &ended.said));
            // Data was read: whose it is, only reading each backup tells.
            let of_data = percent.is_some() && error.code() == Code::Integrity;
            Err(if of_data { error.of_bytes() } else { error })
        })
    }

    /// What was saved, with its whole name where that is known.
    fn noted(&self, saved: Saved, host: &str, tags: &[String]) -> Saved {
        let id = saved.id.clone();
        let id = self.learn(Snapshot { id, tags: tags.to_vec(), host: host.to_owned(), copied: false });
        Saved { id, ..saved }
    }

    /// A call that only reads, and ends where its server says nothing: where we may not write, it goes without a lock.
    fn reader(&self, mut call: Call) -> Call {
        use rustix::fs::{Access, access};
        call.limit = Some(self.access.silence());
        let is_ours = |folder: &PathBuf| access(folder.join("locks"), Access::WRITE_OK).is_ok();
        if self.access.local.as_ref().is_some_and(|folder| !is_ours(folder)) {
            call.args.push("--no-lock".into());
        }
        call
    }
}

fn tagged(mut call: Call, host: &str, tags: &[String]) -> Call {
    call = call.arg("--host").arg(host);
    for tag in tags {
        call = call.arg("--tag").arg(tag);
    }
    call
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::destination::snapshots::tag;

    #[test]
    fn paths_stand_for_themselves_in_patterns() {
        assert_eq!(as_pattern(b"/a b/[x]*?\\$HOME"), b"/a[ ]b/\\[x]\\*\\?\\\\$$HOME");
        assert_eq!(as_pattern(b"/a\nb"), b"/a[\t-\x0b]b");
    }

    #[test]
    fn tags_come_back_as_they_were() {
        let snapshot =
            Snapshot { tags: vec![tag("x", "a, b%2C \u{fc}\n"), tag("y", "")], ..Snapshot::default() };
        assert_eq!(snapshot.tag("x").as_deref(), Some("a, b%2C \u{fc}"));
        assert_eq!((snapshot.tag("y").as_deref(), snapshot.tag("z")), (Some(""), None));
    }
}
