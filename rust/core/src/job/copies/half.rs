//! What could not be erased whole: a destination puts it back where it can, and where it cannot the next run there takes the
//! rest.

use crate::Error;
use crate::destination::Destination;

/// What to say of a backup that is gone from the lists of a place, though erasing it failed; `None`: it is still there, or
/// cannot be looked at.
pub(super) fn erased(place: &dyn Destination, file: &str, error: &Error) -> Option<String> {
    match place.stat(file) {
        Ok(None) => Some(format!(
            "{file} is erased only half at {}, is in no list any more, and the next backup there takes the rest away: {error}",
            place.id()
        )),
        _ => None,
    }
}
