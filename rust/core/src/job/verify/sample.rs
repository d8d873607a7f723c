//! The cheap check: a random part of each copy is read and compared with the checksums of its blocks.
//!
//! What was not read is not proven, so nothing of it is recorded as a verification.

use super::{Failed, Structures};
use crate::catalog::{Blocks, Sidecar, key};
use crate::config::Document;
use crate::destination::Destination;
use crate::job::damaged;
use crate::job::select::Criteria;
use crate::{Code, Error, Monitor, Phase, Result};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Read;
use std::sync::Arc;

/// Stretches that a sample is put together from, at most: each may cost a connection.
const STRETCHES: usize = 4;

/// Samples one backup, or all: `percent` of each copy's blocks, at least one. Fails with [`Code::Integrity`] when a copy
/// is damaged, after looking at the others.
pub fn run(document: &Document, ask: &Criteria<'_>, percent: f64, monitor: &Arc<Monitor>) -> Result<Value> {
    if !(percent > 0.0 && percent <= 100.0) {
        return Err(Error::new(Code::Usage, format!("a sample of {percent} % is not possible"))
            .hint("more than 0, at most 100"));
    }
    let there = ask.list(document, monitor)?;
    let chosen = ask.choose(document, &there.listing, monitor)?;
    monitor.phase(Phase::Verifying);
    let (mut copies, mut failed) = (Vec::new(), Failed::default());
    let mut structures = Structures::default();
    for backup in chosen {
        for place in &there.places {
            let Some(copy) = backup.distinct_copy_at(place.id()) else { continue };
            monitor.set_current(format!("{} at {}", backup.file, place.id()));
            let read = match copy.whole {
                true if copy.place.repository => {
                    structures.look(place, Some(percent), monitor).map(|()| None)
                }
                true => read_some(place, &backup.file, percent, monitor),
                false => Err(Error::new(
                    Code::Integrity,
                    "its sidecar is missing, tells another size or differs from the others",
                )),
            };
            if let Err(error) = &read {
                if error.code() == Code::Cancelled {
                    return read.map(|_| Value::Null);
                }
                damaged::note(document, &**place, &backup.file, error, monitor);
                failed.add(&backup.file, place.id(), error);
            }
            copies.push(json!({
                "id": backup.id,
                "file": &*backup.file,
                "destination": place.id(),
                "ok": read.is_ok(),
                "error": read.as_ref().err().map(ToString::to_string),
                "failure": read.as_ref().err(),
                "size": copy.size,
                "read": read.ok().flatten(),
            }));
        }
    }
    match failed.error(copies.len(), monitor) {
        Some(error) => Err(error),
        None => Ok(json!({ "sample": percent, "copies": copies })),
    }
}

/// How many bytes were read and found as written; `None` where a sample is not possible: the backup was made without
/// checksums of its blocks, or the place can only be read from the start.
fn read_some(
    place: &Arc<dyn Destination>,
    name: &str,
    percent: f64,
    monitor: &Monitor,
) -> Result<Option<u64>> {
    let sidecar = place.sidecar(name)?.map(|text| Sidecar::parse(&text)).unwrap_or_default();
    let Some(blocks) = sidecar.get(key::BLOCKS).and_then(Blocks::parse) else { return Ok(None) };
    let (mut read, mut input, mut at) = (0, None::<Box<dyn Read + Send>>, usize::MAX);
    for block in choose(blocks.sums().len(), percent)? {
        if at != block || input.is_none() {
            input = place.open_at(name, blocks.size().saturating_mul(block as u64))?;
        }
        let Some(input) = input.as_mut() else { return Ok(None) };
        let (mut sum, mut left, mut buffer) = (crc32fast::Hasher::new(), blocks.size(), vec![0; 1 << 18]);
        while left > 0 {
            monitor.check()?;
            let take = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let got = input.read(buffer.get_mut(..take).unwrap_or_default())?;
            if got == 0 {
                break;
            }
            sum.update(buffer.get(..got).unwrap_or_default());
            left -= got as u64;
            read += got as u64;
            monitor.add_in(got as u64);
        }
        if blocks.sums().get(block) != Some(&sum.finalize()) {
            let from = blocks.size().saturating_mul(block as u64);
            return Err(Error::new(
                Code::Integrity,
                format!("bytes from {from} on are not what was written"),
            )
            .hint("use another copy of this backup")
            .of_bytes());
        }
        at = block + 1;
    }
    Ok(Some(read))
}

/// Random blocks of `count`, in a few stretches.
fn choose(count: usize, percent: f64) -> Result<BTreeSet<usize>> {
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let wanted = ((count as f64 * percent / 100.0).ceil() as usize).clamp(1, count.max(1)).min(count);
    let mut chosen = BTreeSet::new();
    while chosen.len() < wanted {
        let length = wanted.div_ceil(STRETCHES).min(wanted - chosen.len());
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).map_err(|cause| {
            Error::new(Code::Io, "the operating system gives no random bytes").because(cause)
        })?;
        let start = usize::try_from(u64::from_le_bytes(bytes) % (count - length + 1) as u64).unwrap_or(0);
        chosen.extend(start..start + length);
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_as_large_as_asked_and_within_the_file() {
        for (count, percent, least) in
            [(0, 5.0, 0), (1, 0.1, 1), (7, 100.0, 7), (128, 5.0, 7), (128, 50.0, 64)]
        {
            let chosen = choose(count, percent).expect("chosen");
            assert!((least..=least + STRETCHES).contains(&chosen.len()), "{count} {percent}: {chosen:?}");
            assert!(chosen.iter().all(|block| *block < count));
        }
        let all: BTreeSet<_> = (0..200).flat_map(|_| choose(16, 10.0).expect("chosen")).collect();
        assert_eq!(all.len(), 16, "every block has its turn");
    }
}
