//! `bam ls ID` and `bam cat`: looking into a backup. What they print may be longer than memory, so it is printed as it comes.

use crate::args::{Cat, Global, Ls};
use crate::place::{document_for, take_path};
use crate::print::{Output, date};
use crate::signals::Hold;
use crate::stream::{Items, Out, exit_code, notes};
use bam::config::show_table;
use bam::job::Restore;
use bam::job::look::{self, Item};
use bam::job::raw::{self, Raw};
use bam::{Monitor, Result};
use serde_json::json;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

pub fn ls(global: &Global, mut args: Ls, output: &Output) -> Result<u8> {
    let document = document_for(global, &args.which)?;
    let path = take_path(&mut args.which, args.path)?;
    let path = path.as_ref().map(|path| path.as_os_str().as_bytes());
    let ask: Restore = args.which.into();
    let mut items = Items::new("entries", global.json);
    let mut each = |item: Item| items.print(|| json!(item), || line(&item));
    let monitor = Arc::new(Monitor::new());
    let hold = Hold::begin()?;
    hold.cancels(Arc::clone(&monitor));
    let looked = look::ls(&document, &ask, path, args.tables, &mut each, &monitor);
    let notes = notes(&monitor, looked.is_ok());
    output.notes(&notes);
    let code = exit_code(&monitor);
    if let Some(looked) = items.out.done(looked)? {
        let rest = || json!({"id": looked.id, "file": looked.file, "notes": notes, "exit_code": code});
        items.end(rest, String::new)?;
    }
    Ok(code)
}

pub fn cat(global: &Global, mut args: Cat, output: &Output) -> Result<u8> {
    let document = document_for(global, &args.which)?;
    let path = take_path(&mut args.which, args.path)?;
    let path = path.as_ref().map(|path| path.as_os_str().as_bytes());
    let ask: Restore = args.which.into();
    let mut out = Out::new();
    let monitor = Arc::new(Monitor::new());
    let hold = Hold::begin()?;
    hold.cancels(Arc::clone(&monitor));
    let written = match (args.raw, args.sidecar) {
        (false, _) => look::cat(&document, &ask, path, &mut out, &monitor),
        (true, true) => raw::raw(&document, &ask, Raw::Sidecar, &mut out, &monitor),
        (true, false) => raw::raw(&document, &ask, Raw::File(args.offset), &mut out, &monitor),
    };
    output.notes(&notes(&monitor, written.is_ok()));
    out.done(written).map(|_| exit_code(&monitor))
}

/// As `tar tvf` shows members.
fn line(item: &Item) -> String {
    match item {
        Item::Entry { path, kind, mode, user, group, size, mtime, target } => {
            let arrow = match (*kind, target) {
                ("symlink", Some(target)) => format!(" -> {target}"),
                (_, Some(target)) => format!(" link to {target}"),
                _ => String::new(),
            };
            let owner = format!("{user}/{group}");
            format!(
                "{}{} {owner:<17} {size:>12} {} {path}{arrow}\n",
                letter(kind),
                permissions(*mode),
                date(*mtime)
            )
        }
        Item::Table(table) => {
            let rows = table.rows.map_or_else(|| "-".into(), |rows| rows.to_string());
            format!("{rows:>12} {:>12} {}\n", table.bytes, show_table(&table.name))
        }
    }
}

fn letter(kind: &str) -> char {
    match kind {
        "directory" => 'd',
        "symlink" => 'l',
        "hardlink" => 'h',
        "special" => '?',
        _ => '-',
    }
}

/// `rwxr-x--x`, with `s`, `S`, `t` and `T` as ls shows them.
fn permissions(mode: u32) -> String {
    let mut text = String::new();
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (mode & special != 0, bits & 1 != 0) {
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::permissions;

    #[test]
    fn permissions_look_as_in_ls() {
        let of = [0o644, 0o755, 0o4755, 0o2640, 0o1777].map(permissions);
        assert_eq!(of, ["rw-r--r--", "rwxr-xr-x", "rwsr-xr-x", "rw-r-S---", "rwxrwxrwt"]);
    }
}
