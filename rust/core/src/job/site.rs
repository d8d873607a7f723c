//! The site's own part in a job: maintenance mode, its caches, and whether it starts. Only Drupal can change its variables
//! without its caches contradicting it, so these are words to a program, `site.maintenance_command` of the document
//! (php-shim's `bam-maintenance`).

use crate::config::Document;
use crate::source::tool;
use crate::{Code, Error, Monitor, NoteKind, Result};
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;

/// Whether the site can be asked at all.
pub fn answers(document: &Document) -> bool {
    !document.site.maintenance_command.is_empty()
}

/// Puts the site into maintenance mode for this process; `message` is what visitors read, empty for the site's own.
/// `false`: it was in it already, and stays in it. Should this process be killed before [`online`], the record that the
/// program keeps lets whoever looks next take it back: [`repair`]; of a restore only when its `journal` does not say that
/// the site is half restored.
pub fn offline(
    document: &Document,
    message: &str,
    journal: Option<&Path>,
    monitor: &Monitor,
) -> Result<bool> {
    let pid = std::process::id().to_string();
    let journal = journal.map(|path| path.to_string_lossy().into_owned());
    let words: Vec<&str> = ["begin", &pid].into_iter().chain(journal.as_deref()).collect();
    match ask(document, &words, message, monitor) {
        Ok(said) => Ok(said == "taken"),
        Err(error) => {
            // It may have been done, and only the answer lost, or a cancel came first; what somebody else did stays.
            let _ = ask(document, &["end", &pid], "", &Monitor::new());
            Err(error)
        }
    }
}

/// Takes back what [`offline`] did.
pub fn online(document: &Document) -> Result<()> {
    ask(document, &["end"], "", &Monitor::new()).map(drop)
}

/// Puts the site back online where the process that put it into maintenance mode is gone; whether that was so.
pub fn repair(document: &Document, monitor: &Monitor) -> Result<bool> {
    Ok(ask(document, &["repair"], "", monitor)? == "repaired")
}

/// Puts the site back online where a killed run left it in maintenance mode, and says so.
pub fn bring_back(document: &Document, monitor: &Monitor) {
    if !answers(document) {
        return;
    }
    match repair(document, monitor) {
        Ok(true) => monitor.note(
            NoteKind::Warning,
            "the site was still in maintenance mode from a run that was killed; it is online again",
        ),
        Ok(false) => {}
        Err(error) => monitor.note(
            NoteKind::Info,
            format!("whether the site hangs in maintenance mode cannot be seen: {error}"),
        ),
    }
}

/// Starts the site as a page request would, and empties its caches; an error says why it does not start. Where it
/// stumbles over files that are not where its database says, it is made to look for them.
pub fn refresh(document: &Document, monitor: &Monitor) -> Result<()> {
    let starts = || match ask(document, &["refresh"], "", monitor)? {
        said if said.lines().next_back() == Some("works") => Ok(()),
        said => Err(Error::new(Code::Config, last_lines(&said))),
    };
    match starts() {
        Err(error) if error.code() != Code::Cancelled => {
            // Where this fails, too, the first error is the better one.
            match ask(document, &["rebuild"], "", monitor) {
                Ok(_) => starts(),
                Err(_) => Err(error),
            }
        }
        done => done,
    }
}

/// Runs the program and gives what it prints.
fn ask(document: &Document, words: &[&str], input: &str, monitor: &Monitor) -> Result<String> {
    let failed = |cause| {
        Error::new(Code::Config, "cannot run the program that asks the site (site.maintenance_command)")
            .because(cause)
    };
    let Some((program, arguments)) = document.site.maintenance_command.split_first() else {
        return Err(Error::new(
            Code::Config,
            "there is no program to ask the site (site.maintenance_command)",
        ));
    };
    let mut command = tool::command(program, &[]);
    // Ctrl-C is for us alone: what we began we end.
    command.args(arguments).args(words).process_group(0);
    let mut tool = tool::spawn(command, &[], Stdio::piped(), Stdio::piped()).map_err(failed)?;
    // A program that ended without reading says why on its standard error.
    let _ = tool.input(monitor).and_then(|mut stdin| stdin.write_all(input.as_bytes()));
    let mut printed = Vec::new();
    tool.output(monitor, None).and_then(|mut stdout| stdout.read_to_end(&mut printed))?;
    let (status, complaint) = tool.wait()?;
    let printed = String::from_utf8_lossy(&printed).trim().to_owned();
    if status.success() {
        return Ok(printed);
    }
    let why = match complaint.trim() {
        "" => printed,
        said => said.trim_start_matches("bam-maintenance: ").to_owned(),
    };
    Err(Error::new(Code::Config, last_lines(&why)))
}

/// The end of what a program said, where the reason is.
fn last_lines(said: &str) -> String {
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    match lines.get(lines.len().saturating_sub(3)..).unwrap_or_default() {
        [] => "it stopped without a word".into(),
        last => last.join("; "),
    }
}
