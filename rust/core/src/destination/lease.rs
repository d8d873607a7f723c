//! Whose a part is: `.NAME.lease` beside it tells which run made it.
//!
//! Nothing hidden is taken for ours without one, and nothing that another run is still writing is touched: of a run on
//! this machine its process tells, of one elsewhere how long ago anything of it changed, as restic's locks do.

use crate::{Code, Error};
use std::collections::BTreeSet;
use std::fs;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What the text begins with.
const MAGIC: &str = "bam-lease 1";
/// Longest text that is read, in bytes.
pub(super) const LEASE_MAX: u64 = 4096;
/// How long a lease is in bytes, which no name of a machine exceeds.
const LENGTH: usize = 768;
/// A run elsewhere of which nothing has changed for so long has ended. A part grows while it is sent; after that the
/// server may hash it, which takes hours only for terabytes.
const STALE: Duration = Duration::from_secs(24 * 3600);
/// The same of a lease without a text: a run that was killed while it wrote it, or one that is just about to.
const STALE_EMPTY: Duration = Duration::from_secs(600);
/// A probe for free space that is older was left by a killed run.
pub(super) const STALE_PROBE: Duration = STALE;

/// Runs of this process that are writing.
static LIVE: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

fn live() -> MutexGuard<'static, BTreeSet<String>> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One upload or removal of this process; dropped, it is over.
#[derive(Debug)]
pub(crate) struct Held {
    run: String,
}

impl Held {
    pub fn new() -> Held {
        let run = random();
        live().insert(run.clone());
        Held { run }
    }

    /// The text of its lease, with empty lines after it up to [`LENGTH`]: one may be written over another.
    pub fn text(&self) -> String {
        let mut text = Lease { run: self.run.clone(), ..Lease::here() }.to_text();
        text.extend(std::iter::repeat_n('\n', LENGTH.saturating_sub(text.len())));
        text
    }

    /// Its name.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Whether a lease is this one.
    pub fn is(&self, lease: &Lease) -> bool {
        lease.run == self.run
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        live().remove(&self.run);
    }
}

/// 16 hexadecimal digits that nobody else has.
pub(super) fn random() -> String {
    let number = getrandom::u64().unwrap_or_else(|_| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(now.as_nanos() & u128::from(u64::MAX)).unwrap_or_default()
    });
    format!("{number:016x}")
}

/// What a lease says: which run, of which process, where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Lease {
    run: String,
    host: String,
    /// `/etc/machine-id`.
    machine: String,
    /// The kernel's boot ID, and the namespace that the process ID belongs to.
    boot: String,
    pids: String,
    process: String,
    /// When the process began, in the kernel's ticks: numbers of processes come again.
    started: String,
}

impl Lease {
    fn here() -> Lease {
        let line = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let process = std::process::id();
        Lease {
            run: String::new(),
            host: this_host(),
            machine: line("/etc/machine-id"),
            boot: line("/proc/sys/kernel/random/boot_id"),
            pids: fs::read_link("/proc/self/ns/pid").unwrap_or_default().display().to_string(),
            process: process.to_string(),
            started: started(process).unwrap_or_default(),
        }
    }

    /// The name of its run.
    pub fn run(&self) -> &str {
        &self.run
    }

    fn to_text(&self) -> String {
        let Lease { run, host, machine, boot, pids, process, started } = self;
        format!(
            "{MAGIC}\nrun = {run}\nhost = {host}\nmachine = {machine}\nboot = {boot}\npids = {pids}\n\
             process = {process}\nstarted = {started}\n"
        )
    }

    /// `None`: no lease of ours.
    pub fn parse(text: &str) -> Option<Lease> {
        let mut lines = text.lines();
        if lines.next()? != MAGIC {
            return None;
        }
        let mut lease = Lease::default();
        for (key, value) in lines.filter_map(|line| line.split_once(" = ")) {
            let field = match key {
                "run" => &mut lease.run,
                "host" => &mut lease.host,
                "machine" => &mut lease.machine,
                "boot" => &mut lease.boot,
                "pids" => &mut lease.pids,
                "process" => &mut lease.process,
                "started" => &mut lease.started,
                _ => continue,
            };
            value.clone_into(field);
        }
        Some(lease)
    }

    /// Whether its run has ended, as far as this machine can tell; `None` where it can't.
    fn has_ended(&self) -> Option<bool> {
        let here = Lease::here();
        if !self.boot.is_empty() && self.boot == here.boot {
            if self.pids.is_empty() || self.pids != here.pids {
                return None;
            }
            if self.process == here.process && self.started == here.started {
                return Some(!live().contains(&self.run));
            }
            return Some(!is_alive(&self.process, &self.started));
        }
        // The same machine, started anew since.
        let same = !self.machine.is_empty() && self.machine == here.machine && self.host == here.host;
        (same && !self.boot.is_empty() && !here.boot.is_empty()).then_some(true)
    }
}

