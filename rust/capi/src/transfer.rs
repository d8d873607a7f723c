//! Destinations on their own: put, get, list, delete.
//!
//! A destination is given as the configuration document gives it: `{"type": "sftp", "url": …}`; paths are absolute.

use crate::boundary::run;
use crate::failure::{Failure, bam_status};
use crate::pointer::{self, Out};
use bam::config::{Document, Site};
use bam::destination::{self, Destination, Existing, Follow};
use bam::{Code, Error, Monitor, Result, ResultExt, whole_file};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::ffi::{OsString, c_char};
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Copies a local file to a destination, under `name`. Its sidecar is `FILE.info`, where there is one. With `replace` it
/// takes the place of a file of that name, else that is an error. Blocks until the copy is in place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bam_transfer_put(
    destination_json: *const c_char,
    file: *const c_char,
    name: *const c_char,
    replace: bool,
) -> bam_status {
    run(|| {
        // SAFETY: the caller's promise, passed on.
        let (destination, file, name) =
            unsafe { (open(destination_json)?, pointer::text(file, "file")?, pointer::text(name, "name")?) };
        destination::check_name(name)?;
        let path = Path::new(file);
        let sidecar = sidecar_of(path, name)?;
        let monitor = Monitor::new();
        let existing = if replace { Existing::Replace } else { Existing::Keep };
        destination.prepare(&monitor)?;
        let input = File::open(path).at("cannot read", path)?;
        if destination.pushes() {
            let mut upload = destination.begin(name, existing)?;
            whole_file::copy(input, &mut upload, &Monitor::new())?;
            upload.commit(&sidecar)?;
        } else {
            let follow = Follow::finished(input)?;
            destination.follow(name, existing, &follow, &|| Ok(sidecar.clone()), &monitor)?;
        }
        Ok(())
    })
}

/// Copies the file `name` of a destination to the local `file`, and its sidecar to `FILE.info`. Neither may exist;
/// each appears when it is whole. Blocks until then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bam_transfer_get(
    destination_json: *const c_char,
    name: *const c_char,
    file: *const c_char,
) -> bam_status {
    run(|| {
        // SAFETY: the caller's promise, passed on.
        let (destination, name, file) =
            unsafe { (open(destination_json)?, pointer::text(name, "name")?, pointer::text(file, "file")?) };
        destination::check_name(name)?;
        let path = Path::new(file);
        let from = destination.open(name)?;
        whole_file::write(path, false, |out| whole_file::copy(from, out, &Monitor::new()))?;
        if let Some(text) = destination.sidecar(name)? {
            whole_file::write(&info(path), false, |out| Ok(out.write_all(text.as_bytes())?))?;
        }
        Ok(())
    })
}

/// Lists the files of a destination: `[{"name", "size", "mtime", "sidecar"}]`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bam_transfer_list(
    destination_json: *const c_char,
    listing_json: *mut *mut c_char,
) -> bam_status {
    run(|| {
        // SAFETY: the caller's promise, passed on.
        let (destination, out) =
            unsafe { (open(destination_json)?, Out::new(listing_json, "listing_json")?) };
        let listing: Vec<Value> = destination
            .list()?
            .into_iter()
            .map(|file| {
                json!({ "name": file.name, "size": file.size, "mtime": file.mtime, "sidecar": file.sidecar })
            })
            .collect();
        out.set_json(&listing)
    })
}

/// Removes a file of a destination and its sidecar.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bam_transfer_delete(
    destination_json: *const c_char,
    name: *const c_char,
) -> bam_status {
    run(|| {
        // SAFETY: the caller's promise, passed on.
        let (destination, name) = unsafe { (open(destination_json)?, pointer::text(name, "name")?) };
        destination::check_name(name)?;
        Ok(destination.remove(name)?)
    })
}

/// # Safety
/// As [`pointer::text`].
unsafe fn open(destination_json: *const c_char) -> Result<Box<dyn Destination>, Failure> {
    const NAME: &str = "destination";
    // SAFETY: the caller's promise.
    let json = unsafe { pointer::text(destination_json, "destination_json") }?;
    let json: &RawValue = serde_json::from_str(json)
        .map_err(|cause| Error::new(Code::Config, "the destination is not JSON").because(cause))?;
    // As part of a document, whose reader never repeats a value, which might be a password.
    let document = Document::from_json(&format!("{{\"destinations\": {{\"{NAME}\": {json}}}}}"))?;
    let config = document.destinations.get(NAME).ok_or_else(|| {
        Error::new(Code::Config, "this is not a destination").hint("{\"type\": \"directory\", \"path\": …}")
    })?;
    Ok(destination::open(NAME, config, &Site::default())?)
}

fn info(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".info");
    name.into()
}

/// The text of `FILE.info`, or as much as can be said of a file that has none.
fn sidecar_of(path: &Path, name: &str) -> Result<String> {
    match fs::read_to_string(info(path)) {
        Ok(text) => Ok(text),
        Err(cause) if cause.kind() == ErrorKind::NotFound => {
            let meta = fs::metadata(path).at("cannot read", path)?;
            let modified = meta.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            Ok(format!(
                "filename = \"{name}\"\ndatestamp = \"{}\"\nfilesize = \"{}\"\n",
                modified.unwrap_or_default().as_secs(),
                meta.len()
            ))
        }
        Err(cause) => Err(Error::io("cannot read", &info(path), cause)),
    }
}
