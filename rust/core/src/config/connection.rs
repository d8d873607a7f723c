//! How to reach a database: [`Database`] with its URL taken apart and its password fetched.

use super::{Database, Document, hide};
use crate::{Code, Error, Result, ResultExt, Secret, regular};
use percent_encoding::percent_decode_str;
use std::io::Read;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// No more of a password file is read.
const LONGEST_LINE: usize = 4096;

/// Which server a database lives on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    /// MariaDB or MySQL.
    Mysql,
    /// PostgreSQL.
    Pgsql,
    /// A SQLite file.
    Sqlite,
}

impl Driver {
    /// Drupal's name of the driver, which is also the KIND in a backup's file name.
    pub fn name(self) -> &'static str {
        match self {
            Driver::Mysql => "mysql",
            Driver::Pgsql => "pgsql",
            Driver::Sqlite => "sqlite",
        }
    }

    /// The driver of that name.
    pub fn named(name: &str) -> Option<Driver> {
        [Driver::Mysql, Driver::Pgsql, Driver::Sqlite].into_iter().find(|driver| driver.name() == name)
    }

    /// For people.
    pub fn in_words(self) -> &'static str {
        match self {
            Driver::Mysql => "MySQL or MariaDB",
            Driver::Pgsql => "PostgreSQL",
            Driver::Sqlite => "SQLite",
        }
    }
}

/// Everything a database client needs. `Debug` hides the password.
#[derive(Debug, Clone)]
pub struct Connection {
    /// Which server.
    pub driver: Driver,
    /// Host name or address; empty means the local server.
    pub host: String,
    /// TCP port, where it is not the default.
    pub port: Option<u16>,
    /// Unix socket; wins over host and port. For PostgreSQL the folder that holds it.
    pub socket: Option<PathBuf>,
    /// User; empty means the client's default.
    pub user: String,
    /// Password; empty means none.
    pub password: Secret,
    /// The database's name; empty for SQLite.
    pub name: String,
    /// The SQLite file; empty for servers.
    pub path: PathBuf,
    /// Drupal's table prefix.
    pub prefix: String,
}

impl Connection {
    /// For messages: `d7 on db.example.org:3307`, or the file's path.
    pub fn label(&self) -> String {
        if self.driver == Driver::Sqlite {
            return self.path.display().to_string();
        }
        let place = match (&self.socket, self.port) {
            (Some(socket), _) => hide(&socket.display().to_string()),
            (None, Some(port)) => format!("{}:{port}", self.host),
            (None, None) if self.host.is_empty() => "localhost".into(),
            (None, None) => self.host.clone(),
        };
        format!("{} on {place}", self.name)
    }
}

impl Document {
    /// The connection of database `name`; [`Code::Usage`] names the known ones where there is no such database.
    pub fn connection(&self, name: &str) -> Result<Connection> {
        let database = self.databases.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.databases.keys().map(String::as_str).collect();
            let error =
                Error::new(Code::Usage, format!("there is no database \"{name}\" in the configuration"));
            match known.is_empty() {
                true => error.hint("add it under \"databases\""),
                false => error.hint(format!("known databases: {}", known.join(", "))),
            }
        })?;
        database.resolve(&self.site.root).map_err(|error| error.context(format!("databases.{name}")))
    }
}

impl Database {
    /// Takes the URL apart and fetches the password. A relative SQLite path counts from `site_root`, as in Drupal.
    pub fn resolve(&self, site_root: &Path) -> Result<Connection> {
        let url = self.url.as_ref().ok_or_else(|| {
            Error::new(Code::Config, "url is missing")
                .hint("write e.g. url: \"mysql://user:password@localhost/database\" or \"sqlite:/path\"")
        })?;
        let url = std::str::from_utf8(url.expose()).map_err(|_| config("url is not UTF-8"))?;
        let (scheme, rest) = url.split_once(':').ok_or_else(|| config("url does not start with a scheme"))?;
        let driver = match scheme {
            "mysql" | "mysqli" | "mariadb" => Driver::Mysql,
            "pgsql" | "postgres" | "postgresql" => Driver::Pgsql,
            "sqlite" | "sqlite3" => Driver::Sqlite,
            // A URL without a scheme could begin with a password: nothing of it is repeated.
            _ => return Err(config("url has a scheme that bam does not know")),
        };
        let mut connection = match driver {
            Driver::Sqlite => sqlite(rest, site_root)?,
            _ => server(driver, rest)?,
        };
        connection.prefix.clone_from(&self.prefix);
        connection.socket.clone_from(&self.socket);
        let given = password(
            !connection.password.expose().is_empty(),
            self.password.as_ref(),
            self.password_file.as_deref(),
            self.password_env.as_deref(),
        )?;
        if let Some(password) = given {
            connection.password = password;
        }
        if connection.password.expose().contains(&0) {
            return Err(config("the password holds a NUL byte, which no server accepts"));
        }
        Ok(connection)
    }
}

