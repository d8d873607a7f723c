//! Whether the web server hands out what lies in a folder: a request for a file that was just put there. A backup that
//! anybody could read and fetch is not made.

use crate::config::{DestinationType, Document, Site, hide};
use crate::destination::Destination;
use crate::regular;
use crate::{Code, Error, Monitor, NoteKind, Result, ResultExt, encrypt, environment, look};
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

mod standing;
pub(super) use standing::{Roots, Standing};

pub(super) enum Served {
    /// At this URL.
    Yes(String),
    /// This came instead.
    No(String),
    /// It could not be found out, and why.
    Unknown(String),
}

/// Where a folder, or a file, stands on the web; `None`: nowhere.
pub(super) fn standing(site: &Site, path: &Path) -> Result<Option<Standing>> {
    Roots::of(site)?.standing(path)
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
    let standing = match standing(&document.site, folder) {
        Ok(None) => return Ok(()),
        Ok(Some(standing)) => standing,
        Err(error) => {
            let text = format!("whether the web server hands out {} is not known", folder.display());
            if !is_encrypted {
                return Err(error.context(format!("{text}, and nothing that anybody can read goes there")));
            }
            monitor.note(NoteKind::Warning, format!("{text}: {error}"));
            return Ok(());
        }
    };
    let lies = format!("{} {}", folder.display(), standing.lies);
    let (text, kind, hint) = match served(&document.site, folder, &standing, monitor) {
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

/// Refuses to write plaintext to a file, or into a folder, that the web server hands out, or may for all that is known; as
/// [`refuse_served_folder`]. Also where it lies in the docroot of a Drupal that the document knows nothing of.
///
/// # Errors
///
/// It is handed out, or that is not known.
pub fn refuse_plain(document: &Document, path: &Path, monitor: &Monitor) -> Result<()> {
    let around = match standing(&document.site, path) {
        Ok(None) => docroot_around(path)?,
        _ => None,
    };
    match around {
        Some(root) => {
            let site = Site { root, ..Site::default() };
            refuse_served_folder(&Document { site, ..Document::default() }, path, false, monitor)
        }
        None => refuse_served_folder(document, path, false, monitor),
    }
}

/// The folder above a path, by its links or as it is written, that has the code of a Drupal in it.
fn docroot_around(path: &Path) -> Result<Option<PathBuf>> {
    let absolute = std::path::absolute(path).at("cannot find", path)?;
    let real = look::real_as_far(path)?;
    for folder in absolute.ancestors().chain(real.ancestors()) {
        if look::if_open(has_drupal(folder))? {
            return Ok(Some(folder.to_owned()));
        }
    }
    Ok(None)
}

/// Whether a folder is the docroot of a Drupal, by its code.
pub(super) fn has_drupal(docroot: &Path) -> Result<bool> {
    for file in ["includes/bootstrap.inc", "core/lib/Drupal.php"] {
        if look::is_file(&docroot.join(file))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a folder lies in that of the private files, which Drupal has closed for Apache.
fn is_kept_private(site: &Site, folder: &Path) -> Result<bool> {
    let Some(private) = site.private_dir() else { return Ok(false) };
    let is_in = look::real_as_far(folder)?.starts_with(look::real_as_far(&private)?);
    Ok(is_in && look::is_file(&private.join(".htaccess"))?)
}

/// The part of a path that is a folder already, and how many names of the path are below it.
fn there(path: &Path) -> Result<(PathBuf, usize)> {
    let real = look::real_as_far(path)?;
    for (missing, there) in real.ancestors().enumerate() {
        if look::is_folder(there)? {
            return Ok((there.to_owned(), missing));
        }
    }
    Ok((real, 0))
}

/// Asks the site's own web server, at each address of `folder`, for a file that is put there, or into the folder that it
/// will be made in.
pub(super) fn served(site: &Site, folder: &Path, standing: &Standing, monitor: &Monitor) -> Served {
    let base = site.url.trim_end_matches('/');
    if !base.starts_with("http://") && !base.starts_with("https://") {
        return Served::Unknown("site.url, by which to ask for it, is not set".into());
    }
    let (there, missing) = match there(folder) {
        Ok(found) => found,
        Err(error) => return Served::Unknown(error.to_string()),
    };
    let (Ok(mark), Ok(token)) = (encrypt::random_hex(), encrypt::random_hex()) else {
        return Served::Unknown("no random name".into());
    };
    // Called as backups are, since rules of servers go by the ends of names. The token is not in it: pages that are not
    // found repeat what was asked for.
    let name = format!("bam-check-{mark}.tar.gz");
    let path = there.join(&name);
    let put = || -> std::io::Result<()> {
        fs::OpenOptions::new().write(true).create_new(true).open(&path)?.write_all(token.as_bytes())?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644))
    };
    if let Err(cause) = put() {
        return Served::Unknown(format!("cannot put a file there to ask for: {cause}"));
    }
    let mut found = Served::Unknown("no address of it is known".into());
    for (at, address) in standing.addresses.iter().enumerate() {
        let one = match address.above(missing) {
            Some(inside) => ask_for(site, base, &inside.join(&name), &token, monitor),
            None => Served::Unknown("it is not there yet".into()),
        };
        // The worst counts.
        match (one, &found) {
            (yes @ Served::Yes(_), _) => {
                found = yes;
                break;
            }
            (one, _) if at == 0 => found = one,
            (one @ Served::Unknown(_), Served::No(_)) => found = one,
            _ => {}
        }
    }
    let _ = fs::remove_file(&path);
    found
}

/// Asks for the file with the token by one path of its URL.
fn ask_for(site: &Site, base: &str, path: &Path, token: &str, monitor: &Monitor) -> Served {
    if monitor.check().is_err() {
        return Served::Unknown("cancelled".into());
    }
    let url = format!("{base}/{}", percent_encode(path.as_os_str().as_bytes(), IN_PATH));
    match ask(&url) {
        Ok((_, body)) if body.contains(token) => Served::Yes(hide(&url)),
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
        OPEN.iter().find_map(|path| Some((path, regular::read(&site.docroot().join(path)).ok()?)))?;
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
