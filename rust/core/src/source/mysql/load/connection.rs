//! One connection that loads rows: by the server's protocol where it runs on this machine, else through its client.

use super::queues::Feed;
use crate::config::Connection;
use crate::source::mysql::connect::child_guard::ChildGuard;
use crate::source::mysql::connect::client::{self, LOAD_CHARSET};
use crate::source::mysql::connect::client_session::ClientSession;
use crate::source::mysql::connect::wire;
use crate::source::sql::{Charset, Splitter};
use crate::{Monitor, Result};
use mysql::Conn;
use mysql::prelude::Queryable;
use std::sync::atomic::AtomicBool;

/// See the module.
pub(crate) enum LoadConnection<'c> {
    Server(Box<Conn>, &'c Connection),
    Client(ClientSession<'c>),
}

impl<'c> LoadConnection<'c> {
    /// Connects by the server's protocol, as number `number`; `live`: to the live database, under the lock of that number.
    pub(crate) fn over_wire(
        guard: &ChildGuard,
        connection: &'c Connection,
        (database, live, number): (&str, bool, usize),
    ) -> Result<Option<LoadConnection<'c>>> {
        let Some(mut conn) = wire::open(connection, Some(database), wire::PACKET) else { return Ok(None) };
        if live {
            wire::run(&mut conn, &[&guard.lock_statement(number)], connection)?;
        }
        Ok(Some(LoadConnection::Server(Box::new(conn), connection)))
    }

    /// The same through a client.
    pub(crate) fn client(
        guard: &ChildGuard,
        connection: &'c Connection,
        (database, live, number): (&str, bool, usize),
        stop: &'c AtomicBool,
        monitor: &'c Monitor,
    ) -> Result<ClientSession<'c>> {
        LoadConnection::client_of(guard, connection, (database, live, number), Charset::Plain, stop, monitor)
    }

    /// The same for text in a character set that the client must know.
    pub(crate) fn client_of(
        guard: &ChildGuard,
        connection: &'c Connection,
        (database, live, number): (&str, bool, usize),
        charset: Charset,
        stop: &'c AtomicBool,
        monitor: &'c Monitor,
    ) -> Result<ClientSession<'c>> {
        let lock = guard.lock_option(number);
        let charset = charset.name().map(|name| format!("--default-character-set={name}"));
        // The server reads the database's name by the client's character set.
        let plain = if database.is_ascii() { LOAD_CHARSET } else { "--default-character-set=utf8mb4" };
        let charset = charset.as_deref().unwrap_or(plain);
        let options: &[&str] = if live { &[charset, &lock] } else { &[charset] };
        ClientSession::start(connection, Some(database), options, Some(guard.inherit()?), Some(stop), monitor)
    }

    /// Whether it may be given this script: the crate's queries are text.
    pub(crate) fn may_go_over_wire(script: &[u8]) -> bool {
        std::str::from_utf8(script).is_ok()
    }
}

impl Feed for LoadConnection<'_> {
    fn id(&self) -> Option<u32> {
        match self {
            LoadConnection::Server(conn, _) => Some(conn.connection_id()),
            LoadConnection::Client(_) => None,
        }
    }

    fn goes_on(&self) -> bool {
        matches!(self, LoadConnection::Server(..))
    }

    fn lines(&self) -> u64 {
        match self {
            LoadConnection::Server(..) => 0,
            LoadConnection::Client(session) => session.lines(),
        }
    }

    fn feed(&mut self, script: &[u8]) -> Result<()> {
        let (conn, connection) = match self {
            LoadConnection::Server(conn, connection) => (conn, connection),
            LoadConnection::Client(session) => return session.feed(script),
        };
        let script = std::str::from_utf8(script).map_err(|_| wire::shape())?;
        let mut done = 0;
        run(conn, script, &mut done).map_err(|error| match error {
            mysql::Error::MySqlError(said) => {
                // As the client says it.
                let (line, number) = (line_of(script.as_bytes(), done), said.code);
                let text = format!("ERROR {number} ({}) at line {line}: {}", said.state, said.message);
                client::refused(&text, Some(number), connection)
            }
            error => wire::failed(error, connection),
        })
    }
}

/// Counts in `done` the statements that went well.
fn run(conn: &mut Conn, script: &str, done: &mut usize) -> mysql::Result<()> {
    let mut answers = conn.query_iter(script)?;
    while let Some(rows) = answers.iter() {
        for row in rows {
            row?;
        }
        *done += 1;
    }
    Ok(())
}

/// The line, from 1, on which the statement after `done` others begins.
fn line_of(script: &[u8], done: usize) -> u64 {
    let mut splitter = Splitter::new(script);
    let mut line = 1;
    for _ in 0..=done {
        let Ok(Some(found)) = splitter.advance() else { break };
        line = splitter.line(&found);
    }
    line
}
