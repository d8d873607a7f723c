//! Questions and scripts to the server through its own command-line client, which reads scripts with delimiters of their
//! own. Should we be killed, the client still finishes what it was given.

use super::client::{self, Program};
use super::values::{Row, string};
use crate::config::Connection;
use crate::source::answer::{Allowance, MOST, too_long};
use crate::source::tool::{Input, Output, Tool};
use crate::{Code, Error, Monitor, Result};
use memchr::memchr_iter;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::sync::atomic::AtomicBool;

/// One connection to the server. What it locked and opened ends when it is dropped.
pub(crate) struct ClientSession<'c> {
    tool: Option<Tool>,
    program: &'static str,
    input: Option<Input<'c>>,
    output: BufReader<Output<'c>>,
    connection: &'c Connection,
    asked: u64,
    /// How many lines the client was given so far.
    lines: u64,
}

impl<'c> ClientSession<'c> {
    /// Connects, with further `options` of the client, as the server's settings have it. The client keeps `held` open
    /// until it ends. Waiting for an answer ends with an error soon after `stop` is set.
    pub(crate) fn start(
        connection: &'c Connection,
        database: Option<&str>,
        options: &[&str],
        held: Option<OwnedFd>,
        stop: Option<&'c AtomicBool>,
        monitor: &'c Monitor,
    ) -> Result<ClientSession<'c>> {
        let mut arguments = client::LOADING.map(String::from).to_vec();
        arguments.extend(["--skip-column-names", "--unbuffered", "--quick"].map(String::from));
        arguments.extend(options.iter().map(|&option| option.to_owned()));
        arguments.extend(database.map(|name| format!("--database={name}")));
        let (mut tool, program) =
            client::spawn(Program::Client, connection, arguments, held, Stdio::piped(), Stdio::piped())?;
        let (input, output) = (tool.input(monitor)?, BufReader::new(tool.output(monitor, stop)?));
        Ok(ClientSession {
            tool: Some(tool),
            program,
            input: Some(input),
            output,
            connection,
            asked: 0,
            lines: 0,
        })
    }

    /// Runs statements and shows `each` the rows that they answer, as long as it takes them.
    pub(crate) fn each(
        &mut self,
        sql: &str,
        mut allowance: Allowance,
        mut each: impl FnMut(Row) -> Result<()>,
    ) -> Result<()> {
        self.ask(&[sql.as_bytes(), b";\n"], |line| {
            let row: Row = line.split(|&byte| byte == b'\t').map(unescape).collect();
            allowance.take(row.len(), line.len())?;
            each(row)
        })
    }

    /// Runs a script, of whole statements and lines; what it answers is passed over.
    pub(crate) fn feed(&mut self, script: &[u8]) -> Result<()> {
        self.ask(&[script], |_| Ok(()))
    }

    /// How many lines the client was given so far.
    pub(crate) fn lines(&self) -> u64 {
        self.lines
    }

    fn ask(&mut self, script: &[&[u8]], mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        self.asked += 1;
        let end = format!("bam-{}-{}", std::process::id(), self.asked);
        let Some(input) = self.input.as_mut() else {
            return Err(Error::new(Code::Database, "the connection to the server is gone"));
        };
        let asking = format!("SELECT '{end}';\n");
        for &part in script.iter().chain(&[asking.as_bytes()]) {
            self.lines += memchr_iter(b'\n', part).count() as u64;
            match input.write_all(part) {
                // A client that is gone says why below. One that is not would wait for the rest, and we for its answer.
                Err(cause) if cause.kind() != ErrorKind::BrokenPipe => {
                    self.input = None;
                    return Err(cause.into());
                }
                _ => {}
            }
        }
        let mut line = Vec::new();
        loop {
            line.clear();
            if self.output.by_ref().take(MOST as u64).read_until(b'\n', &mut line)? == 0 {
                return Err(self.why());
            }
            if line.len() >= MOST {
                self.give_up();
                return Err(too_long());
            }
            let text = line.strip_suffix(b"\n").unwrap_or(&line);
            if text == end.as_bytes() {
                return Ok(());
            }
            if let Err(error) = each(text) {
                self.give_up();
                return Err(error);
            }
        }
    }

    /// What still comes is nothing to anybody.
    fn give_up(&mut self) {
        self.input = None;
        self.tool = None;
    }

    /// Runs one long statement all or not at all: should we be killed while it is on its way, the client would run
    /// what it got, so it gets a string, which is nothing without its end.
    pub(crate) fn run_whole(&mut self, sql: &str) -> Result<()> {
        let sql = format!("SET @bam = {};\nPREPARE bam FROM @bam;\nEXECUTE bam", string(sql));
        self.each(&sql, Allowance::kept(), |_| Ok(()))
    }

    /// Why the client ended.
    fn why(&mut self) -> Error {
        self.input = None;
        let ended = self.tool.take().map(|tool| client::outcome(tool, self.program, self.connection));
        match ended {
            Some(Err(error)) => error,
            _ => Error::new(Code::Database, format!("{} ended unexpectedly", self.program)),
        }
    }
}

/// Undoes the escapes of the client's batch mode (`\n`, `\t`, `\0`, `\\`).
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut bytes = field.iter();
    while let Some(&byte) = bytes.next() {
        plain.push(match byte {
            b'\\' => match bytes.next() {
                Some(b'n') => b'\n',
                Some(b't') => b'\t',
                Some(b'0') => 0,
                Some(&other) => other,
                None => byte,
            },
            byte => byte,
        });
    }
    plain
}
