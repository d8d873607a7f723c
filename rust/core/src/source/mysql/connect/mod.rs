//! Connections to the server, and what the user may do there: through the vendors' own clients (`client`, `console` for
//! a conversation), or straight, through the crate `mysql` (`wire`, `straight`), for servers on this machine. A `session`
//! asks by whichever of the two works. `privileges` says what the user lacks, `rights` what a dump may lack for it.

pub(super) mod client;
pub(super) mod console;
pub(super) mod privileges;
pub(super) mod rights;
pub(super) mod session;
mod straight;
pub(super) mod wire;
