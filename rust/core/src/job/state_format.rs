//! What the files of a state folder are written as. A version that writes one of them so that older ones would misread it counts
//! [`NEWEST`] up and from then on keeps `format.json` beside them: `{"format": 2, "bam": "0.3.0"}`. Without it, it is 1.

use crate::{Code, Error, Result};
use serde_json::{Map, Value};
use std::path::Path;

/// Where it stands.
pub const FILE: &str = "format.json";
/// The format that this version writes, and the newest that it reads.
const NEWEST: u64 = 1;

/// Refuses what a newer version remembers, as its [`FILE`] has it, in a way that this one does not know: it would run schedules twice, or take a restore
/// back that is over.
///
/// # Errors
/// [`Code::Unsupported`].
pub fn check(state_dir: &Path, told: &Map<String, Value>) -> Result<()> {
    match told.get("format").and_then(Value::as_u64) {
        Some(format) if format > NEWEST => {
            let maker = told.get("bam").and_then(Value::as_str).unwrap_or("of a later version");
            Err(Error::new(
                Code::Unsupported,
                format!(
                    "the state folder {} is too new: its format is {format}, and this bam ({}) knows those up to {NEWEST}",
                    state_dir.display(),
                    env!("CARGO_PKG_VERSION"),
                ),
            )
            .hint(format!("bam {maker} works on this site: install that or a later one")))
        }
        _ => Ok(()),
    }
}
