//! Work that waits for a repository's lock, and tries its keys.

use super::access::Access;
use super::pipes::lines;
use super::program::{Call, TICK, UNLOCK};
use crate::{Cancel, Code, Error, NoteKind, Result};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// How long somebody else's lock is waited for.
const LOCK_PATIENCE: Duration = Duration::from_secs(600);
/// How long after one try the next comes.
const PAUSE: Duration = Duration::from_secs(2);

/// Does it again for as long as somebody else holds the repository's lock, or another key may fit.
pub(super) fn with_lock<T>(
    access: &Access,
    cancel: &Cancel,
    mut work: impl FnMut() -> Result<T>,
) -> Result<T> {
    let mut wait = Wait::at(access);
    loop {
        match work() {
            Err(error) => wait.until_next_try(access, cancel, error)?,
            done => return done,
        }
    }
}

/// A wait for what hinders work at a repository.
pub(super) struct Wait {
    since: Option<Instant>,
    /// Which of the keys is tried.
    key: usize,
}

impl Wait {
    /// To be made before the first try.
    pub fn at(access: &Access) -> Wait {
        Wait { since: None, key: access.fits.load(Relaxed) }
    }

    /// Waits until it is worth another try; the error comes back where it is not. Who holds the lock is told once. One that
    /// restic itself holds for stale is taken away by it.
    pub fn until_next_try(&mut self, access: &Access, cancel: &Cancel, error: Error) -> Result<()> {
        match error.code() {
            Code::Key => match access.next_key(self.key) {
                Some(next) => {
                    self.key = next;
                    return Ok(());
                }
                None => return Err(error),
            },
            Code::Locked => {}
            _ => return Err(error),
        }
        let patience = access.patience.unwrap_or(LOCK_PATIENCE);
        let since = *self.since.get_or_insert_with(|| {
            cancel.note(NoteKind::Info, format!("waited: {}", error.message()));
            Instant::now()
        });
        if since.elapsed() > patience {
            return Err(error);
        }
        cancel.set_current(format!("waiting: {}", error.message()));
        unlock(access, cancel)?;
        let pause = Instant::now();
        while pause.elapsed() < PAUSE {
            cancel.check()?;
            std::thread::sleep(TICK);
        }
        Ok(())
    }
}

/// Takes away what restic itself holds for stale locks.
pub(super) fn unlock(access: &Access, cancel: &Cancel) -> Result<()> {
    let call = Call::new([UNLOCK, "--quiet"], cancel).within(access.silence());
    lines(access, &call, None, &mut |_| Ok(())).map(drop)
}
