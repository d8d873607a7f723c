//! The server's own protocol, through the crate `mysql`: the command-line clients take more time for rows than the
//! server does, and for a question most of it to start (docs/performance.md).
//!
//! For servers on this machine only, where Drupal, too, connects without TLS. Everywhere else, for whatever the crate
//! does not know (authentication plugins that ask the system) and for scripts, there are the clients.

use super::client;
use crate::config::Connection;
use crate::look;
use crate::{Code, Error, Fact, Result};
use crossbeam_channel::RecvTimeoutError;
use mysql::prelude::Queryable;
use mysql::{Conn, OptsBuilder};
use std::path::Path;
use std::time::Duration;

/// Where servers have their socket unless told otherwise: Debian's, others', and the one they are built with.
const SOCKETS: [&str; 3] = ["/run/mysqld/mysqld.sock", "/var/lib/mysql/mysql.sock", "/tmp/mysql.sock"];
/// The longest packet of the protocol: rows may be longer than the server takes statements.
pub(crate) const PACKET: usize = 1 << 30;
/// The number that clients give to a lost connection (`CR_SERVER_GONE_ERROR`).
const LOST: u16 = 2006;
/// A server on this machine that does not answer by then does not at all.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connects; no row may be longer than `packet`. `None` where the clients have to do it: they know more ways, and say better why there is none.
pub(crate) fn open(connection: &Connection, database: Option<&str>, packet: usize) -> Option<Conn> {
    let password = std::str::from_utf8(connection.password.expose()).ok()?;
    if connection.user.is_empty() {
        return None;
    }
    let options = OptsBuilder::new()
        .user(Some(&connection.user))
        .pass((!password.is_empty()).then_some(password))
        .db_name(database)
        .prefer_socket(false)
        .stmt_cache_size(0)
        .max_allowed_packet(Some(packet))
        .tcp_connect_timeout(Some(PATIENCE));
    let options = match socket(connection)? {
        Some(socket) => options.socket(Some(socket)),
        None => options.ip_or_hostname(Some(&connection.host)).tcp_port(connection.port.unwrap_or(3306)),
    };
    let mut conn = login(options)?;
    // No literal of ours has to care about the server's modes, nor a pause about its patience.
    conn.query_drop("SET NAMES utf8mb4, sql_mode='', wait_timeout=86400").ok()?;
    Some(conn)
}

/// Logs in, on a thread of its own: the crate would wait for ever for the greeting of a server that took the connection
/// and says nothing, and a limit set on the connection would stay and hold for long statements, too.
fn login(options: OptsBuilder) -> Option<Conn> {
    let (ready, conn) = crossbeam_channel::bounded(1);
    let login = move || drop(Conn::new(options).ok().map(|conn| ready.send(conn)));
    let thread = std::thread::Builder::new().name("bam-login".into()).spawn(login).ok()?;
    match conn.recv_timeout(PATIENCE) {
        Err(RecvTimeoutError::Timeout) => None,
        answered => {
            // With it goes its copy of the password.
            let _ = thread.join();
            answered.ok()
        }
    }
}

/// The socket, or else TCP; `None` for a server elsewhere. As the clients do, `localhost` means the socket.
fn socket(connection: &Connection) -> Option<Option<&str>> {
    match (&connection.socket, connection.host.as_str()) {
        (Some(socket), _) => socket.to_str().map(Some),
        (None, "" | "localhost") => {
            SOCKETS.into_iter().find(|path| look::exists(Path::new(path)).unwrap_or(true)).map(Some)
        }
        (None, "127.0.0.1" | "::1") => Some(None),
        _ => None,
    }
}

/// What went wrong, in the words that the clients use.
pub(crate) fn failed(error: mysql::Error, connection: &Connection) -> Error {
    match error {
        mysql::Error::MySqlError(said) => {
            client::refused(&said.to_string(), Some(said.code), connection).with(Fact::Cause, said)
        }
        // The server ends a connection over which it gets too much.
        mysql::Error::IoError(_) | mysql::Error::CodecError(_) => {
            client::refused("lost the connection to the database server", Some(LOST), connection)
        }
        // Its text could repeat a row.
        mysql::Error::FromValueError(_) | mysql::Error::FromRowError(_) => shape(),
        other => Error::new(Code::Database, format!("the database server: {other}")),
    }
}

/// An answer that does not fit the question.
pub(crate) fn shape() -> Error {
    Error::new(Code::Database, "the server gave a row of another shape")
}

/// Runs statements that answer nothing, one after the other.
pub(crate) fn run(conn: &mut Conn, statements: &[&str], connection: &Connection) -> Result<()> {
    statements
        .iter()
        .try_for_each(|statement| conn.query_drop(statement).map_err(|error| failed(error, connection)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::time::Instant;

    #[test]
    fn a_server_that_says_nothing_is_given_up() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let options = OptsBuilder::new()
            .user(Some("root"))
            .prefer_socket(false)
            .ip_or_hostname(Some("127.0.0.1"))
            .tcp_port(silent.local_addr().unwrap().port());
        let begun = Instant::now();
        assert!(login(options).is_none());
        assert!(begun.elapsed() >= PATIENCE);
    }
}
