//! How a repository is reached: its address as restic takes it, its key, the credentials of what it lies at.

use crate::config::document;
use crate::destination::ssh::retry::Patience;
use crate::destination::ssh::server::Server;
use crate::regular;
use crate::{Code, Error, Fact, Result, ResultExt, Secret, child};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// What a repository's address may begin with, besides a path.
pub const SCHEMES: [&str; 9] = ["sftp", "s3", "rest", "b2", "azure", "gs", "swift", "rclone", "local"];

/// Beginnings of the names of variables that restic's backends take credentials from. Its own `RESTIC_…` that would say
/// which repository or key are not among them.
const CREDENTIALS: [&str; 9] =
    ["AWS_", "B2_", "AZURE_", "GOOGLE_", "OS_", "ST_", "RCLONE_", "RESTIC_REST_", "SWIFT_"];

/// Those whose value is the path of a file, not what is in it.
const PATHS: [&str; 3] = ["GOOGLE_APPLICATION_CREDENTIALS", "RCLONE_CONFIG", "AWS_SHARED_CREDENTIALS_FILE"];

/// The longest credential.
const MOST: u64 = 64 << 10;

/// How a repository is reached. `Debug` hides secrets.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    pub id: String,
    /// As restic takes it; may hold a password.
    pub repository: Secret,
    /// The same without.
    pub shown: String,
    /// Its folder, where it lies on this machine.
    pub local: Option<PathBuf>,
    /// Its server, where it is reached by SSH, and the folder there.
    pub server: Option<Server>,
    /// The keys that may be its own, the likeliest first.
    pub keys: Vec<Secret>,
    /// Why there is none.
    pub no_key: Option<Arc<Error>>,
    /// Which of them it is, as far as known.
    pub fits: Arc<AtomicUsize>,
    pub credentials: Vec<(String, PathBuf)>,
    pub ca_file: Option<PathBuf>,
    /// Where restic keeps its cache.
    pub cache: Option<PathBuf>,
    /// Nothing is forgotten there: its server does not let us.
    pub append_only: bool,
    /// How long locks are waited for, and how long its server may be silent.
    pub patience: Option<Duration>,
}

