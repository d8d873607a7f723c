//! Whether a server is the one it should be: its key against `host_key` or the known ones.

use super::known_hosts::{self, KnownHosts, Verdict};
use super::retry::Trouble;
use super::server::{Met, Server};
use crate::config::document;
use crate::destination::address::{is_address, setting};
use crate::{Code, Error, Result};
use serde::Serialize;
use std::path::PathBuf;

/// Kinds of host keys in the order in which they are asked for, with the signatures that go with them.
const KEY_TYPES: [(&str, &str); 5] = [
    ("ssh-ed25519", "ssh-ed25519"),
    ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256"),
    ("ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384"),
    ("ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521"),
    ("ssh-rsa", "rsa-sha2-512,rsa-sha2-256"),
];

/// The signatures to ask for, those of the kinds in `first` before the others.
fn wanted(first: &[&str]) -> String {
    let (mut known, rest): (Vec<_>, Vec<_>) =
        KEY_TYPES.iter().partition(|(key_type, _)| first.contains(key_type));
    known.extend(rest);
    known.iter().map(|(_, signatures)| *signatures).collect::<Vec<_>>().join(",")
}

impl Server {
    /// Connects as far as the host key, and refuses a server whose key is not the right one.
    pub fn meet(&self) -> Result<Met, Trouble> {
        let (met, verdict) = self.look()?;
        match self.refusal(&verdict, &met.key) {
            Some(error) => Err(error.into()),
            None => Ok(met),
        }
    }

    /// Connects as far as the host key, and looks it up.
    fn look(&self) -> Result<(Met, Verdict), Trouble> {
        if let Some(pin) = &self.pin {
            return Ok((self.meet_pinned(pin)?, Verdict::Known));
        }
        let known = KnownHosts::load(&self.known_hosts)?;
        let (host, port) = (&self.location.host, self.location.port);
        let met = self.handshake(&wanted(&known.key_types(host, port)))?;
        let verdict = known.check(host, port, &met.key);
        Ok((met, verdict))
    }

    /// A server may have several keys: asks for each kind until the pinned one comes.
    fn meet_pinned(&self, pin: &str) -> Result<Met, Trouble> {
        let mut seen = Vec::new();
        let every = wanted(&[]);
        for wanted in std::iter::once(every.as_str()).chain(KEY_TYPES.map(|(_, signatures)| signatures)) {
            match self.handshake(wanted) {
                Ok(met) => {
                    let shown = known_hosts::fingerprint(&met.key);
                    if shown == pin {
                        return Ok(met);
                    }
                    if !seen.contains(&shown) {
                        seen.push(shown);
                    }
                }
                // The server has no key of that kind.
                Err(trouble) if !trouble.broken && !seen.is_empty() => {}
                Err(trouble) => return Err(trouble),
            }
        }
        Err(Error::new(
            Code::Destination,
            format!(
                "{} IS NOT THE SERVER IT SHOULD BE: its host key is {}, but host_key asks for {pin}; nothing was \
                 sent to it",
                self.host(),
                seen.join(" or "),
            ),
        )
        .hint(format!(
            "ask the server's administrator whether the key was changed; if so, correct {}, if not, someone is \
             posing as the server",
            setting(&self.id, "host_key")
        ))
        .into())
    }

    /// Why a key with this verdict is refused.
    fn refusal(&self, verdict: &Verdict, key: &[u8]) -> Option<Error> {
        let (host, id) = (self.host(), &self.id);
        let shown = format!("{} {}", known_hosts::key_type(key), known_hosts::fingerprint(key));
        match verdict {
            Verdict::Known => None,
            Verdict::Unknown => {
                let file = self.known_hosts.first().map(|file| file.display().to_string());
                Some(
                    Error::new(
                        Code::Destination,
                        format!("the server {host} is unknown; its host key is {shown}; nothing was sent to it"),
                    )
                    .hint(format!(
                        "compare the fingerprint with the server's own (ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub \
                         there), then {}; or add this line to {}: {}",
                        match is_address(id) {
                            true => format!("say --host-key {}", known_hosts::fingerprint(key)),
                            false => format!("run `bam destination trust {id}`"),
                        },
                        file.unwrap_or_default(),
                        known_hosts::line(&self.location.host, self.location.port, key)
                    )),
                )
            }
            Verdict::Changed { file, line } => Some(
                Error::new(
                    Code::Destination,
                    format!(
                        "THE HOST KEY OF {host} HAS CHANGED: it is now {shown}, but line {line} of {} knows \
                         another; nothing was sent to it",
                        file.display()
                    ),
                )
                .hint(format!(
                    "ask the server's administrator whether the key was changed; if so, remove the old one with \
                     ssh-keygen -R '{host}' -f '{}' and run this again; if not, someone is posing as the server",
                    file.display()
                )),
            ),
            Verdict::Revoked { file, line } => Some(Error::new(
                Code::Destination,
                format!(
                    "the host key of {host}, {shown}, is marked as revoked in line {line} of {}; nothing was sent",
                    file.display()
                ),
            )),
        }
    }
}

/// A server's key, shown to a person who decides whether it is the right one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostKey {
    /// `host` or `[host]:port`.
    pub host: String,
    /// `ssh-ed25519` ….
    pub key_type: String,
    /// `SHA256:…`, as `ssh-keygen -l` prints it.
    pub fingerprint: String,
    /// The line for the file of known hosts.
    pub line: String,
    /// The file that [`HostKey::remember`] adds it to.
    pub known_hosts: PathBuf,
    /// Already known, or pinned by `host_key`: there is nothing to remember.
    pub known: bool,
    /// Why it must not simply be remembered: another key is known for this host, or this one is revoked.
    pub warning: Option<String>,
}

impl HostKey {
    /// Adds the key to the known ones. Refuses while another key is known for the host.
    pub fn remember(&self) -> Result<()> {
        match &self.warning {
            Some(warning) => Err(Error::new(Code::Destination, warning.clone())),
            None if self.known => Ok(()),
            None => known_hosts::append(&self.known_hosts, &self.line),
        }
    }
}

/// Asks a destination's server for its key, without logging in. `None` where there is no ssh.
pub fn host_key(id: &str, config: &document::Destination) -> Result<Option<HostKey>> {
    if config.kind == document::DestinationType::Restic {
        let access = crate::destination::restic::server_of(id, config)?;
        return access.as_ref().map(told).transpose();
    }
    if !matches!(config.kind, document::DestinationType::Sftp | document::DestinationType::Rsync) {
        return Ok(None);
    }
    told(&Server::from_config(id, config)?).map(Some)
}

fn told(server: &Server) -> Result<HostKey> {
    let (met, verdict) = server.look()?;
    let warning = match verdict {
        Verdict::Known | Verdict::Unknown => None,
        _ => server.refusal(&verdict, &met.key).map(|error| error.to_string()),
    };
    Ok(HostKey {
        host: server.host(),
        key_type: known_hosts::key_type(&met.key).to_owned(),
        fingerprint: known_hosts::fingerprint(&met.key),
        line: known_hosts::line(&server.location.host, server.location.port, &met.key),
        known_hosts: server.known_hosts.first().cloned().unwrap_or_default(),
        known: verdict == Verdict::Known,
        warning,
    })
}
