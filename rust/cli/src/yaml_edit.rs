//! Adding an entry to a section of a bam.yml that somebody wrote, without touching anything else in it: no YAML library
//! keeps comments and layout.

/// The text with `name: entry` in `section`, a map at the top level; `None` where the section is written on one line.
pub fn with_entry(text: &str, section: &str, name: &str, entry: &str) -> Option<String> {
    // What some editors put in front of UTF-8 is no part of the first line.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines: Vec<&str> = text.lines().collect();
    let start = format!("{section}:");
    let Some(at) = lines.iter().position(|line| line.starts_with(&start)) else {
        // A document in one pair of braces has no section of its own line either.
        if text.trim_start().starts_with('{') && text.trim() != "{}" {
            return None;
        }
        let before = if text.trim() == "{}" { "" } else { text.trim_end() };
        let gap = if before.is_empty() { "" } else { "\n" };
        return Some(format!("{before}{gap}{start}\n  {name}: {entry}\n"));
    };
    let rest = lines.get(at)?.get(start.len()..)?.trim();
    if rest == "{}" {
        *lines.get_mut(at)? = &start;
    } else if !rest.is_empty() && !rest.starts_with('#') {
        return None;
    }
    // Indented as its neighbours are, behind the last of them.
    let body = lines.get(at + 1..)?;
    let inside = |line: &&&str| line.starts_with(' ') || line.trim().is_empty() || line.starts_with('#');
    let length = body.iter().take_while(inside).count();
    let is_entry =
        |line: &&str| line.starts_with(' ') && !line.trim_start().starts_with('#') && !line.trim().is_empty();
    let last = body.iter().take(length).rposition(is_entry).map_or(0, |last| last + 1);
    let indent = body
        .iter()
        .take(length)
        .find(|line| is_entry(line))
        .map_or(2, |line| line.len() - line.trim_start().len());
    let new = format!("{}{name}: {entry}", " ".repeat(indent));
    lines.insert(at + 1 + last, &new);
    Some(lines.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::with_entry;

    fn edited(text: &str) -> Option<String> {
        with_entry(text, "destinations", "off", "{ type: sftp }")
    }

    #[test]
    fn the_rest_stays_as_it_is() {
        let text = "# mine\nsite: { root: /w }\n\ndestinations:   # where to\n    manual:\n        type: directory\n\n\
                    # when\nschedules: {}\n";
        let wanted = text.replace("directory\n", "directory\n    off: { type: sftp }\n");
        assert_eq!(edited(text), Some(wanted));
    }

    #[test]
    fn a_section_that_is_not_there_is_made() {
        assert_eq!(edited("site: {}\n").as_deref(), Some("site: {}\ndestinations:\n  off: { type: sftp }\n"));
        assert_eq!(edited("{}\n").as_deref(), Some("destinations:\n  off: { type: sftp }\n"));
        assert_eq!(edited("destinations: {}\n").as_deref(), Some("destinations:\n  off: { type: sftp }\n"));
    }

    #[test]
    fn what_is_written_on_one_line_is_left_alone() {
        assert_eq!(edited("destinations: { manual: { type: directory } }\n"), None);
        assert_eq!(edited("{ \"destinations\": {} }\n"), None);
    }
}
