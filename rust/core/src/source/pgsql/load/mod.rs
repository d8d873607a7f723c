//! Loading a dump: the `splitter` takes it apart, and `script` says what of it `psql` is given.

pub(super) mod script;
pub(super) mod splitter;
