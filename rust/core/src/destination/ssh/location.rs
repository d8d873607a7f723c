//! Where on the network a destination lies: `sftp://user:pass@host:port/path` and `user@host:path`, taken apart.

use crate::config::connection::{decode, text};
use crate::{Code, Error, Result, Secret};

/// A folder on an SSH server. `Debug` hides the password.
#[derive(Debug, Clone)]
pub(crate) struct Location {
    /// `None`: the user who runs this.
    pub user: Option<String>,
    /// Only from a URL.
    pub password: Option<Secret>,
    /// Name or address, without brackets.
    pub host: String,
    pub port: u16,
    /// Absolute, or relative to where a login starts; never empty, no slash at the end.
    pub path: String,
}

fn wrong(message: &str) -> Error {
    Error::new(Code::Config, message)
        .hint("write user@host:folder, sftp://user@host/folder, or sftp://user@host:port/~/folder-in-home")
}

impl Location {
    /// Takes `sftp://` and `ssh://` URLs, in which user, password and path are URL-encoded (as Backup and Migrate
    /// writes them; `/~/` starts at the login's folder), and `[user@]host:path` as scp and rsync read it.
    /// No part of the text is repeated in errors: it may hold a password.
    pub fn parse(given: &Secret) -> Result<Location> {
        let given =
            std::str::from_utf8(given.expose()).map_err(|_| wrong("the destination's url is not UTF-8"))?;
        let location = match given.split_once("://") {
            Some(("sftp" | "ssh", rest)) => Location::from_url(rest)?,
            Some(("rsync", _)) => {
                return Err(wrong(
                    "rsync:// speaks to an rsync server without encryption; rsync goes over ssh here",
                ));
            }
            Some(_) => return Err(wrong("the destination's url has a scheme other than sftp:// or ssh://")),
            None => Location::from_scp(given)?,
        };
        // A leading dash would be an option to ssh.
        if location.host.is_empty() || location.host.starts_with('-') {
            return Err(wrong("the destination's url names no host"));
        }
        if location.user.as_deref().is_some_and(|user| user.starts_with('-')) {
            return Err(wrong("the user in the destination's url begins with a dash"));
        }
        Ok(location)
    }

    fn from_url(rest: &str) -> Result<Location> {
        let (authority, path) = rest.split_once('/').unwrap_or((rest, "~"));
        // The last @: an unencoded one in a password is harmless.
        let (login, place) =
            authority.rsplit_once('@').map_or((None, authority), |(login, place)| (Some(login), place));
        let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, ""))) {
            Some((user, password)) => (text(user, "the user")?, decode(password, "the password")?),
            None => (String::new(), decode("", "the password")?),
        };
        let (host, port) = split_port(place);
        let port = match port {
            None | Some("") => 22,
            Some(port) => {
                port.parse().map_err(|_| wrong("the port in the destination's url is not a number"))?
            }
        };
        let path = text(path, "the path")?;
        let path = match path.strip_prefix('~') {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => tidy(rest.trim_start_matches('/'), "."),
            _ => tidy(&format!("/{path}"), "/"),
        };
        Ok(Location {
            user: (!user.is_empty()).then_some(user),
            password: (!password.is_empty()).then(|| Secret::new(password.as_slice())),
            host: text(host, "the host")?,
            port,
            path,
        })
    }

    fn from_scp(given: &str) -> Result<Location> {
        let (user, place) =
            given.split_once('@').map_or((None, given), |(user, place)| (Some(user.to_owned()), place));
        if user.as_deref().is_some_and(|user| user.contains([':', '/'])) {
            return Err(wrong("a password can only be given in a sftp:// url"));
        }
        let (host, path) = split_port(place);
        let path = path.ok_or_else(|| wrong("the destination's url names no path after host:"))?;
        if given.contains(['\0', '\n', '\r']) {
            return Err(wrong("the destination's url holds a NUL or a line break"));
        }
        let path = path.strip_prefix("~/").unwrap_or(path);
        let path = tidy(path, if path.starts_with('/') { "/" } else { "." });
        Ok(Location { user, password: None, host: host.to_owned(), port: 22, path })
    }

    /// The machine, however its name is written.
    pub fn machine(&self) -> String {
        self.host.trim_end_matches('.').to_ascii_lowercase()
    }

    /// The folder on that machine; by whatever protocol, and an absolute one whoever logs in.
    pub fn folder(&self) -> String {
        match (self.path.starts_with('/'), &self.user) {
            (false, Some(user)) => format!("{}:~{user}/{}", self.port, self.path),
            (false, None) => format!("{}:~/{}", self.port, self.path),
            (true, _) => format!("{}:{}", self.port, self.path),
        }
    }

    /// For people: never with the password.
    pub fn describe(&self, scheme: &str) -> String {
        let user = self.user.as_ref().map_or_else(String::new, |user| format!("{user}@"));
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let port = if self.port == 22 { String::new() } else { format!(":{}", self.port) };
        let path = match self.path.as_str() {
            "." => "/~".into(),
            path if path.starts_with('/') => path.to_owned(),
            path => format!("/~/{path}"),
        };
        format!("{scheme}://{user}{host}{port}{path}")
    }
}

