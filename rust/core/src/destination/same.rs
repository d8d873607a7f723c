//! Destinations that are one place under two names: what lies there is one copy.

use super::Destination;
use crate::look;
use crate::{Code, Error};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What two destinations have in common that are one.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Which {
    /// Device and inode, whatever leads there.
    Folder(u64, u64),
    /// A folder that is not there yet, or is on another machine.
    /// Of that: the machine, who logs in there, and the path.
    Name(String, String, String),
}

fn which(place: &dyn Destination) -> Which {
    let folder = place.folder();
    let here = || look::follow(Path::new(&folder)).ok().flatten();
    if let Some(found) = place.pushes().then(here).flatten() {
        return Which::Folder(found.dev(), found.ino());
    }
    let real = || look::real_as_far(Path::new(&folder)).ok().map(|path| path.display().to_string());
    let folder = place.pushes().then(real).flatten().unwrap_or(folder);
    Which::Name(place.host(), place.login(), folder)
}

/// Those that are the same as one before them: the place of the one and that of the other in `places`.
pub fn doubles(places: &[&dyn Destination]) -> Vec<(usize, usize)> {
    let all: Vec<Which> = places.iter().map(|place| which(*place)).collect();
    let before = |at: usize| all.iter().take(at).position(|other| Some(other) == all.get(at));
    (0..all.len()).filter_map(|at| Some((at, before(at)?))).collect()
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
