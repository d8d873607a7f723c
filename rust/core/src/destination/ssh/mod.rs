//! Reaching an SSH server, whatever is then done there: where it is (`location`), whether it is the one that it should be
//! (`host_key`, `known_hosts`), the connection (`server`), who we are (`login`), what ends a wait for it (`watch`), trying again (`retry`), and
//! not waiting again for one that was silent (`silence`). `openssh` is the ssh program, as another way to a server
//! that was checked already.

pub(super) mod host_key;
pub(crate) mod known_hosts;
pub(crate) mod location;
mod login;
pub(super) mod openssh;
pub(super) mod retry;
pub(super) mod server;
pub(super) mod silence;
mod watch;
