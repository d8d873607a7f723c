//! Offline copies: a backup written to a disk that is then taken away, and files taken in from elsewhere.

use super::exports::{self, Disk};
use super::{instructions, portable};
use crate::catalog::{BackupId, FileName, Listing, Relation, Sidecar, SiteIdentity, hex, is_future, key};
use crate::config::{Document, EncryptionKind};
use crate::destination::{self, Destination as _, Directory, Existing, Follow};
use crate::job::local::Local;
use crate::job::select::Criteria;
use crate::job::{choose, ids, lock, places, trust, web};
use crate::look;
use crate::regular;
use crate::{Code, Error, Monitor, NoteKind, Result, ResultExt};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

const SUMS: &str = "SHA256SUMS";
const PROGRAM: &str = "bam";

/// How a backup is exported.
#[derive(Debug, Clone, Copy)]
pub struct Export<'a> {
    /// A folder.
    pub to: &'a Path,
    /// Make it where it is missing.
    pub create: bool,
    /// The machine that the copy counts as; default by the file system.
    pub host: Option<&'a str>,
    /// A program to put beside it; the static one that is installed with it where there is one.
    pub program: Option<&'a Path>,
    /// Also what nothing proves to be unchanged.
    pub unauthenticated: bool,
}

/// Writes a backup, its sidecar, SHA256SUMS and how to restore it into a folder.
pub fn export(
    document: &Document,
    ask: &Criteria<'_>,
    export: &Export<'_>,
    monitor: &Arc<Monitor>,
) -> Result<Value> {
    let folder = export.to;
    check_folder(folder, export.create)?;
    let state_dir = lock::state_dir(document)?;
    let there = ask.list_for_one(document, monitor)?;
    let backup = ask.find(document, &there.listing, monitor)?;
    // What somebody else put there is no good copy.
    let never_plain = trust::is_known_encrypted(document, &there.listing, backup);
    let local = places::fetch_nearest(document, &there.places, backup, &state_dir, monitor, |local| {
        local.known_encrypted(never_plain).exportable(document, export.unauthenticated, monitor)
    })?;
    let place = Directory::new("export", folder);
    place.prepare(monitor)?;
    web::refuse_served_folder(document, folder, backup.is_encrypted(), monitor)?;
    // Of an export that was stopped.
    places::clean(&place, &[], monitor)?;
    let name = &backup.file;
    let sidecar = local.sidecar().map_or_else(|| lone_sidecar(name, backup.id, backup.size), Clone::clone);
    if !is_there(&place, name, &sidecar, monitor)? {
        let local = Follow::finished(local.into_file())?;
        place.follow(name, Existing::Keep, &local, &|| Ok(sidecar.to_string()), monitor)?;
    }
    let hash = hash_of(&place, name, monitor)?;
    let sums = folder.join(SUMS);
    add_sum(&sums, name, &hash)?;
    if let Some(program) = export.program {
        put_program(folder, program, monitor)?;
        add_sum(&sums, PROGRAM, &hash_of(&place, PROGRAM, monitor)?)?;
    }
    let page = folder.join(format!("{name}{}", instructions::SUFFIX));
    fs::write(&page, instructions::of(name, &sidecar, look::is_file(&folder.join(PROGRAM)).unwrap_or(false)))
        .at("cannot write", &page)?;
    let all = folder.join(instructions::ALL);
    fs::write(&all, instructions::all(folder)?).at("cannot write", &all)?;
    let disk = Disk::of(document, folder)?;
    let host = match (export.host, &disk) {
        (Some(host), _) => host.to_owned(),
        (None, Some(disk)) => disk.host(),
        (None, None) => place.host(),
    };
    if export.host.is_none() && disk.as_ref().is_some_and(|disk| disk.is_ours) {
        let text = format!(
            "{} lies on a file system of this site's own machine: the copy does not count as one on another (is the disk \
             mounted? --host NAME tells where else it is)",
            folder.display()
        );
        monitor.note(NoteKind::Warning, text);
    }
    let path = folder.join(&**name);
    exports::remember(&state_dir, backup, &path, disk.as_ref(), &host)?;
    Ok(json!({
        "id": backup.id,
        "file": &**name,
        "source": backup.about.source,
        "path": path,
        "howto": page,
        "host": host,
        "sha256": hex(&hash),
    }))
}

/// Whether the folder has this backup, whole. What is missing of an export that was stopped, or taken apart, is made good.
fn is_there(place: &Directory, name: &str, sidecar: &Sidecar, monitor: &Monitor) -> Result<bool> {
    let Some(wanted) = sidecar.digest(key::SHA256) else { return Ok(false) };
    let told = place.sidecar(name)?.and_then(|there| Sidecar::parse(&there).digest(key::SHA256));
    Ok(told == Some(wanted) && hash_of(place, name, monitor).ok() == Some(wanted))
}

fn hash_of(place: &Directory, name: &str, monitor: &Monitor) -> Result<[u8; 32]> {
    let hash = place.sha256(name, monitor)?;
    hash.ok_or_else(|| Error::new(Code::Internal, "a folder did not tell a hash"))
}

/// Puts the program beside the backup: the one that runs on the most machines.
fn put_program(folder: &Path, program: &Path, monitor: &Monitor) -> Result<()> {
    let beside = folder.join(PROGRAM);
    let program = portable::best(program);
    fs::copy(&program, &beside).at("cannot write", &beside)?;
    if !portable::is_static(&program)? {
        let text = format!(
            "{} runs only on machines that have the libraries of this one; a static program at PREFIX/{} would be taken \
             in its place and run on any Linux with this kind of processor",
            beside.display(),
            portable::STATIC
        );
        monitor.note(NoteKind::Warning, text);
    }
    Ok(())
}

