//! `libbam.so`: the engine behind a C interface. The rules for callers stand at the top of `include/bam.h`.
//!
//! One module per noun of that interface. Each exported function is one call of [`boundary::run`], which turns
//! errors and panics into a status; pointers are checked by the few functions of [`pointer`]. This crate parses and
//! passes on; it decides nothing.
//!
//! C's names are written as C writes them.
#![allow(non_camel_case_types)]
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "a thread that is refused ends the test"))]

mod archive;
mod boundary;
mod config;
mod encrypt;
mod error;
mod failure;
mod job;
mod key;
mod pointer;
#[cfg(test)]
mod tests;
mod text;
mod transfer;
mod version;
