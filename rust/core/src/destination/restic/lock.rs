//! Work that waits for a repository's lock, and tries its keys.

use super::access::Access;
use super::pipes::lines;
use super::program::{Call, TICK};
use crate::{Cancel, Code, Error, Result};
use std::time::{Duration, Instant};

/// How long somebody else's lock is waited for.
const LOCK_PATIENCE: Duration = Duration::from_secs(600);

/// Does it again for as long as somebody else holds the repository's lock; `tell` hears once who. One that restic itself
/// holds for stale is taken away by it.
pub(super) fn with_lock<T>(
    access: &Access,
    cancel: &Cancel,
    tell: &mut dyn FnMut(&Error),
    mut work: impl FnMut() -> Result<T>,
) -> Result<T> {
    let (begun, mut told) = (Instant::now(), false);
    loop {
        match work() {
            Err(error) if error.code() == Code::Key && access.try_next_key() => {}
            Err(error) if error.code() == Code::Locked => {
                if begun.elapsed() > access.patience.unwrap_or(LOCK_PATIENCE) {
                    return Err(error);
                }
                if !told {
                    tell(&error);
                    told = true;
                }
                unlock(access, cancel)?;
                let pause = Instant::now();
                while pause.elapsed() < Duration::from_secs(2) {
                    cancel.check()?;
                    std::thread::sleep(TICK);
                }
            }
            done => return done,
        }
    }
}

/// Takes away what restic itself holds for stale locks.
pub(super) fn unlock(access: &Access, cancel: &Cancel) -> Result<()> {
    lines(access, &Call::new(["unlock", "--quiet"], cancel), None, &mut |_| Ok(())).map(drop)
}
