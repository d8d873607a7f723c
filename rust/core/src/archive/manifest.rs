//! MANIFEST.ini, the first member of a site archive.
//!
//! Keys as Backup and Migrate 7.x-3.9 writes and reads them (sources.archivesource.inc: `generate_manifest`,
//! `read_manifest`) and as drush archive-restore reads them (Drush 8, archive.drush.inc). Both take the text through
//! PHP's `parse_ini_file`, so values are quoted and escaped for that.

use crate::{Code, Error, Result};
use std::fmt;

/// An INI file: sections with keys and values, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    sections: Vec<(String, Vec<(String, String)>)>,
}

/// What a manifest says about a site.
#[derive(Debug, Clone, Default)]
pub struct SiteFacts<'a> {
    /// Unix time of the backup.
    pub datestamp: u64,
    /// bam's version.
    pub generator_version: &'a str,
    /// Drupal's version.
    pub version: &'a str,
    /// The site's name.
    pub name: &'a str,
    /// `sites/default` or the multi-site's folder.
    pub conf_path: &'a str,
    /// Public files, relative to the docroot.
    pub public_path: &'a str,
    /// Private files as a path in the archive: below `docroot/`, or `private`.
    pub private: Option<&'a str>,
    /// The dump's name in the archive, `database.sql` or `database.sqlite`.
    pub database: &'a str,
    /// `mysql`, `pgsql` or `sqlite`.
    pub driver: &'a str,
    /// What Composer brings back is left out.
    pub composer: bool,
}

/// The section that Backup and Migrate reads.
const SITE: &str = "Site 0";
/// Says that an archive has only the code that Composer cannot bring back.
const COMPOSER: &str = "bam-code";

impl Manifest {
    /// The manifest of a site archive without prefix folder, docroot below `docroot/`.
    ///
    /// `sitedir` is relative to the docroot, as drush needs it to write settings.php; Backup and Migrate writes
    /// `docroot/` before it and never reads it. Private files are named by `bam-files-private`: Backup and Migrate, seeing `files-private`, would restore
    /// them into the public folder and leave the public ones out.
    pub fn of_site(facts: &SiteFacts<'_>) -> Self {
        let mut manifest = Manifest::default();
        for (key, value) in [
            ("datestamp", facts.datestamp.to_string().as_str()),
            ("formatversion", "2011-07-02"),
            ("generator", "bam"),
            ("generatorversion", facts.generator_version),
        ] {
            manifest.set("Global", key, value);
        }
        let below = |path: &str| format!("docroot/{}", path.trim_matches('/'));
        for (key, value) in [
            ("version", facts.version),
            ("name", facts.name),
            ("docroot", "docroot"),
            ("sitedir", facts.conf_path.trim_matches('/')),
            ("database-file-default", facts.database),
            ("database-file-driver", facts.driver),
            ("database-default-file", facts.database),
            ("database-default-driver", facts.driver),
            ("files-public", &below(facts.public_path)),
        ] {
            manifest.set(SITE, key, value);
        }
        if let Some(private) = facts.private {
            manifest.set(SITE, "bam-files-private", private);
        }
        if facts.composer {
            manifest.set(SITE, COMPOSER, "composer");
        }
        manifest
    }

    /// Whether what Composer brings back was left out.
    pub fn lacks_contributed_code(&self) -> bool {
        self.site(COMPOSER) == Some("composer")
    }

    /// Parses INI text as PHP's `parse_ini_file` does, more leniently where Backup and Migrate forgot to escape.
    ///
    /// Comments, blank lines and lines before the first section are passed over; an error names the line.
    pub fn parse(text: &[u8]) -> Result<Self> {
        let text = String::from_utf8_lossy(text);
        let mut manifest = Manifest::default();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with([';', '#']) {
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                manifest.sections.push((name.trim().to_owned(), Vec::new()));
            } else if let Some((key, value)) = line.split_once('=') {
                if let Some((_, pairs)) = manifest.sections.last_mut() {
                    pairs.push((key.trim().to_owned(), unquote(value.trim())));
                }
            } else {
                let text = format!("MANIFEST.ini, line {}: expected [section] or key = value", number + 1);
                return Err(Error::new(Code::Integrity, text));
            }
        }
        Ok(manifest)
    }

    /// Sets a key; a section is made where it is missing.
    pub fn set(&mut self, section: &str, key: &str, value: &str) {
        let at = match self.sections.iter().position(|(name, _)| name == section) {
            Some(at) => at,
            None => {
                self.sections.push((section.to_owned(), Vec::new()));
                self.sections.len() - 1
            }
        };
        if let Some((_, pairs)) = self.sections.get_mut(at) {
            pairs.retain(|(name, _)| name != key);
            pairs.push((key.to_owned(), value.to_owned()));
        }
    }

    /// A value; of a key that occurs twice the last, as in PHP.
    pub fn get(&self, section: &str, key: &str) -> Option<&str> {
        let pairs = self.sections.iter().filter(|(name, _)| name == section).flat_map(|(_, pairs)| pairs);
        pairs.rev().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// A value of the first site: Backup and Migrate's section, or the first that drush wrote.
    pub fn site(&self, key: &str) -> Option<&str> {
        let named = self.sections.iter().map(|(name, _)| name.as_str());
        let first = named.clone().find(|n| *n == SITE).or_else(|| named.clone().find(|n| *n != "Global"));
        self.get(first?, key).filter(|value| !value.is_empty())
    }
}

impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, pairs) in &self.sections {
            writeln!(f, "[{name}]")?;
            for (key, value) in pairs {
                writeln!(f, "{key} = \"{}\"", quote(value))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// Escapes for a double-quoted INI value: `"`, `\` and the `${` that PHP would replace by a setting or a variable
/// of the environment. Line breaks and other control characters become spaces.
fn quote(value: &str) -> String {
    let mut quoted = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '"' | '\\' | '$' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push(' '),
            c => quoted.push(c),
        }
    }
    quoted
}

fn unquote(value: &str) -> String {
    if let Some(rest) = value.strip_prefix('"') {
        // To the last quote: Backup and Migrate writes those of a site's name as they are.
        let inner = rest.rsplit_once('"').map_or(rest, |(inner, _)| inner);
        let mut plain = String::with_capacity(inner.len());
        let mut chars = inner.chars().peekable();
        while let Some(c) = chars.next() {
            let escaped =
                (c == '\\').then(|| chars.next_if(|next| matches!(next, '"' | '\\' | '$'))).flatten();
            plain.push(escaped.unwrap_or(c));
        }
        return plain;
    }
    if let Some(rest) = value.strip_prefix('\'') {
        return rest.rsplit_once('\'').map_or(rest, |(inner, _)| inner).to_owned();
    }
    value.split(';').next().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "A \"site\" with \\ and ${PATH}, $x; # [y] = z ünï\u{1F600}\\";

    fn manifest() -> Manifest {
        Manifest::of_site(&SiteFacts {
            datestamp: 1795388661,
            generator_version: "0.1.0",
            version: "7.105",
            name: NAME,
            conf_path: "sites/default",
            public_path: "sites/default/files",
            private: Some("private"),
            database: "database.sql",
            driver: "mysql",
            composer: false,
        })
    }

    #[test]
    fn what_is_written_is_read() {
        let parsed = Manifest::parse(manifest().to_string().as_bytes()).unwrap();
        assert_eq!(parsed, manifest());
        assert_eq!(parsed.site("name"), Some(NAME));
        assert_eq!(parsed.site("files-private"), None);
        assert_eq!(parsed.site("sitedir"), Some("sites/default"));
    }

    #[test]
    fn php_reads_the_same() {
        let script = "$m = parse_ini_string(stream_get_contents(STDIN), TRUE); echo $m['Site 0']['name'];";
        let mut php = std::process::Command::new("php")
            .args(["-r", script])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("this test needs php (Debian: php-cli)");
        std::io::Write::write_all(&mut php.stdin.take().unwrap(), manifest().to_string().as_bytes()).unwrap();
        let out = php.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&out.stdout), NAME);
    }

    #[test]
    fn unescaped_quotes_comments_and_drush_sections() {
        let text = b"; by drush\n[Global]\ndatestamp = 5 ; now\n[default]\nname = \"The \"Best\" site\"\ndocroot='/var/www'\n";
        let manifest = Manifest::parse(text).unwrap();
        assert_eq!(manifest.get("Global", "datestamp"), Some("5"));
        assert_eq!(
            (manifest.site("name"), manifest.site("docroot")),
            (Some("The \"Best\" site"), Some("/var/www"))
        );
        let wrong = Manifest::parse(b"[a]\nnonsense\n").unwrap_err();
        assert!(wrong.message().contains("line 2"), "{wrong}");
    }

    #[test]
    fn a_key_is_set_whether_its_section_is_there_or_not() {
        let mut manifest = Manifest::default();
        assert!(!manifest.lacks_contributed_code());
        manifest.set(SITE, COMPOSER, "composer");
        assert!(manifest.lacks_contributed_code());
        manifest.set(SITE, COMPOSER, "all");
        assert!(!manifest.lacks_contributed_code());
        assert_eq!(quote("a\tb\n\"c\""), "a b \\\"c\\\"");
    }
}
