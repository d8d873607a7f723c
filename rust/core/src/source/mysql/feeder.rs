//! One client that loads what it is fed.

use super::client::{self, Program};
use super::intake::Piece;
use super::script::Script;
use crate::config::Connection;
use crate::source::tool::{Input, Tool};
use crate::{Code, Error, Monitor, Result};
use std::io::{self, BufWriter, Read, Write};
use std::os::fd::OwnedFd;
use std::process::Stdio;

/// What a dump may take for granted; most say it themselves.
const PROLOGUE: &str = "SET NAMES utf8mb4, sql_mode='NO_AUTO_VALUE_ON_ZERO', foreign_key_checks=0, unique_checks=0, \
                        autocommit=0";
/// Bytes between two commits: enough to make commits cheap.
const COMMIT: usize = 16 * 1024 * 1024;

/// A client with a pipe to it.
pub(crate) struct Feeder<'c> {
    // Goes first: what the pipe still holds is then not waited for.
    tool: Option<Tool>,
    name: &'static str,
    input: Option<Script<BufWriter<Input<'c>>>>,
    connection: &'c Connection,
    uncommitted: usize,
}

impl<'c> Feeder<'c> {
    /// Connects to `database` on the server of `connection`; the client gets further `options`, and keeps `held` open.
    pub(crate) fn open(
        connection: &'c Connection,
        database: &str,
        options: &[&str],
        held: OwnedFd,
        monitor: &'c Monitor,
    ) -> Result<Feeder<'c>> {
        let database = format!("--database={database}");
        let database = [database.as_str()];
        let arguments = client::LOADING.iter().chain(&database).chain(options);
        let (mut tool, name) =
            client::spawn(Program::Client, connection, arguments, Some(held), Stdio::piped(), Stdio::null())?;
        let input = Script::new(BufWriter::with_capacity(256 * 1024, tool.input(monitor)?));
        let mut feeder = Feeder { tool: Some(tool), name, input: Some(input), connection, uncommitted: 0 };
        feeder.statement(PROLOGUE)?;
        Ok(feeder)
    }

    /// Hands a statement over. An error may be about one handed over earlier.
    pub(crate) fn piece(&mut self, piece: &Piece<'_>) -> Result<()> {
        self.write(|script| script.piece(piece))?;
        self.uncommitted += piece.text.len();
        if self.uncommitted > COMMIT { self.commit() } else { Ok(()) }
    }

    /// Hands a statement of ours over.
    pub(crate) fn statement(&mut self, text: &str) -> Result<()> {
        self.write(|script| script.statement(text.as_bytes()))
    }

    /// Commits what was handed over so far.
    pub(crate) fn commit(&mut self) -> Result<()> {
        self.uncommitted = 0;
        self.statement("COMMIT")
    }

    /// Hands a whole script over, which begins and ends with the usual delimiter.
    pub(crate) fn script(&mut self, mut script: impl Read) -> Result<()> {
        let mut block = vec![0; 256 * 1024];
        loop {
            let n = script.read(&mut block)?;
            if n == 0 {
                return Ok(());
            }
            self.write(|script| script.out().write_all(block.get(..n).unwrap_or_default()))?;
        }
    }

    /// Waits until everything is done.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.commit()?;
        self.write(|script| script.out().flush())?;
        self.input = None;
        match self.tool.take() {
            Some(tool) => client::outcome(tool, self.name, self.connection),
            None => Ok(()),
        }
    }

    fn write(
        &mut self,
        what: impl FnOnce(&mut Script<BufWriter<Input<'c>>>) -> io::Result<()>,
    ) -> Result<()> {
        let Some(input) = self.input.as_mut() else { return Err(self.why()) };
        match what(input).map_err(Error::from) {
            // The pipe is broken: the client says why.
            Err(error) if error.code() != Code::Cancelled => Err(self.why()),
            done => done,
        }
    }

    fn why(&mut self) -> Error {
        // What is buffered is lost; nobody would read it.
        if let Some(input) = self.input.take() {
            drop(input.into_out().into_parts());
        }
        let ended = self.tool.take().map(|tool| client::outcome(tool, self.name, self.connection));
        match ended {
            Some(Err(error)) => error,
            _ => Error::new(Code::Database, format!("{} ended unexpectedly", self.name)),
        }
    }
}
