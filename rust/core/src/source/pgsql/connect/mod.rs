//! Connections to the server, all through PostgreSQL's own clients (`client`), and what the role may do there (`rights`).
//! A `session` asks; `database` makes and removes whole databases.

pub(super) mod client;
pub(super) mod database;
pub(super) mod rights;
pub(super) mod session;