/// A lease that lies at a destination.
#[derive(Debug)]
pub(super) struct Found {
    /// `None`: it has no text yet. One that we may not read says nothing.
    pub lease: Option<Lease>,
    /// Since anything of that run has changed there.
    pub age: Duration,
}

impl Found {
    /// Whether what lies beside it may be taken over.
    pub fn is_over(&self) -> bool {
        match &self.lease {
            Some(lease) => lease.has_ended().unwrap_or(self.age > STALE),
            None => self.age > STALE_EMPTY,
        }
    }

    /// Another run is writing `name` at `place`.
    pub fn refusal(&self, name: &str, place: &str) -> Error {
        let who = match &self.lease {
            Some(lease) if !lease.process.is_empty() => {
                format!(" (process {} on {})", lease.process, lease.host)
            }
            _ => String::new(),
        };
        Error::new(Code::Locked, format!("another run of bam is writing {name} at {place}{who}")).hint(format!(
            "wait until it is done; of a run elsewhere that was killed, what it left is taken over after {} hours",
            STALE.as_secs() / 3600
        ))
        .of_a_name()
    }
}

/// A file `file` lies at `place` where we would write, and nothing says that bam made it.
pub(super) fn in_the_way(file: &str, place: &str) -> Error {
    Error::new(Code::Destination, format!("{file} at {place} is in the way, and not known to be bam's"))
        .hint("look at it, and remove or rename it")
        .of_a_name()
}

/// When a process began; `None` where we can't see it.
fn started(process: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // proc(5): the name, field 2, may hold anything; field 22 is the start.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(19).map(str::to_owned)
}

fn is_alive(process: &str, began: &str) -> bool {
    let Ok(number) = process.parse::<u32>() else { return true };
    let Some(pid) = i32::try_from(number).ok().and_then(rustix::process::Pid::from_raw) else { return false };
    if rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH) {
        return false;
    }
    // Others' processes may be hidden from us.
    began.is_empty() || started(number).is_none_or(|now| now == began)
}

/// This machine's name, as the policy's "distinct hosts" counts it.
pub(super) fn this_host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(lease: Lease, hours: u64) -> Found {
        Found { lease: Some(lease), age: Duration::from_secs(hours * 3600) }
    }

    #[test]
    fn a_lease_survives_its_text_and_nothing_else_is_one() {
        let held = Held::new();
        let lease = Lease::parse(&held.text()).expect("a lease");
        assert!(held.is(&lease) && !Held::new().is(&lease));
        assert_eq!(Lease::parse(&lease.to_text()), Some(lease));
        for other in ["", "bam-lease", "process = 1\n", "[lease]\n"] {
            assert_eq!(Lease::parse(other), None);
        }
    }

    #[test]
    fn a_run_of_this_machine_is_over_when_its_process_is() {
        let held = Held::new();
        let lease = Lease::parse(&held.text()).expect("a lease");
        assert!(!found(lease.clone(), 1000).is_over(), "however old");
        drop(held);
        assert!(found(lease.clone(), 0).is_over(), "this process has ended that one");
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("a process");
        let theirs = Lease {
            process: child.id().to_string(),
            started: started(child.id()).expect("its start"),
            ..lease.clone()
        };
        assert!(!found(theirs.clone(), 1000).is_over());
        let reused = Lease { started: "1".into(), ..theirs.clone() };
        assert!(found(reused, 0).is_over(), "another process has that number now");
        child.kill().and_then(|()| child.wait()).expect("ended");
        assert!(found(theirs, 0).is_over());
        let before_the_restart = Lease { boot: "another".into(), ..lease };
        assert!(found(before_the_restart, 0).is_over());
    }

    #[test]
    fn of_a_run_elsewhere_only_its_age_tells() {
        let elsewhere =
            Lease { host: "other".into(), boot: "b".into(), process: "1".into(), ..Lease::default() };
        assert!(!found(elsewhere.clone(), 23).is_over() && found(elsewhere.clone(), 25).is_over());
        let here = Lease::here();
        let container = Lease { boot: here.boot, pids: "pid:[1]".into(), process: "1".into(), ..elsewhere };
        assert!(!found(container.clone(), 23).is_over() && found(container, 25).is_over());
        let empty = |minutes: u64| Found { lease: None, age: Duration::from_secs(minutes * 60) };
        assert!(!empty(9).is_over() && empty(11).is_over());
    }
}
