//! AES in CBC mode as `Write` and `Read` wrappers, for the formats of this room. The one copy of the data that CBC
//! needs is the encryption itself: whole blocks go from the caller's buffer straight into the output buffer.

use crate::Error;
use aes::{Aes128, Aes192, Aes256};
use bam_crypto::Blocks;
use cbc::cipher::{InOutBuf, KeyIvInit, typenum::U16};
use std::io::{self, BufRead, Read, Write};
use zeroize::{Zeroizing, zeroize_stack};

/// Bytes of an AES block.
pub const BLOCK: usize = 16;
/// Bytes handed to the inner writer, or asked of the inner reader, at once: large enough that its cost per call
/// vanishes, small enough to stay in a core's L2 cache. A multiple of [`BLOCK`].
pub const BUFFER: usize = 256 * 1024;
/// How many bytes of the end a reader holds back until it knows that they are the end: the last two blocks, where
/// every format of this room keeps its padding.
const TAIL: usize = 2 * BLOCK;

/// Secret bytes that stay where they are: moved on the stack, each place would keep a copy that nobody zeroes.
pub type Boxed<const N: usize> = Box<Zeroizing<[u8; N]>>;

/// `bytes`, cut or filled up with NULs.
pub fn boxed<const N: usize>(bytes: &[u8]) -> Boxed<N> {
    let mut out = Box::new(Zeroizing::new([0; N]));
    out.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    out
}

/// Stack that making a cipher or a MAC of a key uses at most.
pub const STACK: usize = 16 * 1024;
/// Stack that a cipher at work uses at most: compiled for speed, it puts the round keys there, of which the first are the key.
const AT_WORK: usize = 4 * 1024;

/// An AES key of 16, 24 or 32 bytes with its initialization vector. Zeroed when dropped.
#[derive(Clone)]
pub struct KeyIv {
    key: AesKey,
    iv: [u8; BLOCK],
}

enum AesKey {
    Aes128(Boxed<16>),
    Aes192(Boxed<24>),
    Aes256(Boxed<32>),
}

impl Clone for AesKey {
    fn clone(&self) -> Self {
        match self {
            AesKey::Aes128(key) => AesKey::Aes128(boxed(key.as_slice())),
            AesKey::Aes192(key) => AesKey::Aes192(boxed(key.as_slice())),
            AesKey::Aes256(key) => AesKey::Aes256(boxed(key.as_slice())),
        }
    }
}

impl KeyIv {
    /// AES-256.
    pub fn aes256(key: &[u8; 32], iv: &[u8; BLOCK]) -> Self {
        KeyIv { key: AesKey::Aes256(boxed(key)), iv: *iv }
    }

    /// The same key with another vector.
    pub fn with_iv(self, iv: &[u8; BLOCK]) -> Self {
        KeyIv { iv: *iv, ..self }
    }

    /// The shortest AES key that holds `key`, filled up with NULs; what is beyond 32 bytes is cut off.
    pub fn padded(key: &[u8], iv: [u8; BLOCK]) -> Self {
        let key = match key.len() {
            0..=16 => AesKey::Aes128(boxed(key)),
            17..=24 => AesKey::Aes192(boxed(key)),
            _ => AesKey::Aes256(boxed(key)),
        };
        KeyIv { key, iv }
    }
}

/// `bytes` cut or filled up with NULs.
pub fn fit<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    out.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    out
}

enum Encryptor {
    Aes128(Box<cbc::Encryptor<Aes128>>),
    Aes192(Box<cbc::Encryptor<Aes192>>),
    Aes256(Box<cbc::Encryptor<Aes256>>),
}

impl Encryptor {
    fn new(keys: &KeyIv) -> Self {
        let cipher = Self::make(keys);
        zeroize_stack::<STACK>();
        cipher
    }

    /// Leaves the key on the stack below it.
    #[inline(never)]
    fn make(keys: &KeyIv) -> Self {
        let iv = &keys.iv.into();
        match &keys.key {
            AesKey::Aes128(key) => Encryptor::Aes128(Box::new(cbc::Encryptor::new((&***key).into(), iv))),
            AesKey::Aes192(key) => Encryptor::Aes192(Box::new(cbc::Encryptor::new((&***key).into(), iv))),
            AesKey::Aes256(key) => Encryptor::Aes256(Box::new(cbc::Encryptor::new((&***key).into(), iv))),
        }
    }

    fn blocks(&mut self, blocks: Blocks<'_, '_>) {
        self.work(blocks);
        zeroize_stack::<AT_WORK>();
    }

    /// Leaves round keys on the stack below it.
    #[inline(never)]
    fn work(&mut self, blocks: Blocks<'_, '_>) {
        match self {
            Encryptor::Aes128(cipher) => bam_crypto::encrypt_aes128(cipher, blocks),
            Encryptor::Aes192(cipher) => bam_crypto::encrypt_aes192(cipher, blocks),
            Encryptor::Aes256(cipher) => bam_crypto::encrypt_aes256(cipher, blocks),
        }
    }
}

