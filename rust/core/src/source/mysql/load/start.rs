//! The connections that a load takes, and the threads that serve them.

use super::Loader;
use super::connection::LoadConnection;
use super::queues::{Feed, Queues};
use crate::config::Connection;
use crate::source::mysql::connect::child_guard::ChildGuard;
use crate::source::mysql::connect::session::Session;
use crate::source::mysql::connect::{client, lenience};
use crate::source::sql::Charset;
use crate::{Monitor, Result, threads};

/// What a dump may take for granted; most say it themselves. One connection may wait long for what others do.
const PROLOGUE: &[u8] = b"SET NAMES utf8mb4, sql_mode='NO_AUTO_VALUE_ON_ZERO', foreign_key_checks=0, \
                          unique_checks=0, autocommit=0, wait_timeout=86400;\n";

/// More connections only wait for each other.
const MOST_CONNECTIONS: usize = 4;

/// Loads what `work` hands over into `database`; `live`: under the locks for the live one.
pub(crate) fn load<T>(
    guard: &ChildGuard,
    connection: &Connection,
    database: &str,
    live: bool,
    monitor: &Monitor,
    work: impl FnOnce(&mut Loader<'_, '_>) -> Result<T>,
) -> Result<T> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let count = cores.clamp(2, MOST_CONNECTIONS);
    // Twice as many where half of them speak the server's protocol, which is for text; the rest goes through clients.
    let over_wire = LoadConnection::over_wire(guard, connection, (database, live, 1))?.is_some();
    let all = if over_wire { 2 * count } else { count };
    let queues = Queues::new(all, monitor);
    let (queues, stop) = (&queues, queues.stop());
    let mut asking = Session::open(connection, Some(database), monitor)?;
    let prologue = prologue(connection, database, &mut asking, monitor)?;
    let prologue = prologue.as_slice();
    let open = move |number: usize| -> Result<LoadConnection<'_>> {
        let wanted = (database, live, number);
        let opened =
            if number <= all - count { LoadConnection::over_wire(guard, connection, wanted)? } else { None };
        let mut opened = match opened {
            Some(opened) => opened,
            None => LoadConnection::Client(LoadConnection::client(guard, connection, wanted, stop, monitor)?),
        };
        opened.feed(prologue)?;
        Ok(opened)
    };
    // Statements of all kinds, with delimiters of their own.
    let main = LoadConnection::client(guard, connection, (database, live, 0), stop, monitor)?;
    // Another one for text in a character set that clients must know; while the first has its lock, it needs another.
    let again = move |charset: Charset| {
        let wanted = (database, live, all + 1);
        let mut main = LoadConnection::client_of(guard, connection, wanted, charset, stop, monitor)?;
        main.feed(prologue)?;
        Ok(main)
    };
    let done = std::thread::scope(|scope| {
        for number in 0..all {
            let work = move || queues.work(number, || open(number + 1));
            if let Err(refused) = threads::spawn_scoped(scope, "bam-load", work) {
                queues.close(true);
                return Err(refused);
            }
        }
        let done = packet(&mut asking).and_then(|packet| {
            let mut loader = Loader {
                packet,
                live,
                ..Loader::new(queues, (all, count), (main, &again), asking, (connection, database), monitor)
            };
            loader.main.feed(prologue)?;
            let done = work(&mut loader)?;
            loader.finish()?;
            Ok(done)
        });
        queues.close(done.is_err());
        if done.is_err() {
            // Else the connections would go on with what they are at; should the server not listen, that is how they end.
            let _ = client::kill(connection, &queues.sessions(), client::Kill::Soft);
        }
        done
    });
    // Why a connection was lost is said by who lost it, which may have been at the very end.
    queues.outcome(done)
}

/// The longest packet that the server takes.
fn packet(asking: &mut Session<'_>) -> Result<usize> {
    let found = asking.column("SELECT @@max_allowed_packet")?.pop();
    Ok(found.and_then(|number| number.parse().ok()).unwrap_or(usize::MAX))
}

/// What every connection is told first. Where the server is stricter than the one that made the tables, and lets us, it is
/// less so for us.
fn prologue<'c>(
    connection: &'c Connection,
    database: &str,
    asking: &mut Session<'c>,
    monitor: &'c Monitor,
) -> Result<Vec<u8>> {
    let mut prologue = PROLOGUE.to_vec();
    for set in lenience::found(asking, &lenience::WHEN_MADE, (connection, Some(database)), monitor)? {
        prologue.extend_from_slice(format!("{set};\n").as_bytes());
    }
    Ok(prologue)
}
