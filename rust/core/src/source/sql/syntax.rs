//! How the server reads what comes next: SQL modes and character sets change where a string ends.
//!
//! Under `NO_BACKSLASH_ESCAPES` a backslash is a character like others, under `ANSI_QUOTES` a `"` encloses a name, and in
//! GBK, Big5 and Shift JIS the second byte of a character may be that of a backslash or of a quote. A dump says by
//! `SET` what holds; whoever reads it must follow.

/// What holds for a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Syntax {
    /// `NO_BACKSLASH_ESCAPES`.
    pub(crate) no_escapes: bool,
    /// `ANSI_QUOTES`.
    pub(crate) ansi_quotes: bool,
    pub(crate) charset: Charset,
}

impl Syntax {
    /// Whether a backslash between these quotes takes the next character's meaning.
    pub(crate) fn escapes(self, quote: u8) -> bool {
        match quote {
            b'`' => false,
            b'"' => !self.no_escapes && !self.ansi_quotes,
            _ => !self.no_escapes,
        }
    }

    /// How long the quoted thing at the beginning of `text` is, quotes included; all of it where the end is missing.
    pub(super) fn quoted(self, text: &[u8], quote: u8) -> usize {
        let escapes = self.escapes(quote);
        let mut at = 1;
        while let Some(&byte) = text.get(at) {
            match byte {
                b'\\' if escapes => at += 2,
                byte if byte == quote && text.get(at + 1) == Some(&quote) => at += 2,
                byte if byte == quote => return at + 1,
                byte if byte >= 0x80 => at += self.charset.length(text.get(at..).unwrap_or_default()),
                _ => at += 1,
            }
        }
        text.len()
    }
}

/// Character sets of clients by what their second bytes may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Charset {
    /// No byte of a longer character is one of ASCII.
    #[default]
    Plain,
    /// `gbk`, `gb18030`.
    Gbk,
    /// `big5`.
    Big5,
    /// `sjis`, `cp932`.
    Sjis,
}

impl Charset {
    pub(crate) fn named(name: &str) -> Charset {
        match name.to_ascii_lowercase().as_str() {
            "gbk" | "gb18030" => Charset::Gbk,
            "big5" => Charset::Big5,
            "sjis" | "cp932" => Charset::Sjis,
            _ => Charset::Plain,
        }
    }

    /// The client's name of it; `None` where clients need not know it.
    pub(crate) fn name(self) -> Option<&'static str> {
        match self {
            Charset::Plain => None,
            Charset::Gbk => Some("gbk"),
            Charset::Big5 => Some("big5"),
            Charset::Sjis => Some("sjis"),
        }
    }

    /// Whether a character may go on after this byte.
    pub(super) fn leads(self, byte: u8) -> bool {
        match self {
            Charset::Plain => false,
            Charset::Gbk => (0x81..=0xfe).contains(&byte),
            Charset::Big5 => (0xa1..=0xf9).contains(&byte),
            Charset::Sjis => matches!(byte, 0x81..=0x9f | 0xe0..=0xfc),
        }
    }

    /// How many bytes the character at the beginning of `text` takes, as far as it hides bytes of ASCII.
    pub(super) fn length(self, text: &[u8]) -> usize {
        let trails = |byte: u8| match self {
            Charset::Plain => false,
            Charset::Gbk => matches!(byte, 0x40..=0x7e | 0x80..=0xfe),
            Charset::Big5 => matches!(byte, 0x40..=0x7e | 0xa1..=0xfe),
            Charset::Sjis => matches!(byte, 0x40..=0x7e | 0x80..=0xfc),
        };
        match text {
            [first, second, ..] if self.leads(*first) && trails(*second) => 2,
            _ => 1,
        }
    }
}
