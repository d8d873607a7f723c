//! Plain SQL dumps as text: cutting them into statements, and telling what a statement does to what.
//!
//! Knows MySQL's and MariaDB's lexical rules (<https://mariadb.com/kb/en/sql-language-structure/>), nothing of servers.

mod splitter;
mod statement;

pub(crate) use splitter::{Found, Item, Splitter};
pub(crate) use statement::{Kind, Statement, trigger_table, without_database, without_definer};
