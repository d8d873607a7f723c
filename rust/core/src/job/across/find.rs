//! In which backups a file is, since when, with what size.

use super::{Each, Which, letter, signed, spill, unsigned, usage, word};
use crate::archive::{Layout, Part, show, unshow};
use crate::catalog::{Backup, Kind};
use crate::config::Document;
use crate::job::local::Local;
use crate::job::open::Opened;
use crate::job::restore::apply::begin;
use crate::job::select::Criteria;
use crate::job::{lock, places, trust};
use crate::{Code, Error, Monitor, NoteKind, Result};
use globset::{GlobBuilder, GlobMatcher};
use rusqlite::{Connection, params};
use serde::Serialize;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

/// What is looked for, and where.
#[derive(Debug, Clone, Default)]
pub struct Search<'a> {
    /// A glob as shells have them: `*` and `?` do not reach over a `/`, `**` does. It fits a path, or the end of one from a
    /// folder on; with a `/` in front only a whole path.
    pub pattern: &'a str,
    /// Upper and lower case are the same.
    pub ignore_case: bool,
    /// Only of this source.
    pub source: Option<&'a str>,
    /// Only at these destinations; none: everywhere.
    pub destinations: &'a [String],
    /// Of which site.
    pub site: Option<&'a str>,
    /// Only in backups that were made at this Unix time or later.
    pub since: Option<u64>,
    /// Only in so many of the newest.
    pub limit: Option<usize>,
    /// Also in what nothing proves to be unchanged.
    pub unauthenticated: bool,
}

/// One state of one path, in one or more backups of a source.
#[derive(Debug, Clone, Serialize)]
pub struct Found {
    /// The path, relative to the docroot where it lies there, as [`show`] writes it.
    pub path: String,
    /// Machine name of the source.
    pub source: Option<String>,
    /// `file`, `directory`, `symlink`, `hardlink` or `special`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Bytes.
    pub size: u64,
    /// Unix time of its last change.
    pub mtime: i64,
    /// How many backups have it so.
    pub count: u64,
    /// Their IDs, the newest first.
    pub backups: Vec<u64>,
    /// Unix time of the oldest of them.
    pub since: u64,
    /// Unix time of the newest of them.
    pub until: u64,
}

/// What was looked into.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Searched {
    /// Backups that were read for it.
    pub read: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Backups of databases, which hold no paths.
    pub without_paths: u64,
    /// Backups that could not be read: notes say why.
    pub unread: u64,
    /// How many states of paths were found.
    pub found: u64,
    /// The newest and the oldest that were read.
    pub newest: Option<Which>,
    /// See `newest`.
    pub oldest: Option<Which>,
}

/// Tells `each` in which backups there is what fits, by path, of each the newest state first.
///
/// # Errors
/// [`Code::Usage`]: the pattern is none. [`Code::NotFound`]: nothing fits.
pub fn find(
    document: &Document,
    search: &Search<'_>,
    each: Each<'_, Found>,
    monitor: &Arc<Monitor>,
) -> Result<Searched> {
    let pattern = Pattern::of(search.pattern, search.ignore_case)?;
    let state_dir = lock::state_dir(document)?;
    let there =
        Criteria::new(None, search.destinations, search.source, search.site).list(document, monitor)?;
    places::check_source(document, &there.listing, search.source)?;
    if let Some(note) = there.listing.incomplete() {
        monitor.note(note.kind, note.text);
    }
    let mut searched = Searched::default();
    let chosen = choose(&there.listing.backups, search, &mut searched);
    let found = spill::open(
        "CREATE TABLE found (path BLOB, source TEXT, kind TEXT, size INTEGER, mtime INTEGER, count INTEGER, since INTEGER, \
         until INTEGER, ids TEXT, PRIMARY KEY (path, source, kind, size, mtime)) WITHOUT ROWID",
    )?;
    for backup in chosen {
        monitor.check()?;
        monitor.set_current(backup.file.to_string());
        let look = |local: Local| {
            let never_plain = trust::is_known_encrypted(document, &there.listing, backup);
            let opened =
                local.known_encrypted(never_plain).show(document, search.unauthenticated, monitor)?;
            look_into(&opened, &pattern, backup, &found, monitor)
        };
        let get: places::Get = if search.unauthenticated { Local::fetch } else { Local::reach };
        match places::get_nearest(document, get, &there.places, backup, &state_dir, monitor, look) {
            Ok(()) => {
                searched.read += 1;
                searched.bytes += backup.size;
                searched.newest.get_or_insert_with(|| Which::listed(backup));
                searched.oldest = Some(Which::listed(backup));
            }
            Err(error) if error.code() == Code::Cancelled => return Err(error),
            Err(error) => {
                searched.unread += 1;
                monitor.note(NoteKind::Missing, format!("not looked into: {}: {error}", backup.file));
            }
        }
    }
    monitor.set_current(String::new());
    searched.found = tell(&found, each, monitor)?;
    if searched.found > 0 { Ok(searched) } else { Err(nothing(search, &searched)) }
}

