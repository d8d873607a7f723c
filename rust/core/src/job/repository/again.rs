//! What stands at more than one place in an archive: folders of a site that lead to one place, as its public and its private
//! files may. A snapshot has it once, where it really lies.

use super::{About, plain};
use crate::job::member_path::{below, join};
use crate::source::outline::{Link, Outline};
use std::collections::{BTreeMap, BTreeSet};

/// A folder or file of the snapshot that stands at a further place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Again {
    /// Its real path.
    pub real: Vec<u8>,
    /// Its path in the archive.
    pub at: Vec<u8>,
    /// Real paths in it that are not there.
    pub without: Vec<Vec<u8>>,
}

impl Again {
    /// Where a real path stands as well.
    fn place_of(&self, path: &[u8]) -> Option<Vec<u8>> {
        let rest = below(path, &self.real)?;
        let is_there = !self.without.iter().any(|without| below(path, without).is_some());
        is_there.then(|| join(&self.at, rest))
    }
}

/// What stands at further places in a backup that does not say so, as up to 0.3.0: of what has a place in another place, or the
/// same one, that which is no link there.
pub fn of_old(places: &[(Vec<u8>, Vec<u8>)], links: &[Link]) -> Vec<Again> {
    let links: BTreeSet<&[u8]> = links.iter().map(|link| link.path.as_slice()).collect();
    let mut found: Vec<Again> = Vec::new();
    let mut outer_first: Vec<_> = places.iter().enumerate().collect();
    outer_first.sort_by_key(|(_, (real, _))| real.len());
    for (number, (real, usual)) in outer_first {
        for (other, (around, its)) in places.iter().enumerate() {
            let Some(rest) = below(real, around).filter(|_| other != number) else { continue };
            let at = join(its, rest);
            // Of places that are one the last has the content.
            let is_usual = at == *usual || around == real && other > number;
            let is_known = || found.iter().any(|known| known.place_of(real).as_ref() == Some(&at));
            if !is_usual && !links.contains(at.as_slice()) && !is_known() {
                found.push(Again { real: real.clone(), at, without: Vec::new() });
            }
        }
    }
    found
}

/// What several trees of one backup have to be saved for, and where they meet.
#[derive(Debug, Default)]
pub struct Meeting {
    /// Real paths that none of them wants.
    pub left_out: Vec<Vec<u8>>,
    /// What stands at further places.
    pub again: Vec<Again>,
    /// Real paths that are saved for another tree than that which has the place around them.
    pub only_again: Vec<Vec<u8>>,
}

/// A tree by its real paths.
struct Tree<'a> {
    places: BTreeMap<&'a [u8], &'a [u8]>,
    left_out: BTreeSet<&'a [u8]>,
}

/// A path and those above it, the nearest first.
fn upwards(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut next = Some(path);
    std::iter::from_fn(move || {
        let path = next?;
        next = match path.iter().rposition(|byte| *byte == b'/') {
            Some(0) if path.len() > 1 => path.get(..1),
            Some(slash) if slash > 0 => path.get(..slash),
            _ => None,
        };
        Some(path)
    })
}

impl<'a> Tree<'a> {
    fn of(outline: &'a Outline) -> Self {
        Tree {
            places: outline.places.iter().map(|(real, at)| (real.as_slice(), at.as_slice())).collect(),
            left_out: outline.left_out.iter().map(Vec::as_slice).collect(),
        }
    }

    /// The innermost of its places that a real path lies in.
    fn place(&self, path: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        upwards(path).find_map(|above| self.places.get_key_value(above)).map(|(real, at)| (*real, *at))
    }

    /// Where a real path stands, unless this tree leaves it out.
    fn stands(&self, path: &'a [u8]) -> Option<Vec<u8>> {
        let (real, at) = self.place(path)?;
        let wanted =
            !upwards(path).take_while(|above| *above != real).any(|above| self.left_out.contains(above));
        wanted.then(|| join(at, below(path, real).unwrap_or_default()))
    }
}

