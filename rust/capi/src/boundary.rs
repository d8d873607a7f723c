//! The one place where a Rust result, or a panic, becomes a status.

use crate::failure::{Failure, bam_status, remember};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `body`. A failure is kept for `bam_last_error`; a panic stops here instead of crossing into C.
///
/// `AssertUnwindSafe`: what a body can leave half-changed is behind a mutex (a poisoned one is an error of its own)
/// or an out-parameter that C may not read after a failure.
pub fn run(body: impl FnOnce() -> Result<(), Failure>) -> bam_status {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => bam_status::Ok,
        Ok(Err(failure)) => remember(failure),
        Err(_) => remember(Failure::Panic),
    }
}

/// The same for functions that return nothing: there is nobody to tell, so a panic just ends here.
pub fn swallow(body: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(body));
}
