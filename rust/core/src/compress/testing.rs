//! What the tests and the benchmark of this room share: data that is the same on every run, and a shell.

use std::io::Write;
use std::process::{Command, Stdio};

/// xorshift64*, seeded.
pub struct Random(u64);

impl Random {
    /// Any seed will do.
    pub fn new(seed: u64) -> Self {
        Random(seed | 1)
    }

    /// 32 random bits.
    pub fn next(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }

    /// A random number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        ((u64::from(self.next()) * n as u64) >> 32) as usize
    }
}

/// Bytes without structure.
pub fn noise(len: usize) -> Vec<u8> {
    let mut random = Random::new(len as u64 + 1);
    let mut bytes: Vec<u8> = (0..len.div_ceil(4)).flat_map(|_| random.next().to_le_bytes()).collect();
    bytes.truncate(len);
    bytes
}

/// HTML-like prose of made-up words with the statistics that matter to a compressor: word frequencies after Zipf,
/// phrases that recur, words that recur within a text, sentences, paragraphs, links. Real articles compress
/// 3 to 3.6 : 1 with `gzip -6` and 2.4 to 3 with `gzip -1`; this 3.0 and 2.4.
pub fn prose(len: usize) -> Vec<u8> {
    let mut random = Random::new(len as u64 + 7);
    let words: Vec<String> = (0..20_000).map(|rank| word(&mut Random::new(rank * 2 + 99), rank)).collect();
    let mut text = String::with_capacity(len + 1000);
    let mut recent = [0usize; 256];
    let mut at = 0;
    while text.len() < len {
        text.push_str("<p>");
        for _ in 0..2 + random.below(6) {
            let sentence = 6 + random.below(20);
            for i in 0..sentence {
                let last = recent.get(at % 256).copied().unwrap_or(0);
                at += 1;
                let rank = match random.below(100) {
                    // A phrase: what usually follows the last word.
                    0..46 => zipf(&mut Random::new((last * 8 + random.below(3)) as u64 * 2 + 5), words.len()),
                    // The topic: a word used a moment ago.
                    46..62 => recent.get(random.below(256)).copied().unwrap_or(0),
                    _ => zipf(&mut random, words.len()),
                };
                if let Some(slot) = recent.get_mut(at % 256) {
                    *slot = rank;
                }
                let word = words.get(rank).map_or("", String::as_str);
                if i == 0 {
                    text.extend(word.chars().take(1).map(|c| c.to_ascii_uppercase()));
                    text.push_str(word.get(1..).unwrap_or(""));
                } else if random.below(60) == 0 {
                    text.push_str(&format!("<a href=\"/node/{}\">{word}</a>", random.below(9000)));
                } else {
                    text.push_str(word);
                }
                text.push_str(match () {
                    () if i + 1 == sentence => ". ",
                    () if random.below(12) == 0 => ", ",
                    () => " ",
                });
            }
        }
        text.push_str("</p>\n");
    }
    let mut bytes = text.into_bytes();
    bytes.truncate(len);
    bytes
}

/// A rank below `n` with probability 1/rank.
fn zipf(random: &mut Random, n: usize) -> usize {
    let u = f64::from(random.next()) / f64::from(u32::MAX);
    ((n as f64).powf(u) as usize).clamp(1, n) - 1
}

/// Syllables; frequent words are short.
fn word(random: &mut Random, rank: u64) -> String {
    const ONSETS: [&str; 20] = [
        "", "t", "s", "n", "r", "d", "l", "m", "p", "c", "f", "b", "g", "w", "h", "v", "st", "tr", "ch", "pr",
    ];
    const RIMES: [&str; 20] = [
        "e", "a", "i", "o", "u", "er", "in", "on", "an", "en", "es", "al", "ing", "ed", "ar", "or", "ion",
        "ent", "it", "ou",
    ];
    let syllables = 1 + random.below(2) + usize::from(rank > 50) + usize::from(rank > 2000);
    let mut word = String::new();
    for _ in 0..syllables {
        word.push_str(ONSETS.get(zipf(random, 20)).copied().unwrap_or(""));
        word.push_str(RIMES.get(zipf(random, 20)).copied().unwrap_or("e"));
    }
    word
}

/// A tar of things that look like JPEG files to a compressor: headers with text and tables, then entropy-coded data
/// with its `ff 00`.
pub fn pictures(len: usize) -> Vec<u8> {
    let mut random = Random::new(len as u64 + 3);
    let mut bytes = Vec::with_capacity(len + (1 << 20));
    while bytes.len() < len {
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes.extend_from_slice(format!("sites/default/files/field/photo-{}.jpg", bytes.len()).as_bytes());
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes.extend_from_slice(b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\x01\0\x60\0\x60\0\0\xff\xdb\0\x43\0");
        bytes.extend((0..600u32).map(|i| (i * i / 900) as u8));
        for _ in 0..10_000 + random.below(150_000) {
            let word = random.next();
            for byte in word.to_le_bytes() {
                bytes.push(byte);
                if byte == 0xff {
                    bytes.push(0);
                }
            }
        }
    }
    bytes.truncate(len);
    bytes
}

/// Text, noise and NULs in stretches of all sizes, as a tar of pages and pictures has them.
pub fn mixed(len: usize) -> Vec<u8> {
    let mut random = Random::new(len as u64);
    let (text, picture) = (prose(1 << 18), noise(1 << 18));
    let mut data = Vec::new();
    while data.len() < len {
        let size = 1 << random.below(18);
        match random.below(3) {
            0 => data.extend_from_slice(&text[..size]),
            1 => data.extend_from_slice(&picture[..size]),
            _ => data.resize(data.len() + size / 16, 0),
        }
    }
    data.truncate(len);
    data
}

/// Standard output of a shell command that is fed `input`; its failure is the test's.
#[allow(clippy::disallowed_methods, reason = "a thread that is refused ends the test")]
pub fn shell(script: &str, input: &[u8]) -> Vec<u8> {
    let mut child =
        Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feeder = std::thread::spawn(move || stdin.write_all(&input));
    let out = child.wait_with_output().unwrap();
    feeder.join().unwrap().unwrap();
    assert!(out.status.success(), "{script}");
    out.stdout
}
