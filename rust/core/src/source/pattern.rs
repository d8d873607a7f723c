//! Patterns of what a backup of files leaves out, as `.gitignore` has them (gitignore(5)): matched as bytes against
//! paths in the archive, the last one that fits decides. That nothing below a folder that is left out comes back is for
//! whoever walks, who does not go into it.

use crate::{Error, Result, entries, look};
use globset::{Candidate, Glob, GlobBuilder, GlobSet};
use rustix::fs::FileType;
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A list of patterns, in order. Paths are those in the archive.
#[derive(Debug, Clone, Default)]
pub struct Patterns {
    rules: Vec<Rule>,
    globs: Vec<Glob>,
    set: GlobSet,
}

#[derive(Debug, Clone)]
struct Rule {
    /// As it is recorded: a line of a `.gitignore` that lies at the root of the archive.
    line: String,
    negated: bool,
    folders_only: bool,
}

/// Whether an entry is a pattern, beside the path that it always is.
pub fn is_pattern(line: &str) -> bool {
    line.starts_with('!') || line.contains(['*', '?', '['])
}

/// What the search of a folder meets.
enum Seen {
    LeftOut(PathBuf),
    /// A folder that cannot be looked into.
    Closed(PathBuf),
    Failed(Error),
}

impl Patterns {
    /// From lines as [`Patterns::lines`] gives them; what is none is passed over.
    pub fn of<L: AsRef<str>>(lines: impl IntoIterator<Item = L>) -> Patterns {
        let mut patterns = Patterns::default();
        for line in lines {
            let _ = patterns.push(line.as_ref(), "");
        }
        patterns.build();
        patterns
    }

    /// Adds a line for a folder whose path in the archive is `place`. Errors: what is malformed in it.
    pub fn add(&mut self, line: &str, place: &str) -> Result<(), String> {
        self.push(line, place)?;
        self.build();
        Ok(())
    }

    /// Adds what is anchored at `place` whether or not there is a slash in it.
    pub fn add_anchored(&mut self, line: &str, place: &str) -> Result<(), String> {
        match line.strip_prefix('!') {
            Some(rest) => self.add(&format!("!/{}", rest.trim_start_matches('/')), place),
            None => self.add(&format!("/{}", line.trim_start_matches('/')), place),
        }
    }

    fn push(&mut self, line: &str, place: &str) -> Result<(), String> {
        let (negated, text) = line.strip_prefix('!').map_or((false, line), |rest| (true, rest));
        let (folders_only, text) = text.strip_suffix('/').map_or((false, text), |rest| (true, rest));
        let any_depth = !text.contains('/');
        let text = text.strip_prefix('/').unwrap_or(text);
        if text.is_empty() {
            return Err("there is nothing in it".into());
        }
        let at = match place {
            "" => String::new(),
            place => format!("{}/", literal(place)),
        };
        let glob = match any_depth {
            true => format!("**/{}", dialect(text)?),
            false => format!("{}{}", dialect(&at)?, dialect(text)?),
        };
        // All that is in it, not the folder itself.
        let glob = if glob.ends_with("/**") { format!("{glob}/*") } else { glob };
        let built = GlobBuilder::new(&glob).literal_separator(true).backslash_escape(true).build();
        self.globs.push(built.map_err(|error| error.kind().to_string())?);
        let text = if any_depth { text.to_owned() } else { format!("/{at}{text}") };
        let (not, slash) = (if negated { "!" } else { "" }, if folders_only { "/" } else { "" });
        self.rules.push(Rule { line: format!("{not}{text}{slash}"), negated, folders_only });
        Ok(())
    }

    fn build(&mut self) {
        // Each was built by itself: together they fail only beyond the size limit, one by one they are dropped then.
        while !self.globs.is_empty() {
            match GlobSet::new(&self.globs) {
                Ok(set) => {
                    self.set = set;
                    return;
                }
                Err(_) => {
                    self.globs.pop();
                    self.rules.pop();
                }
            }
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The lines for the record: relative to the root of the archive, in order.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|rule| rule.line.as_str())
    }

