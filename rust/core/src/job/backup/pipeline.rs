//! The way of the bytes on a backup: compressed on the job's threads, encrypted on another, delivered by more.

use super::deliver::{Delivery, Finished};
use crate::archive::outline::Outline;
use crate::compress::Piece;
use crate::compress::{self, Encoder};
use crate::config::{CompressionLevel, Document, EncryptionKind};
use crate::encrypt::kdf::{Derivation, Keys};
use crate::encrypt::{aes_module, age, enc};
use crate::job::index::{Claims, Making, write_tables};
use crate::job::keys as ring;
use crate::job::pipe::{PipeReader, PipeWriter, pipe};
use crate::source::table_places::TablePlaces;
use crate::{Code, Error, Result, threads};
use std::io::{self, Read, Write};
use std::path::Path;
use std::thread::JoinHandle;

/// How the compressed bytes are encrypted.
pub enum Cipher {
    /// The `.enc` container; its keys are being derived while the source is already read.
    Enc(Derivation),
    /// The format of Drupal's aes module.
    AesModule(aes_module::Settings),
    /// The age format, to public keys.
    Age(age::Recipients),
    /// In the clear.
    None,
}

impl Cipher {
    /// With the document's current key; its derivation begins.
    pub fn start(document: &Document, kind: EncryptionKind) -> Result<Cipher> {
        Ok(match kind {
            EncryptionKind::Aes256 => {
                Cipher::Enc(enc::start(&ring::to_encrypt(document)?, ring::iterations(document))?)
            }
            EncryptionKind::AesModule => Cipher::AesModule(ring::aes_settings(document)?),
            EncryptionKind::Age => Cipher::Age(ring::recipients(document)?),
            EncryptionKind::None => Cipher::None,
        })
    }
}

/// Takes a backup's plain bytes. [`Pipeline::finish`] at the end; dropped before that, nothing appears anywhere.
pub struct Pipeline {
    encoder: Encoder<PipeWriter>,
    level: CompressionLevel,
    back: JoinHandle<Result<(Finished, Option<Keys>)>>,
    bytes: u64,
    /// What is read of it with the index must not tell of what is encrypted.
    secret: bool,
    outline: Option<Outline<Making>>,
    tables: Option<TablePlaces>,
}

/// What a pipeline ends with.
pub struct Ended {
    /// The bytes, on their way.
    pub finished: Finished,
    /// The keys of the container, where it is one.
    pub keys: Option<Keys>,
    /// The index, where there is one.
    pub index: Option<Claims>,
}

impl Pipeline {
    /// `entry_name` is the file's name inside a zip.
    pub fn start(
        kind: compress::Kind,
        level: CompressionLevel,
        entry_name: &str,
        cipher: Cipher,
        delivery: Delivery,
    ) -> Result<Pipeline> {
        let (writer, reader) = pipe();
        let secret = !matches!(cipher, Cipher::None);
        let encoder = compress::writer(kind, level, entry_name, writer, 0)?;
        let back = threads::spawn("bam-encrypt", move || {
            let (delivery, keys) = encrypt(reader, cipher, delivery)?;
            Ok((delivery.finish()?, keys))
        })?;
        Ok(Pipeline { encoder, level, back, bytes: 0, secret, outline: None, tables: None })
    }

    /// Bytes before compression.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The level of gzip in which something may be compressed on its own and then be taken over by [`Pipeline::splice`];
    /// `None` where that is not possible.
    pub fn splices(&self) -> Option<CompressionLevel> {
        self.encoder.splices().then_some(self.level)
    }

    /// Takes over `bytes` bytes that are compressed, into `pieces`, as [`Pipeline::splices`] says.
    pub fn splice(&mut self, bytes: u64, ready: &mut impl Read, pieces: &[Piece]) -> Result<()> {
        self.bytes += bytes;
        self.encoder.splice(ready, pieces)
    }

