//! The names of its snapshots, or of its keys, as its server tells them, without restic: by SFTP, by S3, by restic's own REST protocol. One
//! that hides a snapshot could hide it from restic, too.

use super::access::{Access, scheme};
use crate::config::document::{Destination, DestinationType};
use crate::destination::Destination as _;
use crate::destination::address::bare;
use crate::destination::object::Glance;
use crate::destination::sftp::Sftp;
use crate::destination::ssh::silence::HURRIED;
use crate::{Cancel, Code, Fact, Result, Secret};
use std::path::PathBuf;
use std::time::Instant;

/// The folder that they are in, and that of the keys. In the oldest layout of a bucket they have other names, and restic is
/// asked.
pub(super) const SNAPSHOTS: &str = "snapshots";
pub(super) const KEYS: &str = "keys";

/// A server that is asked without restic.
pub(super) enum Afar {
    Ssh(Box<Sftp>),
    Web(Box<Glance>),
}

impl Afar {
    /// `None`: restic alone can ask it.
    pub fn of(access: &Access, folder: &str) -> Option<Afar> {
        if let Some(server) = &access.server {
            return Some(Afar::Ssh(Box::new(Sftp::within(server, folder))));
        }
        let address = std::str::from_utf8(access.repository.expose()).ok()?;
        let place = match scheme(address)? {
            "s3" => with_keys(bucket(address, folder)?, access)?,
            "rest" if access.credentials.is_empty() => rest(address, folder)?,
            _ => return None,
        };
        let timeout = access.patience.map(|patience| patience.as_secs());
        let place = Destination { ca_file: access.ca_file.clone(), timeout, ..place };
        Some(Afar::Web(Box::new(Glance::new(&access.id, place).ok()?)))
    }

    pub fn remember_silence(&self, file: PathBuf) {
        match self {
            Afar::Ssh(folder) => folder.remember_silence(file),
            Afar::Web(folder) => folder.remember_silence(file),
        }
    }

    /// The names; `None`: restic has to be asked. Fails where the server did not answer: restic would wait for it once
    /// more. With `hurry` it is not waited for long that did not answer lately.
    pub fn names(&self, access: &Access, hurry: bool, job: &Cancel) -> Result<Option<Vec<String>>> {
        let begun = Instant::now();
        let (told, most) = match self {
            Afar::Ssh(folder) => {
                folder.attend(job);
                (folder.names(hurry), folder.server.looking().patience.timeout)
            }
            Afar::Web(folder) => (folder.names(hurry, job), access.silence_of_a_look()),
        };
        match told {
            Ok(names) => Ok(names),
            Err(trouble) if trouble.error.code() == Code::Cancelled => Err(trouble.error),
            Err(trouble) if trouble.broken && begun.elapsed() >= most.min(HURRIED) => {
                Err(trouble.error.within(Fact::Destination, &access.id))
            }
            Err(_) => Ok(None),
        }
    }
}

/// The folder of a REST server, which is asked as a WebDAV server is.
fn rest(address: &str, folder: &str) -> Option<Destination> {
    let url = address.strip_prefix("rest:")?;
    let is_plain = (url.starts_with("http://") || url.starts_with("https://")) && !url.contains(['?', '#']);
    let url = Secret::new(format!("{}/{folder}/", url.trim_end_matches('/')));
    is_plain.then(|| Destination { url: Some(url), ..bare(DestinationType::Webdav) })
}

/// The folder of a bucket, by the forms that restic takes: `s3:https://HOST[:PORT]/BUCKET/PREFIX`, `s3:HOST/BUCKET/PREFIX`
/// and `s3://HOST/…`.
fn bucket(address: &str, folder: &str) -> Option<Destination> {
    let rest = address.strip_prefix("s3:")?;
    let (scheme, rest) = match rest.split_once("://") {
        Some(("http", rest)) => ("http", rest),
        Some(("https", rest)) => ("https", rest),
        Some(_) => return None,
        None => ("https", rest.strip_prefix("//").unwrap_or(rest)),
    };
    let (host, path) = rest.split_once('/')?;
    if host.is_empty() || rest.contains(['@', '?', '#', '%']) {
        return None;
    }
    let (endpoint, region) = match of_amazon(host) {
        Some(_) if scheme == "http" => return None,
        // Its own way to say which bucket is meant.
        Some(region) => (None, region),
        None if host.contains("amazonaws.com") => return None,
        None => (Some(format!("{scheme}://{host}")), None),
    };
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let url = Secret::new(format!("s3://{}/{folder}", parts.join("/")));
    // That a path goes up is refused where it is opened.
    (!parts.is_empty()).then(|| Destination { url: Some(url), endpoint, region, ..bare(DestinationType::S3) })
}

