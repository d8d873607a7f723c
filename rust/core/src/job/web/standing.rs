//! Where on the web a folder stands: in the docroot, in the public files, or behind a link in one of them, whichever way
//! its path is written. A folder that is mounted a second time below the docroot (a bind mount) is not recognized there.

use crate::config::Site;
use crate::entries;
use crate::look;
use crate::source::exclude::plain_path;
use crate::{Result, ResultExt};
use rustix::fs::FileType;
use std::fs;
use std::path::{Path, PathBuf};

/// So many names of a folder are looked at for links.
const MANY: usize = 1000;

/// Of a folder that may be handed out.
pub struct Standing {
    /// What it lies in, to follow its path in a message.
    pub lies: String,
    /// None: it is not known by which address.
    pub addresses: Vec<Address>,
}

/// One by which a folder may be handed out.
#[derive(Debug, PartialEq, Eq)]
pub struct Address {
    /// The path of its URL below the site's.
    pub inside: PathBuf,
    /// So many names at its end are folders below the one that is linked to, or the docroot.
    own: usize,
}

impl Address {
    /// That of the folder so many levels above, if that one is handed out as well.
    pub fn above(&self, levels: usize) -> Option<&Path> {
        self.inside.ancestors().nth(levels).filter(|_| levels <= self.own)
    }
}

/// The folders that are handed out with all that is in them.
pub struct Roots(Vec<Root>);

struct Root {
    real: PathBuf,
    lies: String,
    /// Its path below the docroot; `None` where it is not known.
    inside: Option<PathBuf>,
}

impl Roots {
    /// Links in folders that cannot be listed are not seen: that storage of the site does not answer refuses nobody a backup.
    ///
    /// # Errors
    ///
    /// A folder cannot be looked at; so with the following.
    pub fn of(site: &Site) -> Result<Roots> {
        let mut roots = Vec::new();
        let docroot = site.docroot();
        let real = if site.root.as_os_str().is_empty() { None } else { look::real(&docroot)? };
        let mut linking = Vec::new();
        if let Some(real) = &real {
            roots.push(Root {
                real: real.clone(),
                lies: "lies in the docroot".into(),
                inside: Some(PathBuf::new()),
            });
            linking.extend([docroot.clone(), docroot.join("sites"), site.conf_dir()]);
        }
        let named = site.public_path.as_ref().is_none_or(|path| !path.as_os_str().is_empty());
        let public = Some(site.public_dir()).filter(|path| named && path.is_absolute());
        let at = |public: PathBuf| Some((look::real_as_far(&public).ok()?, public));
        // What is closed to us, or does not answer, is no place that we could put anything into.
        if let Some((at, public)) = public.and_then(at) {
            let lies = format!("lies in the public files, {}", public.display());
            let insides = real.as_deref().map_or(Ok(Vec::new()), |real| below(&public, real))?;
            let insides = match insides.is_empty() {
                true => vec![None],
                false => insides.into_iter().map(Some).collect(),
            };
            roots.extend(insides.into_iter().map(|inside| Root {
                real: at.clone(),
                lies: lies.clone(),
                inside,
            }));
            linking.push(public);
        }
        for folder in linking {
            let insides = real.as_deref().map_or(Ok(Vec::new()), |real| below(&folder, real))?;
            for (real, link) in links(&folder).unwrap_or_default() {
                let lies = format!("lies behind the link {} in the docroot", folder.join(&link).display());
                let root = |inside: Option<PathBuf>| Root { real: real.clone(), lies: lies.clone(), inside };
                match insides.is_empty() {
                    true => roots.push(root(None)),
                    false => roots.extend(insides.iter().map(|inside| root(Some(inside.join(&link))))),
                }
            }
        }
        Ok(Roots(roots))
    }

    /// Where a folder, or a file, stands that may not be there yet; `None`: elsewhere.
    pub fn standing(&self, path: &Path) -> Result<Option<Standing>> {
        let mut found: Option<Standing> = None;
        for root in &self.0 {
            for rest in below(path, &root.real)? {
                let standing =
                    found.get_or_insert_with(|| Standing { lies: root.lies.clone(), addresses: Vec::new() });
                let address = root.inside.as_ref().map(|inside| Address {
                    inside: inside.iter().chain(&rest).collect(),
                    own: rest.components().count(),
                });
                let new = address.filter(|one| standing.addresses.iter().all(|it| it.inside != one.inside));
                standing.addresses.extend(new);
            }
        }
        Ok(found)
    }
}

/// The rests of `path` below the real path `root`: of its real path, and of the path as it is written, which a link that
/// leads out of `root` takes out of it for the file system, but not for a web server.
fn below(path: &Path, root: &Path) -> Result<Vec<PathBuf>> {
    let absolute = std::path::absolute(path).at("cannot find", path)?;
    let mut found: Vec<PathBuf> = Vec::new();
    for ancestor in absolute.ancestors() {
        let Some(real) = look::if_open(look::real(ancestor))? else { continue };
        let whole = plain_path(&real.join(absolute.strip_prefix(ancestor).unwrap_or(Path::new(""))));
        if let Ok(rest) = whole.strip_prefix(root)
            && !found.iter().any(|known| known == rest)
        {
            found.push(rest.to_owned());
        }
    }
    Ok(found)
}

