//! The secrets in an address that is configured: of a database, a destination, a server. Unlike [`super::shape`], which
//! guesses in any text, this reads it as whoever connects will, so that user, host and path stay readable.

use super::HIDDEN;
use super::shape::{DONE, SCHEMES, is_port, is_secret_name};
use crate::Secret;
use std::ops::Range;

/// The address with its secrets replaced by [`HIDDEN`], for messages and exports: the password behind a user, and what a
/// query calls one.
pub fn without_password(address: &Secret) -> String {
    hide(&String::from_utf8_lossy(address.expose()))
}

/// The same of one that is no secret where it is written as it should be.
pub(crate) fn hide(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut at = 0;
    for secret in secrets(text) {
        masked.push_str(text.get(at..secret.start).unwrap_or_default());
        masked.push_str(HIDDEN);
        at = secret.end;
    }
    masked.push_str(text.get(at..).unwrap_or_default());
    masked
}

/// Whether an address carries a secret.
pub(crate) fn has_password(address: &Secret) -> bool {
    is_secret(&String::from_utf8_lossy(address.expose()))
}

/// The same of a text.
pub(crate) fn is_secret(text: &str) -> bool {
    text.contains(DONE) || !secrets(text).is_empty()
}

/// Where they are, one behind the other.
fn secrets(text: &str) -> Vec<Range<usize>> {
    let password = password(text).filter(|password| !password.is_empty());
    let behind = password.as_ref().map_or(0, |password| password.end);
    password.into_iter().chain(queries(text, behind)).collect()
}

/// Where the text begins that may hold a login, and whether it is a database's.
fn authority(text: &str) -> Option<(usize, bool)> {
    if text.starts_with(['/', '.', '~']) {
        return None;
    }
    let (mut at, mut database) = (0, false);
    while let Some((scheme, rest)) = text.get(at..)?.split_once(':') {
        let scheme = scheme.to_ascii_lowercase();
        if matches!(
            scheme.as_str(),
            "sqlite" | "sqlite3" | "rclone" | "b2" | "gs" | "swift" | "azure" | "local"
        ) {
            return None;
        }
        let is_word = scheme.chars().all(|c| c.is_alphanumeric() || "+-.".contains(c));
        let is_known = SCHEMES.contains(&scheme.as_str());
        if !(is_known || is_word && rest.starts_with("//")) {
            break;
        }
        database =
            is_known && ["mysql", "mariadb", "pgsql", "postgres"].iter().any(|kind| scheme.starts_with(kind));
        let slashes = rest.len() - rest.trim_start_matches('/').len();
        at += scheme.len() + 1 + slashes;
        // Another scheme follows in restic's addresses.
        if slashes > 0 || !matches!(scheme.as_str(), "rest" | "s3") {
            break;
        }
    }
    Some((at, database))
}

/// The password of a login. One of a database ends at the last `@`, for nothing behind it may hold one; elsewhere a path may,
/// and the login ends in front of the path, unless there is none then.
fn password(text: &str) -> Option<Range<usize>> {
    let (begin, database) = authority(text)?;
    let rest = text.get(begin..)?;
    if rest.starts_with('[') {
        return None;
    }
    let place = rest.get(..rest.find(['/', '?', '#']).unwrap_or(rest.len()))?;
    let end = if database { rest.rfind('@') } else { place.rfind('@') };
    let (colon, end) = match end {
        Some(end) => (rest.get(..end)?.find(':')?, end),
        None => {
            let (end, colon) = (rest.rfind('@')?, place.find(':')?);
            let value = rest.get(colon + 1..)?;
            if value.starts_with('/') || is_port(value) || colon > end {
                return None;
            }
            (colon, end)
        }
    };
    Some(begin + colon + 1..begin + end)
}

