//! The site's folders in one form: one that lies in another is written as a path below that one, whichever links the
//! configuration writes it through. What compares paths by their text then finds what the disk says.

use crate::Result;
use crate::config::Site;
use crate::look;
use crate::source::exclude::plain_path;
use crate::source::siblings;
use std::path::{Path, PathBuf};

/// A folder: as it is written, and without links.
struct Folder {
    written: PathBuf,
    real: PathBuf,
}

/// The site with its root, its public and its private files in that form, absolute and without `.` and `..`. Where none lies
/// in another they are as they were written.
///
/// # Errors
///
/// One cannot be looked at.
pub fn in_one_form(site: &Site) -> Result<Site> {
    let mut nested = site.clone();
    if site.root.as_os_str().is_empty() {
        return Ok(nested);
    }
    let of = |path: PathBuf| -> Result<Folder> {
        Ok(Folder { real: look::real_as_far(&path)?, written: plain_path(&path) })
    };
    let (root, mut public) = (of(site.root.clone())?, of(site.public_dir())?);
    // Where a backup has them if they lie out of the docroot: a link there may lead to them.
    let usual = of(site.conf_dir().join("files"))?;
    if usual.real == public.real && !public.real.starts_with(&root.real) {
        public.written = usual.written;
    }
    let mut folders = vec![root, public];
    folders.extend(site.private_dir().map(of).transpose()?);
    // The outer ones first; of two names of one folder the first.
    let mut order: Vec<usize> = (0..folders.len()).collect();
    order.sort_by_key(|at| folders.get(*at).map(|folder| folder.real.components().count()));
    let mut done: Vec<usize> = Vec::new();
    for at in order {
        let outer = done.iter().rev().filter_map(|outer| folders.get(*outer));
        let inside = folders.get(at).and_then(|folder| below(&folder.real, outer));
        if let (Some(written), Some(folder)) = (inside, folders.get_mut(at)) {
            folder.written = written;
        }
        done.push(at);
    }
    let mut written = folders.into_iter().map(|folder| folder.written);
    nested.root = written.next().unwrap_or_default();
    nested.public_path = written.next();
    nested.private_path = written.next();
    Ok(nested)
}

/// What belongs to other sites of the installation, as paths below the folders of a site in one form where it lies in them.
///
/// # Errors
///
/// Something cannot be looked at.
pub fn of_others(site: &Site) -> Result<Vec<PathBuf>> {
    as_written(site, siblings::paths(site)?)
}

fn as_written(site: &Site, paths: Vec<PathBuf>) -> Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for path in [site.private_dir(), Some(site.public_dir()), Some(site.root.clone())].into_iter().flatten() {
        folders.push(Folder { real: look::real_as_far(&path)?, written: path });
    }
    Ok(paths.into_iter().map(|path| below(&path, folders.iter()).unwrap_or(path)).collect())
}

/// A real path below the first of these folders that it lies in.
fn below<'f>(real: &Path, mut folders: impl Iterator<Item = &'f Folder>) -> Option<PathBuf> {
    folders.find_map(|folder| {
        real.strip_prefix(&folder.real).ok().map(|rest| plain_path(&folder.written.join(rest)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_folder_in_another_is_written_below_it() {
        let temp = tempfile::tempdir().expect("a folder");
        let top = temp.path().canonicalize().expect("real");
        for folder in ["rel/sites/default/files/in", "store/private", "out"] {
            fs::create_dir_all(top.join(folder)).expect("made");
        }
        fs::create_dir_all(top.join("linked/sites/default")).expect("made");
        for (link, to) in [
            ("current", "rel"),
            ("rel/sites/default/away", "../../../store"),
            ("p", "store"),
            ("linked/sites/default/files", "../../../store"),
        ] {
            symlink(to, top.join(link)).expect("linked");
        }
        for (given, expected) in [
            // Below a root that is a link.
            (
                ["current", "", "rel/sites/default/files/in"],
                ["current", "current/sites/default/files", "current/sites/default/files/in"],
            ),
            (["rel", "current/sites/default/files", "out"], ["rel", "rel/sites/default/files", "out"]),
            // Below public files that are one, and the other way round.
            (
                ["rel", "rel/sites/default/away", "store/private"],
                ["rel", "rel/sites/default/away", "rel/sites/default/away/private"],
            ),
            (["rel", "store", "rel/sites/default/away/private"], ["rel", "store", "store/private"]),
            (["rel", "store/private/none", "p"], ["rel", "p/private/none", "p"]),
            // A root in the private files; two names of one folder.
            (["store/private", "", "p"], ["p/private", "p/private/sites/default/files", "p"]),
            (["rel", "store", "p"], ["rel", "store", "store"]),
            // A link of the docroot leads to them, by which nothing is configured.
            (["linked", "store", "out"], ["linked", "linked/sites/default/files", "out"]),
            (
                ["linked", "p", "store/private"],
                ["linked", "linked/sites/default/files", "linked/sites/default/files/private"],
            ),
            // None in another.
            (["current", "p", "out"], ["current", "p", "out"]),
        ] {
            let path = |text: &str| (!text.is_empty()).then(|| top.join(text));
            let [root, public, private] = given.map(path);
            let site = Site {
                root: root.expect("a root"),
                public_path: public,
                private_path: private,
                ..Site::default()
            };
            let form = in_one_form(&site).expect("looked at");
            let found = [Some(form.root.clone()), form.public_path.clone(), form.private_path.clone()];
            assert_eq!(found, expected.map(path), "{given:?}");
            assert_eq!(in_one_form(&form).expect("again").private_path, form.private_path);
        }
        let site = Site { root: top.join("current"), ..Site::default() };
        let real = vec![top.join("rel/sites/other/files"), top.join("out")];
        assert_eq!(
            as_written(&site, real).expect("found"),
            [top.join("current/sites/other/files"), top.join("out")]
        );
    }
}