enum Decryptor {
    Aes128(Box<cbc::Decryptor<Aes128>>),
    Aes192(Box<cbc::Decryptor<Aes192>>),
    Aes256(Box<cbc::Decryptor<Aes256>>),
}

impl Decryptor {
    fn new(keys: &KeyIv) -> Self {
        let cipher = Self::make(keys);
        zeroize_stack::<STACK>();
        cipher
    }

    /// Leaves the key on the stack below it.
    #[inline(never)]
    fn make(keys: &KeyIv) -> Self {
        let iv = &keys.iv.into();
        match &keys.key {
            AesKey::Aes128(key) => Decryptor::Aes128(Box::new(cbc::Decryptor::new((&***key).into(), iv))),
            AesKey::Aes192(key) => Decryptor::Aes192(Box::new(cbc::Decryptor::new((&***key).into(), iv))),
            AesKey::Aes256(key) => Decryptor::Aes256(Box::new(cbc::Decryptor::new((&***key).into(), iv))),
        }
    }

    fn in_place(&mut self, bytes: &mut [u8]) {
        self.work(bytes);
        zeroize_stack::<AT_WORK>();
    }

    /// Leaves round keys on the stack below it.
    #[inline(never)]
    fn work(&mut self, bytes: &mut [u8]) {
        let (blocks, _) = InOutBuf::from(bytes).into_chunks::<U16>();
        match self {
            Decryptor::Aes128(cipher) => bam_crypto::decrypt_aes128(cipher, blocks),
            Decryptor::Aes192(cipher) => bam_crypto::decrypt_aes192(cipher, blocks),
            Decryptor::Aes256(cipher) => bam_crypto::decrypt_aes256(cipher, blocks),
        }
    }
}

/// How the last block is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    /// RFC 5652 section 6.3: n bytes of value n, 1 ≤ n ≤ 16.
    Pkcs7,
    /// NULs up to the block, none where it is full already.
    Zeros,
}

/// Encrypts what is written to it. [`Writer::finish`] must be called: without it the last block is missing.
pub struct Writer<W> {
    out: W,
    cipher: Encryptor,
    /// The beginning of a block that is not full yet.
    partial: [u8; BLOCK],
    partial_len: usize,
    /// Ciphertext that is still to be handed on.
    buffer: Vec<u8>,
    filled: usize,
}

impl<W: Write> Writer<W> {
    /// `header` goes out first, in the clear.
    pub fn new(out: W, keys: &KeyIv, header: &[u8]) -> Self {
        let mut buffer = Vec::with_capacity(header.len() + BUFFER);
        buffer.extend_from_slice(header);
        buffer.resize(header.len() + BUFFER, 0);
        let filled = header.len();
        Writer { out, cipher: Encryptor::new(keys), partial: [0; BLOCK], partial_len: 0, buffer, filled }
    }

    /// Encrypts whole blocks into the buffer, handing it on whenever it is full. What is no whole block is ignored.
    fn encrypt(&mut self, mut input: &[u8]) -> io::Result<()> {
        while input.len() >= BLOCK {
            if self.buffer.len() - self.filled < BLOCK {
                self.hand_on()?;
            }
            let room = self.buffer.get_mut(self.filled..).unwrap_or_default();
            let take = input.len().min(room.len()) / BLOCK * BLOCK;
            let (now, later) = input.split_at(take);
            let room = room.get_mut(..take).unwrap_or_default();
            let Ok(pair) = InOutBuf::new(now, room) else { return Ok(()) };
            self.cipher.blocks(pair.into_chunks::<U16>().0);
            self.filled += take;
            input = later;
        }
        Ok(())
    }

    fn hand_on(&mut self) -> io::Result<()> {
        let full = self.buffer.get(..self.filled).unwrap_or_default();
        self.out.write_all(full)?;
        self.filled = 0;
        Ok(())
    }

    /// Encrypts the last block and gives the inner writer back, flushed by nobody.
    pub fn finish(mut self, padding: Padding) -> io::Result<W> {
        let missing = BLOCK - self.partial_len;
        if padding == Padding::Pkcs7 || missing < BLOCK {
            let fill = if padding == Padding::Pkcs7 { missing as u8 } else { 0 };
            let mut block = self.partial;
            block.iter_mut().skip(self.partial_len).for_each(|byte| *byte = fill);
            self.encrypt(&block)?;
        }
        self.hand_on()?;
        Ok(self.out)
    }
}

