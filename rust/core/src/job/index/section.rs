//! Something that lies beside the data, as it is fetched: proven whole before anything of it is used.

use super::{Claim, Clear};
use crate::compress::aside;
use crate::temporary::Temporary;
use crate::{Monitor, Result};
use sha2::{Digest, Sha256};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

/// A section longer than this waits on disk.
const IN_MEMORY: u64 = 4 << 20;
/// Bytes that are fetched at once, at the most.
const AT_ONCE: u64 = 4 << 20;

/// A section, proven. Clones share it.
#[derive(Clone)]
pub struct Section(Arc<Kept>);

enum Kept {
    Memory(Vec<u8>),
    Disk(Temporary),
}

impl Section {
    /// Fetches it and compares it with what the sidecar says of it. A long one goes to a file without a name in
    /// `spool_dir`.
    pub fn load(clear: &Clear, claim: Claim, spool_dir: &Path, monitor: &Monitor) -> Result<Section> {
        let end = claim.end().filter(|end| *end <= clear.parts().size());
        let end = end.ok_or_else(|| clear.parts().damaged("its index cannot be where its sidecar says"))?;
        monitor.expect(claim.length);
        let mut kept = Kept::new(claim.length, spool_dir)?;
        let (mut hash, mut at) = (Sha256::new(), claim.offset);
        while at < end {
            monitor.check()?;
            let length = (end - at).min(AT_ONCE);
            let bytes = clear.read(at, usize::try_from(length).unwrap_or_default())?;
            hash.update(&bytes);
            kept.add(&bytes)?;
            at += length;
        }
        match hash.finalize().as_slice() == claim.sha256 {
            true => Ok(Section(Arc::new(kept))),
            false => Err(clear.parts().damaged("the SHA-256 of its index is not what its sidecar says")),
        }
    }

    /// Its content, from the start.
    pub fn content(&self) -> impl Read + Send + use<> {
        aside::Reader::new(KeptReader { kept: Arc::clone(&self.0), at: 0 })
    }
}

impl Kept {
    fn new(length: u64, spool_dir: &Path) -> Result<Kept> {
        Ok(match length > IN_MEMORY {
            true => Kept::Disk(Temporary::new(spool_dir)?),
            false => Kept::Memory(Vec::with_capacity(usize::try_from(length).unwrap_or_default())),
        })
    }

    fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Kept::Memory(all) => all.extend_from_slice(bytes),
            Kept::Disk(file) => file.write_all(bytes)?,
        }
        Ok(())
    }
}

/// Reads it from its start.
struct KeptReader {
    kept: Arc<Kept>,
    at: u64,
}

impl Read for KeptReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let got = match &*self.kept {
            Kept::Memory(all) => {
                let at = usize::try_from(self.at).unwrap_or(usize::MAX);
                all.get(at..).unwrap_or_default().read(out)?
            }
            Kept::Disk(file) => file.read_at(out, self.at)?,
        };
        self.at += got as u64;
        Ok(got)
    }
}
