//! What a file is, by its first bytes: for files whose names promise something else, and for messages.

/// How many bytes of a file's beginning [`what`] wants; a tar shows itself at byte 257.
pub const PREFIX: usize = 512;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum What {
    Empty,
    Gzip,
    Zstd,
    Bzip2,
    Zip,
    Xz,
    Lzma,
    Lzip,
    Lz4,
    Lzop,
    /// `compress`, `.Z`.
    Compress,
    SevenZip,
    Rar,
    Tar,
    Sqlite,
    /// A text of SQL statements, as mysqldump, pg_dump, Drush and Backup and Migrate write.
    Sql,
    /// `pg_dump -Fc`.
    PgDump,
    /// `openssl enc`, and our own `.enc`.
    Salted,
    Age,
    Html,
    Php,
    /// Some other text.
    Text,
    /// A file of NULs, as a crashed file system leaves behind.
    Nuls,
    /// None of these: also what is encrypted without a mark (the aes module's files).
    Unknown,
}

impl What {
    /// In words that follow "this is".
    pub fn describe(self) -> &'static str {
        match self {
            What::Empty => "an empty file",
            What::Gzip => "a gzip file",
            What::Zstd => "a zstd file",
            What::Bzip2 => "a bzip2 file",
            What::Zip => "a zip archive",
            What::Xz => "an xz file",
            What::Lzma => "an lzma file",
            What::Lzip => "an lzip file",
            What::Lz4 => "an lz4 file",
            What::Lzop => "an lzop file",
            What::Compress => "a file of the old program compress (.Z)",
            What::SevenZip => "a 7-Zip archive",
            What::Rar => "a RAR archive",
            What::Tar => "a tar archive",
            What::Sqlite => "an SQLite database",
            What::Sql => "an SQL dump",
            What::PgDump => "a pg_dump custom-format dump",
            What::Salted => "a file encrypted with openssl enc or bam",
            What::Age => "a file encrypted with age",
            What::Html => "an HTML page",
            What::Php => "a PHP file",
            What::Text => "a text file",
            What::Nuls => "a file of NUL bytes",
            What::Unknown => "of no known type (encrypted with another key, or damaged)",
        }
    }
}

impl What {
    /// For what bam does not read: the command that unpacks it.
    pub fn unpacked_by(self) -> Option<&'static str> {
        Some(match self {
            What::Xz => "xz -d",
            What::Lzma => "unlzma",
            What::Lzip => "lzip -d",
            What::Lz4 => "lz4 -d",
            What::Lzop => "lzop -d",
            What::Compress => "uncompress",
            What::SevenZip => "7z x",
            What::Rar => "unrar x",
            What::PgDump => "pg_restore -f dump.sql",
            _ => return None,
        })
    }
}

/// Marks at the very beginning.
const MAGIC: [(&[u8], What); 25] = [
    (b"\x1f\x8b\x08", What::Gzip),
    (b"\x28\xb5\x2f\xfd", What::Zstd),
    (b"BZh", What::Bzip2),
    (b"PK\x03\x04", What::Zip),
    (b"PK\x05\x06", What::Zip),
    (b"\xfd7zXZ\0", What::Xz),
    (b"\x5d\0\0\x80\0", What::Lzma),
    (b"LZIP", What::Lzip),
    (b"\x04\x22\x4d\x18", What::Lz4),
    (b"\x02\x21\x4c\x18", What::Lz4),
    (b"\x89LZO\0\r\n\x1a\n", What::Lzop),
    (b"\x1f\x9d", What::Compress),
    (b"7z\xbc\xaf\x27\x1c", What::SevenZip),
    (b"Rar!\x1a\x07", What::Rar),
    (b"SQLite format 3\0", What::Sqlite),
    (b"PGDMP", What::PgDump),
    (b"Salted__", What::Salted),
    (b"age-encryption.org/", What::Age),
    (b"-----BEGIN AGE ENCRYPTED FILE", What::Age),
    (b"<!doctype html", What::Html),
    (b"<html", What::Html),
    (b"<?php", What::Php),
    // Zstandard's skippable frames, of which pzstd writes one first (RFC 8878 section 3.1.2).
    (b"\x50\x2a\x4d\x18", What::Zstd),
    // 7-bit marks of MySQL dumps that begin with a comment for sandbox mode (MariaDB 10.5.25 and later).
    (b"/*!999999", What::Sql),
    (b"/*m!999999", What::Sql),
];

