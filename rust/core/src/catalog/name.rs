//! What a backup file is called: `FILENAME-TIMESTAMP.KIND[.COMPRESSION][.ENCRYPTION]`, and reading that back.
//!
//! The base is cleaned as Backup and Migrate cleans it (`_backup_migrate_construct_filename` in includes/files.inc): all
//! but `A-Za-z0-9._-` is removed, not replaced. Beyond it: the timestamp is cleaned, too (`H:i` is no file name
//! everywhere), a name never begins with a dot, and the whole fits into [`LONGEST`] bytes.

use super::Tokens;
use super::date;
use crate::config::{Compression, Driver, EncryptionKind, Profile};
use std::fmt;

/// Bytes of the longest name: file systems take 255, and `.NAME.info.part` must fit.
const LONGEST: usize = 236;

/// What is inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A dump of a MariaDB or MySQL database.
    Mysql,
    /// A dump of a PostgreSQL database.
    Pgsql,
    /// A dump of some database: B&M's and Drush's `.sql`.
    Sql,
    /// A SQLite file.
    Sqlite,
    /// A tar of a folder.
    Tar,
    /// A tar of a whole site.
    SiteArchive,
}

impl Kind {
    /// The extension, without the dot in front.
    pub fn extension(self) -> &'static str {
        match self {
            Kind::Mysql => "mysql",
            Kind::Pgsql => "pgsql",
            Kind::Sql => "sql",
            Kind::Sqlite => "sqlite",
            Kind::Tar => "tar",
            Kind::SiteArchive => "sitearchive.tar",
        }
    }

    /// What kind of database it is a dump of, where the name tells.
    pub fn driver(self) -> Option<Driver> {
        match self {
            Kind::Mysql => Some(Driver::Mysql),
            Kind::Pgsql => Some(Driver::Pgsql),
            Kind::Sqlite => Some(Driver::Sqlite),
            Kind::Sql | Kind::Tar | Kind::SiteArchive => None,
        }
    }

    /// Whether it is a database's.
    pub fn is_database(self) -> bool {
        matches!(self, Kind::Mysql | Kind::Pgsql | Kind::Sql | Kind::Sqlite)
    }
}

/// The extension of a compression, with its dot; empty for none.
fn compression_extension(compression: Compression) -> &'static str {
    match compression {
        Compression::Gzip => ".gz",
        Compression::Zstd => ".zst",
        Compression::Bzip2 => ".bz2",
        Compression::Zip => ".zip",
        Compression::None => "",
    }
}

/// The extension of an encryption, with its dot; empty for none.
fn encryption_extension(encryption: EncryptionKind) -> &'static str {
    match encryption {
        EncryptionKind::Aes256 => ".enc",
        EncryptionKind::AesModule => ".aes",
        EncryptionKind::Age => ".age",
        EncryptionKind::None => "",
    }
}

/// A backup's file name, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileName {
    /// All before the extensions; the sidecar's `filename`.
    pub base: String,
    /// What is inside.
    pub kind: Kind,
    /// How it is compressed.
    pub compression: Compression,
    /// How it is encrypted.
    pub encryption: EncryptionKind,
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (compression, encryption) =
            (compression_extension(self.compression), encryption_extension(self.encryption));
        write!(f, "{}.{}{compression}{encryption}", self.base, self.kind.extension())
    }
}

impl FileName {
    /// The name that a profile gives a new backup.
    pub fn of(profile: &Profile, kind: Kind, tokens: &Tokens) -> FileName {
        let timestamp = match profile.append_timestamp {
            1 => clean(&date::format(&profile.timestamp_format, &tokens.now)),
            _ => String::new(),
        };
        let mut name = FileName {
            base: String::new(),
            kind,
            compression: profile.compression,
            encryption: profile.encryption,
        };
        // Room for the extensions, `-` and the timestamp, and a number.
        let room = LONGEST
            .saturating_sub(name.to_string().len() + timestamp.len().min(100) + "-".len() + "-9999".len());
        let mut base = clean(&tokens.replace(&profile.filename));
        base.truncate(room);
        base.push('-');
        base.extend(timestamp.chars().take(100));
        let base = base.trim_matches('-').trim_start_matches(['.', '-']);
        name.base = if base.is_empty() { "untitled".into() } else { base.to_owned() };
        name
    }

