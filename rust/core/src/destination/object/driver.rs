//! What requests run on: one thread, which may be refused as any other. tokio's own threads panic where the system has none
//! left, so tokio starts none here: not for its runtime, nor for names of hosts, nor for files.

use crate::{Result, threads};
use reqsign_aws_v4::{Credential, ProfileCredentialProvider};
use reqsign_core::{Context, FileRead, ProvideCredential};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{SocketAddr, ToSocketAddrs};
use std::thread::JoinHandle;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// Sends requests until it is dropped.
pub(super) struct Driver {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Driver {
    /// Errors as [`threads::spawn`].
    pub fn start() -> Result<Driver> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let thread = threads::spawn("bam-object", move || {
            // That the sender is gone says the same.
            let _ = runtime.block_on(stopped);
        })?;
        Ok(Driver { handle, stop: Some(stop), thread: Some(thread) })
    }

    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Asks the system for the addresses of a host.
pub(super) struct Names;

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            // Nobody waits for it once the request is given up: the system may take minutes.
            threads::spawn("bam-host-name", move || {
                let found = (name.as_str(), 0).to_socket_addrs();
                let _ = answer.send(found.map(Iterator::collect::<Vec<SocketAddr>>));
            })?;
            Ok(Box::new(answered.await??.into_iter()) as Addrs)
        })
    }
}

/// Keys from the files of AWS' tools.
#[derive(Debug)]
pub(super) struct Profile(pub ProfileCredentialProvider);

impl ProvideCredential for Profile {
    type Credential = Credential;

    async fn provide_credential(&self, context: &Context) -> reqsign_core::Result<Option<Credential>> {
        self.0.provide_credential(&context.clone().with_file_read(Files)).await
    }
}

#[derive(Debug)]
struct Files;

impl FileRead for Files {
    async fn file_read(&self, path: &str) -> reqsign_core::Result<Vec<u8>> {
        std::fs::read(path)
            .map_err(|cause| reqsign_core::Error::config_invalid("cannot read the keys").with_source(cause))
    }
}
