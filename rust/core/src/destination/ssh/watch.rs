//! What ends a wait for a server: the job is cancelled, or the answer takes longer, or more memory, than any good one would.
//!
//! libssh2 looks at none of these while bytes come in, and keeps whatever it is sent until somebody asks for it. A thread beside each connection
//! does, and shuts the socket, which makes whatever waits on it fail at once.

use crate::monitor::TICK;
use crate::sync::{Condvar, Mutex, MutexGuard};
use crate::{Cancel, Code, Error, Result, threads};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

#[derive(Debug, Default)]
struct WatchState {
    /// When the answer that is waited for is too late, and how long it may take.
    until: Option<(Instant, Duration)>,
    over: bool,
    why: Option<Why>,
}

/// Why a connection was shut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Cancelled,
    TooLong(Duration),
    TooMuch,
}

/// How much the process may grow while it waits for one answer, in bytes. Others grow meanwhile, too: the blocks that are compressed, copies for
/// other places, and what the program does that bam is a library of. A good backup must not fail for it.
const GROWTH: u64 = 96 << 20;

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<WatchState>,
    changed: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, WatchState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Watches one connection until it is dropped.
#[derive(Debug)]
pub(crate) struct Watch(Arc<Shared>);

impl Watch {
    /// Shuts `socket` when the job is cancelled, and when what [`Watch::at_most`] allows has passed.
    pub fn start(socket: &TcpStream, cancel: &Cancel) -> Result<Watch> {
        let shared = Arc::<Shared>::default();
        let (theirs, socket, cancel) = (Arc::clone(&shared), socket.try_clone()?, cancel.clone());
        threads::spawn("bam-watch", move || {
            watch(&theirs, || drop(socket.shutdown(Shutdown::Both)), &cancel)
        })?;
        Ok(Watch(shared))
    }

    /// Gives what follows so much time, in all; until the result is dropped. The innermost counts.
    pub fn at_most(&self, time: Duration) -> Allowed<'_> {
        let until = Instant::now().checked_add(time).map(|until| (until, time));
        Allowed { watch: self, before: std::mem::replace(&mut self.0.state().until, until) }
    }

    /// Why the connection was shut, if it was, and whether another try may fare better; `host` is the server.
    pub fn why(&self, host: &str) -> Option<(Error, bool)> {
        let why = self.0.state().why?;
        let error = match why {
            Why::Cancelled => Error::new(Code::Cancelled, "cancelled"),
            Why::TooMuch => Error::new(Code::Destination, format!("{host}: its answer has no end"))
                .hint("it is no server to keep backups at: see what it is"),
            Why::TooLong(time) => {
                let seconds = time.as_secs_f64().ceil();
                Error::new(Code::Destination, format!("{host}: no end of its answer in {seconds} seconds"))
                    .hint("look at the server and the line to it; a larger `timeout` waits longer")
            }
        };
        Some((error, matches!(why, Why::TooLong(_))))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.state().over = true;
        self.0.changed.notify_all();
    }
}

/// Time for something: see [`Watch::at_most`].
#[derive(Debug)]
pub(crate) struct Allowed<'a> {
    watch: &'a Watch,
    before: Option<(Instant, Duration)>,
}

impl Drop for Allowed<'_> {
    fn drop(&mut self) {
        self.watch.0.state().until = self.before;
    }
}

fn watch(shared: &Shared, shut: impl FnOnce(), cancel: &Cancel) {
    let mut state = shared.state();
    // What is waited for, and how large the process was when that was seen first.
    let mut before: Option<(Instant, u64)> = None;
    while !state.over {
        let (waited_for, size) = (state.until.map(|(until, _)| until), memory());
        if before.map(|(until, _)| until) != waited_for {
            before = waited_for.map(|until| (until, size));
        }
        let grown = before.filter(|(_, before)| size.saturating_sub(*before) > GROWTH).map(|_| Why::TooMuch);
        let late =
            state.until.filter(|(until, _)| Instant::now() >= *until).map(|(_, time)| Why::TooLong(time));
        let why = if cancel.check().is_err() { Some(Why::Cancelled) } else { grown.or(late) };
        if why.is_some() {
            state.why = why;
            return shut();
        }
        state = shared.changed.wait_timeout(state, TICK).unwrap_or_else(PoisonError::into_inner).0;
    }
}

/// Bytes of memory that this process has filled (proc(5), RssAnon); 0 where that is not told.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|rest| rest.trim().trim_end_matches("kB").trim_end().parse::<u64>().ok());
    kib.unwrap_or_default().saturating_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let near = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
        (near, listener.accept().expect("accepted").0)
    }

    #[test]
    fn a_wait_ends_when_the_job_is_cancelled() {
        let (mut near, _far) = pair();
        let monitor = crate::Monitor::new();
        let watch = Watch::start(&near, &monitor.flag()).expect("watched");
        assert!(watch.why("h").is_none());
        monitor.cancel();
        assert_eq!(near.read(&mut [0]).expect("shut"), 0);
        assert_eq!(watch.why("h").map(|(error, _)| error.code()), Some(Code::Cancelled));
    }

    #[test]
    fn a_flood_ends_when_its_time_is_over() {
        let (mut near, mut far) = pair();
        let flood = std::thread::spawn(move || while far.write_all(&[7; 4096]).is_ok() {});
        let watch = Watch::start(&near, &Cancel::default()).expect("watched");
        drop(watch.at_most(Duration::ZERO));
        let _allowed = watch.at_most(Duration::from_millis(300));
        let mut block = [0; 4096];
        while near.read(&mut block).is_ok_and(|read| read > 0) {}
        drop(near);
        flood.join().expect("ended");
        let (why, again) = watch.why("h").expect("shut");
        assert!(again && why.message().starts_with("h: no end of its answer in 1 seconds"), "{why}");
    }

    #[test]
    fn an_answer_that_fills_memory_is_not_waited_for() {
        let (mut near, _far) = pair();
        let watch = Watch::start(&near, &Cancel::default()).expect("watched");
        let _allowed = watch.at_most(Duration::from_secs(300));
        let mut kept: Vec<Vec<u8>> = Vec::new();
        // Until the socket is shut.
        near.set_read_timeout(Some(Duration::from_millis(50))).expect("set");
        while near.read(&mut [0]).is_err() {
            assert!(kept.len() < 100, "never shut");
            kept.push(vec![7; 8 << 20]);
        }
        let (why, again) = watch.why("h").expect("shut");
        assert!(!again && why.message().contains("no end"), "{why}");
    }
}

#[cfg(all(test, feature = "shuttle"))]
#[path = "watch_model.rs"]
mod model;
