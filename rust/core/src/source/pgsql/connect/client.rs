//! Starting PostgreSQL's own clients, and understanding what they complain about.

use crate::config::Connection;
use crate::source::tool::{self, SECRET_PATH, Tool};
use crate::{Code, Error, Fact, Result};
use std::process::Stdio;
use zeroize::Zeroizing;

/// Debian's package of both clients.
const PACKAGE: &str = "postgresql-client";

/// Notices of what is dropped along are of no use.
pub(crate) const QUIET: &str = "SET LOCAL client_min_messages = warning";

/// Variables that would send a client elsewhere or log it in as someone else.
const UNSET: [&str; 12] = [
    "PGPASSWORD",
    "PGSERVICE",
    "PGSERVICEFILE",
    "PGHOST",
    "PGHOSTADDR",
    "PGPORT",
    "PGUSER",
    "PGDATABASE",
    "PGOPTIONS",
    "PGCLUSTER",
    "PGCLIENTENCODING",
    "PGTZ",
];

/// Starts `psql` or `pg_dump` on `connection`, as Drupal connects; the password goes through a file in memory
/// (<https://www.postgresql.org/docs/current/libpq-pgpass.html>).
pub(crate) fn spawn(
    program: &'static str,
    connection: &Connection,
    arguments: &[String],
    stdin: Stdio,
    stdout: Stdio,
) -> Result<Tool> {
    let (path, name) = tool::find(&[program], PACKAGE)?;
    let mut command = tool::command(path, &UNSET);
    match &connection.socket {
        Some(socket) => drop(command.env("PGHOST", socket)),
        None if connection.host.is_empty() => {}
        None => drop(command.env("PGHOST", &connection.host)),
    }
    if let Some(port) = connection.port {
        command.env("PGPORT", port.to_string());
    }
    if !connection.user.is_empty() {
        command.env("PGUSER", &connection.user);
    }
    command.env("PGDATABASE", &connection.name).env("PGAPPNAME", "bam").env("PGPASSFILE", SECRET_PATH);
    // Waiting for a server that does not answer would look like work.
    command.env("PGCONNECT_TIMEOUT", "30");
    command.arg("--no-password").args(arguments);
    tool::spawn(command, &password_file(connection)?, stdin, stdout)
        .map_err(|cause| Error::new(Code::Database, format!("cannot start {name}")).because(cause))
}

/// One line that fits every server.
fn password_file(connection: &Connection) -> Result<Zeroizing<Vec<u8>>> {
    let mut text = Zeroizing::new(Vec::new());
    let password = connection.password.expose();
    if password.is_empty() {
        return Ok(text);
    }
    if password.contains(&b'\n') || password.contains(&b'\r') {
        return Err(Error::new(
            Code::Config,
            "the password holds a line break, which PostgreSQL's clients cannot be given",
        ));
    }
    // Never to grow: what is moved in memory stays where it was.
    text.reserve_exact(2 * password.len() + 16);
    text.extend_from_slice(b"*:*:*:*:");
    for &byte in password {
        if matches!(byte, b':' | b'\\') {
            text.push(b'\\');
        }
        text.push(byte);
    }
    text.push(b'\n');
    Ok(text)
}

/// Turns a client's end into our error: the exit status, what it said, and what to do.
pub(crate) fn outcome(tool: Tool, name: &str, connection: &Connection) -> Result<()> {
    let (status, said) = tool.wait()?;
    if status.success() {
        return Ok(());
    }
    Err(complaint(name, &status.to_string(), &said, connection))
}

fn complaint(name: &str, status: &str, said: &str, connection: &Connection) -> Error {
    let said = match std::str::from_utf8(connection.password.expose()) {
        // No client prints a password; should one ever do, it goes no further.
        Ok(password) if password.len() >= 4 => said.replace(password, "[secret]"),
        _ => said.to_owned(),
    };
    // Details and contexts would quote rows.
    let line = said
        .lines()
        .find(|line| line.contains("ERROR:") || line.contains("FATAL:"))
        .or_else(|| said.lines().find(|line| line.contains("error:")))
        .or_else(|| said.lines().rfind(|line| !line.trim().is_empty()))
        .unwrap_or_default();
    let line = line.trim().trim_start_matches("psql:<stdin>:");
    let message = match line {
        "" => format!("{name} failed ({status})"),
        line => format!("{name} failed: {line}"),
    };
    let (code, hint) = advice(&said, connection);
    let error = Error::new(code, message).with(Fact::Cause, if line.is_empty() { status } else { line });
    if hint.is_empty() { error } else { error.hint(hint) }
}