/// How SQL dumps begin a line: comments, and statements that dumps contain.
const SQL: [&str; 20] = [
    "--",
    "/*",
    "create ",
    "insert ",
    "drop ",
    "set ",
    "lock ",
    "use ",
    "begin",
    "start ",
    "pragma ",
    "select ",
    "replace ",
    "alter ",
    "delete ",
    "update ",
    "truncate ",
    "copy ",
    "\\restrict",
    "#",
];

/// Tells what begins with `prefix` ([`PREFIX`] bytes, fewer only where the file is shorter).
pub fn what(prefix: &[u8]) -> What {
    if prefix.is_empty() {
        return What::Empty;
    }
    let starts =
        |magic: &[u8]| prefix.get(..magic.len()).is_some_and(|start| start.eq_ignore_ascii_case(magic));
    if let Some((_, what)) = MAGIC.iter().find(|(magic, _)| starts(magic)) {
        return *what;
    }
    if is_tar(prefix) {
        return What::Tar;
    }
    if prefix.iter().all(|&byte| byte == 0) {
        return What::Nuls;
    }
    match utf16(prefix) {
        Some(prefix) => text(prefix.as_bytes()),
        None => text(prefix),
    }
    .unwrap_or(What::Unknown)
}

/// Text in UTF-16, with a byte order mark or, where it begins in ASCII, without one: PowerShell and editors save dumps
/// so, and they are read so.
fn utf16(prefix: &[u8]) -> Option<String> {
    type Order = fn([u8; 2]) -> u16;
    let (text, order): (&[u8], Order) = match prefix {
        [0xff, 0xfe, text @ ..] => (text, u16::from_le_bytes),
        [0xfe, 0xff, text @ ..] => (text, u16::from_be_bytes),
        [1..=0xff, 0, 1..=0xff, 0, ..] => (prefix, u16::from_le_bytes),
        [0, 1..=0xff, 0, 1..=0xff, ..] => (prefix, u16::from_be_bytes),
        _ => return None,
    };
    let mut units: Vec<u16> = text.as_chunks::<2>().0.iter().map(|pair| order(*pair)).collect();
    // Cut in the middle of a character.
    units.pop_if(|unit| (0xd800..0xdc00).contains(unit));
    String::from_utf16(&units).ok()
}

/// A POSIX or GNU header has `ustar` at byte 257. The old format has no mark, so there the checksum decides: the sum
/// of the header's bytes with its own field taken for spaces, in octal at byte 148.
fn is_tar(prefix: &[u8]) -> bool {
    let Some(header) = prefix.first_chunk::<512>() else { return false };
    if header.get(257..262) == Some(b"ustar") {
        return true;
    }
    let field = header.get(148..156).unwrap_or_default();
    let digits: String =
        field.iter().map(|&b| b as char).skip_while(|c| *c == ' ').take_while(char::is_ascii_digit).collect();
    let sum: u32 = header.iter().map(|&b| u32::from(b)).sum();
    let field_sum: u32 = field.iter().map(|&b| u32::from(b)).sum();
    u32::from_str_radix(&digits, 8).is_ok_and(|stored| stored == sum - field_sum + 8 * u32::from(b' '))
}

