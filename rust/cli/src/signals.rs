//! Ctrl-C, SIGTERM and SIGHUP: they cancel what runs and let it clean up; where nothing has to be cleaned up they end
//! the program. Any more of them change nothing.

use bam::{Code, Error, Monitor, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The exit code of a cancelled run: 128 + SIGINT, whichever signal it was.
const CANCELLED: i32 = 130;

#[derive(Default)]
struct SignalState {
    watching: bool,
    stopped: bool,
    holds: usize,
    running: Option<Arc<Monitor>>,
}

static STATE: Mutex<SignalState> =
    Mutex::new(SignalState { watching: false, stopped: false, holds: 0, running: None });

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
            std::thread::Builder::new()
                .name("bam-signals".into())
                .spawn(move || signals.forever().for_each(|_| arrived()))
                .map_err(|cause| Error::new(Code::Io, "cannot start a thread").because(cause))?;
            state.watching = true;
        }
        state.holds += 1;
        Ok(Hold(()))
    }

    /// Lets signals cancel this work; one that has arrived already does so now.
    pub fn cancels(&self, monitor: Arc<Monitor>) {
        let mut state = state();
        if state.stopped {
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
    if state.holds == 0 {
        std::process::exit(CANCELLED);
    }
    state.stopped = true;
    if let Some(monitor) = &state.running {
        monitor.cancel();
    }
}