/// The backups to look into, the newest first.
fn choose<'b>(backups: &'b [Backup], search: &Search<'_>, searched: &mut Searched) -> Vec<&'b Backup> {
    let is_meant = |backup: &&Backup| {
        search.source.is_none_or(|source| backup.about.source.as_deref() == Some(source))
            && search.since.is_none_or(|since| backup.time >= since)
    };
    let (mut chosen, others): (Vec<_>, Vec<_>) =
        backups.iter().filter(is_meant).partition(|backup| !backup.kind.is_database());
    chosen.sort_by_key(|backup| std::cmp::Reverse(backup.time));
    chosen.truncate(search.limit.unwrap_or(usize::MAX));
    searched.without_paths = others.len() as u64;
    chosen
}

/// That nothing fits.
fn nothing(search: &Search<'_>, searched: &Searched) -> Error {
    let what = show(search.pattern.as_bytes());
    let text = match (searched.read, searched.unread) {
        (0, 0) => "there is no backup of files to look into".to_owned(),
        (read, 0) => format!("none of {read} backups holds {what}"),
        (read, unread) => format!("none of {read} backups holds {what}; {unread} could not be read"),
    };
    let code = if searched.unread > 0 { Code::Partial } else { Code::NotFound };
    Error::new(code, text)
        .hint("`bam ls ID` lists what a backup holds; a pattern has to fit whole names: '*logo*'")
}

/// What a path has to fit.
struct Pattern {
    glob: GlobMatcher,
    /// Names may have the signs of globs in them, or be as [`show`] writes them.
    literal: Vec<Vec<u8>>,
    anchored: bool,
}

impl Pattern {
    fn of(text: &str, ignore_case: bool) -> Result<Pattern> {
        let anchored = text.starts_with('/');
        let plain = text.trim_start_matches("./").trim_matches('/');
        if plain.is_empty() {
            return Err(usage("there is nothing to look for".into(), "e.g. bam find '*.pdf'"));
        }
        let glob = if anchored { plain.to_owned() } else { format!("**/{plain}") };
        let glob = GlobBuilder::new(&glob)
            .literal_separator(true)
            .backslash_escape(true)
            .empty_alternates(true)
            .case_insensitive(ignore_case)
            .build()
            .map_err(|cause| {
                let text = format!("{} is no pattern: {}", show(text.as_bytes()), cause.kind());
                usage(text, "a backslash before a sign of patterns (* ? [ ] { }) makes it mean itself")
            })?;
        let bytes = plain.as_bytes();
        let literal = std::iter::once(bytes.to_vec()).chain(unshow(bytes)).collect();
        Ok(Pattern { glob: glob.compile_matcher(), literal, anchored })
    }

    fn fits(&self, path: &[u8]) -> bool {
        self.glob.is_match(Path::new(OsStr::from_bytes(path)))
            || self.literal.iter().any(|literal| match path.strip_suffix(literal.as_slice()) {
                Some(b"") => true,
                Some(before) => !self.anchored && before.ends_with(b"/"),
                None => false,
            })
    }
}

/// Keeps what fits of one backup. What was kept of it when another copy turned out to be damaged is the same, and replaced.
fn look_into(
    opened: &Opened,
    pattern: &Pattern,
    backup: &Backup,
    found: &Connection,
    monitor: &Monitor,
) -> Result<()> {
    let survey = opened.foreign_layout(monitor)?;
    let mut reader = opened.members()?;
    let (layout, first) = begin(&mut reader, survey, opened.kind() == Some(Kind::Tar))?;
    // One state of a path in one backup; the later of two members of one path counts.
    let mut fitting: BTreeMap<Vec<u8>, (String, u64, i64)> = BTreeMap::new();
    let mut next = match first {
        Some(member) => Some(member),
        None => reader.next_member()?,
    };
    while let Some(member) = next {
        monitor.check()?;
        let entry = &member.entry;
        let (told, whole) = match layout.part(&entry.path) {
            Part::Docroot(inside) | Part::File(inside) => (inside, &entry.path[..]),
            // The dump comes last, and is the largest.
            Part::Database if matches!(layout, Layout::Site(_)) => break,
            _ => (&entry.path[..], &entry.path[..]),
        };
        if !told.is_empty() && (pattern.fits(told) || pattern.fits(whole)) {
            fitting.insert(told.to_vec(), (letter(&entry.kind).to_string(), entry.kind.size(), entry.mtime));
            if fitting.len() >= AT_ONCE {
                keep(found, backup, std::mem::take(&mut fitting))?;
            }
        }
        next = reader.next_member()?;
    }
    keep(found, backup, fitting)
}