    /// The Unix time that the name tells, as profiles write it by default (`2026-11-23T00-23-00`) and most others do
    /// (`20261123_0023`); the last where there are several. In this time zone, or the system's.
    pub fn date(&self, timezone: Option<&str>) -> Option<u64> {
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        let number =
            |text: &str, at: usize, len: usize| -> Option<i8> { text.get(at..at + len)?.parse().ok() };
        let zone = date::zone(timezone);
        let mut found = None;
        for (start, _) in self.base.char_indices().filter(|(_, c)| c.is_ascii_digit()) {
            if start > 0 && self.base.as_bytes().get(start - 1).is_some_and(u8::is_ascii_digit) {
                continue;
            }
            // At most one letter or sign between two parts, none within.
            let mut parts = String::new();
            let mut gap = false;
            for c in self.base.get(start..).unwrap_or_default().chars() {
                match c {
                    c if c.is_ascii_digit() && parts.len() < 14 => {
                        parts.push(c);
                        gap = false;
                    }
                    '-' | '_' | '.' | 'T' | ':' if !gap && matches!(parts.len(), 4 | 6 | 8 | 10 | 12) => {
                        gap = true
                    }
                    _ => break,
                }
            }
            let Some(year) = parts.get(..4).filter(|year| digits(year) && parts.len() >= 8) else { continue };
            let (Ok(year), Some(month), Some(day)) =
                (year.parse(), number(&parts, 4, 2), number(&parts, 6, 2))
            else {
                continue;
            };
            let part = |at| number(&parts, at, 2).unwrap_or(0);
            let Ok(civil) = jiff::civil::DateTime::new(year, month, day, part(8), part(10), part(12), 0)
            else {
                continue;
            };
            let Ok(zoned) = civil.to_zoned(zone.clone()) else { continue };
            found = u64::try_from(zoned.timestamp().as_second()).ok().filter(|_| year >= 1990).or(found);
        }
        found
    }

    /// This name where the profile overwrites or it is free; else the first free one of `BASE-1`, `BASE-2` ….
    /// `taken` says whether any destination has such a file.
    pub fn free<E>(
        self,
        profile: &Profile,
        mut taken: impl FnMut(&str) -> Result<bool, E>,
    ) -> Result<FileName, E> {
        if profile.append_timestamp == 2 || !taken(&self.to_string())? {
            return Ok(self);
        }
        let mut number: u64 = 1;
        loop {
            let next = FileName { base: format!("{}-{number}", self.base), ..self.clone() };
            if !taken(&next.to_string())? {
                return Ok(next);
            }
            number += 1;
        }
    }

    /// Takes a name apart; `None` where it is no backup's (a sidecar, a hidden file, anything else).
    ///
    /// Backup and Migrate's names are known, too: `.sql`, `.bz`, the underscores and numbers that Drupal adds to
    /// extensions (`x.mysql_0.gz`, `x.mysql.gz_`), and so are `.tgz` and `.tbz2`.
    pub fn parse(file: &str) -> Option<FileName> {
        if file.starts_with('.') || file.contains('/') {
            return None;
        }
        let mut rest = file;
        let encryption = match pop(rest) {
            Some((before, "enc")) => (before, EncryptionKind::Aes256),
            Some((before, "aes")) => (before, EncryptionKind::AesModule),
            Some((before, "age")) => (before, EncryptionKind::Age),
            _ => (rest, EncryptionKind::None),
        };
        rest = encryption.0;
        let (compression, implied) = match pop(rest) {
            Some((_, "gz")) => (Compression::Gzip, None),
            Some((_, "zst")) => (Compression::Zstd, None),
            Some((_, "bz2" | "bz")) => (Compression::Bzip2, None),
            Some((_, "zip")) => (Compression::Zip, None),
            Some((_, "tgz")) => (Compression::Gzip, Some(Kind::Tar)),
            Some((_, "tbz2" | "tbz")) => (Compression::Bzip2, Some(Kind::Tar)),
            _ => (Compression::None, None),
        };
        if compression != Compression::None {
            rest = pop(rest)?.0;
        }
        let (base, kind) = match (implied, pop(rest)) {
            (Some(kind), _) => (rest, kind),
            (None, Some((before, "mysql"))) => (before, Kind::Mysql),
            (None, Some((before, "pgsql"))) => (before, Kind::Pgsql),
            (None, Some((before, "sqlite"))) => (before, Kind::Sqlite),
            (None, Some((before, "sql"))) => (before, Kind::Sql),
            (None, Some((before, "tar"))) => match pop(before) {
                Some((before, "sitearchive")) => (before, Kind::SiteArchive),
                _ => (before, Kind::Tar),
            },
            _ => return None,
        };
        let base = base.to_owned();
        (!base.is_empty()).then_some(FileName { base, kind, compression, encryption: encryption.1 })
    }
}

