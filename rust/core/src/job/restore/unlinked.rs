//! Links to folders that a restore makes folders: the backup followed them, so it has what was behind them, not them.

use super::folders::Folders;
use crate::archive::{Entry, EntryKind, Layout, show};
use crate::{Monitor, NoteKind};
use std::cell::RefCell;
use std::fs;
use std::os::unix::ffi::OsStrExt;

/// How many are told by their names.
const FIRST: usize = 10;

/// Those that were met.
#[derive(Default)]
pub struct Unlinked {
    found: RefCell<(usize, Vec<String>)>,
}

impl Unlinked {
    /// Looks whether `entry`, which is restored, is a folder where the site has a link to one.
    pub fn look(&self, folders: &Folders<'_>, layout: &Layout, entry: &Entry) {
        if entry.kind != EntryKind::Directory {
            return;
        }
        // A link that is a root of its own stays one.
        let Some(place) = folders.place(layout.part(&entry.path)).filter(|place| !place.path.is_empty())
        else {
            return;
        };
        let live = folders.live_path(&place);
        let Ok(target) = fs::read_link(&live) else { return };
        if live.is_dir() {
            let (count, first) = &mut *self.found.borrow_mut();
            *count += 1;
            if first.len() < FIRST {
                let bytes = |path: &std::path::Path| show(path.as_os_str().as_bytes());
                first.push(format!("{} -> {}", bytes(&live), bytes(&target)));
            }
        }
    }

    /// Says which they are; `happens` is what they do, e.g. `become`.
    pub fn tell(&self, happens: &str, monitor: &Monitor) {
        let (count, first) = &*self.found.borrow();
        if *count == 0 {
            return;
        }
        let more = match count - first.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let text = format!(
            "links to folders that the backup followed {happens} folders of their own, and what they pointed to stays as \
             it is: {}{more}",
            first.join(", ")
        );
        monitor.note(NoteKind::Warning, text);
    }
}
