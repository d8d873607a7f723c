//! Which channel of which connection sends what of a file: the file is cut into stripes, and whoever is free takes the next.

use crate::destination::follow::{Available, Follow};
use crate::sync::{Condvar, Mutex, MutexGuard};
use crate::{Monitor, Result};
use std::sync::PoisonError;
use std::time::Duration;

/// Bytes that a channel takes in turn. At its end a channel waits for the last answer, as libssh2 cannot seek before.
pub(crate) const STRIPE: u64 = 4 << 20;
/// Bytes of one channel on their way without an answer: somewhat more than an OpenSSH server takes at a time.
pub(crate) const WINDOW: usize = 5 << 19;
/// So far the next stripe may begin behind the first byte that the server lacks.
const MAX_GAP: u64 = 4 * STRIPE;
/// How far apart the first byte that the server lacks and the last one that it has can be.
pub(crate) const SPREAD: u64 = MAX_GAP + STRIPE;

#[derive(Debug)]
struct StripeState {
    next: u64,
    /// Of each connection the first byte that it took and has no answer for.
    open: Vec<Option<u64>>,
    /// The connection that gets all further stripes.
    only: Option<usize>,
    over: bool,
    failed: bool,
    /// How often something has changed that somebody may wait for.
    changes: u64,
}

impl StripeState {
    /// Up to where the server has all bytes.
    fn whole(&self) -> u64 {
        self.open.iter().flatten().copied().min().unwrap_or(self.next).min(self.next)
    }
}

/// The stripes of one file.
#[derive(Debug)]
pub(crate) struct Stripes {
    state: Mutex<StripeState>,
    changed: Condvar,
}

impl Stripes {
    /// Cuts what comes from byte `from` on.
    pub fn new(from: u64) -> Stripes {
        let state =
            StripeState { next: from, open: Vec::new(), only: None, over: false, failed: false, changes: 0 };
        Stripes { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, StripeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a connection; the number by which it is known here from now on.
    pub fn join(&self) -> usize {
        let mut state = self.state();
        state.open.push(None);
        state.open.len() - 1
    }

    /// Adds a connection, which alone gets all further stripes.
    pub fn join_alone(&self) -> usize {
        let sender = self.join();
        self.state().only = Some(sender);
        sender
    }

    /// The connection that had all stripes leaves; the others send again what the server may lack of those it took.
    pub fn give_back(&self, sender: usize) {
        let mut state = self.state();
        if let Some(from) = state.open.get_mut(sender).and_then(Option::take) {
            // Nobody else got any since.
            state.next = from;
        }
        state.only = None;
        self.change(state);
    }

    /// The start of the next stripe, if it begins among the `available` bytes and no channel is too far behind.
    pub fn take(&self, sender: usize, available: u64) -> Option<u64> {
        let mut state = self.state();
        let from = state.next;
        if state.only.is_some_and(|only| only != sender)
            || from >= available
            || from - state.whole() >= MAX_GAP
        {
            return None;
        }
        state.next += STRIPE;
        if let Some(open) = state.open.get_mut(sender) {
            *open = Some(open.map_or(from, |open| open.min(from)));
        }
        Some(from)
    }

    /// A connection tells the first byte that it has no answer for; returns up to where the server has all bytes.
    pub fn tell(&self, sender: usize, first: Option<u64>) -> u64 {
        let mut state = self.state();
        if let Some(open) = state.open.get_mut(sender)
            && *open != first
        {
            *open = first;
            let whole = state.whole();
            self.change(state);
            return whole;
        }
        state.whole()
    }

    /// Up to where the server has all bytes.
    pub fn whole(&self) -> u64 {
        self.state().whole()
    }

    /// Something is different now.
    fn change(&self, mut state: MutexGuard<'_, StripeState>) {
        state.changes += 1;
        drop(state);
        self.changed.notify_all();
    }

    /// What [`Stripes::wait`] is to be told: asked for before one looks whether there is something to wait for.
    pub fn seen(&self) -> u64 {
        self.state().changes
    }

    /// Waits a moment for the others, unless something has changed since `seen`.
    pub fn wait(&self, seen: u64, patience: Duration) {
        let state = self.state();
        if state.changes == seen {
            let _ = self.changed.wait_timeout(state, patience);
        }
    }

    /// For a connection with nothing on its way: waits for the others' answers, or for more of the file.
    pub fn rest(
        &self,
        seen: u64,
        file: &Follow,
        available: Available,
        whole: u64,
        monitor: &Monitor,
    ) -> Result<()> {
        match available.finished || whole < available.bytes {
            true => self.wait(seen, Duration::from_millis(50)),
            false => drop(file.wait(available.bytes, Duration::from_secs(1), monitor)?),
        }
        Ok(())
    }

    /// Says that nothing more is to be sent, or can be.
    pub fn end(&self) {
        let mut state = self.state();
        state.over = true;
        self.change(state);
    }

    /// Whether [`Stripes::end`] was called.
    pub fn is_over(&self) -> bool {
        self.state().over
    }

    /// A connection that is lost: what it took is lost with it.
    pub fn leave(&self, sender: usize) {
        let mut state = self.state();
        state.failed |= state.open.get(sender).is_some_and(Option::is_some);
        self.change(state);
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
        let stripes = Stripes::new(7);
        let (one, two) = (stripes.join(), stripes.join());
        assert_eq!(stripes.take(one, 7), None, "nothing is there yet");
        assert_eq!((stripes.take(one, 8), stripes.take(two, u64::MAX)), (Some(7), Some(7 + STRIPE)));
        assert_eq!(stripes.tell(two, None), 7, "the first stripe is not answered");
        assert_eq!(stripes.tell(one, Some(9)), 9);
        while let Some(start) = stripes.take(two, u64::MAX) {
            assert!(start + STRIPE - 9 <= SPREAD, "no hole is further back than a resumed upload looks");
            stripes.tell(two, None);
        }
        assert_eq!(stripes.tell(one, None), stripes.state().next);
    }

    #[test]
    fn what_the_only_one_gives_back_is_dealt_again() {
        let stripes = Stripes::new(0);
        let one = stripes.join();
        assert_eq!(stripes.take(one, u64::MAX), Some(0));
        let only = stripes.join_alone();
        assert_eq!((stripes.take(one, u64::MAX), stripes.take(only, u64::MAX)), (None, Some(STRIPE)));
        assert_eq!(stripes.take(only, u64::MAX), Some(2 * STRIPE));
        assert_eq!(stripes.tell(only, Some(STRIPE + 9)), 0);
        stripes.give_back(only);
        assert_eq!((stripes.tell(one, None), stripes.has_failed()), (STRIPE + 9, false));
        assert_eq!(stripes.take(one, u64::MAX), Some(STRIPE + 9));
    }

    #[test]
    fn a_lost_connection_matters_only_with_something_in_hand() {
        let stripes = Stripes::new(0);
        let (one, two) = (stripes.join(), stripes.join());
        stripes.leave(two);
        assert!(!stripes.has_failed());
        stripes.take(one, 1);
        stripes.leave(one);
        assert!(stripes.has_failed());
    }
}

#[cfg(all(test, feature = "shuttle"))]
#[path = "stripes_model.rs"]
mod model;
