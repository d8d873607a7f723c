//! What the fuzzers of `rust/fuzz` do with their inputs. There only for them, and for the test that nothing of what they
//! found comes back.
//!
//! Each function takes what a stranger could have written and checks what must hold whatever that is.

mod dumps;
mod files;
mod kept;
mod words;

/// What is done with an input.
type Check = fn(&[u8]);

/// By the name of the target, which is that of its folder of seeds.
pub const TARGETS: &[(&str, Check)] = &[
    ("answers", kept::answers),
    ("archive", files::archive),
    ("container", files::container),
    ("decompress", files::decompress),
    ("document", |data| text(data, words::document)),
    ("extract", files::extract),
    ("index", files::index),
    ("kept", kept::kept),
    ("mask", |data| text(data, words::mask)),
    ("mysql", dumps::mysql),
    ("names", |data| text(data, words::names)),
    ("pattern", |data| text(data, words::pattern)),
    ("pgsql", dumps::pgsql),
    ("php", words::php),
    ("sidecar", |data| text(data, words::sidecar)),
    ("sqlite", dumps::sqlite),
    ("ssh", |data| text(data, words::ssh)),
];

/// One of them.
pub fn run(target: &str, data: &[u8]) {
    let (_, check) = TARGETS.iter().find(|(name, _)| *name == target).expect("a target of this name");
    check(data);
}

fn text(data: &[u8], check: impl FnOnce(&str)) {
    if let Ok(text) = std::str::from_utf8(data) {
        check(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    #[test]
    fn what_was_found_does_not_come_back() {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds");
        for (name, check) in TARGETS {
            let files: Vec<_> = fs::read_dir(seeds.join(name)).expect("seeds").collect();
            assert!(!files.is_empty(), "{name}");
            for file in files {
                check(&fs::read(file.expect("a seed").path()).expect("its bytes"));
            }
        }
    }
}
