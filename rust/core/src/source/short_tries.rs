//! Locks on many tables of a live database. A server takes one after the other and keeps those it has while it waits for one that
//! somebody else holds: the whole site stands still meanwhile, also the page on which a restore is cancelled. So a try is
//! given up soon, lets go of everything, and comes again after a rest in which the site goes on.

use crate::{Error, Monitor, Result};
use std::time::{Duration, Instant};

/// Seconds that a try waits for one lock. Who comes later waits behind it, so whatever takes less time than this, as the
/// queries of pages do, keeps nothing from being locked, however many there are.
pub(super) const SHORT: u32 = 1;
/// The same of the last try, for a site that is never without a query of some seconds.
pub(super) const LAST: u32 = 10;
/// Between two tries the site goes on, for as long as it had to wait.
const REST: Duration = Duration::from_secs(1);
/// After so long the next try is the last one.
const TRYING: Duration = Duration::from_secs(20);
/// Between two looks at the cancel flag.
const TICK: Duration = Duration::from_millis(50);

/// Does what takes locks, and is told for how many seconds it may wait for each; the last time for `last`. What fails because
/// a lock is not to be had (`is_busy`) must have changed nothing.
pub(super) fn run<T>(
    last: u32,
    is_busy: fn(&Error) -> bool,
    monitor: &Monitor,
    mut work: impl FnMut(u32) -> Result<T>,
) -> Result<T> {
    let begun = Instant::now();
    loop {
        let is_last = begun.elapsed() >= TRYING;
        match work(if is_last { last } else { SHORT }) {
            Err(error) if !is_last && is_busy(&error) => rest(monitor)?,
            done => return done,
        }
    }
}

fn rest(monitor: &Monitor) -> Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < REST {
        monitor.check()?;
        std::thread::sleep(TICK);
    }
    monitor.check()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;

    fn is_busy(error: &Error) -> bool {
        error.message().contains("busy")
    }

    #[test]
    fn what_is_busy_is_tried_again_and_nothing_else() {
        let monitor = Monitor::new();
        let mut left = vec!["done", "busy"];
        let done = run(LAST, is_busy, &monitor, |wait| {
            assert_eq!(wait, SHORT);
            match left.pop() {
                Some("done") => Ok(7),
                _ => Err(Error::new(Code::Database, "busy")),
            }
        });
        assert_eq!(done.expect("the second time"), 7);
        let failed: Result<()> = run(LAST, is_busy, &monitor, |_| Err(Error::new(Code::Permission, "no")));
        assert_eq!(failed.expect_err("not again").code(), Code::Permission);
    }

    #[test]
    fn a_cancel_ends_the_rest() {
        let monitor = Monitor::new();
        let mut tries = 0;
        let ended: Result<()> = run(LAST, is_busy, &monitor, |_| {
            tries += 1;
            monitor.cancel();
            Err(Error::new(Code::Database, "busy"))
        });
        assert_eq!((ended.expect_err("cancelled").code(), tries), (Code::Cancelled, 1));
    }
}