/// So many are kept in memory.
const AT_ONCE: usize = 10_000;

fn keep(found: &Connection, backup: &Backup, fitting: BTreeMap<Vec<u8>, (String, u64, i64)>) -> Result<()> {
    let id = backup.id.to_string();
    let mut statement = found
        .prepare_cached(
            "INSERT INTO found VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6, ?6, ?7) ON CONFLICT DO UPDATE SET count = count + 1, \
             since = min(since, excluded.since), until = max(until, excluded.until), ids = ids || ',' || excluded.ids \
             WHERE ids <> ?7 AND ids NOT LIKE '%,' || ?7",
        )
        .map_err(spill::failed)?;
    for (path, (kind, size, mtime)) in fitting {
        let source = backup.about.source.as_deref().unwrap_or_default();
        let row = params![path, source, kind, signed(size), mtime, signed(backup.time), id];
        statement.execute(row).map_err(spill::failed)?;
    }
    Ok(())
}

/// Tells what was kept; how much it was.
fn tell(found: &Connection, each: Each<'_, Found>, monitor: &Monitor) -> Result<u64> {
    let mut statement = found
        .prepare(
            "SELECT path, source, kind, size, mtime, count, ids, since, until FROM found ORDER BY path, source, until DESC, \
             since DESC",
        )
        .map_err(spill::failed)?;
    let mut rows = statement.query([]).map_err(spill::failed)?;
    let mut told = 0;
    while let Some(row) = rows.next().map_err(spill::failed)? {
        monitor.check()?;
        let read = || -> rusqlite::Result<Found> {
            let (path, source, kind, ids): (Vec<u8>, String, String, String) =
                (row.get(0)?, row.get(1)?, row.get(2)?, row.get(6)?);
            Ok(Found {
                path: show(&path),
                source: Some(source).filter(|source| !source.is_empty()),
                kind: word(&kind),
                size: unsigned(row.get(3)?),
                mtime: row.get(4)?,
                count: unsigned(row.get(5)?),
                backups: ids.split(',').filter_map(|id| id.parse().ok()).collect(),
                since: unsigned(row.get(7)?),
                until: unsigned(row.get(8)?),
            })
        };
        each(read().map_err(spill::failed)?)?;
        told += 1;
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn patterns_fit_as_in_a_shell() {
        let fits = |pattern: &str, path: &[u8]| Pattern::of(pattern, false).expect("a pattern").fits(path);
        for (pattern, path) in [
            ("logo.png", &b"sites/default/files/logo.png"[..]),
            ("*.png", b"a/logo.png"),
            ("files/*.png", b"sites/default/files/logo.png"),
            ("sites/**/*.png", b"sites/default/files/deep/logo.png"),
            ("/sites/*/files/l?go.*", b"sites/default/files/logo.png"),
            ("a[1].txt", b"x/a[1].txt"),
            ("a[1].txt", b"x/a1.txt"),
            ("*.{jpg,png}", b"x.jpg"),
            ("b*", b"a/b\xff\xfe"),
            (r"b\xff", b"a/b\xff"),
            ("files/", b"sites/files"),
        ] {
            assert!(fits(pattern, path), "{pattern}");
        }
        for (pattern, path) in [
            ("*.png", &b"a.png/b.jpg"[..]),
            ("/logo.png", b"files/logo.png"),
            ("files/*.png", b"files/deep/logo.png"),
            ("ogo.png", b"files/logo.png"),
            ("LOGO.png", b"logo.png"),
        ] {
            assert!(!fits(pattern, path), "{pattern}");
        }
        assert!(Pattern::of("LOGO.png", true).expect("a pattern").fits(b"a/logo.png"));
        for wrong in ["", "/", "a[b", "{a,b"] {
            assert!(Pattern::of(wrong, false).is_err(), "{wrong}");
        }
    }
}