/// `host:rest`, `[v6]:rest`, or only a host.
fn split_port(place: &str) -> (&str, Option<&str>) {
    match place.strip_prefix('[').and_then(|v6| v6.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => place.split_once(':').map_or((place, None), |(host, rest)| (host, Some(rest))),
    }
}

fn tidy(path: &str, empty: &str) -> String {
    match path.trim_end_matches('/') {
        "" => empty.to_owned(),
        path => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Location> {
        Location::parse(&Secret::new(text))
    }

    #[test]
    fn urls_and_scp_forms_are_taken_apart() {
        for (given, user, host, port, path, described) in [
            ("sftp://u:p@h:2222/srv/b/", Some("u"), "h", 2222, "/srv/b", "sftp://u@h:2222/srv/b"),
            ("sftp://h/~/b", None, "h", 22, "b", "sftp://h/~/b"),
            ("sftp://h", None, "h", 22, ".", "sftp://h/~"),
            ("sftp://h/", None, "h", 22, "/", "sftp://h/"),
            ("ssh://u%40x@[::1]:22/a%20b", Some("u@x"), "::1", 22, "/a b", "sftp://u@x@[::1]/a b"),
            ("backup@host:/backups", Some("backup"), "host", 22, "/backups", "sftp://backup@host/backups"),
            ("host:backups/x", None, "host", 22, "backups/x", "sftp://host/~/backups/x"),
            ("[fe80::1]:", None, "fe80::1", 22, ".", "sftp://[fe80::1]/~"),
        ] {
            let l = parse(given).unwrap();
            assert_eq!(
                (l.user.as_deref(), l.host.as_str(), l.port, l.path.as_str()),
                (user, host, port, path)
            );
            assert_eq!(l.describe("sftp"), described);
        }
        let l = parse("sftp://u:p%40s%3As%25@h/x").unwrap();
        assert_eq!(l.password.unwrap().expose(), b"p@s:s%");
    }

    #[test]
    fn wrong_ones_are_refused_without_repeating_them() {
        for given in [
            "",
            "host",
            "sftp://",
            "sftp://u:hunter2@/x",
            "ftp://u:hunter2@h/x",
            "sftp://u:hunter2@h:port/x",
            "u:hunter2@h:/x",
            "-oProxyCommand=hunter2:/x",
            "sftp://-l:hunter2@h/x",
            "rsync://h/hunter2",
            "sftp://u:hunter2%@h/x",
            "sftp://u:hunter2@h/a%0ab",
        ] {
            let error = parse(given).unwrap_err();
            assert_eq!(error.code(), Code::Config, "{given}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
