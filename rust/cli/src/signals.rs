//! Ctrl-C, SIGTERM and SIGHUP: they cancel what runs and let it clean up; where nothing has to be cleaned up they end
//! the program. Any more of them change nothing for [`PATIENCE`]; after that the next ends the program as a kill would, for
//! work that waits for what never answers (a file system that hangs, a pipe that nobody writes to).

use bam::{Code, Error, Monitor, Result, threads};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;
use std::io::Write;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The exit code of a cancelled run: 128 + SIGINT, whichever signal it was.
const CANCELLED: i32 = 130;

/// How long cancelled work has to clean up before another signal ends it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Lets a write beyond the limit of a file's size (`ulimit -f`) fail, which is told as any other, where it would end the
/// program without a word. Programs that we start have the signal as it was.
pub fn outlive_file_limit() {
    // Where that is refused, it ends it.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
}

struct SignalState {
    watching: bool,
    /// When the first signal came.
    stopped: Option<Instant>,
    holds: usize,
    running: Option<Arc<Monitor>>,
}

static STATE: Mutex<SignalState> =
    Mutex::new(SignalState { watching: false, stopped: None, holds: 0, running: None });

fn state() -> MutexGuard<'static, SignalState> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// While it lives, a signal does not end the program.
pub struct Hold(());

impl Hold {
    /// From here on something has to be cleaned up.
    pub fn begin() -> Result<Hold> {
        let mut state = state();
        if !state.watching {
            let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])
                .map_err(|cause| Error::new(Code::Internal, "cannot watch for signals").because(cause))?;
            threads::spawn("bam-signals", move || signals.forever().for_each(|_| arrived()))?;
            state.watching = true;
        }
        state.holds += 1;
        Ok(Hold(()))
    }

    /// Lets signals cancel this work; one that has arrived already does so now.
    pub fn cancels(&self, monitor: Arc<Monitor>) {
        let mut state = state();
        if state.stopped.is_some() {
            monitor.cancel();
        }
        state.running = Some(monitor);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut state = state();
        state.holds = state.holds.saturating_sub(1);
        state.running = None;
    }
}

fn arrived() {
    let mut state = state();
    if state.holds == 0 || state.stopped.is_some_and(|first| first.elapsed() >= PATIENCE) {
        std::process::exit(CANCELLED);
    }
    if state.stopped.is_none() {
        state.stopped = Some(Instant::now());
        // Without a thread for it nobody is told, and that is all.
        let _ = std::thread::Builder::new().name("bam-patience".into()).spawn(tell_of_another);
    }
    if let Some(monitor) = &state.running {
        monitor.cancel();
    }
}

/// Says, where the work has not ended by then, that another signal does.
fn tell_of_another() {
    std::thread::sleep(PATIENCE);
    if state().holds > 0 {
        let text = "bam: this does not stop at once: it tidies up, or waits for something that does not answer; another \
                    Ctrl-C (or SIGTERM) ends it as a kill would, and the next run tidies up";
        let _ = writeln!(std::io::stderr(), "{text}");
    }
}
