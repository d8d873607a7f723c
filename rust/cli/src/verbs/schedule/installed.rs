//! What is installed on this machine to run schedules, by us and by others.

use super::units;
use crate::args::Global;
use bam::config::Document;
use bam::look;
use bam::regular;
use std::path::{Path, PathBuf};

const UNITS: &str = "/etc/systemd/system";
/// Where systemd keeps which timers are enabled.
const ENABLED: &str = "/etc/systemd/system/timers.target.wants";
/// Where the packages' units lie that an administrator has not replaced in [`UNITS`].
const SHIPPED: [&str; 2] = ["/usr/lib/systemd/system", "/lib/systemd/system"];
const CRON: &str = "/etc/cron.d";
/// Where lines of a user are that is not named in them.
const CRONTABS: [&str; 2] = ["/var/spool/cron/crontabs", "/var/spool/cron"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Systemd,
    Cron,
}

/// A timer or a cron file that runs bam.
#[derive(Debug, Clone)]
pub struct Installed {
    pub kind: Kind,
    /// Without folder and ending.
    pub name: String,
    pub path: PathBuf,
    pub user: String,
    /// Whether we wrote it: its name and the line are ours.
    pub is_ours: bool,
    /// The line that runs bam.
    line: String,
}

/// What [`all`] found.
pub struct Found {
    pub all: Vec<Installed>,
    /// Files and folders that are there and could not be read.
    unread: Vec<PathBuf>,
}

impl Found {
    /// What could not be read; `None` where all was.
    pub fn unread(&self) -> Option<String> {
        let paths: Vec<String> = self.unread.iter().map(|path| path.display().to_string()).collect();
        (!paths.is_empty()).then(|| paths.join(" and "))
    }
}

impl Installed {
    /// All of its files.
    pub fn files(&self) -> Vec<PathBuf> {
        match self.kind {
            Kind::Systemd => ["service", "timer"].map(|ending| unit(&self.name, ending)).into(),
            Kind::Cron => vec![self.path.clone()],
        }
    }
}

pub fn unit(name: &str, ending: &str) -> PathBuf {
    Path::new(UNITS).join(format!("{name}.{ending}"))
}

pub fn cron_file(name: &str) -> PathBuf {
    Path::new(CRON).join(name)
}

/// Every line of this machine's timers and crontabs that runs bam's schedules, as far as we may read them.
pub fn all() -> Found {
    let (mut found, mut looked) = (Vec::new(), Looked::default());
    for path in looked.files(UNITS) {
        let text = looked.text(&path).unwrap_or_default();
        found.extend(service(&path, &text));
    }
    // Timers made from a template, as `systemctl enable bam@NAME.timer` does.
    for link in looked.entries(ENABLED) {
        let Some((template, instance)) = link.file_stem().and_then(|name| name.to_str()?.split_once('@'))
        else {
            continue;
        };
        let service_name = format!("{template}@.service");
        let folders = std::iter::once(UNITS).chain(SHIPPED);
        let text =
            folders.map(|folder| Path::new(folder).join(&service_name)).find_map(|path| looked.text(&path));
        found.extend(text.and_then(|text| service(&link, &text.replace("%i", instance))));
    }
    let system = looked.files(CRON).into_iter().chain([PathBuf::from("/etc/crontab")]);
    for path in system {
        for line in looked.lines(&path) {
            // Five fields of time, or one that begins with @, then the user.
            let skip = if line.starts_with('@') { 1 } else { 5 };
            let user = line.split_whitespace().nth(skip).unwrap_or_default().to_owned();
            found.push(installed(Kind::Cron, &path, user, &line));
        }
    }
    for folder in CRONTABS {
        for path in looked.files(folder) {
            let user = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            found.extend(looked.lines(&path).into_iter().map(|line| Installed {
                is_ours: false,
                ..installed(Kind::Cron, &path, user.clone(), &line)
            }));
        }
    }
    Found { all: found, unread: looked.unread }
}

/// Reads what there is, and keeps in mind what could not be read.
#[derive(Default)]
struct Looked {
    unread: Vec<PathBuf>,
}

impl Looked {
    fn files(&mut self, folder: &str) -> Vec<PathBuf> {
        // What cannot be looked at is read, which fails.
        self.entries(folder).into_iter().filter(|path| look::is_file(path).unwrap_or(true)).collect()
    }

    fn entries(&mut self, folder: &str) -> Vec<PathBuf> {
        let mut paths = bam::entries::paths(Path::new(folder)).unwrap_or_else(|_| {
            self.unread.push(folder.into());
            Vec::new()
        });
        paths.sort();
        paths
    }

    fn text(&mut self, path: &Path) -> Option<String> {
        match regular::read(path) {
            Ok(text) => Some(String::from_utf8_lossy(&text).into_owned()),
            Err(cause) => {
                if !look::is_gone(&cause) {
                    self.unread.push(path.to_owned());
                }
                None
            }
        }
    }

    fn lines(&mut self, path: &Path) -> Vec<String> {
        let text = self.text(path).unwrap_or_default();
        let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#') && runs_bam(line));
        lines.map(str::to_owned).collect()
    }
}

/// What a service runs, if that is bam's schedules.
fn service(path: &Path, text: &str) -> Option<Installed> {
    let value = |key: &str| text.lines().find_map(|line| line.trim().strip_prefix(key)).map(str::trim);
    let line = value("ExecStart=").filter(|line| runs_bam(line))?;
    Some(installed(Kind::Systemd, path, value("User=").unwrap_or("root").to_owned(), line))
}

