//! Offline copies: a backup written to a disk that is then taken away, and files taken in from elsewhere.

use super::open::Local;
use super::select::Ask;
use super::{choose, lock, places};
use crate::catalog::{BackupId, FileName, Sidecar, hex, key};
use crate::config::{Document, EncryptionKind};
use crate::destination::{self, Destination as _, Directory, Existing, Follow};
use crate::{Code, Error, Monitor, NoteKind, Result, ResultExt};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const SUMS: &str = "SHA256SUMS";
const HOWTO: &str = "RESTORE.txt";
/// Which exports there are: `{FILE: [{"path": …, "time": …}]}`; `status` counts each as a copy on a machine of its own.
const STATE: &str = "exports.json";

/// Writes a backup, its sidecar, SHA256SUMS and RESTORE.txt into the folder `to`, or under the name `to`.
pub fn export(document: &Document, ask: &Ask<'_>, to: &Path, monitor: &Arc<Monitor>) -> Result<Value> {
    let state_dir = lock::state_dir(document)?;
    let there = ask.list(document, monitor)?;
    let backup = ask.find(&there.listing, monitor)?;
    let local = places::fetch_nearest(&there.places, backup, &state_dir, monitor, |local| {
        // A file of somebody else's has nothing to be checked by.
        match local.sidecar().is_some_and(|sidecar| sidecar.get(key::SHA256).is_some()) {
            true => local.checked(monitor),
            false => Ok(local),
        }
    })?;
    let (folder, name) = match (to.is_dir(), to.parent(), to.file_name()) {
        (false, Some(parent), Some(name)) if !to.as_os_str().as_encoded_bytes().ends_with(b"/") => (
            if parent.as_os_str().is_empty() { Path::new(".") } else { parent },
            name.to_string_lossy().into_owned(),
        ),
        _ => (to, backup.file.clone()),
    };
    let place = Directory::new("export", folder);
    place.prepare(monitor)?;
    let text = local
        .sidecar()
        .map_or_else(|| lone_sidecar(&backup.file, backup.id, backup.size), Clone::clone)
        .to_string();
    place.follow(
        &name,
        Existing::Keep,
        &Follow::finished(local.into_file())?,
        &|| Ok(text.clone()),
        monitor,
    )?;
    let hash = place
        .sha256(&name, monitor)?
        .ok_or_else(|| Error::new(Code::Internal, "a folder did not tell a hash"))?;
    add_sum(&folder.join(SUMS), &name, &hash)?;
    let howto = folder.join(HOWTO);
    fs::write(&howto, how_to_restore(&name, &Sidecar::parse(&text))).at("cannot write", &howto)?;
    remember(&state_dir, &backup.file, &folder.join(&name))?;
    Ok(json!({"id": backup.id, "file": backup.file, "path": folder.join(&name), "sha256": hex(&hash)}))
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
    opened.read_through(monitor)?;
    let meta = fs::metadata(file).at("cannot look at", file)?;
    let modified = meta.modified().ok().and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
    let time = BackupId(modified.map_or(0, |age| age.as_secs()));
    let sidecar = sidecar.unwrap_or_else(|| {
        monitor.note(NoteKind::Info, format!("{name} has no sidecar: one is made, dated {time}"));
        lone_sidecar(&name, time, meta.len())
    });
    place.prepare(monitor)?;
    let source = fs::File::open(file).at("cannot read", file)?;
    let text = sidecar.to_string();
    place.follow(&name, Existing::Keep, &Follow::finished(source)?, &|| Ok(text.clone()), monitor)?;
    let modified = i64::try_from(time.0).unwrap_or_default();
    Ok(json!({"id": BackupId::of(Some(&sidecar), modified), "file": name, "destination": to}))
}

/// The paths that a backup was exported to, newest last.
pub fn exported(state_dir: &Path, file: &str) -> Result<Vec<PathBuf>> {
    let all = lock::read_shared(state_dir, STATE)?;
    let entries = all.get(file).and_then(Value::as_array).cloned().unwrap_or_default();
    Ok(entries.iter().filter_map(|entry| entry["path"].as_str().map(PathBuf::from)).collect())
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
    let text = match fs::read_to_string(path) {
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

fn how_to_restore(name: &str, sidecar: &Sidecar) -> String {
    let iterations = sidecar.number(key::KDF_ITERATIONS).unwrap_or(600_000);
    let parsed = FileName::parse(name);
    let kind = parsed.as_ref().map(|name| name.kind);
    let decrypt = match parsed.as_ref().map(|name| name.encryption) {
        Some(EncryptionKind::Aes256) => {
            format!("openssl enc -d -aes-256-cbc -pbkdf2 -iter {iterations} -in {name} -pass file:KEYFILE")
        }
        Some(EncryptionKind::Age) => format!("age -d -i IDENTITY {name}"),
        Some(EncryptionKind::AesModule) => "bam decrypt -o - ".to_owned() + name,
        _ => format!("cat {name}"),
    };
    let decompress = match parsed.as_ref().map(|name| name.compression.extension()) {
        Some("gz") => " | gunzip",
        Some("zst") => " | zstd -d --long=31",
        Some("bz2") => " | bunzip2",
        Some("zip") => " | funzip",
        _ => "",
    };
    let (what, last) = match kind {
        Some(kind) if kind.is_database() => ("a database", "your database's client, e.g.:  mysql DATABASE"),
        Some(crate::catalog::Kind::SiteArchive) => (
            "a whole site: docroot/ is the docroot, database.sql the database (load it with the mysql client)",
            "tar x",
        ),
        _ => ("files", "tar x"),
    };
    format!(
        "This folder holds a backup made by bam on {made}.\n\n\
         File:     {name}\nContent:  {what}\nSite:     {site}\n\n\
         Is it undamaged?\n\n    sha256sum -c SHA256SUMS\n\n\
         Look into it with bam, or put it back on the machine that it is of:\n\n    \
         bam restore --file {name} --key KEYFILE --into FOLDER\n    bam restore --file {name} --yes\n\n\
         Or without bam. KEYFILE is the file whose first line is the key:\n\n    {decrypt}{decompress} | {last}\n",
        made = sidecar
            .number(key::DATESTAMP)
            .and_then(|time| jiff::Timestamp::from_second(i64::try_from(time).ok()?).ok())
            .map_or_else(|| "an unknown date".to_owned(), |time| time.to_string()),
        site = sidecar.get(key::SITE_NAME).unwrap_or("unknown"),
    )
}

fn remembered(state_dir: &Path) -> Result<Map<String, Value>> {
    lock::read_state(&state_dir.join(STATE))
}

fn remember(state_dir: &Path, file: &str, path: &Path) -> Result<()> {
    let mut all = remembered(state_dir)?;
    let entry = json!({"path": fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()), "time": jiff::Timestamp::now().as_second()});
    if let Some(entries) = all.entry(file).or_insert_with(|| json!([])).as_array_mut() {
        entries.retain(|old| old["path"] != entry["path"]);
        entries.push(entry);
    }
    lock::write_state(&state_dir.join(STATE), Value::Object(all).to_string().as_bytes())
}
