//! The names that were probably meant, where somebody names a path that a backup does not hold.

use crate::archive::show;

/// How many are told.
const TOLD: usize = 3;

/// Looks for them among all paths of a backup, in bounded memory.
pub struct Suggestions {
    wanted: Vec<u8>,
    /// By distance, the nearest first.
    found: Vec<(usize, Vec<u8>)>,
}

impl Suggestions {
    /// For a path as it was asked for.
    pub fn to(wanted: Vec<u8>) -> Suggestions {
        let end = wanted.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
        Suggestions { wanted: wanted.get(..end).unwrap_or_default().to_vec(), found: Vec::new() }
    }

    /// One of the backup's paths, in the same form.
    pub fn offer(&mut self, path: &[u8]) {
        let ((folder, name), (their_folder, their_name)) = (split(&self.wanted), split(path));
        // Misspelt, or looked for in another folder; a folder's own name may be misspelt, too.
        let distance = match (folder == their_folder, name == their_name) {
            (true, _) => between(name, their_name),
            (false, true) => between(folder, their_folder).or(Some(4)),
            (false, false) => None,
        };
        // Of a name of one letter every other one is near, and the folder itself is no slip.
        let Some(distance) = distance.filter(|_| path != b".") else { return };
        let at = self.found.partition_point(|(other, _)| *other <= distance);
        if at < TOLD {
            self.found.insert(at, (distance, path.to_vec()));
            self.found.truncate(TOLD);
        }
    }

    /// What to do: a hint.
    pub fn hint(&self) -> String {
        let names: Vec<String> = self.found.iter().map(|(_, path)| show(path)).collect();
        match names.as_slice() {
            [] => "`bam ls ID` lists what it holds".into(),
            names => format!("did you mean {}? `bam ls ID` lists what it holds", names.join(" or ")),
        }
    }
}

/// How many letters differ, where that is few enough for a slip.
fn between(a: &[u8], b: &[u8]) -> Option<usize> {
    let most = 1 + a.len() / 3;
    if a.len().abs_diff(b.len()) > most {
        return None;
    }
    let distance = strsim::generic_damerau_levenshtein(a, b);
    (distance <= most).then_some(distance)
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (path.get(..slash).unwrap_or_default(), path.get(slash + 1..).unwrap_or_default()),
        None => (b"", path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_strangers_are_not() {
        let mut near = Suggestions::to(b"sites/default/files/lgoo.png/".to_vec());
        for path in ["sites/default/files/logo.png", "sites/default/files/x", "themes/lgoo.png", "index.php"]
        {
            near.offer(path.as_bytes());
        }
        assert_eq!(
            near.hint(),
            "did you mean sites/default/files/logo.png or themes/lgoo.png? `bam ls ID` lists what it holds"
        );
        assert_eq!(Suggestions::to(b"x".to_vec()).hint(), "`bam ls ID` lists what it holds");
    }
}
