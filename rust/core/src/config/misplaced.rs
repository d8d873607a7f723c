//! Secrets that stand where none belongs: nobody would look for them there, so they are refused, by the key and never by what
//! is in it.

use super::address::{has_password, is_secret};
use super::check::Problem;
use super::{Database, Destination, DestinationType, Document};
use crate::Secret;
use crate::destination::ssh::location::Location;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What keys are set instead.
const PASSWORD: &str = "put the password into a file, and name that in password_file";

/// All of a document.
pub(super) fn problems(document: &Document, found: &mut Vec<Problem>) {
    for (name, database) in &document.databases {
        of_database(name, database, found);
    }
    for (name, destination) in &document.destinations {
        of_destination(name, destination, found);
    }
}

fn of_database(name: &str, database: &Database, found: &mut Vec<Problem>) {
    if let Some(url) = database.url.as_ref().filter(|url| has_password(url))
        && let Err(error) = database.without_passwords(url).resolve(Path::new("/"))
    {
        let problem = Problem::new(&["databases", name, "url"], error.message());
        found.push(problem.hint(error.next_step().unwrap_or(PASSWORD)));
    }
    let socket = database.socket.as_deref().and_then(Path::to_str);
    if socket.is_some_and(|socket| socket.contains("://") || is_secret(socket)) {
        let problem =
            Problem::new(&["databases", name, "socket"], "is an address, where the path of a socket belongs");
        found.push(problem.hint("write e.g. /run/mysqld/mysqld.sock; user and password belong into url"));
    }
}

fn of_destination(name: &str, destination: &Destination, found: &mut Vec<Problem>) {
    let key = |key| ["destinations", name, key];
    if destination.endpoint.as_deref().is_some_and(is_secret) {
        let problem = Problem::new(&key("endpoint"), "holds a secret, which is none of the server's address");
        found.push(
            problem.hint("the ID of the key belongs into access_key, its secret into a file: password_file"),
        );
    }
    let Some(url) = &destination.url else { return };
    let text = String::from_utf8_lossy(url.expose());
    let why = match destination.kind {
        // What is no login at all may hold a password all the same.
        DestinationType::Sftp | DestinationType::Rsync if text.contains('@') || has_password(url) => {
            Location::parse(url)
                .err()
                .map(|error| (error.message().to_owned(), error.next_step().unwrap_or(PASSWORD).to_owned()))
        }
        DestinationType::S3 if has_password(url) => {
            Some(("holds a secret, which is none of a bucket's address".into(), PASSWORD.into()))
        }
        DestinationType::Webdav if text.contains(['?', '#']) && has_password(url) => Some((
            "no ? nor # belongs into the address of a folder".into(),
            format!("write those of names as %3F and %23; {PASSWORD}"),
        )),
        _ => None,
    };
    if let Some((why, hint)) = why {
        found.push(Problem::new(&key("url"), why).hint(hint));
    }
}

impl Database {
    /// The URL alone.
    fn without_passwords(&self, url: &Secret) -> Database {
        Database { url: Some(url.clone()), prefix: self.prefix.clone(), ..Database::default() }
    }
}

/// Why what is said to be the path of a file with a key or a password is taken for the secret itself: it is a bare word, and
/// there is no file of that name in the `folder`.
pub(super) fn is_no_file(path: &Path, folder: &Path) -> bool {
    let written = path.as_os_str().as_encoded_bytes();
    let looks_like_a_path = [&b"/"[..], b"~/", b"./", b"../"].iter().any(|front| written.starts_with(front));
    !looks_like_a_path
        && folder.join(path).symlink_metadata().is_err_and(|cause| {
            matches!(
                cause.kind(),
                ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename
            )
        })
}

/// The files with keys and passwords that a document names, by their keys.
pub(super) fn secret_files(document: &Document) -> Vec<(Vec<&str>, &PathBuf)> {
    let mut files = Vec::new();
    for (name, database) in &document.databases {
        files.push((vec!["databases", name, "password_file"], database.password_file.as_ref()));
    }
    for (name, destination) in &document.destinations {
        files.push((vec!["destinations", name, "password_file"], destination.password_file.as_ref()));
    }
    files.push((vec!["encryption", "key_file"], document.encryption.key_file.as_ref()));
    files.extend(document.encryption.keys.iter().map(|file| (vec!["encryption", "keys"], Some(file))));
    let module = document.encryption.aes_module.as_ref();
    files.push((
        vec!["encryption", "aes_module", "key_file"],
        module.and_then(|module| module.key_file.as_ref()),
    ));
    files.into_iter().filter_map(|(path, file)| Some((path, file?))).collect()
}
