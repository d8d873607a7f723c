//! The engine from outside, by what it offers its users. One program, for each has to be linked with all the crates there are.
//! A test that cannot run here prints `SKIP name: reason` on a line of its own.

#![allow(clippy::disallowed_methods, reason = "tests let nothing fail to close")]

mod common;
mod destinations;
mod files;
mod flips;
mod mariadb;
mod mariadb_errors;
mod mariadb_odd;
mod mariadb_parallel;
mod mariadb_restore;
mod properties;
mod schedules;
mod sqlite;
