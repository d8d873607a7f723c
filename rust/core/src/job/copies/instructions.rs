//! What lies beside an exported backup in words: how to open it, in lines that can be pasted into a shell.

use crate::catalog::{FileName, Kind, Sidecar, key};
use crate::config::EncryptionKind;
use crate::entries;
use crate::look;
use crate::regular;
use crate::{Result, ResultExt};
use std::path::Path;

/// Behind a backup's name.
pub const SUFFIX: &str = ".RESTORE.txt";
/// All of them in one, for whoever finds the disk.
pub const ALL: &str = "RESTORE.txt";

/// The words for one backup. `program`: bam lies beside it.
pub fn of(name: &str, sidecar: &Sidecar, program: bool) -> String {
    let parsed = FileName::parse(name);
    let kind = parsed.as_ref().map(|name| name.kind);
    let encryption = parsed.as_ref().map_or(EncryptionKind::None, |name| name.encryption);
    let decompress = match parsed.as_ref().map(|name| name.compression.extension()) {
        Some("gz") => " | gunzip",
        Some("zst") => " | zstd -d --long=31",
        Some("bz2") => " | bunzip2",
        Some("zip") => " | funzip",
        _ => "",
    };
    let (what, then) = content(kind);
    let plain = decrypt(name, encryption, sidecar, program) + decompress;
    let (set, with_bam) = with_bam(name, kind, encryption, program);
    let program_note = match program {
        true => {
            "The program bam lies beside it; on a disk that lets nothing run, copy it away first: cp bam /tmp/\n\n"
        }
        false => "",
    };
    let made = sidecar
        .number(key::DATESTAMP)
        .and_then(|time| jiff::Timestamp::from_second(i64::try_from(time).ok()?).ok());
    let made = made.map_or_else(|| "an unknown date".to_owned(), |time| time.to_string());
    let site = sidecar.get(key::SITE_NAME).unwrap_or("unknown");
    let url = sidecar.get(key::SITE_URL).map(|url| format!(" ({url})")).unwrap_or_default();
    format!(
        "{name}\n{}\n\nA backup made on {made}. Content: {what}. Site: {site}{url}.\n\n\
         Set these to what is true for you, in the folder that this file is in:\n\n{set}\n\
         Is it undamaged?\n\n    grep -F \"  $BACKUP\" SHA256SUMS | sha256sum -c\n\n\
         {program_note}With bam, which needs no configuration for this:\n\n{with_bam}\n\n\
         Or without bam:\n\n    {}\n",
        "=".repeat(name.len()),
        then.replace("PLAIN", &plain),
    )
}

/// What is in it, and what is done with it, `PLAIN` being the command that gives it.
fn content(kind: Option<Kind>) -> (&'static str, &'static str) {
    match kind {
        Some(Kind::SiteArchive) => (
            "a whole site: docroot/ is the docroot (with a composer.json in it: the project, of which only the folder with index.php is to be served), database.sql the database",
            "mkdir -p \"${FOLDER:-.}\" && PLAIN | tar x -C \"${FOLDER:-.}\"\n    mariadb \"$DATABASE\" < \"${FOLDER:-.}/database.sql\"",
        ),
        Some(Kind::Sqlite) => ("a SQLite database", "PLAIN > \"$DATABASE\""),
        Some(Kind::Pgsql) => ("a PostgreSQL database", "PLAIN | psql \"$DATABASE\""),
        Some(Kind::Mysql | Kind::Sql) => ("a database", "PLAIN | mariadb \"$DATABASE\""),
        Some(Kind::Tar) | None => ("files", "mkdir -p \"${FOLDER:-.}\" && PLAIN | tar x -C \"${FOLDER:-.}\""),
    }
}

/// The command that decrypts it. It also works by itself: the name is in it, and what is not set has a default.
fn decrypt(name: &str, encryption: EncryptionKind, sidecar: &Sidecar, program: bool) -> String {
    let file = quoted(name);
    match encryption {
        EncryptionKind::Aes256 => format!(
            "openssl enc -d -aes-256-cbc -pbkdf2 -iter {} -in {file} -pass \"file:${{KEY:-KEYFILE}}\"",
            sidecar.number(key::KDF_ITERATIONS).unwrap_or(600_000)
        ),
        EncryptionKind::Age => format!("age -d -i \"${{KEY:-KEYFILE}}\" {file}"),
        EncryptionKind::AesModule => {
            format!("{} decrypt --key-file \"${{KEY:-KEYFILE}}\" -o - {file}", bam(program))
        }
        EncryptionKind::None => format!("cat {file}"),
    }
}

/// The variables that are to be set, and the commands of bam that use them.
fn with_bam(name: &str, kind: Option<Kind>, encryption: EncryptionKind, program: bool) -> (String, String) {
    let mut set = format!("    BACKUP={}\n", quoted(name));
    let key_option = match encryption {
        EncryptionKind::None => "",
        _ => {
            set += "    KEY=/path/to/the/key\n";
            " --key \"$KEY\""
        }
    };
    let database = kind.is_some_and(Kind::is_database);
    let (into, place) = match kind {
        Some(kind) if kind.is_database() => {
            ("--into-database \"mysql://USER@localhost/$DATABASE\"", "    DATABASE=drupal\n")
        }
        Some(Kind::SiteArchive) => ("--into \"$FOLDER\"", "    FOLDER=/srv/restored\n    DATABASE=drupal\n"),
        _ => ("--into \"$FOLDER\"", "    FOLDER=/srv/restored\n"),
    };
    set += place;
    let bam = bam(program);
    let restore = format!("    {bam} restore --file \"$BACKUP\"{key_option} {into}");
    let look = format!("    {bam} ls --file \"$BACKUP\"{key_option}\n");
    (set, if database { restore } else { look + &restore })
}

fn bam(beside: bool) -> &'static str {
    if beside { "./bam" } else { "bam" }
}

/// Puts all pages of a folder into one; those whose backup is gone are left out.
pub fn all(folder: &Path) -> Result<String> {
    let mut names = Vec::new();
    for name in entries::names(folder).at("cannot list", folder)? {
        // Ours are text.
        let Ok(name) = name.at("cannot list", folder)?.into_string() else { continue };
        if let Some(backup) = name.strip_suffix(SUFFIX)
            && look::is_file(&folder.join(backup))?
        {
            names.push(name);
        }
    }
    names.sort();
    let page = |name: &String| {
        let path = folder.join(name);
        regular::read_to_string(&path).at("cannot read", &path)
    };
    Ok(names.iter().map(page).collect::<Result<Vec<_>>>()?.join("\n\n"))
}

/// A word for the shell.
fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.chars().all(plain) { name.to_owned() } else { format!("'{}'", name.replace('\'', r"'\''")) }
}
