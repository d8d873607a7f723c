//! How much a database server may answer to a question about itself. Rows of tables are no such answers.

use crate::{Code, Error, Result};

/// What an answer may take in memory: the facts of some 20 000 tables.
pub(crate) const MOST: usize = 16 << 20;
/// What a value takes besides its bytes, and so does a row.
const VALUE: usize = 64;
/// What passes by, and is not kept, may be so much longer.
const PASSING: usize = 64;

/// What is left of it.
#[derive(Debug)]
pub(crate) struct Allowance(usize);

impl Allowance {
    /// For an answer that is kept.
    pub(crate) fn kept() -> Allowance {
        Allowance(MOST)
    }

    /// For an answer of which each row is looked at and forgotten.
    pub(crate) fn passing() -> Allowance {
        Allowance(MOST * PASSING)
    }

    /// A row of so many values came, of so many bytes together; fails where nobody would answer so much.
    pub(crate) fn take(&mut self, values: usize, bytes: usize) -> Result<()> {
        self.0 = self
            .0
            .checked_sub(bytes.saturating_add((values + 1).saturating_mul(VALUE)))
            .ok_or_else(too_long)?;
        Ok(())
    }
}

/// A server that answers without end.
pub(crate) fn too_long() -> Error {
    Error::new(
        Code::Database,
        "the database server answers a question about itself with more than any server has to tell",
    )
    .hint("check that the host and the port are those of the site's database server")
}