/// The values in a query, or behind a `#`, whose names say that they are secret.
fn queries(text: &str, from: usize) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let Some(first) = text.get(from..).and_then(|rest| Some(from + rest.find(['?', '#'])?)) else {
        return found;
    };
    let mut at = first;
    for part in text.get(first..).unwrap_or_default().split(['?', '#', '&']) {
        if let Some((name, value)) =
            part.split_once('=').filter(|(name, value)| !value.is_empty() && is_secret_name(name))
        {
            let begin = at + name.len() + 1;
            found.push(begin..begin + value.len());
        }
        at += part.len() + 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lose_their_secrets_and_nothing_else() {
        for (address, expected) in [
            ("mysql://u:p@h:3306/d7", "mysql://u:[hidden]@h:3306/d7"),
            ("mysql://u:p@ss@h/d7", "mysql://u:[hidden]@h/d7"),
            ("mysql://u:p/a/ss@h/d7", "mysql://u:[hidden]@h/d7"),
            ("mysql://u:p@s/s@h/d7", "mysql://u:[hidden]@h/d7"),
            ("mysql:/u:p@h/d7", "mysql:/u:[hidden]@h/d7"),
            ("PGSQL:u:p@h/d7", "PGSQL:u:[hidden]@h/d7"),
            ("mysql://u@h/x?password=p,q;r", "mysql://u@h/x?password=[hidden]"),
            (
                "mysql://u:p@h/x?ssl=1&user_pass=q#token=r",
                "mysql://u:[hidden]@h/x?ssl=1&user_pass=[hidden]#token=[hidden]",
            ),
            ("https://me@example.org:p@dav/x", "https://me@example.org:[hidden]@dav/x"),
            ("https://u:p@h/dav/me@example.org/", "https://u:[hidden]@h/dav/me@example.org/"),
            ("https://h/dav?Token=p&x=y", "https://h/dav?Token=[hidden]&x=y"),
            ("sftp://u:p@h:22/a@b", "sftp://u:[hidden]@h:22/a@b"),
            ("sftp://u:p/q@h/b", "sftp://u:[hidden]@h/b"),
            ("u:p@h:/b", "u:[hidden]@h:/b"),
            ("rsync://u:p@h/m", "rsync://u:[hidden]@h/m"),
            ("redis://:p@h", "redis://:[hidden]@h"),
            ("rest:https://u:p@h:8000/r", "rest:https://u:[hidden]@h:8000/r"),
            ("s3:http://k:p@h/b", "s3:http://k:[hidden]@h/b"),
            ("http://k:p@h:9000", "http://k:[hidden]@h:9000"),
        ] {
            let masked = without_password(&Secret::new(address));
            assert_eq!(masked, expected);
            assert_eq!(without_password(&Secret::new(masked.as_str())), expected);
            let is_plain = address == expected;
            assert_eq!(has_password(&Secret::new(address)), !is_plain, "{address}");
            assert_eq!(has_password(&Secret::new(expected)), !is_plain, "{expected}");
        }
    }

    #[test]
    fn what_holds_no_secret_stays_as_it_is() {
        for plain in [
            "",
            ":",
            "@",
            "mysql://u@h/d7",
            "mysql://u:@h/d7",
            "mysql://h:3306/d7",
            "sqlite:/srv/u:d7@x.sqlite",
            "backup@host:/backups",
            "backup@host:dir/site@example.org",
            "host:/srv/a@b",
            "[fe80::1]:/srv/a@b",
            "sftp://host:22/a@b",
            "sftp://me@host:22/site@example.org",
            "https://cloud.example.org:8443/dav/files/me@example.org/",
            "https://h/dav?page=2&password=",
            "sftp:me@host:/srv/site@example.org",
            "rclone:remote:path@x",
            "/srv/u:p@h",
            "/run/mysqld/mysqld.sock",
            "s3://bucket/folder",
        ] {
            assert_eq!(without_password(&Secret::new(plain)), plain);
            assert!(!has_password(&Secret::new(plain)), "{plain}");
        }
    }
}
