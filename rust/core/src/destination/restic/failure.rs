//! What restic says when it fails, as errors.

use super::access::Access;
use crate::{Code, Error, Fact, limits, look};
use std::process::ExitStatus;

/// Why restic did not do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// There is no repository.
    Absent,
    /// None of its keys is this.
    WrongKey,
    /// Somebody holds its lock.
    Locked,
    /// It cannot be locked: we may only read there.
    ReadOnly,
    /// Its server lets nothing be deleted.
    Guarded,
    /// What is in it is not what was written.
    Damaged,
    /// All else.
    Other,
}

/// Why it failed, by what it said: the words are those of 0.14 to 0.18, of which 0.17 began to tell
/// some by its exit code.
pub(super) fn why(status: ExitStatus, said: &str) -> Why {
    let said = said.to_ascii_lowercase();
    match status.code() {
        Some(10) => Why::Absent,
        Some(11) => Why::Locked,
        Some(12) => Why::WrongKey,
        _ if said.contains("wrong password or no key found") => Why::WrongKey,
        _ if said.contains("already locked") => Why::Locked,
        _ if said.contains("repository does not exist") || is_absent(&said) => Why::Absent,
        _ if is_damage(&said) => Why::Damaged,
        // Not for want of room, say.
        _ if said.contains("unable to create lock") && limits::told(&said).is_none() => Why::ReadOnly,
        _ if said.contains("unable to remove") && is_refusal(&said) => Why::Guarded,
        _ => Why::Other,
    }
}

/// What restic says of a repository that it cannot open, whatever the reason; then it asks whether there is one.
const UNOPENED: &str = "unable to open config file: ";

/// Whether it cannot be opened since the place says that there is no such file. A server that does not answer, or lets
/// nobody in, says nothing of the kind.
fn is_absent(said: &str) -> bool {
    let Some(reason) = reason(said).map(|reason| reason.trim_end_matches('.')) else { return false };
    let at_end = [
        // Of a folder; of SFTP.
        "config: no such file or directory",
        "file does not exist",
        // Of REST and rclone.
        "<config/> does not exist",
        // Of S3.
        "key does not exist",
        "bucket does not exist",
        // Of Google's, Swift's and B2's.
        "object doesn't exist",
        "object not found",
        "config: not found",
    ];
    // Of B2 and Azure.
    let anywhere = [": 404:", "statuscode=404"];
    at_end.iter().any(|words| reason.ends_with(words)) || anywhere.iter().any(|words| reason.contains(words))
}

/// Why it cannot be opened, where it says that.
fn reason(said: &str) -> Option<&str> {
    let from = said.find(UNOPENED)? + UNOPENED.len();
    said.get(from..)?.lines().next()
}

/// What restic says of data that came, and is not what was written; or that nothing knows of, though it is needed.
const DAMAGE: [&str; 18] = [
    "ciphertext verification failed",
    "trying to decrypt invalid data",
    "invalid data returned",
    "wrong data returned",
    "returned invalid hash",
    "decompressing blob",
    "decompression failed",
    "hash mismatch",
    "data mismatch",
    "not found in repository",
    "not found in index",
    "pack id does not match",
    "unexpected pack id",
    "unexpected file size",
    "invalid header, too",
    "invalid blob length",
    "config file has zero size",
    "unmarshal: invalid character",
];

/// Whether it says so of what is kept: a lock that is cut short is no loss, and what it tried again may have gone well.
fn is_damage(said: &str) -> bool {
    let beside = ["lock in backend", "<lock/", "returned error, retrying after"];
    let is_beside = |line: &str| beside.iter().any(|words| line.contains(words));
    said.lines().filter(|line| !is_beside(line)).any(|line| DAMAGE.iter().any(|words| line.contains(words)))
}

/// With what `check` ends that found anything, also where it could not read.
const FINDINGS: [&str; 2] = ["repository contains errors", "loadindex returned errors"];

