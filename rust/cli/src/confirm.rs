//! Asking before something is done that cannot be undone, and saying what it would be done to.

use crate::print::{Output, confirm, date};
use crate::signals::Hold;
use crate::work::can_ask;
use bam::config::Document;
use bam::job;
use bam::{Code, Error, Monitor, NoteKind, Result};

/// Asks; without a terminal `--yes` has to stand in for the answer.
pub fn ask(question: &str, verb: &str) -> Result<()> {
    if !can_ask() {
        return Err(Error::new(
            Code::Usage,
            format!("{verb} wants a confirmation, and there is no terminal to ask on"),
        )
        .hint(format!("say `bam {verb} … --yes`")));
    }
    if confirm(question)? {
        return Ok(());
    }
    Err(Error::new(Code::Cancelled, "not confirmed; nothing was changed"))
}

/// A backup that is meant.
pub struct Meant {
    /// What names it from now on.
    pub name: String,
    /// In words.
    pub what: String,
    /// Something was missing where it was looked for: 3, else 0.
    pub exit_code: u8,
}

/// The backup that is meant.
pub fn describe(document: &Document, asked: &job::Restore, output: &Output) -> Result<Meant> {
    let _hold = Hold::begin()?;
    let meant = job::meant(document, asked, &Monitor::new())?;
    output.notes(&serde_json::json!(meant.notes));
    let backup = &meant.backup;
    let whose = match &meant.other_site {
        Some(site) => format!(" of ANOTHER SITE, {site},"),
        None => String::new(),
    };
    let source = backup.about.source.as_deref().unwrap_or("an unknown source");
    let made = date(i64::try_from(backup.time).unwrap_or_default());
    // The number is what was printed; where it is ambiguous, only the file's name got us here.
    let name = match asked.id.as_deref() == Some(&*backup.file) {
        true => backup.file.to_string(),
        false => backup.id.to_string(),
    };
    let what = format!("backup {} of {source}{whose} from {made} ({})", backup.id, backup.file);
    let is_gap = meant.notes.iter().any(|note| note.kind == NoteKind::Missing);
    Ok(Meant { name, what, exit_code: if is_gap { Code::Partial.exit_code() } else { 0 } })
}
