//! Who sends which part of a file: stripes, dealt to the lanes of one or more connections.

use crate::destination::follow::{Available, Follow};
use crate::{Monitor, Result};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Bytes that a lane takes in turn. At its end a lane waits for the last answer, as libssh2 cannot seek before.
pub(crate) const STRIPE: u64 = 4 << 20;
/// Bytes of one lane on their way without an answer: somewhat more than an OpenSSH server takes at a time.
pub(crate) const WINDOW: usize = 5 << 19;
/// So far the next stripe may begin behind the first byte that the server lacks.
const AHEAD: u64 = 4 * STRIPE;
/// How far apart the first byte that the server lacks and the last one that it has can be.
pub(crate) const SPREAD: u64 = AHEAD + STRIPE;

#[derive(Debug)]
struct State {
    next: u64,
    /// Of each connection the first byte that it took and has no answer for.
    open: Vec<Option<u64>>,
    /// The connection that gets all further stripes.
    only: Option<usize>,
    over: bool,
    failed: bool,
}

impl State {
    /// Up to where the server has all bytes.
    fn whole(&self) -> u64 {
        self.open.iter().flatten().copied().min().unwrap_or(self.next).min(self.next)
    }
}

/// The stripes of one file.
#[derive(Debug)]
pub(crate) struct Deal {
    state: Mutex<State>,
    changed: Condvar,
}

impl Deal {
    /// Deals what comes from byte `from` on.
    pub fn new(from: u64) -> Deal {
        let state = State { next: from, open: Vec::new(), only: None, over: false, failed: false };
        Deal { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A seat for one more connection.
    pub fn join(&self) -> usize {
        let mut state = self.state();
        state.open.push(None);
        state.open.len() - 1
    }

    /// The same, and from now on nobody else gets any stripe.
    pub fn join_alone(&self) -> usize {
        let seat = self.join();
        self.state().only = Some(seat);
        seat
    }

    /// The only one leaves; the others send again what the server may lack of what it took.
    pub fn give_back(&self, seat: usize) {
        let mut state = self.state();
        if let Some(from) = state.open.get_mut(seat).and_then(Option::take) {
            // Nobody else got any since.
            state.next = from;
        }
        state.only = None;
        self.changed.notify_all();
    }

    /// The start of the next stripe, if it begins among the `available` bytes and no lane is too far behind.
    pub fn take(&self, seat: usize, available: u64) -> Option<u64> {
        let mut state = self.state();
        let from = state.next;
        if state.only.is_some_and(|only| only != seat) || from >= available || from - state.whole() >= AHEAD {
            return None;
        }
        state.next += STRIPE;
        if let Some(open) = state.open.get_mut(seat) {
            *open = Some(open.map_or(from, |open| open.min(from)));
        }
        Some(from)
    }

    /// A connection tells the first byte that it has no answer for; returns up to where the server has all bytes.
    pub fn tell(&self, seat: usize, first: Option<u64>) -> u64 {
        let mut state = self.state();
        if let Some(open) = state.open.get_mut(seat)
            && *open != first
        {
            *open = first;
            self.changed.notify_all();
        }
        state.whole()
    }

    /// Up to where the server has all bytes.
    pub fn whole(&self) -> u64 {
        self.state().whole()
    }

    /// Waits a moment for the others.
    pub fn wait(&self, patience: Duration) {
        let _ = self.changed.wait_timeout(self.state(), patience);
    }

    /// For a connection with nothing on its way: waits for the others' answers, or for more of the file.
    pub fn rest(&self, file: &Follow, available: Available, whole: u64, monitor: &Monitor) -> Result<()> {
        match available.finished || whole < available.bytes {
            true => self.wait(Duration::from_millis(50)),
            false => drop(file.wait(available.bytes, Duration::from_secs(1), monitor)?),
        }
        Ok(())
    }

    /// Says that nothing more is to be sent, or can be.
    pub fn end(&self) {
        self.state().over = true;
        self.changed.notify_all();
    }

    /// Whether [`Deal::end`] was called.
    pub fn is_over(&self) -> bool {
        self.state().over
    }

    /// A connection that is lost: what it took is lost with it.
    pub fn leave(&self, seat: usize) {
        let mut state = self.state();
        state.failed |= state.open.get(seat).is_some_and(Option::is_some);
        self.changed.notify_all();
    }

    /// Whether a connection was lost with something that only it had.
    pub fn has_failed(&self) -> bool {
        self.state().failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_has_is_whole_up_to_the_slowest() {
        let deal = Deal::new(7);
        let (one, two) = (deal.join(), deal.join());
        assert_eq!(deal.take(one, 7), None, "nothing is there yet");
        assert_eq!((deal.take(one, 8), deal.take(two, u64::MAX)), (Some(7), Some(7 + STRIPE)));
        assert_eq!(deal.tell(two, None), 7, "the first stripe is not answered");
        assert_eq!(deal.tell(one, Some(9)), 9);
        while let Some(start) = deal.take(two, u64::MAX) {
            assert!(start + STRIPE - 9 <= SPREAD, "no hole is further back than a resumed upload looks");
            deal.tell(two, None);
        }
        assert_eq!(deal.tell(one, None), deal.state().next);
    }

    #[test]
    fn what_the_only_one_gives_back_is_dealt_again() {
        let deal = Deal::new(0);
        let one = deal.join();
        assert_eq!(deal.take(one, u64::MAX), Some(0));
        let only = deal.join_alone();
        assert_eq!((deal.take(one, u64::MAX), deal.take(only, u64::MAX)), (None, Some(STRIPE)));
        assert_eq!(deal.take(only, u64::MAX), Some(2 * STRIPE));
        assert_eq!(deal.tell(only, Some(STRIPE + 9)), 0);
        deal.give_back(only);
        assert_eq!((deal.tell(one, None), deal.has_failed()), (STRIPE + 9, false));
        assert_eq!(deal.take(one, u64::MAX), Some(STRIPE + 9));
    }

    #[test]
    fn a_lost_connection_matters_only_with_something_in_hand() {
        let deal = Deal::new(0);
        let (one, two) = (deal.join(), deal.join());
        deal.leave(two);
        assert!(!deal.has_failed());
        deal.take(one, 1);
        deal.leave(one);
        assert!(deal.has_failed());
    }
}