/// SQL and other text: no control characters but white space, and UTF-8 where it is not ASCII (or Latin-1, as old
/// dumps are).
fn text(prefix: &[u8]) -> Option<What> {
    let prefix = prefix.strip_prefix(b"\xef\xbb\xbf").unwrap_or(prefix);
    let is_text =
        |byte: &u8| *byte >= b' ' && *byte != 0x7f || matches!(byte, b'\n' | b'\r' | b'\t' | 0x0c | 0x1b);
    let high = prefix.iter().filter(|byte| **byte >= 0x80).count();
    let utf8 = match std::str::from_utf8(prefix) {
        Ok(_) => true,
        // Cut in the middle of a character.
        Err(e) => e.error_len().is_none(),
    };
    let sql = prefix
        .split(|&byte| byte == b'\n')
        .map(<[u8]>::trim_ascii_start)
        .find(|line| !line.is_empty())
        .is_some_and(|line| {
            SQL.iter().any(|word| {
                line.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()))
            })
        });
    let printable = prefix.iter().all(is_text) && (utf8 || high * 4 < prefix.len());
    // The data of a dump may hold any byte, but its first lines do not.
    match (printable, sql) {
        (true, true) => Some(What::Sql),
        (true, false) => Some(What::Text),
        (false, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::noise;
    use super::*;
    use std::process::Command;

    fn fixture(name: &str) -> Vec<u8> {
        let path = format!("{}/../../tests/fixtures/backup_migrate/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    fn shell(script: &str) -> Vec<u8> {
        let run = Command::new("sh").args(["-c", script]).output().unwrap();
        assert!(run.status.success(), "{script}: {}", String::from_utf8_lossy(&run.stderr));
        run.stdout
    }

    #[test]
    fn real_files_are_told() {
        for (script, expected) in [
            ("echo x | gzip", What::Gzip),
            ("echo x | zstd -c", What::Zstd),
            ("echo x | bzip2", What::Bzip2),
            ("printf '\\037\\235\\220x'", What::Compress),
            ("printf '\\004\\042\\115\\030x'", What::Lz4),
            ("echo x | zip -q - -", What::Zip),
            ("tar cf - -C / etc/passwd", What::Tar),
            ("tar --format=v7 -cf - -C / etc/passwd", What::Tar),
            ("echo x | openssl enc -aes-256-cbc -pbkdf2 -pass pass:x", What::Salted),
            ("printf '\\n-- MySQL dump\\n'", What::Sql),
            ("printf '/*M!999999\\- enable the sandbox mode */ \\n'", What::Sql),
            ("printf 'insert into x values (1);'", What::Sql),
            ("printf '<!DOCTYPE html><html>'", What::Html),
            ("printf -- '-- MySQL dump\\n-- 😀 é\\n' | iconv -f UTF-8 -t UTF-16", What::Sql),
            ("printf '\\376\\377'; printf -- '-- MySQL dump\\n' | iconv -f UTF-8 -t UTF-16BE", What::Sql),
            ("printf -- '-- MySQL dump\\n' | iconv -f UTF-8 -t UTF-16LE", What::Sql),
            ("printf '\\377\\376\\000\\330\\000\\330'", What::Unknown),
            ("echo hello", What::Text),
            ("printf 'caf\\303'", What::Text),
            ("head -c 600 /dev/zero", What::Nuls),
            ("true", What::Empty),
        ] {
            let file = shell(script);
            let got = what(&file[..file.len().min(PREFIX)]);
            assert_eq!(got, expected, "{script}");
            assert!(!got.describe().is_empty());
        }
        assert_eq!(what(&fixture("plain-2026-11-22T23-50-57.mysql.gz")[..PREFIX]), What::Gzip);
        assert_eq!(what(&fixture("sitename-2026-11-22T23-50-58.mysql.gz.aes")[..PREFIX]), What::Unknown);
        assert_eq!(what(b"SQLite format 3\0\x10\0"), What::Sqlite);
        assert_eq!(what(&noise(PREFIX)), What::Unknown);
    }

    #[test]
    fn no_prefix_makes_it_panic() {
        for len in 0..700 {
            what(&noise(len));
            what(&vec![b'0'; len]);
        }
    }
}
