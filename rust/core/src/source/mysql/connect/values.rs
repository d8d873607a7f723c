//! Names and values as SQL writes them, and rows as the server answers.

/// One row of an answer. SQL's NULL comes as the text `NULL`: ask with `IFNULL` where it matters.
pub(crate) type Row = Vec<Vec<u8>>;

/// Text from the server; it answers in UTF-8.
pub(crate) fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// A name as SQL writes it.
pub(crate) fn quote(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A string as SQL writes it.
pub(crate) fn string(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "''"))
}
