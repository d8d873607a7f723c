//! Paths of members of an archive, and of what they lie below: bytes, with `/` between the names and none in front.

/// What is left of `path` below `folder`: nothing for the folder itself.
pub fn below<'p>(path: &'p [u8], folder: &[u8]) -> Option<&'p [u8]> {
    match path.strip_prefix(folder)? {
        b"" => Some(b""),
        rest if folder.is_empty() => Some(rest),
        rest => rest.strip_prefix(b"/"),
    }
}

/// `rest` below `folder`.
pub fn join(folder: &[u8], rest: &[u8]) -> Vec<u8> {
    match (folder, rest) {
        (folder, b"") => folder.to_vec(),
        (b"", rest) => rest.to_vec(),
        (folder, rest) => [folder, b"/", rest].concat(),
    }
}