/// `s3.amazonaws.com`, and the same of a region.
fn of_amazon(host: &str) -> Option<Option<String>> {
    let part = host.strip_prefix("s3")?.strip_suffix(".amazonaws.com")?;
    match part.strip_prefix(['.', '-']) {
        None => part.is_empty().then_some(None),
        Some(region) => (!region.contains('.')).then(|| Some(region.to_owned())),
    }
}

/// With the keys and the region that restic would take; `None`: it would take others.
fn with_keys(mut place: Destination, access: &Access) -> Option<Destination> {
    for (name, value) in access.credentials().ok()? {
        let value = value.into_string().ok()?;
        match name.as_str() {
            "AWS_ACCESS_KEY_ID" => place.access_key = Some(value),
            "AWS_SECRET_ACCESS_KEY" => place.password = Some(Secret::new(value)),
            "AWS_DEFAULT_REGION" => place.region = Some(value),
            "AWS_PROFILE" => place.profile = Some(value),
            "AWS_SHARED_CREDENTIALS_FILE" => place.credentials_file = Some(value.into()),
            _ => return None,
        }
    }
    match (&place.access_key, &place.password) {
        (Some(_), Some(_)) => (place.profile, place.credentials_file) = (None, None),
        (None, None) => drop(place.profile.get_or_insert_with(|| "default".to_owned())),
        _ => return None,
    }
    Some(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(place: &Destination) -> String {
        String::from_utf8_lossy(place.url.as_ref().expect("a url").expose()).into_owned()
    }

    #[test]
    fn buckets_are_where_restic_takes_them_to_be() {
        for (address, at, endpoint, region) in [
            ("s3:https://h:9000/b/p/q/", "s3://b/p/q/snapshots", Some("https://h:9000"), None),
            ("s3:http://h/b", "s3://b/snapshots", Some("http://h"), None),
            ("s3:h/b//p/.", "s3://b/p/snapshots", Some("https://h"), None),
            ("s3://h/b", "s3://b/snapshots", Some("https://h"), None),
            ("s3:s3.amazonaws.com/b/p", "s3://b/p/snapshots", None, None),
            ("s3:https://s3.eu-west-3.amazonaws.com/b", "s3://b/snapshots", None, Some("eu-west-3")),
            ("s3:s3-eu-west-1.amazonaws.com/b", "s3://b/snapshots", None, Some("eu-west-1")),
        ] {
            let place = bucket(address, SNAPSHOTS).expect(address);
            assert_eq!(
                (url(&place).as_str(), place.endpoint.as_deref(), place.region.as_deref()),
                (at, endpoint, region),
                "{address}"
            );
        }
        for address in [
            "s3:h",
            "s3:h/",
            "s3:/b",
            "s3:ftp://h/b",
            "s3:http://s3.amazonaws.com/b",
            "s3:s3.dualstack.eu-west-1.amazonaws.com/b",
            "s3:b.s3.amazonaws.com/b",
            "s3:https://u@h/b",
            "s3:https://h/b%20c",
        ] {
            assert!(bucket(address, SNAPSHOTS).is_none(), "{address}");
        }
    }

    #[test]
    fn rest_servers_are_asked_in_the_folder() {
        assert_eq!(
            url(&rest("rest:https://u:p@h/r/", SNAPSHOTS).expect("one")),
            "https://u:p@h/r/snapshots/"
        );
        assert_eq!(url(&rest("rest:http://h:8000", SNAPSHOTS).expect("one")), "http://h:8000/snapshots/");
        assert!(rest("rest:http+unix:///run/rest.socket:/r/", SNAPSHOTS).is_none());
    }
}
