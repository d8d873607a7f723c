//! Plain SQL dumps as text: cutting them into statements, and telling what a statement does to what.
//!
//! Knows MySQL's and MariaDB's lexical rules (<https://mariadb.com/kb/en/sql-language-structure/>), nothing of servers.

mod conditional;
mod modes;
mod needs;
mod prefix;
mod reach;
mod rows;
mod splitter;
#[cfg(test)]
mod splitter_reference;
mod statement;
mod syntax;
mod tokens;
mod unicode;

pub(crate) use conditional::{Server, is_for_others, with_known_modes};
pub(crate) use needs::{Needs, Numbering, column_list, numbering};
pub(crate) use prefix::{renamed, with_prefix};
pub(crate) use reach::check as check_reach;
pub(crate) use rows::{for_each_row, rows};
pub(crate) use splitter::{Found, Item, Splitter};
pub(crate) use statement::{
    Kind, Statement, definer_of, has_word, names_any, names_in, trigger_table, used_database,
    without_database, without_definer, without_directories, without_schema,
};
pub(crate) use syntax::{Charset, Syntax};
pub(crate) use unicode::Utf8;

/// A dump without one: restoring it would leave nothing of a database.
pub(crate) fn no_statement() -> crate::Error {
    crate::Error::new(crate::Code::Integrity, "the SQL dump is empty: it makes nothing")
        .hint("use another copy or an older backup")
}
