//! Questions, locks and small changes. Rows of tables never pass here.
//!
//! WireSession to a server on this machine where that works (a client takes longer to start than most questions), else
//! through the client, which also says why there is no connection.

use super::client_session::ClientSession;
pub(crate) use super::values::{Row, quote, string, text};
use super::wire_session::WireSession;
use crate::config::Connection;
use crate::source::answer::Allowance;
use crate::source::sql::Server;
use crate::{Monitor, Result};
use std::os::fd::OwnedFd;

/// No literal of ours has to care about the server's modes, no answer looks as its settings want it, and no pause
/// between two questions is longer than its patience.
const OURS: &str = "SET SESSION sql_mode='', time_zone='+00:00', sql_quote_show_create=1, wait_timeout=86400";

/// One connection to the server. An error ends it. What it locked and opened ends when it is dropped.
pub(crate) struct Session<'c> {
    way: Transport<'c>,
    connection: &'c Connection,
}

enum Transport<'c> {
    Server(WireSession<'c>),
    Client(ClientSession<'c>),
}

impl<'c> Session<'c> {
    /// Connects, and uses `database` where one is given.
    pub(crate) fn open(
        connection: &'c Connection,
        database: Option<&str>,
        monitor: &'c Monitor,
    ) -> Result<Session<'c>> {
        match WireSession::open(connection, database, monitor)? {
            Some(session) => Session::begin(Transport::Server(session), connection),
            None => Session::open_held(connection, database, None, monitor),
        }
    }

    /// The same through a client, which keeps `held` open until it ends.
    pub(crate) fn open_held(
        connection: &'c Connection,
        database: Option<&str>,
        held: Option<OwnedFd>,
        monitor: &'c Monitor,
    ) -> Result<Session<'c>> {
        let session = ClientSession::start(connection, database, &[], held, None, monitor)?;
        Session::begin(Transport::Client(session), connection)
    }

    fn begin(way: Transport<'c>, connection: &'c Connection) -> Result<Session<'c>> {
        let mut session = Session { way, connection };
        session.run(OURS)?;
        Ok(session)
    }

    /// What the server is.
    pub(crate) fn server(&mut self) -> Result<Server> {
        Ok(Server::of(&self.column("SELECT VERSION()")?.pop().unwrap_or_default()))
    }

    /// The live database's name.
    pub(crate) fn database(&self) -> String {
        self.connection.name.clone()
    }

    /// Runs statements that answer nothing.
    pub(crate) fn run(&mut self, sql: &str) -> Result<()> {
        self.rows(sql).map(drop)
    }

    /// Runs statements and gives all rows that they answer.
    pub(crate) fn rows(&mut self, sql: &str) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        self.ask(sql, Allowance::kept(), |row| {
            rows.push(row);
            Ok(())
        })?;
        Ok(rows)
    }

    /// Runs statements and shows `each` the rows that they answer, which need not fit into memory.
    pub(crate) fn each(&mut self, sql: &str, each: impl FnMut(Row) -> Result<()>) -> Result<()> {
        self.ask(sql, Allowance::passing(), each)
    }

    fn ask(&mut self, sql: &str, allowance: Allowance, each: impl FnMut(Row) -> Result<()>) -> Result<()> {
        match &mut self.way {
            Transport::Server(session) => session.each(sql, allowance, each),
            Transport::Client(session) => session.each(sql, allowance, each),
        }
    }

    /// The first column of every row, as text.
    pub(crate) fn column(&mut self, sql: &str) -> Result<Vec<String>> {
        Ok(self.rows(sql)?.into_iter().filter_map(|row| row.into_iter().next()).map(text).collect())
    }

    /// Runs one long statement all or not at all, should we be killed while it is on its way.
    pub(crate) fn run_whole(&mut self, sql: &str) -> Result<()> {
        match &mut self.way {
            // The server waits for the packet's end.
            Transport::Server(session) => session.each(sql, Allowance::kept(), |_| Ok(())),
            Transport::Client(session) => session.run_whole(sql),
        }
    }
}
