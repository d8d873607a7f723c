//! Tables that could not be read, or not to their end, when a dump was made: what is said of them when it comes back.

use crate::config::{names_table, show_table};
use crate::{Code, Error, Monitor, NoteKind, Result};

/// The live one stays.
pub fn tell_kept(table: &str, monitor: &Monitor) {
    let text = format!(
        "table {} could not be read, or not to its end, when the backup was made: the one that is there stays as it is",
        show_table(table)
    );
    monitor.note(NoteKind::Missing, text);
}

/// It is only looked at.
pub fn tell_listed(table: &str, monitor: &Monitor) {
    let text =
        format!("table {} could not be read, or not to its end, when the backup was made", show_table(table));
    monitor.note(NoteKind::Warning, text);
}

/// There is no better one.
pub fn tell_taken(table: &str, monitor: &Monitor) {
    let text = format!(
        "table {} could not be read to its end when the backup was made: it gets the rows that were read",
        show_table(table)
    );
    monitor.note(NoteKind::Missing, text);
}

/// Fails where one of the tables that were `asked` for by their names, at a site with this prefix, is one of `unread` and
/// not among those that come.
pub fn check_asked<'n>(
    asked: &[String],
    unread: &[String],
    comes: impl Iterator<Item = &'n str> + Clone,
    prefix: &str,
) -> Result<()> {
    let by_name: Vec<String> = asked.iter().filter(|entry| !entry.ends_with('*')).cloned().collect();
    let is_asked = |table: &str| {
        names_table(&by_name, table, prefix) || names_table(&by_name, &format!("{prefix}{table}"), "")
    };
    let lacks = |table: &&String| is_asked(table) && !comes.clone().any(|comes| comes == table.as_str());
    match unread.iter().find(lacks) {
        None => Ok(()),
        Some(table) => {
            let text = format!(
                "table {} could not be read, or not to its end, when the backup was made: it is not restored",
                show_table(table)
            );
            Err(Error::new(Code::NotFound, text).hint(
                "take it from an older backup, and leave it out here; what this backup has of it, if anything, \
                 --into-database puts into another database",
            ))
        }
    }
}