/// The password from `password`, `password_file` or `password_env`: one at most, the URL's counts.
pub(crate) fn password(
    in_url: bool,
    password: Option<&Secret>,
    file: Option<&Path>,
    env: Option<&str>,
) -> Result<Option<Secret>> {
    let given: Vec<&str> = [
        ("url", in_url),
        ("password", password.is_some()),
        ("password_file", file.is_some()),
        ("password_env", env.is_some()),
    ]
    .into_iter()
    .filter_map(|(key, set)| set.then_some(key))
    .collect();
    if given.len() > 1 {
        return Err(config(format!("the password is given more than once: {}", given.join(", "))));
    }
    if let Some(password) = password {
        return Ok(Some(password.clone()));
    }
    if let Some(path) = file {
        return first_line(path).map(Some);
    }
    let Some(name) = env else { return Ok(None) };
    match std::env::var_os(name) {
        Some(value) => Ok(Some(Secret::new(std::os::unix::ffi::OsStringExt::into_vec(value)))),
        None => Err(config(format!("the environment variable {name} (password_env) is not set"))),
    }
}

fn config(message: impl Into<String>) -> Error {
    Error::new(Code::Config, message)
}

/// `//user:password@host:port/name`, what comes after the scheme's colon.
fn server(driver: Driver, rest: &str) -> Result<Connection> {
    let example = || format!("write {}://user:password@host/database", driver.name());
    let rest =
        rest.strip_prefix("//").ok_or_else(|| config("url has no // after the scheme").hint(example()))?;
    let encode = "URL-encode these characters in user and password: % %25, / %2F, ? %3F, # %23, @ %40, : %3A";
    let (authority, name) =
        rest.split_once('/').ok_or_else(|| config("url names no database").hint(example()))?;
    if name.contains(['?', '#', '@']) {
        return Err(config("url has a ?, # or @ after the database's name").hint(encode));
    }
    // The last @: an unencoded one in a password is harmless.
    let (login, place) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let (host, port) = match place.strip_prefix('[').and_then(|v6| v6.split_once(']')) {
        Some((host, port)) => (host, port.strip_prefix(':')),
        None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
    };
    let port = match port {
        None | Some("") => None,
        Some(port) => Some(port.parse().map_err(|_| config("the port in url is not a number").hint(encode))?),
    };
    let name = text(name.trim_end_matches('/'), "the database's name")?;
    if name.is_empty() {
        return Err(config("url names no database").hint(example()));
    }
    Ok(Connection {
        driver,
        host: text(host, "the host")?,
        port,
        socket: None,
        user: text(user, "the user")?,
        password: Secret::new(decode(password, "the password")?.as_slice()),
        name,
        path: PathBuf::new(),
        prefix: String::new(),
    })
}

/// `/path`, `///path`, `//localhost/path`, or a path relative to the site's root with or without `//`.
fn sqlite(rest: &str, site_root: &Path) -> Result<Connection> {
    use std::os::unix::ffi::OsStringExt;
    let path = match rest.strip_prefix("//") {
        Some(path) => path.strip_prefix("localhost").filter(|path| path.starts_with('/')).unwrap_or(path),
        None => rest,
    };
    if path.is_empty() || path.starts_with(':') {
        return Err(config("url names no SQLite file").hint("write sqlite:/path/to/file"));
    }
    let path = std::ffi::OsString::from_vec(decode(path, "the path")?.to_vec());
    Ok(Connection {
        driver: Driver::Sqlite,
        host: String::new(),
        port: None,
        socket: None,
        user: String::new(),
        password: Secret::new([]),
        name: String::new(),
        path: site_root.join(path),
        prefix: String::new(),
    })
}

/// Percent-decodes. The crate leaves a stray `%` alone; that would silently be another password.
pub(crate) fn decode(encoded: &str, what: &str) -> Result<Zeroizing<Vec<u8>>> {
    let well_formed =
        |after: &str| after.as_bytes().get(..2).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
    if !encoded.split('%').skip(1).all(well_formed) {
        return Err(config(format!("{what} in url has a % that is not followed by two hexadecimal digits"))
            .hint("write a literal % as %25"));
    }
    Ok(Zeroizing::new(percent_decode_str(encoded).collect()))
}

