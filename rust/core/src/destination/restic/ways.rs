//! How restic gets to the repositories of a call: by SSH with host keys that are proven, and with their credentials.

use super::access::Access;
use crate::destination::ssh::openssh::{HOST, OTHER_HOST, Settings};
use crate::destination::ssh::server::Server;
use crate::{Cancel, Code, Error, Fact, Result};
use std::ffi::OsString;
use std::path::PathBuf;

/// How restic reaches the repositories of a call by SSH.
#[derive(Default)]
pub(super) struct Ways {
    /// Where it keeps ssh's settings, which vanish with this.
    settings: Option<Settings>,
    /// Whether two servers are told apart by their names.
    two: bool,
}

impl Ways {
    /// To the repository, and to the one that is copied from: the key of each server is checked by our own rules first, and
    /// ssh takes no other for it.
    pub fn to(access: &Access, from: Option<&Access>, cancel: &Cancel) -> Result<Ways> {
        let here = (HOST, access);
        let of_other = |from| (if access.server.is_some() { OTHER_HOST } else { HOST }, from);
        let mut met: Vec<(&str, &Server, Vec<u8>)> = Vec::new();
        for (name, access) in [Some(here), from.map(of_other)].into_iter().flatten() {
            if let Some(server) = &access.server {
                server.attend(cancel.clone());
                let key = server
                    .looking()
                    .meet()
                    .map_err(|trouble| trouble.error.within(Fact::Destination, &access.id))?;
                met.push((name, server, key.key.clone()));
            }
        }
        if met.is_empty() {
            return Ok(Ways::default());
        }
        let servers: Vec<_> =
            met.iter().map(|(name, server, key)| (*name, *server, key.as_slice())).collect();
        Ok(Ways { settings: Some(Settings::of_servers(&servers)?), two: servers.len() > 1 })
    }

    /// The address that is copied from: of two servers the other's.
    pub fn address_of_other(&self, from: &Access) -> Vec<u8> {
        match (self.two, &from.server) {
            (true, Some(server)) => format!("sftp:{OTHER_HOST}:{}", server.location.path).into_bytes(),
            _ => from.repository.expose().to_vec(),
        }
    }

    /// restic's option for one server: it starts this command, whichever it means.
    pub fn option(&self) -> Result<Option<String>> {
        match &self.settings {
            Some(settings) if !self.two => {
                Ok(Some(format!("sftp.command={} {HOST} -s sftp", settings.shell()?)))
            }
            _ => Ok(None),
        }
    }

    /// For two servers: a folder with an `ssh` that restic has to find before the other.
    pub fn folder(&self) -> Result<Option<PathBuf>> {
        match &self.settings {
            Some(settings) if self.two => settings.program().map(Some),
            _ => Ok(None),
        }
    }
}

/// The credentials of both repositories: restic has one environment for both.
pub(super) fn credentials(access: &Access, from: Option<&Access>) -> Result<Vec<(String, OsString)>> {
    let mut all = access.credentials()?;
    let Some(from) = from else { return Ok(all) };
    for (name, value) in from.credentials()? {
        match all.iter().find(|(known, _)| *known == name) {
            None => all.push((name, value)),
            Some((_, known)) if *known == value => {}
            Some(_) => {
                let text = format!(
                    "restic cannot copy from {} to {}: they want different values of {name}, and it takes one for both",
                    from.id, access.id
                );
                return Err(Error::new(Code::Unsupported, text)
                    .hint("use one set of credentials that may do both, or back up to both"));
            }
        }
    }
    Ok(all)
}
