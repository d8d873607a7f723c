//! Locks and conditions of those who wait for each other by rules of our own: std's. In the tests that try orders of threads
//! (`tests/shuttle`) they are shuttle's, whose waits have no time: a notification that is missed is a deadlock there, and not a moment's delay.

#[cfg(not(all(test, feature = "shuttle")))]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};

#[cfg(all(test, feature = "shuttle"))]
pub(crate) use shuttle::sync::{Condvar, Mutex, MutexGuard};

/// Trying orders.
#[cfg(all(test, feature = "shuttle"))]
pub(crate) mod model {
    use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
    use shuttle::{Config, Runner};

    fn setting(name: &str) -> Option<u64> {
        std::env::var(name).ok()?.parse().ok()
    }

    /// Runs `body`, which starts threads, in so many orders as BAM_TEST_SCHEDULES says: half of them drawn step by step, half with
    /// few changes of who goes first, which finds what needs long runs of one thread. BAM_TEST_SEED repeats them.
    pub(crate) fn orders(body: impl Fn() + Clone + Send + Sync + 'static) {
        let rounds = setting("BAM_TEST_SCHEDULES").unwrap_or(2_000) as usize / 2;
        let seed = setting("BAM_TEST_SEED").unwrap_or_else(|| std::process::id().into());
        println!("BAM_TEST_SEED={seed}");
        run(RandomScheduler::new_from_seed(seed, rounds), body.clone());
        run(PctScheduler::new_from_seed(seed, 3, rounds), body);
    }

    fn run(scheduler: impl Scheduler + 'static, body: impl Fn() + Send + Sync + 'static) {
        let mut config = Config::new();
        // What is run reads files and makes errors.
        config.stack_size = 1 << 19;
        Runner::new(scheduler, config).run(body);
    }
}