impl<W: Write> Write for Writer<W> {
    fn write(&mut self, input: &[u8]) -> io::Result<usize> {
        let mut rest = input;
        if self.partial_len > 0 {
            let take = rest.len().min(BLOCK - self.partial_len);
            let (now, later) = rest.split_at(take);
            self.partial.iter_mut().skip(self.partial_len).zip(now).for_each(|(to, from)| *to = *from);
            self.partial_len += take;
            rest = later;
            if self.partial_len < BLOCK {
                return Ok(input.len());
            }
            let block = self.partial;
            self.partial_len = 0;
            self.encrypt(&block)?;
        }
        let (whole, tail) = rest.split_at(rest.len() / BLOCK * BLOCK);
        self.encrypt(whole)?;
        self.partial.iter_mut().zip(tail).for_each(|(to, from)| *to = *from);
        self.partial_len = tail.len();
        Ok(input.len())
    }

    /// Hands on what is encrypted so far; up to 15 bytes must wait for their block to fill.
    fn flush(&mut self) -> io::Result<()> {
        self.hand_on()?;
        self.out.flush()
    }
}

/// Looks at the decrypted end of the data (at most 32 bytes, whole blocks) and says how many bytes of it are data.
pub type Unpad = fn(&[u8]) -> Result<usize, Error>;

/// Decrypts what is read through it.
pub struct CbcReader<R> {
    input: R,
    cipher: Decryptor,
    unpad: Unpad,
    /// `plain` bytes are decrypted, of which `taken` were given out; then up to [`TAIL`] bytes of ciphertext.
    buffer: Vec<u8>,
    taken: usize,
    plain: usize,
    kept: usize,
    state: CbcState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum CbcState {
    Reading,
    AtEnd,
    Failed,
}

impl<R: Read> CbcReader<R> {
    /// `input` begins with the first block of ciphertext.
    pub fn new(input: R, keys: &KeyIv, unpad: Unpad) -> Self {
        CbcReader {
            input,
            cipher: Decryptor::new(keys),
            unpad,
            buffer: vec![0; BUFFER + TAIL],
            taken: 0,
            plain: 0,
            kept: 0,
            state: CbcState::Reading,
        }
    }

    /// Reads and decrypts the next buffer, all but the last two blocks, or all of it at the end.
    fn refill(&mut self) -> Result<(), Error> {
        self.buffer.copy_within(self.plain..self.plain + self.kept, 0);
        let mut filled = self.kept;
        (self.taken, self.plain, self.kept) = (0, 0, 0);
        let mut at_end = false;
        while filled < self.buffer.len() && !at_end {
            match self.input.read(self.buffer.get_mut(filled..).unwrap_or_default()) {
                Ok(0) => at_end = true,
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
        if !at_end {
            self.kept = TAIL;
            self.plain = filled - TAIL;
            self.cipher.in_place(self.buffer.get_mut(..self.plain).unwrap_or_default());
            return Ok(());
        }
        if filled == 0 {
            return Err(truncated("there is no data behind the header"));
        }
        if !filled.is_multiple_of(BLOCK) {
            return Err(truncated("the data ends in the middle of a block"));
        }
        let data = self.buffer.get_mut(..filled).unwrap_or_default();
        self.cipher.in_place(data);
        let before = filled.saturating_sub(TAIL);
        let tail = data.get(before..).unwrap_or_default();
        self.plain = before + (self.unpad)(tail)?.min(tail.len());
        self.state = CbcState::AtEnd;
        Ok(())
    }
}

fn truncated(what: &str) -> Error {
    super::damaged(&format!("encrypted data is truncated: {what}"))
}

impl<R: Read> BufRead for CbcReader<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.state == CbcState::Failed {
            return Err(super::damaged("encrypted data was already found to be damaged").into());
        }
        if self.taken == self.plain && self.state == CbcState::Reading {
            // Whatever fails, nothing that was decrypted after it is given out.
            let state = std::mem::replace(&mut self.state, CbcState::Failed);
            let refilled = self.refill();
            if self.state == CbcState::Failed && refilled.is_ok() {
                self.state = state;
            }
            refilled?;
        }
        Ok(self.buffer.get(self.taken..self.plain).unwrap_or_default())
    }

    fn consume(&mut self, n: usize) {
        self.taken = (self.taken + n).min(self.plain);
    }
}

impl<R: Read> Read for CbcReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(out)?;
        self.consume(n);
        Ok(n)
    }
}

/// Decrypts whole blocks at once, padding and all.
pub fn decrypt_blocks(keys: &KeyIv, blocks: &[u8]) -> Vec<u8> {
    let mut plain = blocks.to_vec();
    Decryptor::new(keys).in_place(&mut plain);
    plain
}

/// [`Unpad`] for [`Padding::Pkcs7`].
pub fn unpad_pkcs7(tail: &[u8]) -> Result<usize, Error> {
    let n = usize::from(tail.last().copied().unwrap_or(0));
    let filled = (1..=BLOCK).contains(&n) && tail.iter().rev().take(n).all(|&byte| usize::from(byte) == n);
    match tail.len().checked_sub(n) {
        Some(keep) if filled => Ok(keep),
        _ => Err(super::damaged("encrypted data does not decrypt")),
    }
}
