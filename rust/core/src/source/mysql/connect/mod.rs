//! Connections to the server, and what the user may do there: through the vendors' own clients (`client`,
//! `client_session`) or by the server's protocol, through the crate `mysql` (`wire`, `wire_session`), for servers on this
//! machine. A `session` asks by whichever of the two works. `lenience` is what strict servers let us off; `privileges` says what
//! the user lacks, `rights` what a dump may lack for it.

pub(super) mod child_guard;
pub(super) mod client;
pub(super) mod client_session;
pub(super) mod lenience;
pub(super) mod privileges;
pub(crate) mod rights;
pub(super) mod session;
mod values;
pub(super) mod wire;
mod wire_session;
