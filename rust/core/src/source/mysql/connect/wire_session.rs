//! Questions to the server by its own protocol, in a thread of their own: one that is silent keeps nobody from cancelling.

use super::values::Row;
use super::{client, wire};
use crate::config::Connection;
use crate::source::answer::Allowance;
use crate::threads;
use crate::{Code, Error, Monitor, Result};
use crossbeam_channel::{Receiver, Sender, bounded};
use mysql::prelude::Queryable;
use mysql::{Conn, Value};
use std::mem::ManuallyDrop;
use std::thread::JoinHandle;

/// How many rows and bytes are handed over at a time.
const ROWS: usize = 1000;
const BYTES: usize = 256 << 10;
/// No row of an answer is longer, nor a statement of ours.
const PACKET: usize = 8 << 20;

/// One connection to the server. An error ends it.
pub(crate) struct WireSession<'c> {
    thread: Option<JoinHandle<()>>,
    /// Dropped first, it ends the thread.
    questions: Option<Sender<(String, Allowance)>>,
    /// Rows, some at a time; none are the end of the answer.
    answers: Receiver<Result<Vec<Row>>>,
    /// What the server calls it.
    id: u32,
    connection: &'c Connection,
    monitor: &'c Monitor,
}

impl<'c> WireSession<'c> {
    /// Connects. `None` where a client has to do it, see [`wire::open`].
    pub(crate) fn open(
        connection: &'c Connection,
        database: Option<&str>,
        monitor: &'c Monitor,
    ) -> Result<Option<WireSession<'c>>> {
        let (questions, asked) = bounded::<(String, Allowance)>(1);
        let (answer, answers) = bounded(0);
        let (opened, id) = bounded(1);
        let (theirs, database) = (connection.clone(), database.map(str::to_owned));
        let thread = threads::spawn("bam-questions", move || {
            let Some(mut conn) = wire::open(&theirs, database.as_deref(), PACKET) else { return };
            if opened.send(conn.connection_id()).is_err() {
                return;
            }
            for (sql, allowance) in asked {
                let end = rows(&mut conn, &sql, allowance, |some| answer.send(Ok(some)).is_ok());
                let end = end.map_err(|error| error.unwrap_or_else(|said| wire::failed(said, &theirs)));
                let over = end.is_err();
                if answer.send(end.map(|()| Vec::new())).is_err() || over {
                    return;
                }
            }
        })?;
        let Some(id) = monitor.receive(&id)? else {
            // With it goes its copy of the password.
            let _ = thread.join();
            return Ok(None);
        };
        Ok(Some(WireSession {
            thread: Some(thread),
            questions: Some(questions),
            answers,
            id,
            connection,
            monitor,
        }))
    }

    /// Runs statements and shows `each` the rows that they answer, as long as it takes them.
    pub(crate) fn each(
        &mut self,
        sql: &str,
        allowance: Allowance,
        mut each: impl FnMut(Row) -> Result<()>,
    ) -> Result<()> {
        let gone = || Error::new(Code::Database, "the connection to the server is gone");
        let questions = self.questions.as_ref().ok_or_else(gone)?;
        questions.send((sql.to_owned(), allowance)).map_err(|_| gone())?;
        loop {
            let some = match self.monitor.receive(&self.answers) {
                Ok(answer) => answer.ok_or_else(gone)??,
                Err(error) => {
                    self.give_up();
                    return Err(error);
                }
            };
            if some.is_empty() {
                return Ok(());
            }
            if let Err(error) = some.into_iter().try_for_each(&mut each) {
                self.give_up();
                return Err(error);
            }
        }
    }

    /// Leaves the server with its question, but not others behind the locks it may still wait for.
    fn give_up(&mut self) {
        self.questions = None;
        self.thread = None;
        let (connection, ids) = (self.connection.clone(), [self.id.to_string()]);
        // Not waited for: the server may be silent altogether.
        let _ = threads::spawn("bam-kill", move || client::kill(&connection, &ids, client::Kill::Soft));
    }
}

impl Drop for WireSession<'_> {
    fn drop(&mut self) {
        self.questions = None;
        // Its locks are gone when we are.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Hands over the rows of an answer, some at a time, as long as they are taken.
fn rows(
    conn: &mut Conn,
    sql: &str,
    mut allowance: Allowance,
    mut take: impl FnMut(Vec<Row>) -> bool,
) -> std::result::Result<(), std::result::Result<Error, mysql::Error>> {
    let (mut rows, mut held) = (Vec::new(), 0);
    // What is left of them is read when they are dropped, and may have no end.
    let mut answers = ManuallyDrop::new(conn.query_iter(sql).map_err(Err)?);
    while let Some(some) = answers.iter() {
        let mut some = ManuallyDrop::new(some);
        for row in some.by_ref() {
            let row = row.map_err(Err)?.unwrap();
            let length =
                row.iter().map(|value| if let Value::Bytes(bytes) = value { bytes.len() } else { 4 }).sum();
            let allowed = allowance.take(row.len(), length);
            held += length;
            rows.push(row.into_iter().map(bytes).collect());
            let full = held >= BYTES || rows.len() >= ROWS;
            if allowed.is_err() || full && !take(std::mem::take(&mut rows)) {
                return allowed.map_err(Ok);
            }
            if full {
                held = 0;
            }
        }
        drop(ManuallyDrop::into_inner(some));
    }
    drop(ManuallyDrop::into_inner(answers));
    if !rows.is_empty() {
        take(rows);
    }
    Ok(())
}

/// As the client prints it.
fn bytes(value: Value) -> Vec<u8> {
    match value {
        Value::NULL => b"NULL".to_vec(),
        Value::Bytes(bytes) => bytes,
        // Not in the text protocol.
        other => other.as_sql(true).into_bytes(),
    }
}