/// Percent-decodes what must be text without line breaks.
pub(crate) fn text(encoded: &str, what: &str) -> Result<String> {
    let bytes = decode(encoded, what)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| config(format!("{what} in url is not UTF-8")))?;
    match text.contains(['\0', '\n', '\r']) {
        true => Err(config(format!("{what} in url holds a NUL or a line break"))),
        false => Ok(text.to_owned()),
    }
}

/// The first line of a file, without its end.
fn first_line(path: &Path) -> Result<Secret> {
    let file = regular::open(path).at("cannot read the password file", path)?;
    // Into the one buffer that is erased, which never has to grow.
    let mut text = Zeroizing::new(Vec::with_capacity(LONGEST_LINE + 1));
    file.take(LONGEST_LINE as u64).read_to_end(&mut text).at("cannot read the password file", path)?;
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let is_whole = line.len() < text.len();
    let password = line.strip_suffix(b"\r").filter(|_| is_whole).unwrap_or(line);
    if password.is_empty() {
        return Err(config(format!("the first line of the password file {} is empty", path.display())));
    }
    Ok(Secret::new(password))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(url: &str) -> Result<Connection> {
        Database { url: Some(Secret::new(url)), ..Database::default() }.resolve(Path::new("/var/www"))
    }

    #[test]
    fn an_encoded_url_comes_apart() {
        let c = resolve("mysql://d%407:p%40s+s%3A%2F%25%23%E2%82%AC@db.example.org:3307/d7%2Dx").unwrap();
        assert_eq!((c.host.as_str(), c.port, c.user.as_str()), ("db.example.org", Some(3307), "d@7"));
        assert_eq!((c.password.expose(), c.name.as_str()), ("p@s+s:/%#€".as_bytes(), "d7-x"));
        let c = resolve("pgsql://u@[::1]:5433/d7").unwrap();
        assert_eq!((c.driver, c.host.as_str(), c.port), (Driver::Pgsql, "::1", Some(5433)));
        let c = resolve("mysql://u:p@ss@h/d").unwrap();
        assert_eq!((c.password.expose(), c.host.as_str()), (b"p@ss".as_slice(), "h"));
    }

    #[test]
    fn sqlite_paths_are_absolute_or_below_the_site() {
        for (url, path) in [
            ("sqlite:/srv/a%20b.sqlite", "/srv/a b.sqlite"),
            ("sqlite:///srv/x", "/srv/x"),
            ("sqlite://localhost/srv/x", "/srv/x"),
            ("sqlite://sites/default/files/.ht.sqlite", "/var/www/sites/default/files/.ht.sqlite"),
            ("sqlite:sites/x", "/var/www/sites/x"),
        ] {
            assert_eq!(resolve(url).unwrap().path, Path::new(path), "{url}");
        }
        assert!(resolve("sqlite::memory:").is_err());
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said_without_its_password() {
        for (url, says) in [
            ("mysql://u:50%secret@h/d", "%25"),
            ("mysql://u:sec/ret@h/d", "%2F"),
            ("mysql://u:secret@h:port/d", "not a number"),
            ("mysql://u:secret@h", "names no database"),
            ("mysql://u:secret@h/", "names no database"),
            ("oracle://u:secret@h/d", "does not know"),
            ("mysql:u:secret@h/d", "//"),
        ] {
            let error = resolve(url).unwrap_err();
            assert_eq!(error.code(), Code::Config, "{url}");
            assert!(error.to_string().contains(says), "{url}: {error}");
            assert!(!error.to_string().contains("ret"), "{url}: {error}");
        }
    }

    #[test]
    fn the_password_comes_from_one_place() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "s3cret #'\"\\ \r\nsecond line\n").unwrap();
        let mut database = Database {
            url: Some(Secret::new("mysql://u@h/d")),
            password_file: Some(file.path().to_owned()),
            ..Database::default()
        };
        let password = database.resolve(Path::new("")).unwrap().password;
        assert_eq!(password.expose(), b"s3cret #'\"\\ ");
        database.url = Some(Secret::new("mysql://u:p@h/d"));
        assert!(database.resolve(Path::new("")).unwrap_err().message().contains("more than once"));
        database = Database {
            url: Some(Secret::new("mysql://u@h/d")),
            password_env: Some("BAM_TEST_NO_SUCH_VARIABLE".into()),
            ..Database::default()
        };
        assert!(database.resolve(Path::new("")).unwrap_err().message().contains("BAM_TEST_NO_SUCH_VARIABLE"));
    }

    #[test]
    fn an_unknown_database_names_the_known_ones() {
        let mut document = Document::default();
        document.databases.insert("db".into(), Database::default());
        let error = document.connection("bd").unwrap_err();
        assert!(error.to_string().contains("known databases: db"), "{error}");
        assert!(document.connection("db").unwrap_err().message().starts_with("databases.db: url is missing"));
    }
}