/// What keeps it from reading, and says nothing of what is there.
const OUT_OF_REACH: [&str; 16] = [
    "connection refused",
    "connection reset",
    "connection lost",
    "connection closed",
    "broken pipe",
    "no route to host",
    "network is unreachable",
    "no such host",
    "timeout",
    "timed out",
    "dial tcp",
    "deadline exceeded",
    "server response",
    "unexpected http response",
    "too many open files",
    "no space left on device",
];

/// Whether a folder of this machine lacks something that the repository's index knows, or has it cut short.
fn is_cut(said: &str) -> bool {
    let lacks = ["no such file or directory", "eof"].iter().any(|words| said.contains(words));
    lacks && ["<data/", "<index/", "<snapshot/"].iter().any(|kind| said.contains(kind))
}

/// Whether a server answers that it may not be.
fn is_refusal(said: &str) -> bool {
    // Names of snapshots have such digits in them, too.
    said.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == "403")
        || ["forbidden", "access denied", "accessdenied", "permission denied"]
            .iter()
            .any(|word| said.contains(word))
}

impl Access {
    /// What restic said, as an error.
    pub(super) fn explain(&self, status: ExitStatus, said: &str) -> Error {
        let words = self.without_secrets(&last_words(said));
        let place = &self.shown;
        let error = match why(status, said) {
            Why::Absent => Error::new(Code::NotFound, format!("there is no repository at {place}"))
                .hint(format!("correct the address, or make it: `bam destination init {}`", self.id)),
            Why::WrongKey => Error::new(
                Code::Key,
                format!("the repository {place} does not open with this key"),
            )
            .hint(format!(
                "is it the key that the repository was made with? destinations.{}.key_file names another",
                self.id
            )),
            Why::Locked => {
                Error::new(Code::Locked, format!("the repository {place} is in use: {}", holder(said))).hint(
                    "wait until the other program is done; `restic unlock` takes away a lock that is stale",
                )
            }
            Why::ReadOnly => {
                Error::new(Code::Permission, format!("the repository {place} cannot be written to: {words}"))
                    .hint("give the user who runs this the right to write there")
            }
            Why::Guarded => self.guarded(),
            Why::Damaged => self.damaged(&words),
            // Of a disk that is not mounted any more nothing is there.
            Why::Other if is_cut(&said.to_ascii_lowercase()) && self.is_on_this_machine() => {
                self.damaged(&words)
            }
            Why::Other
                if said.contains("no space left on device") || said.contains("disk quota exceeded") =>
            {
                Error::new(Code::Space, format!("the repository {place} has no room: {words}"))
                    .hint("free some space there")
            }
            Why::Other if limits::crash(said).is_none() && status.code().is_none() => {
                Error::new(Code::Destination, format!("restic was ended from outside ({status}) at {place}"))
            }
            Why::Other => {
                let error = match reason(said) {
                    Some(reason) => {
                        let reason = self.without_secrets(reason);
                        Error::new(Code::Destination, format!("cannot open the repository {place}: {reason}"))
                    }
                    None => Error::new(Code::Destination, format!("restic failed at {place}: {words}")),
                };
                limits::told(&words).into_iter().fold(error, Error::hint)
            }
        };
        error.with(Fact::Destination, &self.id)
    }

    /// It holds snapshots, and not what opens them.
    pub(super) fn without_config(&self, held: usize) -> Error {
        let text = format!(
            "the repository {} is damaged: its file config is gone, and {held} snapshots are there",
            self.shown
        );
        Error::new(Code::Integrity, text)
            .hint("put back that file, from a copy of this repository: without it nobody reads them, nor with a new one")
            .with(Fact::Destination, &self.id)
    }

    /// What `check` said, as an error: what it found, or why it could not look.
    pub(super) fn found(&self, status: ExitStatus, said: &str) -> Error {
        let error = self.explain(status, said);
        let lower = said.to_ascii_lowercase();
        let has = |all: &[&str]| all.iter().any(|words| lower.contains(words));
        match error.code() {
            Code::Destination if has(&FINDINGS) && !has(&OUT_OF_REACH) && !is_refusal(&lower) => {
                self.damaged(&self.without_secrets(&last_words(said))).with(Fact::Destination, &self.id)
            }
            _ => error,
        }
    }