impl Meeting {
    /// Finds it for trees whose places `about` has, in this order.
    pub fn of(outlines: &[Outline], about: &About) -> Meeting {
        let trees: Vec<Tree<'_>> = outlines.iter().map(Tree::of).collect();
        let mut meeting = Meeting::default();
        let mut kept: Vec<&[u8]> = Vec::new();
        for (number, tree) in trees.iter().enumerate() {
            for path in &tree.left_out {
                let mut others = trees.iter().enumerate().filter(|(other, _)| *other != number);
                match others.any(|(_, other)| other.stands(path).is_some()) {
                    true => kept.push(path),
                    false => meeting.left_out.push(path.to_vec()),
                }
            }
        }
        for (number, tree) in trees.iter().enumerate() {
            let others = trees.iter().enumerate().filter(|(other, _)| *other != number);
            // Each comes before what lies in it.
            let theirs: BTreeSet<&[u8]> =
                others.flat_map(|(_, other)| other.places.keys().copied()).collect();
            let mut found: Vec<(&[u8], Again)> = Vec::new();
            for real in theirs {
                let (Some((around, _)), Some(at)) = (tree.place(real), tree.stands(real)) else { continue };
                let is_known =
                    found.iter().any(|(its, known)| *its == around && below(real, &known.real).is_some());
                let usual = about.place_around(plain(real)).map(|(_, place)| place);
                if is_known || usual.as_ref() == Some(&at) {
                    continue;
                }
                let own = tree.places.keys().copied().filter(|place| *place != real);
                let not_here = kept.iter().copied().filter(|path| tree.left_out.contains(path));
                let without = own.chain(not_here).filter(|path| below(path, real).is_some());
                let without = without.map(<[u8]>::to_vec).collect();
                found.push((around, Again { real: real.to_vec(), at, without }));
            }
            meeting.again.extend(found.into_iter().map(|(_, again)| again));
            // What this tree leaves out stands nowhere by the place that is around it, where that is this tree's.
            let own = |path: &&&[u8]| {
                let innermost =
                    trees.iter().filter_map(|tree| tree.place(path)).max_by_key(|(real, _)| real.len());
                tree.left_out.contains(**path)
                    && innermost.is_some_and(|(real, at)| tree.places.get(real) == Some(&at))
            };
            meeting.only_again.extend(kept.iter().filter(own).map(|path| path.to_vec()));
        }
        meeting.left_out.sort();
        meeting.left_out.dedup();
        meeting.only_again.sort();
        meeting.only_again.dedup();
        meeting
    }
}

