//! Destinations that are one place under two names: what lies there is one copy.
//!
//! Copies are counted by what each place says of itself ([`Which`]): nothing is written for that, and no connection opened. Before
//! a copy is refused, or the last one erased, a small file is put at the one and looked for at the other, wherever files are
//! kept ([`Marks`]): two servers may show the same key, and one server two folders by one path.

use super::{Destination, Snapshots, lease, names};
use crate::{Code, Error, Result, look, threads};
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What two destinations have in common that are one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// A folder of this machine: device and inode, whatever leads there.
    Folder(u64, u64),
    /// One on an SSH server that was asked: the server's key, who logs in there, and the path without links.
    Server(Vec<u8>, String, String),
    /// A folder that is not there yet, or whose server has not been asked.
    /// Of that: the machine, who logs in there, and the path.
    Name(String, String, String),
}

impl Which {
    /// A folder of this machine.
    pub(super) fn here(path: &Path) -> Which {
        if let Ok(Some(found)) = look::follow(path) {
            return Which::Folder(found.dev(), found.ino());
        }
        let path = look::real_as_far(path).unwrap_or_else(|_| path.to_owned());
        Which::Name(lease::this_host(), String::new(), path.display().to_string())
    }
}

/// A place that keeps files, and takes one that shows where else it is.
pub trait Marks: Send + Sync {
    /// Puts a small hidden file there.
    fn mark(&self, name: &str, text: &str) -> Result<()>;

    /// Whether there is such a file, with this text; where another login put it there for itself alone, with that much.
    fn shows(&self, name: &str, text: &str) -> Result<bool>;

    /// Takes it away.
    fn unmark(&self, name: &str) -> Result<()>;

    /// Whether it is a bucket: nothing else shows what is in one.
    fn is_bucket(&self) -> bool {
        false
    }
}

/// Those that are the same as one before them: the place of the one and that of the other in `places`.
pub fn doubles(places: &[&dyn Destination]) -> Vec<(usize, usize)> {
    let all: Vec<Which> = places.iter().map(|place| place.which()).collect();
    let before = |at: usize| all.iter().take(at).position(|other| Some(other) == all.get(at));
    (0..all.len()).filter_map(|at| Some((at, before(at)?))).collect()
}

/// The first of `others` that a place is. One that cannot be looked at is told by its name.
pub fn proven(place: &dyn Destination, others: &[&dyn Destination]) -> Option<usize> {
    let seen = seen(place, others);
    let is_one = |other: &dyn Destination| match (place.snapshots(), other.snapshots()) {
        (Some(one), Some(another)) => is_one_repository(one, another),
        (None, None) => place.which() == other.which(),
        _ => false,
    };
    others.iter().zip(seen).position(|(other, seen)| seen.unwrap_or_else(|| is_one(*other)))
}

/// Whether what is put at a place shows at each of `others`; `None`: that was not tried, or does not work.
fn seen(place: &dyn Destination, others: &[&dyn Destination]) -> Vec<Option<bool>> {
    let all: Vec<Option<&dyn Marks>> = others.iter().map(|other| marks_for(place, *other)).collect();
    let Some(marks) = place.marks().filter(|_| all.iter().any(Option::is_some)) else {
        return vec![None; others.len()];
    };
    // What a server cannot know that only hears of the name.
    let (name, text) = (names::probe(), lease::random());
    if marks.mark(&name, &text).is_err() {
        return vec![None; others.len()];
    }
    let seen = threads::at_once("bam-same", all, |other| other?.shows(&name, &text).ok());
    // The next run there takes away what stays.
    let _ = marks.unmark(&name);
    seen.into_iter().map(Result::unwrap_or_default).collect()
}

/// What of `other` shows whether a place is the same; `None`: it would show nothing new.
fn marks_for<'a>(place: &dyn Destination, other: &'a dyn Destination) -> Option<&'a dyn Marks> {
    let (one, another) = (place.marks()?, other.marks()?);
    // Two folders of this machine tell it by themselves.
    let is_needed = !(place.pushes() && other.pushes());
    (is_needed && one.is_bucket() == another.is_bucket()).then_some(another)
}

/// Nothing is put into a repository: one holds the same snapshots by all its names.
fn is_one_repository(one: &dyn Snapshots, other: &dyn Snapshots) -> bool {
    let which = || (one.repository().which(), other.repository().which());
    let is_known = |(one, other): (Which, Which)| one == other && !matches!(one, Which::Server(..));
    let ids = |repository: &dyn Snapshots| -> Option<BTreeSet<String>> {
        Some(repository.all().ok()?.into_iter().map(|snapshot| snapshot.id).collect())
    };
    // Asked for their snapshots, servers have said which folder it is.
    is_known(which()) || (ids(one) == ids(other) && which().0 == which().1)
}

/// In words.
pub fn error(name: &str, other: &str, what: &str) -> Error {
    Error::new(
        Code::Config,
        format!("{name} is the same place as {other} ({what}): what lies there is one copy"),
    )
    .hint("correct the path of one of the two, or take it out")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Site};
    use crate::destination::{Directory, open};

    #[test]
    fn a_folder_is_one_whatever_leads_there() {
        let dir = tempfile::tempdir().expect("a folder");
        let dest = dir.path().join("dest");
        std::fs::create_dir(&dest).expect("made");
        std::os::unix::fs::symlink(&dest, dir.path().join("link")).expect("linked");
        let at = |name: &str| Directory::new(name, dir.path().join(name));
        let places =
            [at("dest"), at("other"), at("link"), at("dest/../dest"), at("link/new"), at("dest/new")];
        let places: Vec<&dyn Destination> = places.iter().map(|place| place as &dyn Destination).collect();
        assert_eq!(doubles(&places), [(2, 0), (3, 0), (5, 4)]);
        assert_eq!([1, 2, 5].map(|at| proven(places[at], &places[..at])), [None, Some(0), Some(4)]);
    }

    #[test]
    fn a_server_may_have_a_folder_of_that_path_for_each_user() {
        let at = |url: &str| -> config::Destination {
            let settings = serde_json::json!({ "type": "sftp", "url": url });
            serde_json::from_value(settings).expect("settings")
        };
        let urls = ["sftp://a@h/b", "sftp://b@h/b", "sftp://a@H:22/b/", "sftp://a@h:2222/b"];
        let site = Site { root: "/site".into(), ..Site::default() };
        let places = urls.map(|url| open("far", &at(url), &site).expect("opened"));
        let places: Vec<&dyn Destination> = places.iter().map(AsRef::as_ref).collect();
        assert_eq!(doubles(&places), [(2, 0)]);
    }
}
