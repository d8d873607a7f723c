//! A destination whose failures say which one it is, as data: whoever implements a kind need not think of it.

use super::{Destination, Existing, Follow, Listed, Marks, Snapshots, Stat, Upload, Which};
use crate::{Cancel, Error, Fact, Monitor, Note, Result, Told};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;

/// A destination that adds its name to every error.
pub(super) struct Named<D>(pub(super) D);

impl<D: Destination> Named<D> {
    fn name<T>(&self, done: Result<T>) -> Result<T> {
        done.with(Fact::Destination, self.0.id())
    }

    fn reader(&self, inner: Box<dyn Read + Send>) -> Box<dyn Read + Send> {
        Box::new(Stream { inner, destination: self.0.id().to_owned() })
    }
}

impl<D: Destination> Destination for Named<D> {
    fn id(&self) -> &str {
        self.0.id()
    }

    fn host(&self) -> String {
        self.0.host()
    }

    fn folder(&self) -> String {
        self.0.folder()
    }

    fn login(&self) -> String {
        self.0.login()
    }

    fn which(&self) -> Which {
        self.0.which()
    }

    fn marks(&self) -> Option<&dyn Marks> {
        self.0.marks()
    }

    fn describe(&self) -> String {
        self.0.describe()
    }

    fn attend(&self, job: &Cancel) {
        self.0.attend(job);
    }

    fn remember_silence(&self, file: PathBuf) {
        self.0.remember_silence(file);
    }

    fn snapshots(&self) -> Option<&dyn Snapshots> {
        self.0.snapshots()
    }

    fn is_there(&self) -> Result<bool> {
        self.name(self.0.is_there())
    }

    fn try_out(&self) -> Result<()> {
        self.name(self.0.try_out())
    }

    fn prepare(&self, monitor: &Monitor) -> Result<()> {
        self.name(self.0.prepare(monitor))
    }

    fn clean_parts(&self, keep: &dyn Fn(&str) -> bool) -> Result<Vec<String>> {
        self.name(self.0.clean_parts(keep))
    }

    fn free_space(&self) -> Result<Option<u64>> {
        self.name(self.0.free_space())
    }

    fn look(&self, found: &mut dyn FnMut(Listed), told: &mut Vec<Note>) -> Result<()> {
        self.name(self.0.look(found, told))
    }

    fn list(&self) -> Result<Vec<Listed>> {
        self.name(self.0.list())
    }

    fn stat(&self, name: &str) -> Result<Option<Stat>> {
        self.name(self.0.stat(name))
    }

    fn sidecar(&self, name: &str) -> Result<Option<String>> {
        self.name(self.0.sidecar(name))
    }

    fn open(&self, name: &str) -> Result<Box<dyn Read + Send>> {
        self.name(self.0.open(name)).map(|inner| self.reader(inner))
    }

    fn open_at(&self, name: &str, offset: u64) -> Result<Option<Box<dyn Read + Send>>> {
        Ok(self.name(self.0.open_at(name, offset))?.map(|inner| self.reader(inner)))
    }

    fn read_range(&self, name: &str, offset: u64, length: usize) -> Result<Option<Vec<u8>>> {
        self.name(self.0.read_range(name, offset, length))
    }

    fn local_path(&self, name: &str) -> Option<PathBuf> {
        self.0.local_path(name)
    }

    fn guards(&self) -> bool {
        self.0.guards()
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.name(self.0.remove(name))
    }

    fn remove_all(&self, names: &[&str], told: &mut dyn FnMut(&str, Result<()>) -> Result<()>) -> Result<()> {
        self.0.remove_all(names, &mut |name, done| told(name, self.name(done)))
    }

    fn write_sidecar(&self, name: &str, text: &str) -> Result<()> {
        self.name(self.0.write_sidecar(name, text))
    }

    fn pushes(&self) -> bool {
        self.0.pushes()
    }

    fn begin(&self, name: &str, existing: Existing) -> Result<Box<dyn Upload>> {
        let inner = self.name(self.0.begin(name, existing))?;
        Ok(Box::new(Stream { inner, destination: self.0.id().to_owned() }))
    }

    fn follow(
        &self,
        name: &str,
        existing: Existing,
        file: &Follow,
        sidecar: &dyn Fn() -> Result<String>,
        monitor: &Monitor,
    ) -> Result<()> {
        self.name(self.0.follow(name, existing, file, sidecar, monitor))
    }

    fn sha256(&self, name: &str, monitor: &Monitor) -> Result<Option<[u8; 32]>> {
        self.name(self.0.sha256(name, monitor))
    }
}

/// What is being read or written there.
struct Stream<S> {
    inner: S,
    destination: String,
}

impl<S> Stream<S> {
    fn name<T>(&self, done: io::Result<T>) -> io::Result<T> {
        // The kind tells callers what to do next: an interruption is no failure.
        done.map_err(|cause| match cause.kind() {
            io::ErrorKind::Other => Error::from(cause).with(Fact::Destination, &self.destination).into(),
            _ => cause,
        })
    }
}

impl<S: Read> Read for Stream<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let done = self.inner.read(buf);
        self.name(done)
    }
}

impl<S: Write> Write for Stream<S> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let done = self.inner.write(buf);
        self.name(done)
    }

    fn flush(&mut self) -> io::Result<()> {
        let done = self.inner.flush();
        self.name(done)
    }
}

impl Upload for Stream<Box<dyn Upload>> {
    fn reader(&self) -> Result<File> {
        self.inner.reader().with(Fact::Destination, &self.destination)
    }

    fn commit(self: Box<Self>, sidecar: &str) -> Result<()> {
        self.inner.commit(sidecar).with(Fact::Destination, self.destination)
    }
}