/// Whether a variable is one of a backend's credentials.
pub fn is_credential(name: &str) -> bool {
    CREDENTIALS.iter().any(|known| name.starts_with(known))
        && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// The scheme of an address; `None`: a path of this machine.
pub fn scheme(repository: &str) -> Option<&str> {
    let (scheme, _) = repository.split_once(':')?;
    SCHEMES.contains(&scheme).then_some(scheme)
}

impl Access {
    /// A file in memory, for restic alone to read.
    pub(super) fn hand_over(&self, content: &[u8]) -> Result<File> {
        child::memory_file_of(content).map_err(|error| error.about(&self.shown))
    }

    pub fn of(id: &str, config: &document::Destination, site: &document::Site) -> Result<Access> {
        let here = |error: Error| error.within(Fact::Destination, id);
        let Some(repository) = &config.repository else {
            return Err(here(Error::new(Code::Config, "a repository needs an address")).hint(format!(
                "set destinations.{id}.repository, e.g. to /srv/repo or sftp:user@host:/repo"
            )));
        };
        let text = std::str::from_utf8(repository.expose())
            .map_err(|_| here(Error::new(Code::Config, "the repository's address is not UTF-8")))?
            .trim()
            .to_owned();
        let mut access = Access {
            id: id.to_owned(),
            shown: crate::config::without_password(&Secret::new(text.as_str())),
            repository: Secret::new(text.as_str()),
            local: None,
            server: None,
            keys: Vec::new(),
            no_key: None,
            fits: Arc::default(),
            credentials: config
                .credential_files
                .iter()
                .map(|(name, file)| (name.clone(), file.clone()))
                .collect(),
            ca_file: config.ca_file.clone(),
            cache: None,
            append_only: config.append_only,
            patience: config.timeout.map(Duration::from_secs),
        };
        match scheme(&text) {
            None | Some("local") => access.lies_here(&text, site).map_err(here)?,
            Some("sftp") => access.lies_at_server(&text, config)?,
            Some(_) => {}
        }
        if let Some(file) = &config.key_file {
            match first_line(file) {
                Ok(key) => access.keys = vec![key],
                Err(error) => access.no_key = Some(Arc::new(here(error))),
            }
        }
        if config.password_file.is_some() {
            access.add_rest_password(config.password_file.as_deref()).map_err(here)?;
        }
        Ok(access)
    }

    /// In a folder of this machine.
    fn lies_here(&mut self, text: &str, site: &document::Site) -> Result<()> {
        let path = site.resolve(Path::new(text.strip_prefix("local:").unwrap_or(text)))?;
        self.shown = path.display().to_string();
        self.repository = Secret::new(path.as_os_str().as_encoded_bytes());
        self.local = Some(path);
        Ok(())
    }

    /// At a server that is reached by SSH: restic gets a name for it that our settings of ssh alone know.
    fn lies_at_server(&mut self, text: &str, config: &document::Destination) -> Result<()> {
        let url = as_our_url(text.strip_prefix("sftp:").unwrap_or(text));
        let server = document::Destination { url: Some(Secret::new(url)), ..config.clone() };
        let server = Server::from_config(&self.id, &server)?;
        if server.password.is_some() {
            return Err(Error::new(Code::Config, "restic cannot log in with a password")
                .within(Fact::Destination, &self.id)
                .hint(format!("set destinations.{}.identity_file", self.id)));
        }
        self.shown = server.location.describe("sftp");
        self.repository =
            Secret::new(format!("sftp:{}:{}", crate::destination::ssh::openssh::HOST, server.location.path));
        self.server = Some(server);
        Ok(())
    }

    /// The password of a `rest:` server goes into its address.
    fn add_rest_password(&mut self, file: Option<&Path>) -> Result<()> {
        let (Some(file), Ok(text)) = (file, std::str::from_utf8(self.repository.expose())) else {
            return Ok(());
        };
        let wrong = || {
            Error::new(Code::Config, "password_file is for the user of a rest: repository").hint(
                "write rest:https://user@host/; credentials of other kinds are files below \"credential_files\"",
            )
        };
        let rest = text.strip_prefix("rest:").and_then(|url| url.split_once("://")).ok_or_else(wrong)?;
        let (user, host) = rest.1.split_once('@').ok_or_else(wrong)?;
        let password = first_line(file)?;
        let password =
            percent_encoding::percent_encode(password.expose(), percent_encoding::NON_ALPHANUMERIC);
        self.repository = Secret::new(format!("rest:{}://{user}:{password}@{host}", rest.0));
        Ok(())
    }

    /// The key.
    pub fn password(&self) -> Result<&[u8]> {
        match (self.keys.get(self.fits.load(Relaxed)).or(self.keys.first()), &self.no_key) {
            (Some(key), _) => Ok(key.expose()),
            (None, Some(error)) => Err(error.again()),
            (None, None) => {
                Err(Error::new(Code::Config, format!("the repository {} has no key", self.shown))
                    .hint(format!("set encryption.key_file, or destinations.{}.key_file", self.id)))
            }
        }
    }

    /// Goes on to the key after one that did not fit, where there is one; another call may have gone on already. Gives
    /// which is tried now.
    pub fn next_key(&self, tried: usize) -> Option<usize> {
        let next = tried + 1;
        if next >= self.keys.len() {
            return None;
        }
        let gone_on = self.fits.compare_exchange(tried, next, Relaxed, Relaxed);
        Some(gone_on.map_or_else(|now| now, |_| next))
    }

    /// How long a list of what is there may take without a sign of life.
    pub fn looking(&self) -> Duration {
        self.server_patience().looking().longer()
    }

    /// The same for whatever reads.
    pub fn silence(&self) -> Duration {
        self.server_patience().longer()
    }

    /// How long its server may be silent then.
    pub fn silence_of_a_look(&self) -> Duration {
        self.server_patience().looking
    }

    fn server_patience(&self) -> Patience {
        let usual = Patience::default();
        self.patience.map_or(usual, |timeout| Patience { timeout, looking: timeout, ..usual })
    }

    /// What goes into restic's own environment, and nobody else's.
    pub fn credentials(&self) -> Result<Vec<(String, std::ffi::OsString)>> {
        use std::os::unix::ffi::OsStringExt;
        let one = |(name, file): &(String, PathBuf)| {
            if PATHS.contains(&name.as_str()) {
                return Ok((name.clone(), file.clone().into_os_string()));
            }
            let value = first_line(file).map_err(|error| error.within(Fact::Destination, &self.id))?;
            Ok((name.clone(), std::ffi::OsString::from_vec(value.expose().to_vec())))
        };
        self.credentials.iter().map(one).collect()
    }

    /// A text without what must not be told.
    pub fn without_secrets(&self, text: &str) -> String {
        let text = match std::str::from_utf8(self.repository.expose()) {
            Ok(address) if !address.is_empty() => text.replace(address, &self.shown),
            _ => text.to_owned(),
        };
        crate::config::by_shape(text)
    }

    /// The machine that holds it.
    pub fn host(&self) -> String {
        let text = String::from_utf8_lossy(self.repository.expose()).into_owned();
        match (&self.server, scheme(&text)) {
            (Some(server), _) => server.location.machine(),
            (None, None | Some("local")) => crate::destination::lease::this_host(),
            (None, Some(scheme)) => {
                let rest = text.get(scheme.len() + 1..).unwrap_or_default();
                let rest = rest.split_once("://").map_or(rest, |(_, rest)| rest);
                let authority = rest.split('/').next().unwrap_or_default();
                let host = authority.rsplit('@').next().unwrap_or_default();
                match scheme {
                    "s3" | "rest" | "sftp" => host.to_ascii_lowercase(),
                    // Of these the first part is a bucket or a remote, whose machines nobody knows.
                    _ => format!("{scheme}:{}", rest.split([':', '/']).next().unwrap_or_default()),
                }
            }
        }
    }
}

/// restic's forms: `user@host:/path`, and `//user@host:port//absolute` or `//user@host/relative`.
fn as_our_url(text: &str) -> String {
    let Some(rest) = text.strip_prefix("//") else { return text.to_owned() };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    match path.strip_prefix('/') {
        Some(absolute) => format!("sftp://{authority}/{absolute}"),
        None => format!("sftp://{authority}/~/{path}"),
    }
}

/// The first line of a file.
fn first_line(file: &Path) -> Result<Secret> {
    let file = &crate::destination::ssh::server::at_home(file);
    let mut text = Vec::new();
    regular::open(file).and_then(|open| open.take(MOST).read_to_end(&mut text)).at("cannot read", file)?;
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() || line.contains(&0) {
        return Err(Error::of_path(Code::Config, file, "has no first line that could be a secret"));
    }
    Ok(Secret::new(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_apart() {
        for (text, expected) in [
            ("/srv/repo", None),
            ("repo:with:colons", None),
            ("sftp:u@h:/r", Some("sftp")),
            ("s3:https://h/b/p", Some("s3")),
            ("rest:https://u@h/", Some("rest")),
        ] {
            assert_eq!(scheme(text), expected, "{text}");
        }
        assert_eq!(as_our_url("u@h:/r"), "u@h:/r");
        assert_eq!(as_our_url("//u@h:2222//srv/r"), "sftp://u@h:2222/srv/r");
        assert_eq!(as_our_url("//u@h/r"), "sftp://u@h/~/r");
        assert!(
            is_credential("AWS_ACCESS_KEY_ID")
                && !is_credential("RESTIC_PASSWORD")
                && !is_credential("AWS_x")
        );
    }
}
