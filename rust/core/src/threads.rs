//! Threads that may be refused: `ulimit -u` and a container's `pids.max` are often low, and [`std::thread::spawn`] and
//! [`Scope::spawn`] panic there.

use crate::{Code, Error, Result};
use std::io;
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, JoinHandle, Scope, ScopedJoinHandle, scope};

/// Starts a thread.
///
/// # Errors
///
/// [`Code::Io`] where the system has none left.
pub fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>> {
    Builder::new().name(name.into()).spawn(work).map_err(refused)
}

/// Starts a thread that ends with its scope; errors as [`spawn`].
pub(crate) fn spawn_scoped<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>> {
    Builder::new().name(name.into()).spawn_scoped(scope, work).map_err(refused)
}

/// Works on all items at once, and on those for which there is no thread afterwards, one by one. In the order of the
/// items; an error is the panic of one.
pub(crate) fn at_once<I: Send, T: Send>(
    name: &str,
    items: impl IntoIterator<Item = I>,
    work: impl Fn(I) -> T + Sync,
) -> Vec<std::thread::Result<T>> {
    let items: Vec<_> = items.into_iter().map(|item| Mutex::new(Some(item))).collect();
    // Each item is there when its turn comes: nobody else takes it.
    let one = |item: &Mutex<Option<I>>| {
        let item = item.lock().unwrap_or_else(PoisonError::into_inner).take();
        item.map(&work)
    };
    let one = &one;
    scope(|scope| {
        let threads: Vec<_> =
            items.iter().map(|item| (item, spawn_scoped(scope, name, move || one(item)))).collect();
        let done = threads.into_iter().map(|(item, thread)| match thread {
            Ok(thread) => thread.join(),
            Err(_) => Ok(one(item)),
        });
        done.filter_map(std::thread::Result::transpose).collect()
    })
}

/// What to do where the system starts neither a thread nor a program.
pub(crate) const TOO_MANY: &str = "the user or the machine has too many processes: see `ulimit -u`, in a container its limit of \
                                   processes (pids.max)";

fn refused(cause: io::Error) -> Error {
    Error::new(Code::Io, "cannot start a thread").because(cause).hint(TOO_MANY)
}
