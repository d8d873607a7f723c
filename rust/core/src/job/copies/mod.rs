//! Copies: what happens to backups once they exist. Missing copies are made good (`replicate`, and `mend` for sidecars), old backups go (`prune`),
//! one goes because somebody says so (`remove`; `half`: what went only half), one is taken to a disk or brought in from one (`export`, with the
//! instructions beside it from `instructions`, the program from `portable`, and `exports` for which disk has what), all are
//! encrypted anew (`rekey`), one
//! is read as it lies (`raw`).

pub(super) mod export;
pub(super) mod exports;
mod half;
mod instructions;
mod mend;
mod portable;
pub(super) mod prune;
pub mod raw;
pub(super) mod rekey;
pub(super) mod remove;
pub(super) mod replicate;