    /// Whether the last pattern that fits this path leaves it out.
    pub fn exclude(&self, path: &[u8], is_folder: bool) -> bool {
        if self.is_empty() {
            return false;
        }
        let fitting = self.set.matches_candidate(&Candidate::from_bytes(path));
        let mut fitting = fitting.iter().rev().filter_map(|at| self.rules.get(*at));
        fitting.find(|rule| is_folder || !rule.folders_only).is_some_and(|rule| !rule.negated)
    }

    /// What is there below `folder`, whose path in the archive is `at`, and left out; relative to it, and nothing below
    /// another. A folder that cannot be looked into counts: nobody knows what is in it.
    ///
    /// # Errors
    ///
    /// Something cannot be looked at, though it is open to us.
    pub fn fitting(&self, folder: &Path, at: &[u8]) -> Result<Vec<PathBuf>> {
        let (mut found, mut failed) = (Vec::new(), None);
        let _ = self.look(folder, at, &mut |seen| {
            match seen {
                Seen::LeftOut(path) | Seen::Closed(path) => found.push(path),
                Seen::Failed(error) => {
                    failed = Some(error);
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        });
        failed.map_or(Ok(found), Err)
    }

    /// Whether there is any such thing, or anything that a pattern would bring back.
    pub fn finds_something(&self, folder: &Path, at: &[u8]) -> bool {
        let mut any = self.clone();
        any.rules.iter_mut().for_each(|rule| rule.negated = false);
        let mut left_out = |seen: Seen| match seen {
            Seen::LeftOut(_) => ControlFlow::Break(()),
            Seen::Closed(_) | Seen::Failed(_) => ControlFlow::Continue(()),
        };
        !any.is_empty() && any.look(folder, at, &mut left_out).is_break()
    }

    fn look(
        &self,
        base: &Path,
        at: &[u8],
        found: &mut dyn FnMut(Seen) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            let entries = match entries::kinds(&base.join(&folder)) {
                Ok(entries) => entries,
                // What lies so deep is in no backup.
                Err(cause)
                    if matches!(
                        cause.kind(),
                        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename
                    ) =>
                {
                    continue;
                }
                Err(cause)
                    if cause.kind() == ErrorKind::PermissionDenied && !folder.as_os_str().is_empty() =>
                {
                    found(Seen::Closed(folder))?;
                    continue;
                }
                Err(cause) => {
                    found(Seen::Failed(Error::io("cannot list the folder", &base.join(&folder), cause)))?;
                    continue;
                }
            };
            for entry in entries {
                let (name, told) = match entry {
                    Ok(entry) => entry,
                    Err(cause) => {
                        found(Seen::Failed(Error::io("cannot list the folder", &base.join(&folder), cause)))?;
                        break;
                    }
                };
                let path = folder.join(name);
                let kind = match told {
                    FileType::Unknown => rustix::fs::lstat(base.join(&path))
                        .map_or(told, |found| FileType::from_raw_mode(found.st_mode)),
                    told => told,
                };
                let is_folder = kind == FileType::Directory;
                let in_archive = match at {
                    b"" => path.as_os_str().as_bytes().to_vec(),
                    at => [at, b"/", path.as_os_str().as_bytes()].concat(),
                };
                // A link to a folder outside is backed up as a folder.
                let mut left_out = self.exclude(&in_archive, is_folder);
                if !left_out && kind == FileType::Symlink && self.exclude(&in_archive, true) {
                    match look::if_open(look::is_folder(&base.join(&path))) {
                        Ok(leads_to_folder) => left_out = leads_to_folder,
                        Err(error) => found(Seen::Failed(error))?,
                    }
                }
                if left_out {
                    found(Seen::LeftOut(path))?;
                } else if is_folder {
                    folders.push(path);
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// Whether the folder at this path, or one above it but below `top`, is left out.
    pub fn exclude_at_or_above(&self, path: &[u8], top: &[u8]) -> bool {
        let ends = (0..=path.len()).filter(|end| path.get(*end).is_none_or(|byte| *byte == b'/'));
        ends.filter(|end| *end > top.len()).any(|end| {
            let folder = path.get(..end).unwrap_or_default();
            self.exclude(folder, true)
        })
    }
}

/// A path as the pattern that fits it alone.
fn literal(path: &str) -> String {
    let mut out = String::new();
    for c in path.chars() {
        if matches!(c, '*' | '?' | '[' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// What means to `globset` what the text means in a `.gitignore`: braces are nothing special there, a class has escapes
/// and never fits a slash.
fn dialect(text: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '{' | '}' => out.extend(['\\', c]),
            '\\' => {
                let escaped = rest.next().ok_or("a backslash at the end escapes nothing")?;
                out.extend(['\\', escaped]);
            }
            '[' => {
                let (class, behind) = class(rest.as_str())?;
                out.push_str(&class);
                rest = behind.chars();
            }
            c => out.push(c),
        }
    }
    Ok(out)
}

/// A class, behind its opening bracket, and what is behind it.
fn class(text: &str) -> Result<(String, &str), String> {
    let (negated, text) = match text.strip_prefix(['!', '^']) {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut body = String::new();
    let mut rest = text.chars();
    loop {
        match rest.next().ok_or("a bracket [ has no end; \\[ stands for one")? {
            ']' if !body.is_empty() => break,
            '\\' => match rest.next() {
                Some(c @ (']' | '-' | '[' | '^' | '!')) => {
                    return Err(format!("\\{c} between brackets is not supported"));
                }
                Some(c) => body.push(c),
                None => return Err("a bracket [ has no end; \\[ stands for one".into()),
            },
            '[' if rest.as_str().starts_with(':') => {
                let (name, behind) = rest.as_str().split_once(":]").ok_or("[: has no end")?;
                body.push_str(&format!("[{name}:]"));
                rest = behind.chars();
            }
            c => body.push(c),
        }
    }
    let class = match (negated, body.strip_suffix('-')) {
        (false, _) => format!("[{body}]"),
        (true, Some(body)) => format!("[^{body}/-]"),
        (true, None) => format!("[^{body}/]"),
    };
    Ok((class, rest.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;
    use std::process::Command;

    /// What of a tree is left out, nothing below it looked at.
    fn left_out(patterns: &Patterns, base: &Path, at: &[u8], out: &mut BTreeSet<Vec<u8>>) {
        for entry in fs::read_dir(base.join(OsStr::from_bytes(at))).unwrap().flatten() {
            let name = entry.file_name();
            let path =
                if at.is_empty() { name.as_bytes().to_vec() } else { [at, b"/", name.as_bytes()].concat() };
            let is_folder = entry.file_type().unwrap().is_dir();
            if patterns.exclude(&path, is_folder) {
                out.insert(path);
            } else if is_folder && path != b".git" {
                left_out(patterns, base, &path, out);
            }
        }
    }

    #[test]
    #[allow(clippy::too_many_lines, reason = "two tables: names and patterns")]
    fn as_git_check_ignore_has_it() {
        let temp = tempfile::tempdir().unwrap();
        let base = temp.path();
        let git = |arguments: &[&str]| {
            let mut git = Command::new("git");
            git.arg("-C").arg(base).args(arguments).env("GIT_CONFIG_NOSYSTEM", "1").env("HOME", base);
            git
        };
        if !git(&["init", "-q"]).status().is_ok_and(|status| status.success()) {
            eprintln!("SKIP pattern::tests::as_git_check_ignore_has_it: git is not installed");
            return;
        }
        let names: [&[u8]; 26] = [
            b"a.mp4",
            b".mp4",
            b"mp4",
            b"deep/er/b.mp4",
            b"deep/keep.mp4",
            b"cache/x",
            b"sub/cache/y",
            b"sub/file/cache",
            b"a*b",
            b"axb",
            b"a[1].txt",
            b"a1.txt",
            b"latin\xe9.mp4",
            b"latin\xe9",
            b"new\nline.tmp",
            b"{x,y}.z",
            b"x.z",
            b"deep/a/b/c/end",
            b"deep/end",
            b"deep/a-c",
            b"deep/a/c",
            b"-dash",
            b"!bang",
            b"foo/bar/baz",
            b"dots..",
            b"\xc3\xa9.txt",
        ];
        for name in names {
            let path = base.join(OsStr::from_bytes(name));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        std::os::unix::fs::symlink("cache", base.join("sub/link")).unwrap();
        for lines in [
            &["*.mp4"][..],
            &["/*.mp4"],
            &["*.mp4", "!keep.mp4"],
            &["!keep.mp4", "*.mp4"],
            &["dee[p]", "!deep/keep.mp4"],
            &["deep/*", "!deep/keep.mp4"],
            &["c*he/"],
            &["sub/*/"],
            &["l?nk/", "?ink"],
            &["**/cache/"],
            &["sub/**"],
            &["deep/**/end"],
            &["deep/**", "!deep/**/"],
            &["**"],
            &["*"],
            &["*", "!*/", "!*.mp4"],
            &["a\\*b"],
            &["a*b"],
            &["a[1].txt"],
            &["a\\[1].txt"],
            &["a[0-9]*"],
            &["a[!x]b"],
            &["deep/a[^x]c"],
            &["deep/a[,-0]c"],
            &["deep/a?c", "deep/a*c"],
            &["latin?.mp4"],
            &["latin[!a]"],
            &["latin*"],
            &["?.txt", "[!-]dash"],
            &["??.txt"],
            &["*.tmp"],
            &["new*"],
            &["{x,y}.*"],
            &["[{]*"],
            &["[-a]*"],
            &["[]-]*"],
            &["[[:digit:]a]*.txt", "a[[:digit:]]*"],
            &["foo**baz", "f**o/bar"],
            &["foo/*"],
            &["foo/*/*"],
            &["**/bar/*"],
            &["*/bar"],
            &["dots*"],
            &["*.."],
            &["!*"],
            &["\\!b*"],
        ] {
            fs::write(base.join(".git/info/exclude"), lines.join("\n") + "\n").unwrap();
            let listed =
                git(&["ls-files", "-z", "--others", "--ignored", "--exclude-standard"]).output().unwrap();
            assert!(listed.status.success(), "{listed:?}");
            let theirs: BTreeSet<Vec<u8>> =
                listed.stdout.split(|b| *b == 0).filter(|it| !it.is_empty()).map(<[u8]>::to_vec).collect();
            let mut patterns = Patterns::default();
            for line in lines {
                patterns.add(line, "").unwrap();
            }
            let mut ours = BTreeSet::new();
            left_out(&patterns, base, b"", &mut ours);
            // Theirs are files, ours may be the folder above.
            let is_ours = |path: &Vec<u8>| {
                ours.iter().any(|it| {
                    path.strip_prefix(it.as_slice()).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
                })
            };
            let all = names.iter().map(|name| name.to_vec()).chain([b"sub/link".to_vec()]);
            for path in all {
                assert_eq!(is_ours(&path), theirs.contains(&path), "{lines:?}: {}", path.escape_ascii());
            }
            // What is recorded means the same.
            let again = Patterns::of(patterns.lines());
            let mut recorded = BTreeSet::new();
            left_out(&again, base, b"", &mut recorded);
            assert_eq!(ours, recorded, "{lines:?}");
        }
    }

    #[test]
    fn a_pattern_counts_from_its_place_in_the_archive() {
        let mut patterns = Patterns::default();
        patterns.add("sites/*/tmp/", "doc[root").unwrap();
        patterns.add("*.mp4", "doc[root").unwrap();
        patterns.add_anchored("!*.mp4", "private").unwrap();
        assert_eq!(
            patterns.lines().collect::<Vec<_>>(),
            ["/doc\\[root/sites/*/tmp/", "*.mp4", "!/private/*.mp4"]
        );
        assert!(patterns.exclude(b"doc[root/sites/x/tmp", true));
        assert!(!patterns.exclude(b"doc[root/sites/x/tmp", false));
        assert!(!patterns.exclude(b"sites/x/tmp", true));
        assert!(patterns.exclude(b"doc[root/a/b.mp4", false) && patterns.exclude(b"private/a/b.mp4", false));
        assert!(!patterns.exclude(b"private/b.mp4", false));
        assert!(patterns.exclude_at_or_above(b"doc[root/sites/x/tmp/y", b"doc[root"));
        assert!(!patterns.exclude_at_or_above(b"doc[root/sites/x", b"doc[root"));
    }

    #[test]
    fn what_is_malformed_is_told() {
        for line in ["a[b", "[", "x\\", "!", "!/", "[z-a]", "a[[:x", "[\\]]"] {
            assert!(Patterns::default().add(line, "").is_err(), "{line}");
        }
        assert!(is_pattern("!a") && is_pattern("a[b") && !is_pattern("a!") && !is_pattern("a\\b"));
    }
}
