//! Whether restic is still at something: a server that takes what it is asked and never answers, it would wait for for ever.

use super::access::Access;
use super::program::Call;
use crate::{Code, Error, Fact, Result};
use std::time::{Duration, Instant};

/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// The signs of life of one restic: what it prints, and what it reads and writes besides, from a server or anywhere else.
/// While it waits for an answer that does not come there is neither.
pub(super) struct Pulse {
    limit: Option<Duration>,
    pid: u32,
    /// Bytes that it had read and written, where the system tells.
    moved: Option<u64>,
    /// The last sign.
    since: Instant,
    looked: Instant,
}

impl Pulse {
    /// Of a call that may be without a sign as long as it says.
    pub fn of(pid: u32, call: &Call) -> Pulse {
        let now = Instant::now();
        Pulse { limit: call.limit, pid, moved: None, since: now, looked: now }
    }

    /// It printed something.
    pub fn beat(&mut self) {
        self.since = Instant::now();
    }

    /// Fails once there has been no sign for too long. To be asked while nothing comes and it is waited for.
    pub fn check(&mut self, access: &Access) -> Result<()> {
        let Some(limit) = self.limit else { return Ok(()) };
        if self.looked.elapsed() < LOOK.min(limit) {
            return Ok(());
        }
        self.looked = Instant::now();
        let moved = moved(self.pid);
        if moved != self.moved {
            self.moved = moved;
            self.beat();
        }
        if self.since.elapsed() < limit {
            return Ok(());
        }
        let text = format!("no answer within {} s from the repository {}", limit.as_secs(), access.shown);
        Err(Error::new(Code::Destination, text)
            .hint(format!(
                "is its server alive? A slow one gets more time by destinations.{}.timeout",
                access.id
            ))
            .with(Fact::Destination, &access.id))
    }
}

/// Bytes that a process has read and written so far.
fn moved(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
    let of = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().parse::<u64>().ok()
    };
    Some(of("rchar:")?.saturating_add(of("wchar:")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reads_is_alive() {
        let pid = std::process::id();
        let before = moved(pid).expect("told");
        let text = std::fs::read("/proc/self/status").expect("read");
        assert!(moved(pid).expect("told") >= before + text.len() as u64);
        assert_eq!(moved(0), None);
    }
}
