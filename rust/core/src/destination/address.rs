//! Destinations that are named by their address on the command line, not by a name in the configuration.

use super::ssh::location::Location;
use crate::config::document::{Destination, DestinationType};
use crate::look;
use crate::{Code, Error, Result, ResultExt, Secret};
use std::path::Path;

/// Whether a destination's name is an address, so that its settings come from options.
pub(crate) fn is_address(id: &str) -> bool {
    id.contains(['/', ':'])
}

/// Where the setting `key` of destination `id` is made, for hints.
pub(super) fn setting(id: &str, key: &str) -> String {
    match is_address(id) {
        true => format!("--{}", key.replace("identity_file", "identity").replace('_', "-")),
        false => format!("destinations.{id}.{key}"),
    }
}

/// The settings of the place at an address, and the name it goes by: `sftp://user@host[:port]/folder`,
/// `[user@]host:folder` (through rsync), or a folder of this machine, which must exist.
pub fn at_address(address: &str) -> Result<(String, Destination)> {
    if ["s3://", "http://", "https://"].iter().any(|scheme| address.starts_with(scheme)) {
        return Err(Error::new(
            Code::Usage,
            "a bucket or a WebDAV folder needs more than its address: keys, a region, an endpoint",
        )
        .hint(
            "write it into the configuration, below \"destinations\", and name it (docs/object-storage.md)",
        ));
    }
    if let Some(scheme) = of_repository(address) {
        return Err(Error::new(
            Code::Usage,
            format!("an address that begins with {scheme}: is that of a repository, which opens with a key"),
        )
        .hint(
            "write it into the configuration, below \"destinations\", and name it; restic itself reads it, too (docs/disaster-recovery.md)",
        ));
    }
    let remote = address.contains("://")
        || (host_and_path(address) && !look::exists(Path::new(address)).unwrap_or(true));
    let kind = match (remote, address.contains("://")) {
        (false, _) => DestinationType::Directory,
        (true, true) => DestinationType::Sftp,
        (true, false) => DestinationType::Rsync,
    };
    let mut destination = bare(kind);
    if !remote {
        let path = std::path::absolute(address).at("cannot find", Path::new(address))?;
        if !look::is_folder(&path)? {
            return Err(Error::new(Code::NotFound, format!("there is no folder {}", path.display()))
                .hint("backups are in a folder, or at sftp://user@host/folder"));
        }
        let name = path.display().to_string();
        destination.path = Some(path);
        return Ok((name, destination));
    }
    let url = Secret::new(address);
    let location = Location::parse(&url)?;
    if location.password.is_some() {
        return Err(Error::new(Code::Usage, "a password in an address is seen by everybody on this machine")
            .hint("leave it out, and name a file that holds it with --password-file"));
    }
    destination.url = Some(url);
    Ok((location.describe(if kind == DestinationType::Sftp { "sftp" } else { "rsync" }), destination))
}

/// The scheme of a repository's address, in a form that no `host:folder` has.
fn of_repository(address: &str) -> Option<&str> {
    let scheme = super::restic::scheme(address)?;
    let rest = address.get(scheme.len() + 1..)?;
    (!rest.starts_with("//") && rest.contains(':') && !look::exists(Path::new(address)).unwrap_or(true))
        .then_some(scheme)
}

/// A place of a kind of which nothing is said yet.
pub(super) fn bare(kind: DestinationType) -> Destination {
    Destination {
        kind,
        name: None,
        path: None,
        url: None,
        repository: None,
        key_file: None,
        credential_files: Default::default(),
        password: None,
        password_file: None,
        password_env: None,
        identity_file: None,
        known_hosts: None,
        host_key: None,
        endpoint: None,
        region: None,
        path_style: None,
        access_key: None,
        profile: None,
        credentials_file: None,
        credentials: None,
        ca_file: None,
        append_only: false,
        chmod: None,
        chgrp: None,
        timeout: None,
    }
}

/// `host:path` as scp and rsync read it: a colon before the first slash.
fn host_and_path(address: &str) -> bool {
    address.split_once(':').is_some_and(|(host, _)| !host.is_empty() && !host.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_repositories_are_told_what_they_want() {
        for address in ["rest:http://h/", "s3:https://h/b", "b2:bucket:path", "sftp:u@h:/repo"] {
            let error = at_address(address).expect_err(address);
            assert_eq!(error.code(), Code::Usage, "{address}");
            assert!(error.to_string().contains("below \"destinations\""), "{error}");
        }
        assert_eq!(at_address("rest:backups").expect("a host").1.kind, DestinationType::Rsync);
    }

    #[test]
    fn addresses_tell_what_they_are() {
        let (name, place) = at_address("sftp://backup@host:2222/srv/b%20c/").expect("an address");
        assert_eq!((name.as_str(), place.kind), ("sftp://backup@host:2222/srv/b c", DestinationType::Sftp));
        let (name, place) = at_address("backup@host:b").expect("an address");
        assert_eq!((name.as_str(), place.kind), ("rsync://backup@host/~/b", DestinationType::Rsync));
        let here = tempfile::tempdir().expect("a folder");
        let (name, place) = at_address(here.path().to_str().expect("text")).expect("an address");
        assert_eq!(place.path.as_deref(), Some(here.path()));
        assert!(is_address(&name));
        assert_eq!(at_address("/no/such/folder").expect_err("nowhere").code(), Code::NotFound);
    }

    #[test]
    fn a_password_in_an_address_is_refused_and_not_repeated() {
        let error = at_address("sftp://backup:s3cret@host/b").expect_err("refused");
        assert_eq!(error.code(), Code::Usage);
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
}