/// Only a folder that exists: what looks like one may be a disk that is not mounted, or a slip of the pen.
fn check_folder(folder: &Path, create: bool) -> Result<()> {
    if look::is_folder(folder)? {
        return Ok(());
    }
    let shown = folder.display();
    if look::exists(folder)? {
        return Err(
            Error::new(Code::Usage, format!("{shown} is not a folder")).hint("name the folder to export to")
        );
    }
    if create {
        return look::make_folders(folder, 0o777, "cannot make the folder");
    }
    Err(Error::new(Code::Usage, format!("there is no folder {shown}"))
        .hint("mount the disk that it is on, or let it be made with --create"))
}

/// Takes a backup file in, from Backup and Migrate too, after checking it.
pub fn import(
    document: &Document,
    file: &Path,
    to: &str,
    unauthenticated: bool,
    monitor: &Arc<Monitor>,
) -> Result<Value> {
    let _lock = lock::acquire(document)?;
    let config = choose::destination(document, to)?;
    let place = destination::open(to, config, &document.site)?;
    let local = Local::from_path(file)?;
    let name = local.name.clone();
    if FileName::parse(&name).is_none() {
        return Err(Error::new(Code::Usage, format!("{name} is no backup's name"))
            .hint("names end with what is inside: .mysql.gz, .tar.gz.enc, .sitearchive.tar.gz …"));
    }
    let sidecar = local.sidecar().cloned();
    let opened = local.prove(document, unauthenticated, monitor)?;
    opened.examine(document, &lock::state_dir(document)?, monitor)?;
    let meta = fs::metadata(file).at("cannot look at", file)?;
    let modified = meta.modified().ok().and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
    let modified = modified.map_or(0, |age| age.as_secs());
    let now = jiff::Timestamp::now().as_second();
    // The name's date survives copying, the file's does not.
    let time = FileName::parse(&name)
        .and_then(|name| name.date(document.site.timezone.as_deref()))
        .filter(|time| !is_future(*time, now))
        .unwrap_or(modified);
    let time = match &sidecar {
        Some(_) => BackupId(time),
        None => number(document, &*place, &name, meta.len(), time)?,
    };
    let sidecar = sidecar.unwrap_or_else(|| {
        let day = jiff::Timestamp::from_second(time.seconds()).unwrap_or_default();
        let day = day.to_zoned(crate::catalog::date::local()).strftime("%Y-%m-%d %H:%M");
        monitor.note(NoteKind::Info, format!("{name} has no sidecar: one is made, dated {day}"));
        let mut sidecar = lone_sidecar(&name, time, meta.len());
        // Whoever takes it in says whose it is.
        if let Some(own) = SiteIdentity::of(document) {
            sidecar.set(key::SITE, own.words());
            sidecar.set(key::SITE_NAME, &document.site.name);
        }
        sidecar
    });
    let theirs = SiteIdentity::of_sidecar(&sidecar);
    if SiteIdentity::of(document).is_some_and(|own| own.relation(&theirs) == Relation::Other) {
        let text = format!("{name} is of another site, {}: --site shows and restores it", theirs.describe());
        monitor.note(NoteKind::Warning, text);
    }
    place.prepare(monitor)?;
    let encrypted = FileName::parse(&name).is_some_and(|name| name.encryption != EncryptionKind::None);
    web::refuse_served(document, &*place, encrypted, monitor)?;
    let source = regular::open(file).at("cannot read", file)?;
    let text = sidecar.to_string();
    place.follow(&name, Existing::Keep, &Follow::finished(source)?, &|| Ok(text.clone()), monitor)?;
    let modified = i64::try_from(time.0).unwrap_or_default();
    Ok(json!({"id": BackupId::of(Some(&sidecar), modified), "file": name, "destination": to}))
}

/// The number of a file that brings none: by its date, and nobody else's. A copy that was taken in elsewhere has it already.
fn number(
    document: &Document,
    place: &dyn destination::Destination,
    name: &str,
    size: u64,
    time: u64,
) -> Result<BackupId> {
    let mut seen = ids::in_folders(document)?;
    seen.extend(Listing::of(&[place])?.backups);
    if let Some(same) = seen.iter().find(|backup| &*backup.file == name && backup.size == size) {
        return Ok(same.id);
    }
    let seen: BTreeSet<BackupId> = seen.iter().map(|backup| backup.id).collect();
    ids::give(&lock::state_dir(document)?, i64::try_from(time).unwrap_or_default(), &seen)
}

/// The sidecar of a file that came without one.
fn lone_sidecar(file: &str, id: BackupId, size: u64) -> Sidecar {
    let mut sidecar = Sidecar::new();
    let base = FileName::parse(file).map_or_else(|| file.to_owned(), |name| name.base);
    sidecar.set(key::FILENAME, base);
    sidecar.set_number(key::DATESTAMP, id.0);
    sidecar.set_number(key::FILE_SIZE, size);
    sidecar
}

/// Adds a line to SHA256SUMS, in place of an older one for the same file.
fn add_sum(path: &Path, name: &str, hash: &[u8; 32]) -> Result<()> {
    let text = match regular::read_to_string(path) {
        Ok(text) => text,
        Err(cause) if cause.kind() == ErrorKind::NotFound => String::new(),
        Err(cause) => return Err(Error::io("cannot read", path, cause)),
    };
    let ending = format!("  {name}");
    let mut lines: String =
        text.lines().filter(|line| !line.ends_with(&ending)).map(|line| format!("{line}\n")).collect();
    let _ = writeln!(lines, "{}{ending}", hex(hash));
    lock::write_state(path, lines.as_bytes())
}