/// By SQLSTATE where there is one (<https://www.postgresql.org/docs/current/errcodes-appendix.html>): the server speaks
/// its own language. What happens before a connection is there comes in words alone.
fn advice(said: &str, connection: &Connection) -> (Code, String) {
    let state = said.split("ERROR:  ").nth(1).and_then(|rest| rest.get(..5)).unwrap_or_default();
    let has = |words: &str| said.contains(words);
    let (user, name) = (&connection.user, &connection.name);
    if has("server version mismatch") {
        let text = "this pg_dump is older than the server: install the server's own version of its clients, e.g. \
                    apt install postgresql-client-17";
        return (Code::Database, text.into());
    }
    if has("password authentication failed")
        || has("no password supplied")
        || has("role \"") && has("does not exist")
        || has("pg_hba.conf")
        || has("Peer authentication failed")
    {
        return (
            Code::Permission,
            "check the user and the password of this database, and the server's pg_hba.conf".into(),
        );
    }
    if state == "42501" || has("permission denied") || has("must be owner") {
        return (
            Code::Permission,
            format!(
                "the site's user must own its database and schema: ALTER DATABASE \"{name}\" OWNER TO \"{user}\"; \
                     ALTER SCHEMA public OWNER TO \"{user}\"; an extension in its schema must be the user's, too, or move \
                     out of the way: CREATE SCHEMA extensions; ALTER EXTENSION … SET SCHEMA extensions; ALTER DATABASE \
                     \"{name}\" SET search_path = public, extensions"
            ),
        );
    }
    if has("database \"") && has("does not exist") {
        return (
            Code::Database,
            format!("create the database {name}, or correct its name in the configuration"),
        );
    }
    if has("connection to server") || has("could not connect") || has("could not translate host name") {
        return (
            Code::Database,
            "check that the database server is running, and its host, port or socket".into(),
        );
    }
    let text = match state {
        "53100" => "the server's disk is full; free some space",
        "53300" => "the server has no connection left; try again later",
        "53200" => "raise max_locks_per_transaction in the server's settings",
        "55P03" | "40P01" => "another program keeps tables locked; try again when the site is quiet",
        "42704" | "42883" | "58P01" | "0A000" => {
            "if an extension is missing, the server's administrator can install it: CREATE EXTENSION"
        }
        _ => "",
    };
    (Code::Database, text.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Secret;
    use crate::config::Database;
    use std::path::Path;

    fn connection() -> Connection {
        let url = Some(Secret::new("pgsql://site:s%3Ac%5Cret@h/d7"));
        Database { url, ..Database::default() }.resolve(Path::new("/")).expect("resolved")
    }

    #[test]
    fn the_password_file_escapes_what_libpq_would_split_at() {
        let file = password_file(&connection()).expect("written");
        assert_eq!(file.as_slice(), br"*:*:*:*:s\:c\\ret".iter().chain(b"\n").copied().collect::<Vec<_>>());
    }

    /// What these clients print, word for word.
    #[test]
    fn complaints_say_what_to_do() {
        for (said, code, words) in [
            (
                "pg_dump: error: server version: 17.2; pg_dump version: 15.18 (Debian 15.18-0+deb12u1)\n\
                 pg_dump: error: aborting because of server version mismatch\n",
                Code::Database,
                "postgresql-client-17",
            ),
            (
                "psql: error: connection to server at \"h\" (::1), port 5432 failed: FATAL:  password authentication \
                 failed for user \"site\"\n",
                Code::Permission,
                "password",
            ),
            (
                "psql:<stdin>:3: ERROR:  42501: must be owner of schema public\nLOCATION:  x\n",
                Code::Permission,
                "OWNER TO",
            ),
        ] {
            let error = complaint("psql", "exit status: 1", said, &connection());
            assert_eq!(error.code(), code, "{error}");
            assert!(error.next_step().unwrap_or_default().contains(words), "{error}");
        }
    }
}
