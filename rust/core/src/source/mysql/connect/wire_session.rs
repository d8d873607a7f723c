//! Questions to the server by its own protocol, in a thread of their own: one that is silent keeps nobody from cancelling.

use super::values::Row;
use super::{client, wire};
use crate::config::Connection;
use crate::{Code, Error, Monitor, Result};
use crossbeam_channel::{Receiver, Sender, bounded};
use mysql::prelude::Queryable;
use mysql::{Conn, Value};
use std::thread::JoinHandle;

/// One connection to the server. An error ends it.
pub(crate) struct WireSession<'c> {
    thread: Option<JoinHandle<()>>,
    /// Dropped first, it ends the thread.
    questions: Option<Sender<String>>,
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
        let (questions, asked) = bounded::<String>(1);
        let (answer, answers) = bounded(1);
        let (opened, id) = bounded(1);
        let (theirs, database) = (connection.clone(), database.map(str::to_owned));
        let thread = std::thread::Builder::new().name("bam-questions".into()).spawn(move || {
            let Some(mut conn) = wire::open(&theirs, database.as_deref()) else { return };
            if opened.send(conn.connection_id()).is_err() {
                return;
            }
            for sql in asked {
                let rows = rows(&mut conn, &sql).map_err(|error| wire::failed(error, &theirs));
                let over = rows.is_err();
                if answer.send(rows).is_err() || over {
                    return;
                }
            }
        });
        let thread =
            thread.map_err(|cause| Error::new(Code::Internal, "cannot start a thread").because(cause))?;
        let Some(id) = monitor.receive(&id)? else { return Ok(None) };
        Ok(Some(WireSession {
            thread: Some(thread),
            questions: Some(questions),
            answers,
            id,
            connection,
            monitor,
        }))
    }

    /// Runs statements and gives all rows that they answer.
    pub(crate) fn rows(&mut self, sql: &str) -> Result<Vec<Row>> {
        let gone = || Error::new(Code::Database, "the connection to the server is gone");
        let questions = self.questions.as_ref().ok_or_else(gone)?;
        questions.send(sql.to_owned()).map_err(|_| gone())?;
        match self.monitor.receive(&self.answers) {
            Ok(answer) => answer.ok_or_else(gone)?,
            Err(error) => {
                self.give_up();
                Err(error)
            }
        }
    }

    /// Leaves the server with its question, but not others behind the locks it may still wait for.
    fn give_up(&mut self) {
        self.questions = None;
        self.thread = None;
        let (connection, ids) = (self.connection.clone(), [self.id.to_string()]);
        // Not waited for: the server may be silent altogether.
        let _ =
            std::thread::Builder::new().spawn(move || client::kill(&connection, &ids, client::Kill::Soft));
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

fn rows(conn: &mut Conn, sql: &str) -> mysql::Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut answers = conn.query_iter(sql)?;
    while let Some(some) = answers.iter() {
        for row in some {
            rows.push(row?.unwrap().into_iter().map(bytes).collect());
        }
    }
    Ok(rows)
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