    /// What comes is a tar, whose outline [`Pipeline::note`] is told: it gets an index, where its compression has room for
    /// one. Meanwhile that lies in a file without a name in `folder`.
    pub fn begin_index(&mut self, folder: &Path) -> Result<()> {
        if self.encoder.splices() {
            self.outline = Some(Outline::new(Making::start(folder)?));
        }
        Ok(())
    }

    /// The next stretch of the tar's outline.
    pub fn note(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.outline.as_mut().map_or(Ok(()), |outline| outline.add(offset, bytes))
    }

    /// The index will say where the rows of the dump's tables stand. A dump alone has an index for that, and no other.
    pub fn note_tables(&mut self, places: Option<TablePlaces>, folder: &Path) -> Result<()> {
        if places.is_some() && self.outline.is_none() {
            self.begin_index(folder)?;
        }
        self.tables = places;
        Ok(())
    }

    /// All bytes are written: waits until every destination has them.
    pub fn finish(self) -> Result<Ended> {
        let Pipeline { encoder, outline, tables, secret, back, .. } = self;
        let front = encoder.finish_pieces().and_then(|(mut writer, pieces)| {
            let made = outline.map(|made| {
                let index = made.into_inner().write(&pieces, secret, &mut writer)?;
                let tables = match tables {
                    Some(places) => write_tables(&places, &index, pieces.len(), secret, &mut writer)?,
                    None => None,
                };
                Ok::<_, Error>(Claims { index, tables })
            });
            let index = made.transpose()?;
            writer.finish()?;
            Ok(index)
        });
        match (front, join(back)) {
            (Err(front), Err(back)) => Err(first_cause(front, back)),
            (Err(error), Ok(_)) => Err(error),
            (Ok(index), back) => back.map(|(finished, keys)| Ended { finished, keys, index }),
        }
    }

    /// The source failed with `cause`: stops everything, and tells the destinations' error where that was why.
    pub fn abandon(self, cause: Error) -> Error {
        drop(self.encoder);
        match join(self.back) {
            Err(back) => first_cause(cause, back),
            Ok(_) => cause,
        }
    }
}

/// Of two ends of a pipe that both failed: the one that did not merely notice the other.
fn first_cause(front: Error, back: Error) -> Error {
    let noticed = std::error::Error::source(&front)
        .and_then(|cause| cause.downcast_ref::<io::Error>())
        .is_some_and(|cause| cause.kind() == io::ErrorKind::BrokenPipe);
    if noticed || back.code() != Code::Cancelled { back } else { front }
}

impl Write for Pipeline {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let written = self.encoder.write(buf)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn join<T>(thread: JoinHandle<Result<T>>) -> Result<T> {
    thread.join().unwrap_or_else(|_| Err(Error::new(Code::Internal, "encrypting stopped at a bug in bam")))
}

/// Encrypts everything into `out`, which it does not flush.
pub fn encrypt<W: Write>(reader: PipeReader, cipher: Cipher, out: W) -> Result<(W, Option<Keys>)> {
    match cipher {
        Cipher::Enc(derivation) => {
            let mut writer = enc::Writer::with_derivation(out, derivation);
            copy(reader, &mut writer)?;
            let (out, keys) = writer.finish()?;
            Ok((out, Some(keys)))
        }
        Cipher::AesModule(settings) => {
            let mut writer = aes_module::Writer::new(out, &settings)?;
            copy(reader, &mut writer)?;
            Ok((writer.finish()?, None))
        }
        Cipher::Age(recipients) => {
            let mut writer = age::Writer::new(out, &recipients)?;
            copy(reader, &mut writer)?;
            Ok((writer.finish()?, None))
        }
        Cipher::None => {
            let mut out = out;
            copy(reader, &mut out)?;
            Ok((out, None))
        }
    }
}

fn copy(mut reader: PipeReader, out: &mut impl Write) -> Result<()> {
    loop {
        let block = match reader.next_block() {
            Ok([]) => return Ok(()),
            Ok(block) => block,
            // The source's own error says why; this one only stops the back.
            Err(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(Error::new(Code::Cancelled, "the backup stopped before its end"));
            }
            Err(cause) => return Err(cause.into()),
        };
        out.write_all(block)?;
    }
}
