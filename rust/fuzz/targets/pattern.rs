//! Exclude patterns: recorded in a sidecar, they mean what they meant.
#![no_main]

use bam::source::pattern::Patterns;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Some((path, lines)) = text.split_once('\n') else { return };
    let mut patterns = Patterns::default();
    for line in lines.lines().take(8) {
        let _ = patterns.add(line, "docroot");
    }
    let recorded: Vec<String> = patterns.lines().map(str::to_owned).collect();
    let again = Patterns::of(&recorded);
    for is_folder in [false, true] {
        assert_eq!(
            again.exclude(path.as_bytes(), is_folder),
            patterns.exclude(path.as_bytes(), is_folder),
            "{recorded:?}"
        );
    }
});
