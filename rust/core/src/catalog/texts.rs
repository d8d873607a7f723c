//! Sidecars that a listing need not hold: their texts lie in a file without a name, to be read again on demand.
//!
//! A few stay in memory, and so do all where there is no room for such a file. Nobody else can reach it: what is read again is
//! what was read at the place, and not what lies there meanwhile.

use super::Sidecar;
use crate::{Code, Error, Result};
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes that are held before they are written.
const HELD: usize = 256 << 10;

/// The texts of one listing of one place.
#[derive(Default)]
pub(super) struct Texts(Mutex<Held>);

#[derive(Default)]
struct Held {
    /// What is not in the file (yet).
    recent: Vec<u8>,
    file: Option<File>,
    /// Bytes in the file.
    written: u64,
    /// There is no room for a file: all stays here.
    stays: bool,
}

impl Held {
    /// Moves what is held to the file.
    fn spill(&mut self) -> io::Result<()> {
        let file = match self.file.take() {
            Some(file) => file,
            None => crate::temporary::somewhere()?,
        };
        let file = self.file.insert(file);
        file.write_all_at(&self.recent, self.written)?;
        self.written += self.recent.len() as u64;
        self.recent.clear();
        Ok(())
    }

    fn read(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        match (at.checked_sub(self.written), &self.file) {
            (None, Some(file)) => file.read_exact_at(into, at),
            (from, _) => {
                let from = from.and_then(|from| usize::try_from(from).ok());
                let held = from.and_then(|from| self.recent.get(from..)?.get(..into.len()));
                into.copy_from_slice(held.ok_or(io::ErrorKind::UnexpectedEof)?);
                Ok(())
            }
        }
    }
}

impl Texts {
    /// Takes a text in.
    pub fn keep(self: &Arc<Self>, text: &str) -> Kept {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.recent.len() >= HELD && !held.stays {
            // A disk that is full is none of a listing's troubles.
            held.stays = held.spill().is_err();
        }
        let at = held.written + held.recent.len() as u64;
        held.recent.extend_from_slice(&(text.len() as u64).to_ne_bytes());
        held.recent.extend_from_slice(text.as_bytes());
        Kept { texts: Arc::clone(self), at }
    }

    fn text(&self, at: u64) -> io::Result<Vec<u8>> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut length = [0; 8];
        held.read(at, &mut length)?;
        let length = usize::try_from(u64::from_ne_bytes(length)).map_err(io::Error::other)?;
        let mut text = vec![0; length];
        held.read(at + 8, &mut text)?;
        Ok(text)
    }
}

/// A sidecar that can be read again.
#[derive(Clone)]
pub struct Kept {
    texts: Arc<Texts>,
    at: u64,
}

impl Kept {
    /// What it says.
    ///
    /// # Errors
    /// [`Code::Io`] where the disk does not give it back.
    pub fn read(&self) -> Result<Sidecar> {
        let text = self.texts.text(self.at).map_err(|cause| {
            Error::new(Code::Io, "cannot read again what was listed, in the folder for temporary files")
                .because(cause)
        })?;
        Ok(Sidecar::parse(&String::from_utf8_lossy(&text)))
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sidecar at {}", self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::key;

    #[test]
    fn each_is_read_again_wherever_it_came_to_lie() {
        for stays in [false, true] {
            let texts = Arc::new(Texts::default());
            texts.0.lock().expect("held").stays = stays;
            let long = "x".repeat(HELD / 10);
            let kept: Vec<Kept> = (0..100)
                .map(|n| texts.keep(&format!("bam_id = \"{n}\"\ndescription = \"{long}\"\n")))
                .collect();
            assert_eq!(texts.0.lock().expect("held").written > 0, !stays);
            for (n, kept) in kept.iter().enumerate().rev() {
                let sidecar = kept.read().expect("read");
                assert_eq!(sidecar.number(key::ID), Some(n as u64));
                assert_eq!(sidecar.get(key::DESCRIPTION), Some(long.as_str()));
            }
        }
    }

    #[test]
    fn what_is_not_there_any_more_is_an_error() {
        let texts = Arc::new(Texts::default());
        let kept = texts.keep("bam_id = \"1\"\n");
        texts.0.lock().expect("held").recent.truncate(9);
        assert_eq!(kept.read().expect_err("cut off").code(), Code::Io);
    }
}