impl About {
    /// All places in the archive of a member of the snapshot.
    pub fn places_of(&self, path: &[u8]) -> Vec<Vec<u8>> {
        let usual = self.place_around(path);
        if self.again.is_empty() {
            return usual.into_iter().map(|(_, place)| place).collect();
        }
        let real = [b"/", path].concat();
        let only_again = |around: &[u8]| {
            let mut all = self.only_again.iter();
            all.any(|only| below(&real, only).is_some() && below(around, only).is_none())
        };
        let usual = usual.filter(|(around, _)| !only_again(around)).map(|(_, place)| place);
        usual.into_iter().chain(self.again.iter().filter_map(|again| again.place_of(&real))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline(places: &[(&str, &str)], left_out: &[&str]) -> Outline {
        let bytes = |text: &str| text.as_bytes().to_vec();
        Outline {
            places: places.iter().map(|(real, at)| (bytes(real), bytes(at))).collect(),
            left_out: left_out.iter().map(|path| bytes(path)).collect(),
            ..Outline::default()
        }
    }

    /// What is left out, and the places of these paths, in the order of the alphabet.
    fn met(outlines: &[Outline], paths: &[&str]) -> (Vec<String>, Vec<Vec<String>>) {
        let text = |path: &Vec<u8>| String::from_utf8_lossy(path).into_owned();
        let places = outlines.iter().flat_map(|outline| outline.places.iter().cloned()).collect();
        let mut about = About { places, ..About::default() };
        let meeting = Meeting::of(outlines, &about);
        (about.again, about.only_again) = (meeting.again, meeting.only_again);
        let places = paths.iter().map(|path| {
            let mut places: Vec<String> = about.places_of(path.as_bytes()).iter().map(text).collect();
            places.sort();
            places
        });
        (meeting.left_out.iter().map(text).collect(), places.collect())
    }

    #[test]
    fn what_two_trees_lead_to_stands_in_both() {
        let two = [
            outline(&[("/s", "a"), ("/d", "a/l")], &["/s/l"]),
            outline(&[("/p", "b"), ("/d", "b/k")], &["/p/k"]),
        ];
        let (left_out, places) = met(&two, &["d", "d/x", "s/x", "p/x", "q"]);
        assert_eq!(left_out, ["/p/k", "/s/l"]);
        assert_eq!(places, [vec!["a/l", "b/k"], vec!["a/l/x", "b/k/x"], vec!["a/x"], vec!["b/x"], vec![]]);
    }

    #[test]
    fn what_lies_in_what_another_leads_to_stands_in_both() {
        for (one, other) in [("/d/sub", "/d"), ("/d", "/d/sub")] {
            let two =
                [outline(&[("/s", "a"), (one, "a/l")], &[]), outline(&[("/p", "b"), (other, "b/k")], &[])];
            let (_, places) = met(&two, &["d/sub/y", "d/x"]);
            let mut places = places.into_iter();
            let (deep, flat) = if one == "/d" {
                (["a/l/sub/y", "b/k/y"], "a/l/x")
            } else {
                (["a/l/y", "b/k/sub/y"], "b/k/x")
            };
            assert_eq!(places.next().as_deref(), Some(&deep.map(str::to_owned)[..]));
            assert_eq!(places.next().as_deref(), Some(&[flat.to_owned()][..]));
        }
        // A folder of the one that the other leads to.
        let two = [outline(&[("/s", "a"), ("/p/in", "a/l")], &["/s/l"]), outline(&[("/p", "b")], &[])];
        assert_eq!(met(&two, &["p/in/x"]).1, [["a/l/x", "b/in/x"]]);
    }

    #[test]
    fn what_one_leaves_out_and_the_other_wants_is_saved_for_that_one() {
        // The way of the first one leads there, and it may not read all of it.
        let two = [
            outline(&[("/s", "a"), ("/p/in", "a/l")], &["/p/in/no", "/s/l"]),
            outline(&[("/p", "b")], &["/p/out"]),
        ];
        let (left_out, places) = met(&two, &["p/in/no", "p/in/no/x", "p/in/x", "p/y"]);
        assert_eq!(left_out, ["/p/out", "/s/l"]);
        assert_eq!(places, [vec!["b/in/no"], vec!["b/in/no/x"], vec!["a/l/x", "b/in/x"], vec!["b/y"]]);
        let two =
            [outline(&[("/p", "b")], &["/p/in/no"]), outline(&[("/s", "a"), ("/p/in", "a/l")], &["/s/l"])];
        let (left_out, places) = met(&two, &["p/in/no/x", "p/in/x"]);
        assert_eq!(left_out, ["/s/l"]);
        assert_eq!(places, [vec!["a/l/no/x"], vec!["a/l/x", "b/in/x"]]);
    }

    #[test]
    fn of_what_does_not_say_it_is_found_out() {
        let bytes = |text: &str| text.as_bytes().to_vec();
        let places = [
            ("/s", "docroot"),
            ("/d", "docroot/f/k"),
            ("/p/in", "docroot/f/l"),
            ("/p", "private"),
            ("/d", "private/l"),
            ("/d/s", "private/s"),
        ];
        let places = places.map(|(real, at)| (bytes(real), bytes(at)));
        let link = Link {
            path: bytes("private/l/s"),
            target: bytes("../s"),
            hard: false,
            mode: 0,
            uid: 0,
            gid: 0,
            mtime: 0,
        };
        let found = of_old(&places, &[link]);
        let found: Vec<_> = found.iter().map(|one| (one.real.as_slice(), one.at.as_slice())).collect();
        let expected: [(&[u8], &[u8]); 2] = [(b"/d", b"docroot/f/k"), (b"/p/in", b"private/in")];
        assert_eq!(found, expected);
    }

    #[test]
    fn one_place_by_two_trees_is_one() {
        let two = [outline(&[("/s", "a"), ("/d", "a/f")], &["/s/f"]), outline(&[("/d", "a/f")], &[])];
        assert_eq!(met(&two, &["d/x"]), (vec!["/s/f".to_owned()], vec![vec!["a/f/x".to_owned()]]));
    }
}
