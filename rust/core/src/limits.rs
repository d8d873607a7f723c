//! Limits of the system that a run meets, whatever it was doing: what to do about them.

use crate::threads::TOO_MANY;
use rustix::io::Errno;
use std::io;

const OPEN_FILES: &str = "raise the limit of open files: `ulimit -n`, `LimitNOFILE=` of a systemd service";
const FILE_SIZE: &str = "raise the limit of a file's size: `ulimit -f`, `LimitFSIZE=` of a systemd service; or the file system holds \
                         none that is so large";
const MEMORY: &str =
    "the machine, or what it allows this run (`ulimit -v`, a container's limit), has too little memory";
const ROOM: &str = "free some space there";

/// What to do about a limit that the system has told of.
pub(crate) fn met(cause: &io::Error) -> Option<&'static str> {
    match Errno::from_raw_os_error(cause.raw_os_error()?) {
        Errno::MFILE | Errno::NFILE => Some(OPEN_FILES),
        Errno::FBIG => Some(FILE_SIZE),
        _ => None,
    }
}

/// The same by the words of a program that met it, and those of a disk that is full.
pub(crate) fn told(said: &str) -> Option<&'static str> {
    let said = said.to_ascii_lowercase();
    let words: [(&[&str], &str); 5] = [
        (&["too many open files"], OPEN_FILES),
        (
            &["new os thread", "newosproc", "pthread_create failed", "resource temporarily unavailable"],
            TOO_MANY,
        ),
        (&["sigxfsz", "file too large", "file size limit exceeded"], FILE_SIZE),
        (&["out of memory", "cannot allocate memory"], MEMORY),
        (&["no space left on device", "disk quota exceeded"], ROOM),
    ];
    words.into_iter().find(|(words, _)| words.iter().any(|word| said.contains(word))).map(|(_, hint)| hint)
}

/// What a program made with Go said first when its runtime ended it, before pages about its goroutines and registers.
pub(crate) fn crash(said: &str) -> Option<&str> {
    const BEGINS: [&str; 6] =
        ["runtime: ", "runtime/cgo: ", "fatal error: ", "panic: ", "unexpected fault", "SIG"];
    let lines = || said.lines().map(str::trim_end);
    if !lines().any(|line| line.starts_with("goroutine ")) {
        return None;
    }
    lines().find(|line| BEGINS.iter().any(|begin| line.starts_with(begin)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_is_told_by_its_first_line_and_its_cause() {
        for (said, hint) in [
            (
                "runtime/cgo: pthread_create failed: Resource temporarily unavailable\nSIGABRT: abort\n",
                TOO_MANY,
            ),
            (
                "runtime: failed to create new OS thread (have 5 already; errno=11)\nfatal error: newosproc\n",
                TOO_MANY,
            ),
            ("SIGXFSZ: file size limit exceeded\nPC=0x46 m=0\n", FILE_SIZE),
            ("fatal error: runtime: out of memory\n", MEMORY),
        ] {
            let all =
                format!("using temporary cache\n{said}\ngoroutine 0 [idle]:\ncs     0x33\nfs     0x0\n");
            assert_eq!(crash(&all), said.lines().next());
            assert_eq!(crash(&all).and_then(told), Some(hint), "{said}");
        }
        assert_eq!(crash("Fatal: unable to open config file\nSIGnificant\n"), None);
    }
}