/// Splits off the last extension, without the `_` and `_0` that Drupal puts there.
fn pop(name: &str) -> Option<(&str, &str)> {
    let (before, extension) = name.rsplit_once('.')?;
    let plain = extension.split('_').find(|part| !part.is_empty())?;
    let rest = extension.trim_start_matches('_').strip_prefix(plain)?;
    rest.bytes().all(|b| b == b'_' || b.is_ascii_digit()).then_some((before, plain))
}

/// What B&M leaves of a name.
fn clean(name: &str) -> String {
    name.chars().filter(|c| c.is_ascii_alphanumeric() || ".-_".contains(*c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Site;
    use crate::destination::check_name;
    use std::collections::BTreeSet;

    const NOW: i64 = 1_795_391_457;

    fn named(filename: &str, append_timestamp: u8, timestamp_format: &str) -> FileName {
        let site =
            Site { name: "PECE Small & Söhne".into(), timezone: Some("UTC".into()), ..Site::default() };
        let profile = Profile {
            filename: filename.into(),
            append_timestamp,
            timestamp_format: timestamp_format.into(),
            encryption: EncryptionKind::Aes256,
            ..Profile::default()
        };
        FileName::of(&profile, Kind::SiteArchive, &Tokens::of(&site, NOW))
    }

    #[test]
    fn names_are_built_as_backup_and_migrate_builds_them() {
        let base = |filename, append, format| named(filename, append, format).base;
        assert_eq!(base("[site:name]", 1, r"Y-m-d\TH-i-s"), "PECESmallShne-2026-11-22T23-50-57");
        assert_eq!(base("[site:name]", 0, r"Y-m-d\TH-i-s"), "PECESmallShne");
        assert_eq!(base("[node:title]x", 0, ""), "nodetitlex", "unknown tokens lose their brackets");
        assert_eq!(base("my site/../etc", 0, ""), "mysite..etc");
        assert_eq!(base("é\0\n", 1, ""), "untitled");
        assert_eq!(base("-x-", 1, ""), "x");
        assert_eq!(base("..hidden", 0, ""), "hidden");
        assert_eq!(base("a", 1, "H:i/s"), "a-235057", "the timestamp is cleaned, too");
        assert_eq!(named("a", 0, "").to_string(), "a.sitearchive.tar.gz.enc");
    }

    #[test]
    fn every_name_is_one_that_a_destination_takes() {
        for filename in
            ["", ".", "..", "-", ".-.", "a.info", "[site:name]/x", &"long".repeat(200), &"é".repeat(300)]
        {
            for format in ["", ".", r"Y-m-d\TH-i-s", &"l".repeat(300)] {
                for append in 0..=2 {
                    let name = named(filename, append, format);
                    check_name(&name.to_string()).expect("a good name");
                    let numbered = FileName { base: format!("{}-9999", name.base), ..name.clone() };
                    check_name(&numbered.to_string()).expect("a good name");
                    assert_eq!(FileName::parse(&name.to_string()), Some(name));
                }
            }
        }
    }

    #[test]
    fn nothing_is_overwritten_unless_the_profile_says_so() {
        let there = BTreeSet::from(["a.tar.gz", "a-1.tar.gz"]);
        let name = FileName::parse("a.tar.gz").expect("a backup");
        let free = |append_timestamp| {
            let profile = Profile { append_timestamp, ..Profile::default() };
            name.clone().free(&profile, |file| Ok::<_, ()>(there.contains(file))).map(|name| name.to_string())
        };
        assert_eq!(free(0), Ok("a-2.tar.gz".into()));
        assert_eq!(free(1), Ok("a-2.tar.gz".into()), "the same second");
        assert_eq!(free(2), Ok("a.tar.gz".into()));
    }

    #[test]
    fn a_name_tells_its_date() {
        let date = |base: &str| {
            let name = format!("{base}.mysql.gz");
            FileName::parse(&name).expect("a backup").date(Some("UTC"))
        };
        let then = Some(1_795_391_457);
        for dated in [
            "plain-2026-11-22T23-50-57",
            "20261122235057",
            "a_20261122_235057",
            "2001-01-01-x-2026-11-22-23-50-57",
        ] {
            assert_eq!(date(dated), then, "{dated}");
        }
        assert_eq!(date("x-2026-11-22"), Some(1_795_391_457 - 85_857));
        assert_eq!(date("x-20261122-2350"), Some(1_795_391_400));
        for none in ["x", "site-7", "123456789", "2026-13-01", "2026-02-30", "0001-01-01", "20261"] {
            assert_eq!(date(none), None, "{none}");
        }
        let name = FileName::parse("x-2026-11-22T23-50-57.sql").expect("a backup");
        assert_eq!(name.date(Some("Europe/Berlin")), Some(1_795_391_457 - 3600));
    }

    #[test]
    fn names_come_apart() {
        use Compression::{Bzip2, Gzip, None as Plain, Zip, Zstd};
        use EncryptionKind::{Aes256, AesModule, Age, None as Open};
        for (file, base, kind, compression, encryption) in [
            ("plain-2026-11-22T23-50-57.mysql.gz", "plain-2026-11-22T23-50-57", Kind::Mysql, Gzip, Open),
            ("tinyaes.sitearchive.tar.gz.aes", "tinyaes", Kind::SiteArchive, Gzip, AesModule),
            ("a.b.sitearchive.tar.zst.enc", "a.b", Kind::SiteArchive, Zstd, Aes256),
            ("x.sql", "x", Kind::Sql, Plain, Open),
            ("x.mysql_0.gz", "x", Kind::Mysql, Gzip, Open),
            ("x.mysql_.gz_12", "x", Kind::Mysql, Gzip, Open),
            ("x.tar.zst.age", "x", Kind::Tar, Zstd, Age),
            ("x.sqlite.enc", "x", Kind::Sqlite, Plain, Aes256),
            ("x.pgsql.zip", "x", Kind::Pgsql, Zip, Open),
            ("x.tar.bz2", "x", Kind::Tar, Bzip2, Open),
            ("x.tar.bz", "x", Kind::Tar, Bzip2, Open),
            ("x.tgz", "x", Kind::Tar, Gzip, Open),
        ] {
            let expected = FileName { base: base.into(), kind, compression, encryption };
            assert_eq!(FileName::parse(file), Some(expected), "{file}");
        }
        for file in [
            "",
            "x",
            "x.gz",
            "x.txt.gz",
            "x.mysql.gz.info",
            ".x.tar.part",
            ".x.tar",
            "a/x.tar",
            ".tar",
            "x.tarball",
            "x.mysql0.gz",
            "x.enc",
            "x.tar.gz.enc.enc",
        ] {
            assert_eq!(FileName::parse(file), None, "{file}");
        }
    }

    #[test]
    fn the_longest_name_leaves_room_for_a_number() {
        let long = named(&"x".repeat(400), 1, "Y-m-d").to_string();
        assert_eq!(long.len() + "-9999".len(), LONGEST, "{long}");
    }

    #[test]
    fn digits_that_are_no_date_are_none() {
        let date = |base: &str| {
            let mut name = named("x", 0, "");
            name.base = base.into();
            name.date(Some("UTC"))
        };
        assert_eq!(date("x-1990-01-02"), Some(631_238_400));
        for none in ["x-1989-12-31", "x-120261123_0023", "x-2026--11-23", "x-2026-11"] {
            assert_eq!(date(none), None, "{none}");
        }
    }
}
