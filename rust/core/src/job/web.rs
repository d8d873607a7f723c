//! Whether the web server hands out what lies in a folder: a request for a file that was just put there. A backup that
//! anybody could read and fetch is not made.

use crate::config::{DestinationType, Document, Site, hide};
use crate::destination::Destination;
use crate::{Code, Error, Monitor, NoteKind, Result, encrypt, environment, look};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What stays as it is in the path of a URL.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'_').remove(b'-').remove(b'.');

/// What every visitor of a Drupal may have (10 and later, 7), below the docroot.
const OPEN: [&str; 2] = ["core/misc/drupal.js", "misc/drupal.js"];

pub(super) enum Served {
    /// At this URL.
    Yes(String),
    /// This came instead.
    No(String),
    /// It could not be found out, and why.
    Unknown(String),
}

/// The rest of `path` below `root`, links followed; `None` where it lies elsewhere. Fails where that cannot be looked at.
pub(super) fn lies_in(path: &Path, root: &Path) -> Result<Option<PathBuf>> {
    let root = match root.as_os_str().is_empty() {
        true => None,
        false => look::real(root)?,
    };
    let Some(root) = root else { return Ok(None) };
    Ok(look::real_as_far(path)?.strip_prefix(&root).ok().map(Path::to_owned))
}

/// Refuses a place on this machine where the web server would hand a backup to everybody; as [`refuse_served_folder`].
pub(super) fn refuse_served(
    document: &Document,
    place: &dyn Destination,
    is_encrypted: bool,
    monitor: &Monitor,
) -> Result<()> {
    let config =
        document.destinations.get(place.id()).filter(|config| config.kind == DestinationType::Directory);
    match config.and_then(|config| document.site.resolve(config.path.as_ref()?).ok()) {
        Some(path) => refuse_served_folder(document, &path, is_encrypted, monitor),
        None => Ok(()),
    }
}

/// Refuses a folder that the web server hands out, or may for all that is known, if what is to come there is not encrypted;
/// else it warns. A folder that is not there yet is asked for in the one that it will be made in.
pub(super) fn refuse_served_folder(
    document: &Document,
    folder: &Path,
    is_encrypted: bool,
    monitor: &Monitor,
) -> Result<()> {
    const ELSEWHERE: &str = "choose a folder outside of the docroot, e.g. below /var/backups";
    let Some(inside) = lies_in(folder, &document.site.docroot())? else { return Ok(()) };
    let lies = format!("{} lies in the docroot", folder.display());
    let (there, inside_there) = there(folder, &inside)?;
    let (text, kind, hint) = match served(&document.site, there, inside_there, monitor) {
        Served::No(_) => return Ok(()),
        Served::Yes(url) => (
            format!("{lies}, and the web server hands out what is in it: {url} was there for everybody"),
            NoteKind::Warning,
            format!("{ELSEWHERE}, or encrypt"),
        ),
        // There the site's own private files lie as open, or as closed, as Drupal keeps them.
        Served::Unknown(why) if !is_encrypted && is_kept_private(&document.site, folder)? => {
            let text = format!(
                "{lies}, where Drupal's .htaccess keeps Apache from it; of other web servers it is not known: {why}; {ELSEWHERE}"
            );
            monitor.note(NoteKind::Warning, text);
            return Ok(());
        }
        Served::Unknown(why) => (
            format!("{lies}, and whether the web server hands out what is in it is not known: {why}"),
            NoteKind::Info,
            format!(
                "{ELSEWHERE}; or encrypt; or set site.url to where this web server answers, so that it can be asked"
            ),
        ),
    };
    if is_encrypted {
        monitor.note(kind, format!("{text}; {ELSEWHERE}"));
        return Ok(());
    }
    Err(Error::new(Code::Config, format!("{text}; nothing that anybody can read goes there")).hint(hint))
}

/// Whether a folder lies in that of the private files, which Drupal has closed for Apache.
fn is_kept_private(site: &Site, folder: &Path) -> Result<bool> {
    let Some(private) = site.private_dir() else { return Ok(false) };
    let is_in = look::real_as_far(folder)?.starts_with(look::real_as_far(&private)?);
    Ok(is_in && look::is_file(&private.join(".htaccess"))?)
}

/// The part of `folder`, which is `inside` of the docroot, that is there, and where in the docroot it is.
fn there<'p>(folder: &'p Path, inside: &'p Path) -> Result<(&'p Path, &'p Path)> {
    for (there, inside) in folder.ancestors().zip(inside.ancestors()) {
        if look::is_folder(there)? {
            return Ok((there, inside));
        }
    }
    Ok((folder, inside))
}

