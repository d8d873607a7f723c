//! Rows on their way to the connections: cut into pieces, and handed to whichever has the least to do.

use super::connection::LoadConnection;
use super::queues::{Chunk, placed};
use super::{AS_BEFORE, AS_BYTES, CHUNK, LONG, Loader, MANY, MERGED, SHARED};
use crate::Result;
use crate::source::sql;
use memchr::memchr_iter;

impl Loader<'_, '_> {
    /// Rows that stand for themselves, but for their `order`.
    pub(super) fn rows(
        &mut self,
        number: usize,
        head: &[u8],
        rows: &[u8],
        order: bool,
        line: u64,
    ) -> Result<()> {
        let total = self.total;
        let Some(table) = self.tables.get_mut(number) else { return Ok(()) };
        if order && !table.ordered {
            table.ordered = true;
            self.flush()?;
            self.queues.wait_for(number)?;
        }
        let Some(table) = self.tables.get_mut(number) else { return Ok(()) };
        table.rows += (head.len() + rows.len()) as u64;
        table.last = total;
        if table.rows >= table.large {
            let length = rows.len() as u64 / sql::rows(&[head, rows].concat()).max(1);
            let keep = length > LONG && table.rows / length < MANY;
            table.large = if keep { length * MANY } else { u64::MAX };
            self.defer_indexes(number, keep)?;
        }
        let progress = self.queues.progress(number);
        let anywhere = if progress.begun { self.may_spread(number)? } else { progress.pending == 0 };
        let unique = progress.begun && anywhere && self.facts(number)?.unique;
        let queue = (!anywhere).then_some(progress.queue);
        let known = self.chunk.tables.contains(&number);
        let length = self.chunk.text.len();
        // The protocol sends a chunk as one packet.
        let most = CHUNK.min(self.packet / 2);
        if length + head.len() + rows.len() > most
            || !known && length >= SHARED
            || queue.is_some() && self.queue.is_some() && queue != self.queue
        {
            self.flush()?;
        }
        if !self.chunk.tables.contains(&number) {
            self.chunk.tables.push(number);
        }
        self.queue = self.queue.or(queue);
        self.chunk.commit |= !progress.begun;
        // Two connections that look for the same key may wait for each other.
        self.chunk.alone |= unique;
        if self.head == head && self.insert + rows.len() < MERGED && self.chunk.text.ends_with(b";\n") {
            self.chunk.text.truncate(self.chunk.text.len() - 2);
            self.chunk.text.extend_from_slice(b",\n");
            self.insert += rows.len();
        } else {
            self.chunk.lines.push((self.breaks, line));
            self.append(head);
            self.head = head.to_vec();
            self.insert = head.len() + rows.len();
        }
        self.append(rows);
        self.append(b";\n");
        if self.chunk.text.len() >= most { self.flush() } else { Ok(()) }
    }

    pub(super) fn append(&mut self, text: &[u8]) {
        self.breaks += memchr_iter(b'\n', text).count() as u64;
        self.chunk.text.extend_from_slice(text);
    }

    /// Sends the chunk that is being made.
    pub(super) fn flush(&mut self) -> Result<()> {
        let mut chunk = std::mem::take(&mut self.chunk);
        let (queue, within) = (self.queue.take(), std::mem::take(&mut self.settings_within));
        let before = std::mem::replace(&mut self.settings_before, self.forgotten + self.settings.len());
        self.breaks = 0;
        self.head.clear();
        if chunk.text.is_empty() {
            return Ok(());
        }
        if chunk.text.len() >= SHARED {
            // The next one is likely as long; what grows step by step takes up to twice its room.
            self.chunk.text.reserve_exact(CHUNK + SHARED);
        }
        if self.serial {
            let from = self.main.lines();
            self.uncommitted += chunk.text.len();
            if self.uncommitted > 4 * CHUNK {
                self.uncommitted = 0;
                chunk.text.extend_from_slice(b"COMMIT;\n");
            }
            return self.main.feed(&chunk.text).map_err(|error| placed(error, from, &chunk.lines));
        }
        let queue = self.choose(queue, &chunk)?;
        let seen = self.seen.get(queue).copied().unwrap_or_default();
        let mut prefix = self.unseen(seen, before);
        if let Some(seen) = self.seen.get_mut(queue) {
            *seen = before + within;
        }
        let mut suffix: &[u8] = b"";
        if let [table] = chunk.tables.as_slice()
            && within == 0
            && chunk.text.len() >= SHARED
            && self.facts(*table)?.utf8
        {
            prefix.extend_from_slice(AS_BYTES);
            suffix = AS_BEFORE;
        }
        // What is set in between cannot be set twice.
        chunk.alone &= within == 0;
        if !prefix.is_empty() {
            let breaks = memchr_iter(b'\n', &prefix).count() as u64;
            chunk.prefix = prefix.len();
            chunk.lines.iter_mut().for_each(|(at, _)| *at += breaks);
            prefix.reserve_exact(chunk.text.len() + suffix.len());
            prefix.append(&mut chunk.text);
            chunk.text = prefix;
        }
        chunk.text.extend_from_slice(suffix);
        chunk.text.shrink_to_fit();
        self.queues.give(queue, chunk);
        self.build_what_is_over()
    }

    /// Who is to have a chunk: `queue`, else anybody who may.
    pub(super) fn choose(&self, queue: Option<usize>, chunk: &Chunk) -> Result<usize> {
        let text = !chunk.long && LoadConnection::may_go_over_wire(&chunk.text);
        let among = match queue {
            Some(queue) if text || !self.over_wire.contains(&queue) => queue..queue + 1,
            _ if text && !self.over_wire.is_empty() => self.over_wire.clone(),
            Some(_) => {
                // It has to go elsewhere than what came before it, so after it.
                chunk.tables.iter().try_for_each(|&table| self.queues.wait_for(table))?;
                self.over_wire.end..self.seen.len()
            }
            None => self.over_wire.end..self.seen.len(),
        };
        self.queues.choose(&among, chunk.text.len())
    }

    /// The settings from the `from`th until the `until`th.
    pub(super) fn unseen(&self, from: usize, until: usize) -> Vec<u8> {
        let range = from.saturating_sub(self.forgotten)..until.saturating_sub(self.forgotten);
        self.settings.range(range).flatten().copied().collect()
    }

    /// Tells every connection all settings, and forgets them.
    pub(super) fn remind(&mut self) -> Result<()> {
        self.flush()?;
        let all = self.forgotten + self.settings.len();
        for queue in 0..self.seen.len() {
            let text = self.unseen(self.seen.get(queue).copied().unwrap_or_default(), all);
            let queue = self.queues.choose(&(queue..queue + 1), text.len())?;
            self.queues.give(queue, Chunk { text, ..Chunk::default() });
        }
        self.seen.fill(all);
        self.catch_up()?;
        self.settings.clear();
        (self.forgotten, self.settings_before) = (all, all);
        Ok(())
    }

    /// Tells the main connection the settings that it has not seen.
    pub(super) fn catch_up(&mut self) -> Result<()> {
        let all = self.forgotten + self.settings.len();
        let text = self.unseen(self.seen_by_main, all);
        self.seen_by_main = all;
        if text.is_empty() { Ok(()) } else { self.main.feed(&text) }
    }
}
