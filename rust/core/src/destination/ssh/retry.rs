//! How long to wait for a server, and how to try again.

use crate::{Cancel, Code, Error, Result};
use std::time::{Duration, Instant};

/// How patient an upload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How long a server may be silent before it counts as dead.
    pub timeout: Duration,
    /// The same where somebody only wants to see what is there.
    pub looking: Duration,
    /// The wait before the second try; doubled for each further one, up to a minute.
    pub first_delay: Duration,
    /// Tries in a row without a byte of progress, after which the upload gives up.
    pub tries: u32,
    /// The round trip from which on a line is long, and gets several channels.
    pub long: Duration,
    /// How long the first megabytes of an upload may take on a line where the ssh program is called to help.
    pub slow: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        // 1 + 2 + 4 + … + 60 + 60: a server may reboot in between.
        Patience {
            timeout: Duration::from_secs(60),
            looking: Duration::from_secs(10),
            first_delay: Duration::from_secs(1),
            tries: 10,
            long: Duration::from_millis(8),
            slow: Duration::from_millis(400),
        }
    }
}

impl Patience {
    /// With so much for looking, too.
    pub fn looking(self) -> Patience {
        Patience { timeout: self.looking.min(self.timeout), ..self }
    }

    /// How long a small request may take in all, with bytes coming in.
    pub fn request(&self) -> Duration {
        self.timeout.saturating_mul(2)
    }

    /// The same for a listing, or the way in.
    pub fn longer(&self) -> Duration {
        self.timeout.saturating_mul(5)
    }
}

const LONGEST: Duration = Duration::from_secs(60);

/// Counts failures and waits between them.
#[derive(Debug)]
pub(crate) struct Backoff {
    patience: Patience,
    failures: u32,
}

impl Backoff {
    pub fn new(patience: Patience) -> Self {
        Backoff { patience, failures: 0 }
    }

    /// Says that there was progress: waits start small again.
    pub fn progress(&mut self) {
        self.failures = 0;
    }

    /// After a failure: waits, or gives up with `error`, told how often it was tried.
    pub fn wait(&mut self, error: Error, job: &Cancel) -> Result<()> {
        self.failures += 1;
        if self.failures >= self.patience.tries {
            return Err(error.context(format!("gave up after {} tries", self.failures)));
        }
        let doubled = self.patience.first_delay.saturating_mul(1 << (self.failures - 1).min(16));
        pause(jitter(doubled.min(LONGEST)), job)
    }
}

/// Between half and all of it, so that many sites do not come back to a server in step.
fn jitter(delay: Duration) -> Duration {
    let share = getrandom::u32().map_or(1.0, |random| f64::from(random) / f64::from(u32::MAX));
    delay.mul_f64(0.5 + share / 2.0)
}

/// Sleeps, unless the job is cancelled.
fn pause(delay: Duration, job: &Cancel) -> Result<()> {
    let until = Instant::now() + delay;
    loop {
        job.check()?;
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(Duration::from_millis(100)));
    }
}

/// A failure, and whether it was the connection's: then another try may help.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub error: Error,
    pub broken: bool,
}

impl Trouble {
    pub fn broken(message: impl Into<String>) -> Self {
        Trouble { error: Error::new(Code::Destination, message), broken: true }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Trouble { error, broken: false }
    }
}

impl From<Trouble> for Error {
    fn from(trouble: Trouble) -> Self {
        trouble.error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_gives_up_after_so_many_tries_without_progress() {
        let patience = Patience { first_delay: Duration::ZERO, tries: 3, ..Patience::default() };
        let (mut backoff, monitor) = (Backoff::new(patience), Cancel::default());
        let dead = || Error::new(Code::Destination, "dead");
        for _ in 0..5 {
            assert!(backoff.wait(dead(), &monitor).is_ok());
            assert!(backoff.wait(dead(), &monitor).is_ok());
            backoff.progress();
        }
        assert!(backoff.wait(dead(), &monitor).is_ok() && backoff.wait(dead(), &monitor).is_ok());
        let error = backoff.wait(dead(), &monitor).unwrap_err();
        assert_eq!(error.message(), "gave up after 3 tries: dead");
    }

    #[test]
    fn a_wait_ends_when_the_job_is_cancelled() {
        let patience = Patience { first_delay: Duration::from_secs(3600), ..Patience::default() };
        let monitor = crate::Monitor::new();
        monitor.cancel();
        let error =
            Backoff::new(patience).wait(Error::new(Code::Destination, "dead"), &monitor.flag()).unwrap_err();
        assert_eq!(error.code(), Code::Cancelled);
    }
}
