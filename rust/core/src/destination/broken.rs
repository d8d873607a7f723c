//! A destination whose settings do not make one: a password file that we may not read, say. It fails at whatever it is
//! asked for, so that the others go on without it.

use super::{Destination, Existing, Follow, Listed, Stat};
use crate::config::document::{self, DestinationType};
use crate::{Error, Monitor, Note, Result};
use std::io::Read;

/// A destination that cannot be used, and why.
pub struct Broken {
    id: String,
    kind: DestinationType,
    why: Error,
}

impl Broken {
    /// The destination `id`, which could not be opened.
    pub fn new(id: &str, config: &document::Destination, why: Error) -> Broken {
        Broken { id: id.to_owned(), kind: config.kind, why }
    }

    /// Why it cannot be used.
    pub fn why(&self) -> Error {
        self.why.again()
    }
}

impl Destination for Broken {
    fn id(&self) -> &str {
        &self.id
    }

    fn host(&self) -> String {
        self.id.clone()
    }

    fn folder(&self) -> String {
        self.id.clone()
    }

    fn describe(&self) -> String {
        format!("destination {}", self.id)
    }

    fn is_there(&self) -> Result<bool> {
        Err(self.why())
    }

    fn try_out(&self) -> Result<()> {
        Err(self.why())
    }

    fn prepare(&self, _monitor: &Monitor) -> Result<()> {
        Err(self.why())
    }

    fn clean_parts(&self, _keep: &dyn Fn(&str) -> bool) -> Result<Vec<String>> {
        Err(self.why())
    }

    fn free_space(&self) -> Result<Option<u64>> {
        Err(self.why())
    }

    fn look(&self, _found: &mut dyn FnMut(Listed), _told: &mut Vec<Note>) -> Result<()> {
        Err(self.why())
    }

    fn stat(&self, _name: &str) -> Result<Option<Stat>> {
        Err(self.why())
    }

    fn sidecar(&self, _name: &str) -> Result<Option<String>> {
        Err(self.why())
    }

    fn open(&self, _name: &str) -> Result<Box<dyn Read + Send>> {
        Err(self.why())
    }

    fn remove(&self, _name: &str) -> Result<()> {
        Err(self.why())
    }

    fn write_sidecar(&self, _name: &str, _text: &str) -> Result<()> {
        Err(self.why())
    }

    fn pushes(&self) -> bool {
        self.kind == DestinationType::Directory
    }

    fn follow(
        &self,
        _name: &str,
        _existing: Existing,
        _file: &Follow,
        _sidecar: &dyn Fn() -> Result<String>,
        _monitor: &Monitor,
    ) -> Result<()> {
        Err(self.why())
    }

    fn sha256(&self, _name: &str, _monitor: &Monitor) -> Result<Option<[u8; 32]>> {
        Err(self.why())
    }
}
