//! Prose and HTML that compress like the real thing.
//!
//! Words follow Zipf's law over a made-up vocabulary, and some continue a phrase said shortly before, as one page keeps to its subject, which
//! gives zlib level 6 a ratio of about 3.2 as on English prose with markup. (Repeating one page would give any
//! ratio at all, and would flatter whoever has the largest window.)

/// A small, fast, seedable generator (Vigna, splitmix64): the same bytes on every machine.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A generator for `seed`.
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// Bytes that no compressor makes smaller: what JPEG and MP4 look like.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let word = self.next().to_le_bytes();
            for (to, from) in chunk.iter_mut().zip(word) {
                *to = from;
            }
        }
    }
}

/// Letters about as often as English has them, vowels and consonants taking turns.
const VOWELS: &[u8] = b"eeeeeeaaaaaiiiiooooouuy";
const CONSONANTS: &[u8] = b"ttttttnnnnnsssssrrrrhhhhddddllllccmmffppggwwbbvkxqjz";

/// A stream of text, endless and deterministic.
#[derive(Debug)]
pub struct Text {
    random: Random,
    words: Vec<String>,
    /// Word numbers said so far, a ring: phrases are taken up again from here.
    said: Vec<usize>,
    at: usize,
}

const VOCABULARY: usize = 30_000;
const MEMORY: usize = 2_500;

impl Text {
    /// A stream for `seed`; all streams share one vocabulary.
    pub fn new(seed: u64) -> Self {
        let mut spelling = Random::new(7);
        let words = (0..VOCABULARY)
            .map(|rank| {
                // Frequent words are short.
                let most = 1 + rank.ilog2_or_zero() / 4;
                let count = 2 + spelling.below(most as usize * 2 + 2);
                (0..count)
                    .filter_map(|at| {
                        let letters = if (at + rank) % 2 == 0 { CONSONANTS } else { VOWELS };
                        letters.get(spelling.below(letters.len())).map(|letter| char::from(*letter))
                    })
                    .collect()
            })
            .collect();
        Text { random: Random::new(seed), words, said: Vec::with_capacity(MEMORY), at: 0 }
    }

    /// Zipf by the inverse of its integral: rank = N^u.
    fn fresh(&mut self) -> usize {
        let unit = (self.random.next() >> 11) as f64 / (1u64 << 53) as f64;
        ((VOCABULARY as f64).powf(unit) as usize).min(VOCABULARY - 1)
    }

    fn say(&mut self, word: usize, out: &mut Vec<u8>) {
        if self.said.len() < MEMORY {
            self.said.push(word);
        } else if let Some(slot) = self.said.get_mut(self.at) {
            *slot = word;
        }
        self.at = (self.at + 1) % MEMORY;
        if let Some(word) = self.words.get(word) {
            out.extend_from_slice(word.as_bytes());
        }
        out.push(b' ');
    }

    /// Appends about `bytes` bytes of paragraphs.
    pub fn write(&mut self, bytes: usize, out: &mut Vec<u8>) {
        let end = out.len() + bytes;
        while out.len() < end {
            out.extend_from_slice(b"<p class=\"field-item even\">");
            for _ in 0..3 + self.random.below(5) {
                let mut left = 6 + self.random.below(18);
                while left > 0 {
                    let phrase = if self.said.len() > 100 && self.random.below(100) < 15 {
                        2 + self.random.below(5)
                    } else {
                        0
                    };
                    let from = self.random.below(self.said.len());
                    if phrase == 0 {
                        let word = self.fresh();
                        self.say(word, out);
                    }
                    for step in 0..phrase {
                        let word =
                            self.said.get((from + step) % self.said.len().max(1)).copied().unwrap_or(0);
                        self.say(word, out);
                    }
                    left = left.saturating_sub(phrase.max(1));
                }
                out.pop();
                out.extend_from_slice(b". ");
            }
            out.extend_from_slice(b"</p>\n");
        }
        out.truncate(end);
    }
}

trait Log {
    fn ilog2_or_zero(self) -> u32;
}

impl Log for usize {
    fn ilog2_or_zero(self) -> u32 {
        if self == 0 { 0 } else { self.ilog2() }
    }
}