/// Asks the site's own web server for a file that is put into `folder`, which is `inside` of the docroot.
pub(super) fn served(site: &Site, folder: &Path, inside: &Path, monitor: &Monitor) -> Served {
    let base = site.url.trim_end_matches('/');
    if !base.starts_with("http://") && !base.starts_with("https://") {
        return Served::Unknown("site.url, by which to ask for it, is not set".into());
    }
    let (Ok(mark), Ok(token)) = (encrypt::random_hex(), encrypt::random_hex()) else {
        return Served::Unknown("no random name".into());
    };
    // Called as backups are, since rules of servers go by the ends of names. The token is not in it: pages that are not
    // found repeat what was asked for.
    let name = format!("bam-check-{mark}.tar.gz");
    let path = folder.join(&name);
    let put = || -> std::io::Result<()> {
        fs::OpenOptions::new().write(true).create_new(true).open(&path)?.write_all(token.as_bytes())?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644))
    };
    if let Err(cause) = put() {
        return Served::Unknown(format!("cannot put a file there to ask for: {cause}"));
    }
    let url = format!("{base}/{}", percent_encode(inside.join(&name).as_os_str().as_bytes(), IN_PATH));
    let answer = if monitor.check().is_ok() { ask(&url) } else { Err("cancelled".into()) };
    let _ = fs::remove_file(&path);
    match answer {
        Ok((_, body)) if body.contains(&token) => Served::Yes(hide(&url)),
        Ok((status, _)) => match why_not_proven(site, base, &status) {
            Some(why) => Served::Unknown(why),
            None => Served::No(format!("HTTP {status}")),
        },
        Err(why) => Served::Unknown(why),
    }
}

/// Why an answer without our bytes does not prove that nobody gets them: the server is in trouble, or is another one than
/// that which hands out this docroot, as Drupal's own file there shows.
fn why_not_proven(site: &Site, base: &str, status: &str) -> Option<String> {
    if status.starts_with('5') || ["408", "425", "429"].contains(&status) {
        return Some(format!("it answered HTTP {status}, which may pass"));
    }
    let (path, known) =
        OPEN.iter().find_map(|path| Some((path, fs::read(site.docroot().join(path)).ok()?)))?;
    let url = format!("{base}/{path}");
    match ask(&url) {
        Ok((_, body)) if body.as_bytes() == String::from_utf8_lossy(&known).as_bytes() => None,
        Ok((status, _)) => Some(format!(
            "what answers there does not hand out Drupal's own {} either (HTTP {status}), so it may not be this site's web server",
            hide(&url)
        )),
        Err(why) => Some(why),
    }
}

/// Status and body. The certificate does not matter: what counts is whether our own bytes come back.
fn ask(url: &str) -> Result<(String, String), String> {
    let options = format!(
        "url = {}\nsilent\nshow-error\nlocation\ninsecure\nmax-time = 10\nmax-filesize = 1000000\n\
         write-out = \"\\n%{{http_code}}\"\n",
        environment::curl_value(url)
    );
    let mut child = environment::clean(&mut Command::new("curl"))
        .args(["--disable", "--config", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|cause| format!("cannot run curl: {cause}"))?;
    if let Some(mut input) = child.stdin.take() {
        // A curl that ends without reading says so.
        let _ = input.write_all(options.as_bytes());
    }
    let done = child.wait_with_output().map_err(|cause| format!("cannot run curl: {cause}"))?;
    if !done.status.success() {
        return Err(String::from_utf8_lossy(&done.stderr).trim().to_owned());
    }
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').unwrap_or(("", &text));
    Ok((status.to_owned(), body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_do_not_hide_that_a_folder_is_inside() {
        let top = tempfile::tempdir().expect("a folder");
        let root = top.path().join("docroot");
        fs::create_dir_all(root.join("sites")).expect("made");
        std::os::unix::fs::symlink(root.join("sites"), top.path().join("link")).expect("linked");
        std::os::unix::fs::symlink(top.path(), root.join("out")).expect("linked");
        for (path, inside) in [
            ("docroot/sites/x/y", Some("sites/x/y")),
            ("link/b", Some("sites/b")),
            ("docroot/out/elsewhere", None),
            ("docroot-2/b", None),
            ("docroot", Some("")),
        ] {
            assert_eq!(
                lies_in(&top.path().join(path), &root).expect("looked").as_deref(),
                inside.map(Path::new),
                "{path}"
            );
        }
        assert_eq!(lies_in(Path::new("/x"), Path::new("")).expect("looked"), None);
    }
}
