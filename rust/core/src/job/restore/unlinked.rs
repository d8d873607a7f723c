//! What a restore says of the links that it met where the backup, which had followed them, has a folder or a file.

use super::behind::{self, Leads};
use super::folders::{Folders, Met};
use crate::archive::{Entry, EntryKind, Layout, show};
use crate::look::is_gone;
use crate::{Error, Monitor, NoteKind, Result, long_path};
use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// How many are told by their names.
const FIRST: usize = 10;

/// Those that were met.
#[derive(Default)]
pub struct Unlinked {
    storage: Names,
    again: Names,
    refused: Names,
    replaced: Names,
    gone: Names,
    /// What is to be said of links that the backup has for the site's files.
    no_files: BTreeSet<String>,
}

/// How many, and the first of them.
#[derive(Default)]
struct Names(usize, Vec<String>);

impl Names {
    fn add(&mut self, name: impl FnOnce() -> String) {
        self.0 += 1;
        if self.1.len() < FIRST {
            self.1.push(name());
        }
    }

    /// The names after this text, where there are any.
    fn after(&self, text: &str) -> Option<String> {
        let more = match self.0 - self.1.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        (self.0 > 0).then(|| format!("{text}: {}{more}", self.1.join(", ")))
    }
}

fn arrow(link: &Path, to: &[u8]) -> String {
    format!("{} -> {}", show(link.as_os_str().as_bytes()), show(to))
}

/// What is to be done about a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looked {
    /// It is the folder of this root, which was added.
    Storage(usize),
    /// Nothing: a link stays in its place, and what it leads to is not restored by it.
    Refused,
    /// Nothing: it is a mere link, and what the site has in its place stays.
    Stays,
    /// It is restored as any.
    Plain,
}

impl Unlinked {
    /// Looks at a folder above a member: see [`Folders::unmet_above`].
    pub fn look_above(&mut self, folders: &Folders<'_>, path: &[u8]) -> Result<Looked> {
        let met = folders.meet_folder(path)?;
        Ok(self.link(met).unwrap_or(Looked::Plain))
    }

    /// What is to be done about a link of the site that was met.
    fn link(&mut self, met: Met) -> Option<Looked> {
        match met {
            Met::Storage { link, to, root } => {
                self.storage.add(|| arrow(&link, to.as_os_str().as_bytes()));
                Some(Looked::Storage(root))
            }
            Met::Refused { link, to, why } => {
                self.refused.add(|| format!("{} ({why})", arrow(&link, to.as_os_str().as_bytes())));
                Some(Looked::Refused)
            }
            Met::Again { link, to } => {
                self.again.add(|| arrow(&link, to.as_os_str().as_bytes()));
                Some(Looked::Refused)
            }
            Met::Stays => Some(Looked::Stays),
            Met::Inside { .. } | Met::None => None,
        }
    }

    /// Looks at a member before it is placed.
    pub fn look(&mut self, folders: &Folders<'_>, layout: &Layout, entry: &Entry) -> Result<Looked> {
        let met = folders.meet(entry)?;
        if let Some(target) = layout.link_for_files(entry) {
            let and = if matches!(met, Met::Stays) { "; what the site has there stays" } else { "" };
            self.no_files.insert(Layout::tell_of_link(entry, target) + and);
        }
        match met {
            Met::Inside { link, to } => self.replaced.add(|| arrow(&link, &to)),
            Met::None => self.look_closer(folders, layout, entry)?,
            met => return Ok(self.link(met).unwrap_or(Looked::Plain)),
        }
        Ok(Looked::Plain)
    }

    fn look_closer(&mut self, folders: &Folders<'_>, layout: &Layout, entry: &Entry) -> Result<()> {
        let part = layout.part(&entry.path);
        match entry.kind {
            EntryKind::Directory if folders.was_followed(&entry.path) => {
                let Some(place) = folders.place(part) else { return Ok(()) };
                let live = folders.live_path(&place);
                match long_path::look(&live) {
                    Ok(found) if found.is_symlink() => {}
                    Err(cause) if !is_gone(&cause) => {
                        return Err(Error::io("cannot look at", &live, cause));
                    }
                    _ => self.gone.add(|| show(live.as_os_str().as_bytes())),
                }
            }
            EntryKind::File { .. } | EntryKind::Sparse { .. } | EntryKind::Hardlink(_) => {
                let Some(place) = folders.place(part) else { return Ok(()) };
                let Some(root) = folders.live_root(place.root) else { return Ok(()) };
                if let Some(found) = behind::look(&root, &place.path)?.filter(|it| it.leads != Leads::Folder)
                {
                    self.replaced.add(|| arrow(&folders.live_path(&place), &found.text));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Says which they are; `would`: nothing is done.
    pub fn tell(&self, would: bool, monitor: &Monitor) {
        self.no_files.iter().for_each(|text| monitor.note(NoteKind::Missing, text));
        let (stay, become_) = if would { ("would stay", "would become") } else { ("stay", "become") };
        let what = if would { "would be" } else { "is" };
        let notes = [
            (
                NoteKind::Info,
                self.storage
                    .after(&format!("links to folders elsewhere {stay} links, and what they lead to {what} restored")),
            ),
            (
                NoteKind::Info,
                self.again.after(&format!(
                    "links to what is restored by another path, or stays with the code, {stay} links, and what the backup has by theirs is left out"
                )),
            ),
            (
                NoteKind::Missing,
                self.refused.after(&format!("links {stay} links, and what they lead to {what} not restored")),
            ),
            (
                NoteKind::Warning,
                self.replaced.after(&format!(
                    "links that the backup does not have {become_} what it has in their place, and what they lead to stays \
                     as it is"
                )),
            ),
            (
                NoteKind::Warning,
                self.gone.after(&format!(
                    "what was a link to a folder elsewhere when it was backed up, and is none here, {} a plain folder",
                    if would { "would become" } else { "becomes" }
                )),
            ),
        ];
        for (kind, text) in notes {
            if let Some(text) = text {
                monitor.note(kind, text);
            }
        }
    }
}