    fn damaged(&self, words: &str) -> Error {
        Error::new(Code::Integrity, format!("the repository {} is damaged: {words}", self.shown)).hint(
            "where the backup has another copy, --destination names its place; docs/repositories.md says how a repository \
             is mended",
        )
    }

    /// A copy met damage, which may be on either side.
    pub(super) fn one_is_damaged(&self, said: &str) -> Error {
        let words = self.without_secrets(&last_words(said));
        Error::new(Code::Integrity, format!("one of the two repositories is damaged: {words}"))
            .hint("`bam verify` tells which; docs/repositories.md says how a repository is mended")
            .with(Fact::Destination, &self.id)
    }

    /// It is in a folder, which is there.
    fn is_on_this_machine(&self) -> bool {
        self.local.as_ref().is_some_and(|folder| look::is_file(&folder.join("config")).unwrap_or(false))
    }

    /// Its server refuses to delete.
    pub(super) fn guarded(&self) -> Error {
        Error::new(Code::Permission, format!("the server lets nothing be deleted at {}", self.shown))
            .hint("set append_only: true where that is meant, and forget by restic on the machine that holds it")
            .with(Fact::Destination, &self.id)
    }
}

/// Who holds the lock, and since when.
fn holder(said: &str) -> String {
    let from = said.find("already locked").unwrap_or_default();
    let lines = said.get(from..).unwrap_or_default().lines().map(str::trim);
    lines.filter(|line| !line.starts_with("the `unlock` command")).take(2).collect::<Vec<_>>().join(", ")
}

