//! Several dump clients at work, one SQL file coming out.
//!
//! Each client writes INSERTs of tables of its own. They take turns, always in the same order and each about the same
//! work, ending with a statement; so the file depends on the data alone, not on who was faster, memory is bounded,
//! nobody waits long for the others, and whoever loads the file finds work for several connections at any time.

use super::exact::{ExactPlan, Lines};
use super::inserts::{BLOCK, Block, Event, work};
use super::select::Select;
use crate::config::Connection;
use crate::source::mysql::connect::client;
use crate::source::mysql::schema::TableSchema;
use crate::source::tool::{Output, Tool};
use crate::{Code, Error, Monitor, NoteKind, Result, threads};
use crossbeam_channel::{Receiver, Sender, bounded};
use memchr::memmem;
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

/// How much of one client's rows, as [`work`] counts it, is written before the next one's turn, up to the end of the
/// statement.
const TURN: usize = 1024 * 1024;
/// Blocks that may wait, for each client: a turn and a statement, so that nobody rests while another has its turn.
const WAITING: usize = TURN / BLOCK + 2;

/// A dump client's output without the sandbox mark, which Backup and Migrate would send to the server.
pub(crate) struct Body<R: Read> {
    first: io::Cursor<Vec<u8>>,
    rest: BufReader<R>,
}

impl<R: Read> Body<R> {
    /// Waits for the first line.
    pub(crate) fn new(output: R) -> io::Result<Self> {
        let mut rest = BufReader::with_capacity(BLOCK, output);
        let mut first = Vec::new();
        rest.read_until(b'\n', &mut first)?;
        if first.starts_with(b"/*") && memmem::find(&first, b"999999").is_some() {
            first.clear();
        }
        Ok(Body { first: io::Cursor::new(first), rest })
    }

    /// Waits until there is something after the first line, or the end.
    fn wait(&mut self) -> io::Result<()> {
        self.rest.fill_buf().map(drop)
    }
}

impl<R: Read> Read for Body<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.first.read(buffer)? {
            0 => self.rest.read(buffer),
            n => Ok(n),
        }
    }
}

/// Whose rows are wanted.
pub(crate) enum Feed {
    Client {
        tool: Tool,
        name: &'static str,
        /// What the output means where it is no SQL.
        plan: Option<ExactPlan>,
        tables: Vec<String>,
    },
    Server(Box<Select>),
}

/// The clients' output, while they run.
pub(crate) struct Rows<'m> {
    clients: Vec<Receiver<Result<Event>>>,
    monitor: &'m Monitor,
}

/// Reads all feeds, each in a thread of its own, while `work` runs. They are killed when it fails; one that waits for
/// the server's next row ends with that.
pub(crate) fn run(
    feeds: Vec<Feed>,
    connection: &Connection,
    ignore_errors: bool,
    monitor: &Monitor,
    work: impl FnOnce(&mut Rows<'_>) -> Result<()>,
) -> Result<()> {
    let stop = AtomicBool::new(false);
    let (stop, mut running) = (&stop, Vec::new());
    std::thread::scope(|scope| {
        let mut rows = Rows { clients: Vec::new(), monitor };
        for feed in feeds {
            let (sender, receiver) = bounded(WAITING);
            rows.clients.push(receiver);
            match feed {
                Feed::Client { mut tool, name, plan, tables } => {
                    let output = tool.output(monitor, Some(stop))?;
                    running.push((output, (tool, name), plan, tables, sender));
                }
                // On its own: a server that is silent keeps nobody from cancelling.
                Feed::Server(select) => {
                    threads::spawn("bam-select", move || select.run(&sender))?;
                }
            }
        }
        for (output, (tool, name), plan, tables, sender) in running {
            let pumping = move || {
                let end = pump(output, plan, &sender).and_then(|known| {
                    let said = client::dump_outcome(tool, name, connection, ignore_errors, monitor)?;
                    Ok(said.map(|said| known.unwrap_or_else(|| client::tables_in(&said, &tables))))
                });
                // Nobody listens any more when the dump has failed elsewhere.
                if let Ok(Some(unread)) = &end {
                    let _ = sender.send(Ok(Event::Unread(unread.clone(), None)));
                }
                let _ = sender.send(end.map(|_| Event::End));
            };
            if let Err(refused) = threads::spawn_scoped(scope, "bam-rows", pumping) {
                stop.store(true, Relaxed);
                return Err(refused);
            }
        }
        let done = work(&mut rows);
        stop.store(true, Relaxed);
        done
    })
}

/// Hands over all rows. The tables that did not come to their end, where the output tells.
fn pump(
    output: Output<'_>,
    plan: Option<ExactPlan>,
    sender: &Sender<Result<Event>>,
) -> Result<Option<Vec<String>>> {
    match plan {
        Some(plan) => {
            let mut inserts = Lines::new(BufReader::with_capacity(BLOCK, output), plan);
            inserts.wait()?;
            hand_over(&mut inserts, sender)?;
            Ok(Some(inserts.unread()))
        }
        None => {
            let mut body = Body::new(output)?;
            body.wait()?;
            hand_over(&mut body, sender)?;
            Ok(None)
        }
    }
}

fn hand_over(rows: &mut dyn Read, sender: &Sender<Result<Event>>) -> Result<()> {
    let gone = |_| Error::from(io::Error::from(io::ErrorKind::BrokenPipe));
    sender.send(Ok(Event::Started)).map_err(gone)?;
    loop {
        let mut sql = Vec::with_capacity(BLOCK);
        if (&mut *rows).take(BLOCK as u64).read_to_end(&mut sql)? == 0 {
            return Ok(());
        }
        sender.send(Ok(Event::Rows(Block { sql, rows: 0 }))).map_err(gone)?;
    }
}

impl Rows<'_> {
    /// Waits until every client has taken its snapshot.
    pub(crate) fn wait_for_snapshots(&self) -> Result<()> {
        for client in &self.clients {
            match receive(client, self.monitor)? {
                Event::Started => {}
                _ => return Err(Error::new(Code::Internal, "a dump client sent rows before its snapshot")),
            }
        }
        Ok(())
    }

    /// Writes all rows, the clients taking turns, or (without `turns`) one after the other.
    pub(crate) fn write(&mut self, out: &mut dyn Write, turns: bool) -> Result<WrittenRows> {
        let most = if turns { TURN } else { usize::MAX };
        let (monitor, mut written) = (self.monitor, WrittenRows::default());
        let mut turns: Vec<Turn<'_>> =
            self.clients.iter().map(|client| Turn { client, rest: Block::default() }).collect();
        while !turns.is_empty() {
            let mut going_on = Vec::with_capacity(turns.len());
            for mut turn in turns {
                let more = turn.take(out, most, &mut written, monitor)?;
                out.write_all(b"COMMIT;\n")?;
                if more {
                    going_on.push(turn);
                }
            }
            turns = going_on;
        }
        Ok(written)
    }
}