/// Those that run this configuration; ours first.
pub fn mine(all: &[Installed], global: &Global, words: &[String]) -> Vec<Installed> {
    let arguments = words.get(1..).unwrap_or_default();
    let exact = [units::for_cron(arguments), units::for_systemd(arguments)];
    let place = words.get(2).map_or("", String::as_str);
    let mut found: Vec<Installed> = all
        .iter()
        .filter_map(|file| {
            let ours = exact.iter().any(|exact| file.line.contains(exact.as_str()));
            // Of what somebody wrote by hand: which file or folder it names. Of two sites in one folder, which, cannot
            // be told from that.
            let by_hand = global.uri.is_none() && has_word(&file.line, place);
            (ours || by_hand).then(|| Installed { is_ours: file.is_ours && ours, ..file.clone() })
        })
        .collect();
    found.sort_by_key(|file| !file.is_ours);
    found
}

/// A name for this configuration's files that no other configuration's have: after the site's address, else its folder.
pub fn free_name(document: &Document, words: &[String], kind: Kind) -> String {
    let site = &document.site;
    let after_scheme = site.url.split_once("://").map_or(site.url.as_str(), |(_, rest)| rest);
    let stem = match (slug(after_scheme), slug(&site.root.to_string_lossy())) {
        (url, _) if !url.is_empty() => url,
        (_, root) if !root.is_empty() => root,
        _ => slug(words.get(2).map_or("", String::as_str)),
    };
    let taken = |name: &str| match kind {
        Kind::Systemd => {
            ["service", "timer"].iter().any(|kind| look::exists(&unit(name, kind)).unwrap_or(true))
        }
        Kind::Cron => look::exists(&cron_file(name)).unwrap_or(true),
    };
    let name = format!("bam-{stem}");
    let numbered = (2..u32::MAX).map(|number| format!("{name}-{number}"));
    std::iter::once(name.clone()).chain(numbered).find(|name| !taken(name)).unwrap_or(name)
}

/// Letters, digits and dashes: what cron takes for a file's name.
fn slug(text: &str) -> String {
    let dashed: String = text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let parts: Vec<&str> = dashed.split('-').filter(|part| !part.is_empty()).collect();
    parts.join("-").chars().take(60).collect::<String>().to_ascii_lowercase()
}

fn installed(kind: Kind, path: &Path, user: String, line: &str) -> Installed {
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let is_ours = name == "bam" || name.starts_with("bam-");
    Installed { kind, name, path: path.to_owned(), user, is_ours, line: line.to_owned() }
}

/// Of what runs a configuration, what would run it twice beside `name` and is ours to take away.
pub fn replaced<'a>(old: &'a [Installed], name: &str, kind: Kind) -> impl Iterator<Item = &'a Installed> {
    old.iter().filter(move |file| file.is_ours && (file.name != name || file.kind != kind))
}

/// Whether a line runs a program named bam with the verb `run`.
fn runs_bam(line: &str) -> bool {
    let mut words = words(line).skip_while(|word| *word != "bam" && !word.ends_with("/bam"));
    words.any(|word| word == "run")
}

fn has_word(line: &str, wanted: &str) -> bool {
    !wanted.is_empty() && words(line).any(|word| word == wanted || word.rsplit('=').next() == Some(wanted))
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split_whitespace().map(|word| word.trim_matches(['\'', '"', ';']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_run_schedules_are_known() {
        for (line, runs) in [
            ("*/10 * * * * root '/usr/local/bin/bam' '--config' '/etc/bam/bam.yml' '--quiet' 'run'", true),
            ("@daily bam -q run", true),
            ("0 3 * * * root bam status", false),
            ("0 3 * * * root run-parts /etc/bam", false),
        ] {
            assert_eq!(runs_bam(line), runs, "{line}");
        }
        assert!(has_word("0 3 * * * root bam --config=/etc/bam/b.yml run", "/etc/bam/b.yml"));
        assert!(!has_word("0 3 * * * root bam --config /etc/bam/b.yml.old run", "/etc/bam/b.yml"));
    }

    #[test]
    fn a_crontab_is_not_taken_away() {
        let line = "0 3 * * * root bam --config /etc/bam/bam.yml run";
        let file = |kind, path: &str| installed(kind, Path::new(path), "root".into(), line);
        let old = [
            Installed { is_ours: false, ..file(Kind::Cron, "/var/spool/cron/crontabs/bam-user") },
            file(Kind::Cron, "/etc/crontab"),
            file(Kind::Systemd, "/etc/systemd/system/timers.target.wants/bam@bam.timer"),
            file(Kind::Cron, "/etc/cron.d/bam-site"),
            file(Kind::Systemd, "/etc/systemd/system/bam-other.service"),
            file(Kind::Systemd, "/etc/systemd/system/bam-site.service"),
        ];
        let gone: Vec<&str> =
            replaced(&old, "bam-site", Kind::Systemd).filter_map(|file| file.path.to_str()).collect();
        assert_eq!(gone, ["/etc/cron.d/bam-site", "/etc/systemd/system/bam-other.service"]);
    }

    #[test]
    fn the_packages_template_is_known() {
        let text = include_str!("../../../../../packaging/bam@.service").replace("%i", "site");
        let found = service(Path::new("/etc/systemd/system/timers.target.wants/bam@site.timer"), &text)
            .expect("a service");
        assert_eq!((found.name.as_str(), found.user.as_str(), found.is_ours), ("bam@site", "root", false));
        assert!(has_word(&found.line, "/etc/bam/site.yml"), "{}", found.line);
    }

    #[test]
    fn names_are_those_that_cron_takes() {
        assert_eq!(slug("www.Example.org:8080/drupal/"), "www-example-org-8080-drupal");
        assert_eq!(slug("/var/www/üäö"), "var-www");
    }
}