/// What it said last, in one line: without where in its program it was, and, where it says anything else, without what it
/// tried again. Where its runtime ended it, why that did.
pub(super) fn last_words(said: &str) -> String {
    if let Some(first) = limits::crash(said) {
        return first.to_owned();
    }
    let lines: Vec<&str> = said.lines().collect();
    // A function's name, and below it, indented, the line that it was at.
    let is_trace =
        |at: usize| [at, at + 1].iter().any(|at| lines.get(*at).is_some_and(|line| line.starts_with('\t')));
    let told =
        |line: &&str| !line.is_empty() && !line.starts_with('{') && !line.starts_with("created new cache");
    let words: Vec<&str> = (0..lines.len())
        .filter(|at| !is_trace(*at))
        .filter_map(|at| lines.get(at).map(|line| line.trim()))
        .filter(told)
        .collect();
    let (again, once): (Vec<&str>, Vec<&str>) =
        words.into_iter().partition(|line| line.contains("returned error, retrying after"));
    let words = if once.is_empty() { again } else { once };
    words.get(words.len().saturating_sub(3)..).unwrap_or_default().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn what_hinders_is_told_by_its_words() {
        let why = |said: &str| why(ExitStatus::from_raw(1 << 8), said);
        let locked = "unable to create lock in backend: repository is already locked exclusively by PID 7 on vm by root\n\
                      lock was created at 2026-11-28 20:10:59 (1s ago)\nstorage ID ee021f81\n\
                      the `unlock` command can be used to remove stale locks\n";
        assert_eq!(why(locked), Why::Locked);
        assert!(
            holder(locked).starts_with("already locked exclusively by PID 7 on vm by root, lock was created")
        );
        let guarded = "Remove(<snapshot/73a674b082>) returned error, retrying after 15s: blob not removed, server response: \
                       403 Forbidden (403)\nunable to remove <snapshot/73a674b082> from the repository\n";
        assert_eq!(why(guarded), Why::Guarded);
        let by_name = "unable to remove <snapshot/73a403b082>: input/output error\n";
        assert!(
            why(guarded.replace("403 Forbidden (403)", "403").as_str()) == Why::Guarded
                && why(by_name) != Why::Guarded
        );
        let lock = "unable to create lock in backend: ";
        assert_eq!(why(&format!("{lock}open /r/locks/x: permission denied")), Why::ReadOnly);
        for room in ["write /r/locks/x: no space left on device", "open /r/locks/x: too many open files"] {
            assert_eq!(why(&format!("{lock}{room}")), Why::Other);
        }
        assert_eq!(
            why("unable to remove <snapshot/73a674b082> from the repository\nno route to host"),
            Why::Other
        );
    }

    #[test]
    fn only_a_place_that_says_so_has_no_repository() {
        let why = |reason: &str, code: i32| {
            let said = format!(
                "Fatal: {UNOPENED}{reason}\nIs there a repository at the following location?\ns3:h/b/does not exist\n"
            );
            why(ExitStatus::from_raw(code << 8), &said)
        };
        for reason in [
            "stat /srv/repo/config: no such file or directory",
            "Lstat: file does not exist",
            "<config/> does not exist",
            "Stat: The specified key does not exist.",
            "Stat: The specified bucket does not exist",
            "Stat: b2_download_file_by_name: 404: ",
        ] {
            assert_eq!(why(reason, 1), Why::Absent, "{reason}");
        }
        for reason in [
            "client.Head: Head \"http://h/config\": dial tcp 127.0.0.1:9: connect: connection refused",
            "client.Head: Head \"http://h/config\": dial tcp: lookup h on 10.0.0.1:53: no such host",
            "client.Head: Head \"http://h/config\": dial unix /run/r: connect: no such file or directory",
            "unexpected HTTP response (500): 500 Internal Server Error",
            "unexpected HTTP response (403): 403 Forbidden",
            "Stat: Access Denied.",
            "Stat: The AWS Access Key Id you provided does not exist in our records.",
        ] {
            assert_eq!(why(reason, 1), Why::Other, "{reason}");
        }
        assert_eq!(why("what later versions say", 10), Why::Absent);
    }

    #[test]
    fn damage_is_told_from_what_hinders_reading() {
        let failed = ExitStatus::from_raw(1 << 8);
        for said in [
            "cannot dump file: decrypting blob 94ba failed: ciphertext verification failed",
            "Fatal: load <index/2f5e67b914>: invalid data returned",
            "loading tree for snapshot \"latest\" failed: id 2f7d not found in repository",
            "cannot dump file: LoadRaw(<data/2f5e67b914>): invalid data returned",
            "cannot dump file: blob 94ba returned invalid hash",
            "Fatal: config or key d729 is damaged: ciphertext verification failed",
        ] {
            assert_eq!(why(failed, said), Why::Damaged, "{said}");
        }
        for said in [
            "Fatal: unable to open config file: Stat: dial tcp 127.0.0.1:1: connect: connection refused",
            "Load(<data/72bda2dbab>, 248, 471) returned error, retrying after 1s: connection lost",
            "ReadFull(<data/72bda2dbab>): unexpected EOF",
            "open /srv/repo/data/72/72bd: permission denied",
        ] {
            assert_eq!(why(failed, said), Why::Other, "{said}");
        }
        assert_eq!(why(failed, "Fatal: wrong password or no key found"), Why::WrongKey);
        let lock = "unable to create lock in backend: load <lock/72bda2dbab>: invalid data returned";
        assert_ne!(why(failed, lock), Why::Damaged);
    }

    #[test]
    fn its_last_words_are_about_what_happened() {
        let said = "Load(<data/d3f5>, 57, 0) returned error, retrying after 1s: open d3f5: no such file or directory\n\
                    open d3f5: no such file or directory\nStreamPack\n\
                    github.com/restic/restic/internal/repository.StreamPack\n\trestic/repository.go:889\n\
                    runtime.goexit\n\truntime/asm_amd64.s:1594\n";
        assert_eq!(last_words(said), "open d3f5: no such file or directory; StreamPack");
        let tried = "Load(<data/d3f5>, 57, 0) returned error, retrying after 1s: no such file\n";
        assert_eq!(last_words(tried), tried.trim());
    }
}