/// What came of all rows.
#[derive(Debug, Default)]
pub(crate) struct WrittenRows {
    /// How many rows tables had, of those whose rows were counted.
    pub(crate) counts: BTreeMap<String, u64>,
    /// Tables that could not be read, or not to their end.
    pub(crate) unread: Vec<String>,
}

fn receive(client: &Receiver<Result<Event>>, monitor: &Monitor) -> Result<Event> {
    let gone = || Error::new(Code::Internal, "a dump client's thread is gone");
    monitor.receive(client)?.ok_or_else(gone)?
}

struct Turn<'r> {
    client: &'r Receiver<Result<Event>>,
    /// What was received and belongs to the next turn.
    rest: Block,
}

impl Turn<'_> {
    /// Writes one turn, until the first statement that ends after `most` work; `false` when that was the last.
    fn take(
        &mut self,
        out: &mut dyn Write,
        most: usize,
        written: &mut WrittenRows,
        monitor: &Monitor,
    ) -> Result<bool> {
        let (mut done, mut last) = (0usize, 0);
        loop {
            let Block { sql, rows } = match std::mem::take(&mut self.rest) {
                rest if rest.sql.is_empty() => match receive(self.client, monitor)? {
                    Event::Rows(block) => block,
                    Event::End => return Ok(false),
                    Event::Started => continue,
                    Event::Counted(table, rows) => {
                        written.counts.insert(table, rows);
                        continue;
                    }
                    Event::Unread(tables, said) => {
                        said.into_iter().for_each(|said| monitor.note(NoteKind::Missing, said));
                        written.unread.extend(tables);
                        continue;
                    }
                },
                rest => rest,
            };
            monitor.check()?;
            let end = if done.saturating_add(work(sql.len(), rows)) < most {
                None
            } else {
                statement_end(last, &sql)
            };
            let (now, later) = sql.split_at(end.unwrap_or(sql.len()));
            out.write_all(now)?;
            if end.is_some() {
                // As many rows for as many bytes.
                self.rest = Block { sql: later.to_vec(), rows: rows * later.len() / sql.len().max(1) };
                return Ok(true);
            }
            done += work(now.len(), rows);
            last = now.last().copied().unwrap_or(last);
        }
    }
}

/// Where the first statement ends in `block`, before which `last` came. Dump clients escape line breaks in strings,
/// so a `;` at a line's end is no data; where names may hold one, nobody asks.
fn statement_end(last: u8, block: &[u8]) -> Option<usize> {
    if last == b';' && block.first() == Some(&b'\n') {
        return Some(1);
    }
    memmem::find(block, b";\n").map(|at| at + 2)
}

/// Divides tables into `clients` groups of about the same size. In each the table with the largest indexes comes first,
/// which whoever loads the dump then builds while others load; one client takes them by name.
pub(crate) fn share<'t>(tables: &[&'t TableSchema], clients: usize) -> Vec<Vec<&'t TableSchema>> {
    if clients < 2 {
        return if tables.is_empty() { Vec::new() } else { vec![tables.to_vec()] };
    }
    let mut by_size: Vec<&TableSchema> = tables.to_vec();
    by_size.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.name.cmp(&b.name)));
    let mut groups: Vec<(u64, Vec<&TableSchema>)> = vec![(0, Vec::new()); clients];
    for table in by_size {
        if let Some(group) = groups.iter_mut().min_by_key(|(size, _)| *size) {
            group.0 += table.size + 1;
            group.1.push(table);
        }
    }
    let mut groups: Vec<Vec<&TableSchema>> = groups.into_iter().map(|(_, tables)| tables).collect();
    for group in &mut groups {
        group.sort_by(|a, b| b.index_size.cmp(&a.index_size).then_with(|| a.name.cmp(&b.name)));
    }
    groups.retain(|group| !group.is_empty());
    groups
}
