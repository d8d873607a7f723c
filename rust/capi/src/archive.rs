//! Archives on their own: create, extract, list.

use crate::boundary::{run, swallow};
use crate::failure::{Failure, bam_status};
use crate::pointer::{self, Out};
use bam::archive::{Entry, ExtractOptions, Extractor, Reader, Writer, show};
use bam::compress::{self, Kind, Level};
use bam::config::Site;
use bam::source::exclude::Excludes;
use bam::source::files::FileTree;
use bam::{Code, Error, Fact, Monitor, Result, ResultExt, Told, whole_file};
use serde::Deserialize;
use serde_json::{Value, json};
use std::ffi::{OsStr, c_char};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Mutex;

/// An archive that is being listed.
pub struct bam_archive(Mutex<Reader<Box<dyn BufRead + Send>>>);

/// What bam_archive_create may be told.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Create {
    exclude: Vec<String>,
    ignore_errors: bool,
}

/// What bam_archive_extract may be told.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Extract {
    owners: Option<bool>,
    special_bits: bool,
}

/// Archives a folder into the tar file `file`, compressed as its extension says (.gz, .zst, .bz2, .zip, none). `file`
/// must not exist; it appears when it is whole. Blocks until then.
///
/// `options_json` may be NULL: `{"exclude": [paths relative to the folder, or absolute, or patterns as in a .gitignore],
/// "ignore_errors": false}`. The report: `{"files", "directories", "links", "bytes", "changed", "vanished", "skipped", "missing", "notes"}`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bam_archive_create(
    folder: *const c_char,
    file: *const c_char,
    options_json: *const c_char,
    report_json: *mut *mut c_char,
) -> bam_status {
    run(|| {
        // SAFETY: the caller's promise, passed on.
        let (folder, file, options, out) = unsafe {
            (
                pointer::text(folder, "folder")?,
                Path::new(pointer::text(file, "file")?),
                options::<Create>(options_json)?,
                Out::new(report_json, "report_json")?,
            )
        };
        let base = fs::canonicalize(folder).at("cannot find the folder", Path::new(folder))?;
        let mut excludes = Excludes::new(&options.exclude, &base, &Site::default());
        excludes.add_path(file);
        let tree = FileTree { base, excludes, ignore_errors: options.ignore_errors, ..FileTree::default() };
        let monitor = Monitor::new();
        let report = whole_file::write(file, false, |part| {
            let handle = part.get_ref().try_clone().at("cannot write", file)?;
            let kind = file.extension().and_then(OsStr::to_str).and_then(Kind::from_extension);
            let name = file.file_stem().unwrap_or_default().to_string_lossy();
            let encoder = compress::writer(kind.unwrap_or(Kind::None), Level::Default, &name, handle, 0)?;
            let mut writer = Writer::new(encoder);
            let report = tree.walk(&monitor, &mut |entry, body| writer.append(entry, body).map(drop))?;
            writer.finish()?.finish()?;
            Ok(report)
        })?;
        out.set_json(&json!({
            "files": report.files,
            "directories": report.directories,
            "links": report.links,
            "bytes": report.bytes,
            "changed": report.changed,
            "vanished": report.vanished,
            "skipped": report.skipped,
            "missing": report.missing,
            "notes": monitor.notes(),
        }))
    })
}

/// Extracts a tar file, compressed or not, into a folder that exists. Nothing is written outside of it, whatever the
/// archive says. Blocks until all is there.
///
/// `options_json` may be NULL: `{"owners": give files their owners back (default: when run by root), "special_bits":
/// false}`. The report: `{"files", "directories", "links", "bytes", "skipped", "missing", "notes"}`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bam_archive_extract(
    file: *const c_char,
    folder: *const c_char,
    options_json: *const c_char,
    report_json: *mut *mut c_char,
) -> bam_status {
    run(|| {
        // SAFETY: the caller's promise, passed on.
        let (file, folder, options, out) = unsafe {
            (
                Path::new(pointer::text(file, "file")?),
                pointer::text(folder, "folder")?,
                options::<Extract>(options_json)?,
                Out::new(report_json, "report_json")?,
            )
        };
        let mut how = ExtractOptions { special_bits: options.special_bits, ..ExtractOptions::default() };
        how.owners = options.owners.unwrap_or(how.owners);
        let monitor = Monitor::new();
        let mut reader = open(file)?;
        let report = Extractor::into_folder(Path::new(folder), how, &monitor)?
            .run(&mut reader)
            .within(Fact::Path, file.display())?;
        out.set_json(&json!({
            "files": report.files,
            "directories": report.directories,
            "links": report.symlinks,
            "bytes": report.bytes,
            "skipped": report.skipped,
            "missing": report.missing,
            "notes": monitor.notes(),
        }))
    })
}

/// Opens a tar file, compressed or not, to list what is in it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bam_archive_open(file: *const c_char, archive: *mut *mut bam_archive) -> bam_status {
    run(|| {
        // SAFETY: the caller's promise, passed on.
        let (file, out) = unsafe { (pointer::text(file, "file")?, Out::new(archive, "archive")?) };
        let reader = open(Path::new(file))?;
        out.set(Box::into_raw(Box::new(bam_archive(Mutex::new(reader)))));
        Ok(())
    })
}

/// The next member: `{"path", "type", "size", "mode", "uid", "gid", "mtime", "target"}`, or NULL behind the last. In
/// paths, control characters and bytes that are not UTF-8 are escaped.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bam_archive_next(
    archive: *const bam_archive,
    member_json: *mut *mut c_char,
) -> bam_status {
    run(|| {
        // SAFETY: the caller's promise, passed on.
        let (archive, out) =
            unsafe { (pointer::reference(archive, "archive")?, Out::new(member_json, "member_json")?) };
        let mut reader = archive.0.lock().map_err(|_| Failure::Panic)?;
        match reader.next_member()? {
            Some(member) => out.set_json(&describe(&member.entry)),
            None => {
                out.set(std::ptr::null_mut());
                Ok(())
            }
        }
    })
}

/// Ends a listing. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bam_archive_free(archive: *mut bam_archive) {
    if !archive.is_null() {
        // SAFETY: it came from `Box::into_raw` in bam_archive_open, and the caller gives it back once.
        swallow(|| drop(unsafe { Box::from_raw(archive) }));
    }
}

fn open(file: &Path) -> Result<Reader<Box<dyn BufRead + Send>>> {
    let mut input = BufReader::new(File::open(file).at("cannot read", file)?);
    let kind = Kind::detect(input.fill_buf().at("cannot read", file)?);
    Ok(Reader::new(compress::reader(kind, input, 0)?))
}

fn describe(entry: &Entry) -> Value {
    json!({
        "path": show(&entry.path),
        "type": entry.kind.name(),
        "size": entry.kind.size(),
        "mode": entry.mode,
        "uid": entry.uid,
        "gid": entry.gid,
        "mtime": entry.mtime,
        "target": entry.kind.target().map(show),
    })
}

/// Options as JSON; none where the pointer is null.
///
/// # Safety
/// As [`pointer::text`].
unsafe fn options<T: Default + for<'de> Deserialize<'de>>(json: *const c_char) -> Result<T, Failure> {
    if json.is_null() {
        return Ok(T::default());
    }
    // SAFETY: the caller's promise.
    let text = unsafe { pointer::text(json, "options_json") }?;
    let parsed = serde_json::from_str(text);
    Ok(parsed.map_err(|cause| Error::new(Code::Usage, "cannot read the options").because(cause))?)
}