/// The links in a folder: where each leads, without links as far as that is there, and its name.
fn links(folder: &Path) -> Result<Vec<(PathBuf, PathBuf)>> {
    const WHAT: &str = "cannot look for links in the folder";
    let names = match entries::kinds(folder) {
        Err(cause) if look::is_gone(&cause) => return Ok(Vec::new()),
        names => names.at(WHAT, folder)?,
    };
    let mut found = Vec::new();
    for entry in names.take(MANY) {
        let (name, kind) = entry.at(WHAT, folder)?;
        let link = folder.join(&name);
        let is_link = match kind {
            FileType::Symlink => true,
            FileType::Unknown => look::is_link(&link)?,
            _ => false,
        };
        if !is_link {
            continue;
        }
        let real = match (fs::canonicalize(&link), fs::read_link(&link)) {
            (Ok(real), _) => real,
            // What it leads to may be made yet, does not answer now, or is no path at all: by its text.
            (Err(_), Ok(target)) => {
                let to = folder.join(target);
                look::real_as_far(&to).unwrap_or_else(|_| plain_path(&to))
            }
            (Err(_), Err(cause)) if look::is_gone(&cause) => continue,
            (Err(_), Err(cause)) => return Err(cause).at("cannot look at", &link),
        };
        found.push((real, name.into()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// The addresses of paths below a folder with a docroot in it, and what they are found to lie in.
    fn standing(top: &Path, site: &Site, path: &str) -> Option<(String, Vec<String>)> {
        let found = Roots::of(site).expect("looked").standing(&top.join(path)).expect("looked")?;
        let inside = found.addresses.iter().map(|it| it.inside.display().to_string()).collect();
        Some((found.lies, inside))
    }

    #[test]
    fn links_do_not_hide_that_a_folder_is_inside() {
        let dir = tempfile::tempdir().expect("a folder");
        let top = &dir.path().canonicalize().expect("real");
        let root = top.join("docroot");
        for folder in
            ["docroot/sites/default/deep", "docroot/plain", "rf", "dl/hidden", "dl/in-public", "conf"]
        {
            fs::create_dir_all(top.join(folder)).expect("made");
        }
        for (to, link) in [
            (root.join("sites"), "link"),
            (top.join("rf"), "docroot/sites/default/files"),
            (top.join("dl"), "docroot/dl"),
            (top.join("not-yet"), "docroot/dangling"),
            ("circle".into(), "docroot/circle"),
            (top.join("dl/hidden"), "docroot/sites/default/deep/unseen"),
            (top.join("dl/in-public"), "rf/more"),
            (top.join("conf"), "docroot/sites/example.org"),
            (top.join("one-file"), "docroot/one-file"),
            (format!("user@host:{}", "1".repeat(300)).into(), "docroot/lock"),
        ] {
            symlink(to, top.join(link)).expect("linked");
        }
        let site = Site { root: root.clone(), ..Site::default() };
        for (path, inside) in [
            ("docroot/plain/x/y", vec!["plain/x/y"]),
            ("link/b", vec!["sites/b"]),
            ("link/../elsewhere", vec!["elsewhere"]),
            ("docroot", vec![""]),
            ("docroot/../docroot/plain", vec!["plain"]),
            // As it is written, by the real path of the public files, and behind links in the docroot.
            ("docroot/sites/default/files/bk", vec!["sites/default/files/bk"]),
            ("link/default/files/bk", vec!["sites/default/files/bk"]),
            ("rf/bk", vec!["sites/default/files/bk"]),
            ("dl/x", vec!["dl/x"]),
            ("docroot/dl/x", vec!["dl/x"]),
            ("not-yet/x", vec!["dangling/x"]),
            ("docroot/sites/default/deep/unseen/x", vec!["sites/default/deep/unseen/x", "dl/hidden/x"]),
            ("dl/in-public/x", vec!["dl/in-public/x", "sites/default/files/more/x"]),
            ("conf/x", vec!["sites/example.org/x"]),
            ("one-file", vec!["one-file"]),
        ] {
            let (_, found) = standing(top, &site, path).expect(path);
            assert_eq!(found, inside, "{path}");
        }
        for path in ["docroot-2/b", "docroot/../rf-2", "", "elsewhere", "one-file-2"] {
            assert_eq!(standing(top, &site, path), None, "{path}");
        }
        // Public files without an address that is known, and those that lie in the docroot as they are written.
        let at = |public: PathBuf| Site { root: root.clone(), public_path: Some(public), ..Site::default() };
        let (lies, found) = standing(top, &at(top.join("conf-2")), "conf-2/x").expect("public");
        assert!(lies.contains("public files") && found.is_empty(), "{lies} {found:?}");
        let (_, found) = standing(top, &at(top.join("dl/p")), "dl/p/x").expect("public");
        assert_eq!(found, ["dl/p/x"]);
        let (_, found) =
            standing(top, &at("sites/default/deep/unseen".into()), "dl/hidden/x").expect("public");
        assert_eq!(found, ["sites/default/deep/unseen/x", "dl/hidden/x"]);
        assert_eq!(standing(top, &Site::default(), "docroot/x"), None);
    }

    #[test]
    fn what_is_above_a_link_is_not_asked_for_it() {
        let address = Address { inside: "sites/dl/x/y".into(), own: 2 };
        assert_eq!(address.above(0), Some(Path::new("sites/dl/x/y")));
        assert_eq!(address.above(2), Some(Path::new("sites/dl")));
        assert_eq!(address.above(3), None);
    }
}
