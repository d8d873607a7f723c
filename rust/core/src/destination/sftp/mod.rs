//! A folder on an SSH server, by the SFTP protocol.
//!
//! `folder` has the small operations, and the orders in which names change; `upload` brings a file there, from where the
//! server's part ends: in `stripes`, over several `channels` or through the ssh `program`, whichever is faster;
//! meanwhile `digest` hashes it over there. `glance` has names alone, for a repository; `which` says which folder it is.

mod channels;
mod digest;
pub(crate) mod folder;
mod glance;
mod program;
mod stripes;
pub(super) mod upload;
mod which;

use self::folder::Folder;
use self::upload::{resume_point, send};
use super::lease::Held;
use super::names::{self, check_name};
use super::ssh::retry::{Backoff, Patience, Trouble};
use super::ssh::server::Server;
use super::ssh::silence::{HURRIED, Silence};
use super::{Destination, Existing, Follow, Listed, Marks, Stat, Which, missing, taken};
use crate::config::document;
use crate::{Cancel, Code, Error, Monitor, Note, NoteKind, Result};
use ssh2::OpenFlags;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes asked for at once when reading; libssh2 keeps several times that on its way.
const READ: usize = 1 << 20;

/// Brings a part up to date from a number of bytes, says how many the server confirmed, where it knows (also after
/// a failure), and returns the part's SHA-256, where the server has told it meanwhile.
pub(crate) type Transfer<'a> =
    dyn Fn(&Folder, u64, &mut Option<u64>) -> Result<Option<[u8; 32]>, Trouble> + 'a;

/// A folder on an SSH server.
pub struct Sftp {
    pub(crate) server: Server,
    mode: u32,
    /// A connection that is free for the next request.
    idle: Mutex<Option<Folder>>,
    /// Why the server does not take us: asking again would not change that, and may get us locked out.
    refused: Mutex<Option<Error>>,
    /// Whether it did not answer lately.
    silence: Silence,
}

impl Sftp {
    /// The folder as configured. Connects at the first request.
    pub fn from_config(id: &str, config: &document::Destination) -> Result<Self> {
        let mode = super::directory::mode_of(id, config)?.map_or(0o600, |mode| mode.as_raw_mode());
        Ok(Sftp::new(Server::from_config(id, config)?, mode))
    }

    fn new(server: Server, mode: u32) -> Self {
        let (idle, refused) = (Mutex::new(None), Mutex::new(None));
        Sftp { server, mode, idle, refused, silence: Silence::default() }
    }

    /// The same with other waits than the usual.
    #[must_use]
    pub fn with_patience(mut self, patience: Patience) -> Self {
        self.server.patience = patience;
        self
    }

    fn connect(&self) -> Result<Folder, Trouble> {
        self.connect_to(self.server.clone())
    }

    fn connect_to(&self, server: Server) -> Result<Folder, Trouble> {
        if let Some(error) = &*self.refused() {
            return Err(error.again().into());
        }
        match server.connect() {
            Ok(connection) => {
                self.silence.is_over();
                Ok(Folder { connection, server, mode: self.mode })
            }
            Err(trouble) if trouble.broken => {
                let hurried = server.patience.timeout < self.server.patience.looking().timeout;
                Err(Trouble { error: self.silence.goes_on(trouble.error, hurried), broken: true })
            }
            Err(trouble) => {
                if trouble.error.code() != Code::Cancelled {
                    *self.refused() = Some(trouble.error.again());
                }
                Err(trouble)
            }
        }
    }

    fn idle(&self) -> MutexGuard<'_, Option<Folder>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refused(&self) -> MutexGuard<'_, Option<Error>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs requests on the idle connection or a new one; an idle one that turns out to be dead is replaced once.
    fn with<T>(&self, requests: impl Fn(&Folder) -> Result<T, Trouble>) -> Result<T> {
        Ok(self.with_server(&self.server, requests)?)
    }

    /// The same where nothing is to be done but looking: not for long.
    fn looking<T>(&self, requests: impl FnMut(&Folder) -> Result<T, Trouble>) -> Result<T> {
        Ok(self.with_server(&self.hurried(), requests)?)
    }

    /// The server, to have a look at: not for long where it did not answer lately.
    fn hurried(&self) -> Server {
        let mut server = self.server.looking();
        if self.silence.is_fresh() {
            server.patience.timeout = server.patience.timeout.min(HURRIED);
        }
        server
    }

    fn with_server<T>(
        &self,
        server: &Server,
        mut requests: impl FnMut(&Folder) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let idle = self.idle().take();
        if let Some(folder) = idle {
            match requests(&folder) {
                Err(trouble) if trouble.broken => folder.connection.cut(),
                result => return self.keep(folder, result),
            }
        }
        let folder = self.connect_to(server.clone())?;
        let result = requests(&folder);
        self.keep(folder, result)
    }

    /// Keeps the connection for the next request, unless it is broken.
    fn keep<T>(&self, folder: Folder, result: Result<T, Trouble>) -> Result<T, Trouble> {
        match result {
            Err(ref trouble) if trouble.broken || trouble.error.code() == Code::Cancelled => {
                folder.connection.cut();
            }
            _ => *self.idle() = Some(folder),
        }
        result
    }

    /// Fails where an upload under this name would be refused, as far as can be seen now.
    pub(crate) fn refuse_taken(&self, name: &str) -> Result<()> {
        self.with(|folder| match folder.stat_backup(name)? {
            Some(_) => Err(taken(name, &folder.place()).into()),
            None => folder.refuse_claimed(name).map(drop),
        })
    }

    /// Uploads with as many connections as it takes.
    pub(crate) fn follow_by(
        &self,
        name: &str,
        existing: Existing,
        file: &Follow,
        sidecar: &dyn Fn() -> Result<String>,
        monitor: &Monitor,
        transfer: &Transfer<'_>,
    ) -> Result<()> {
        check_name(name)?;
        self.server.attend(monitor.flag());
        let mut upload = Uploading {
            held: Held::new(),
            claims: 0,
            claimed: false,
            name,
            existing,
            file,
            sidecar,
            monitor,
            acked: None,
            reached: 0,
            appearing: false,
            mismatched: false,
        };
        let mut backoff = Backoff::new(self.server.patience);
        loop {
            let before = upload.reached;
            let folder = match self.connect() {
                Ok(folder) => folder,
                Err(trouble) if trouble.broken => {
                    backoff.wait(trouble.error, &monitor.flag())?;
                    continue;
                }
                Err(trouble) => return Err(trouble.error),
            };
            match upload.attempt(&folder, transfer) {
                Ok(()) => return Ok(self.keep(folder, Ok(()))?),
                Err(trouble) if trouble.broken => {
                    folder.connection.cut();
                    if upload.reached > before {
                        backoff.progress();
                    }
                    monitor.note(NoteKind::Info, format!("{}; trying again", trouble.error.message()));
                    backoff.wait(trouble.error, &monitor.flag())?;
                }
                Err(trouble) => {
                    // A part of a file that is whole here can be resumed; anything else is rubble, if it is ours.
                    let resumable = trouble.error.code() == Code::Cancelled && file.is_finished();
                    if resumable || upload.appearing || !upload.claimed {
                        return Ok(self.keep(folder, Err(trouble))?);
                    }
                    // The old connection may still be busy with what was refused, and be shut by a cancelled job.
                    folder.connection.cut();
                    self.server.attend(Cancel::default());
                    let Ok(folder) = self.connect_to(self.server.looking()) else {
                        return Err(trouble.error);
                    };
                    let _ = folder.remove(&names::sidecar_part(name));
                    let _ = folder.remove(&names::part(name));
                    let _ = folder.remove(&names::lease(name));
                    return Ok(self.keep(folder, Err(trouble))?);
                }
            }
        }
    }
}

/// One upload over all its attempts.
struct Uploading<'a> {
    held: Held,
    /// How often the lease was asked for, and whether we have it.
    claims: u32,
    claimed: bool,
    name: &'a str,
    existing: Existing,
    file: &'a Follow,
    sidecar: &'a dyn Fn() -> Result<String>,
    monitor: &'a Monitor,
    /// What the server confirmed in the attempt before; `None` where we do not know.
    acked: Option<u64>,
    /// The furthest that any attempt got.
    reached: u64,
    /// The part was whole and started to change its name.
    appearing: bool,
    /// The server's digest was once not ours.
    mismatched: bool,
}

impl Uploading<'_> {
    fn attempt(&mut self, folder: &Folder, transfer: &Transfer<'_>) -> Result<(), Trouble> {
        let name = self.name;
        let there = folder.stat_backup(name)?;
        if self.appearing && there.is_some() && folder.stat(&names::part(name))?.is_none() {
            // What it replaces may still be there under its other name.
            folder.finish_replacing(name)?;
            return folder.remove(&names::lease(name)).map(drop);
        }
        if there.is_some() && self.existing == Existing::Keep {
            return Err(taken(name, &folder.place()).into());
        }
        self.claims += 1;
        folder.claim(name, &self.held, self.claims > 1)?;
        self.claimed = true;
        self.file.begun();
        if self.existing == Existing::Replace {
            folder.finish_replacing(name)?;
        }
        loop {
            let offset = resume_point(folder, name, self.file, self.acked, self.monitor)?;
            let mut acked = None;
            let sent = transfer(folder, offset, &mut acked);
            self.acked = acked;
            self.reached = self.reached.max(offset).max(acked.unwrap_or(0));
            let along = sent?;
            let part = names::part(name);
            let ours = || self.file.sha256(self.monitor);
            // One that differs is not believed before all is read again.
            let theirs = match along {
                Some(theirs) if theirs == ours()? => along,
                _ => folder.sha256(&part, self.monitor)?,
            };
            match theirs {
                Some(theirs) if theirs != ours()? => {
                    folder.remove(&part)?;
                    self.acked = Some(0);
                    if std::mem::replace(&mut self.mismatched, true) {
                        return Err(Error::new(
                            Code::Integrity,
                            format!("{}: what arrived is not what was sent, twice", folder.place()),
                        )
                        .hint("check the server's disk and memory")
                        .into());
                    }
                }
                _ => break,
            }
        }
        let sidecar = (self.sidecar)()?;
        let size = self.file.finished_size().unwrap_or_default();
        self.appearing = true;
        folder.appear(name, self.existing, size, &sidecar)?;
        folder.remove(&names::lease(name)).map(drop)
    }
}

impl Sftp {
    /// Reads a backup from there on.
    fn reading(&self, name: &str, offset: u64) -> Result<Reading> {
        check_name(name)?;
        let Some(stat) = self.stat(name)? else { return Err(missing(name, &self.describe())) };
        Ok(Reading {
            from: Sftp::new(self.server.clone(), self.mode),
            short: false,
            name: name.to_owned(),
            size: stat.size,
            offset,
            open: None,
            buffer: Vec::new(),
            taken: 0,
        })
    }
}

impl Destination for Sftp {
    fn id(&self) -> &str {
        &self.server.id
    }

    fn host(&self) -> String {
        self.server.location.machine()
    }

    fn folder(&self) -> String {
        self.server.location.folder()
    }

    fn login(&self) -> String {
        self.server.location.user.clone().unwrap_or_default()
    }

    fn which(&self) -> Which {
        let named = || Which::Name(self.host(), self.login(), self.folder());
        self.which_as_told().unwrap_or_else(named)
    }

    fn marks(&self) -> Option<&dyn Marks> {
        Some(self)
    }

    fn describe(&self) -> String {
        self.server.location.describe("sftp")
    }

    fn attend(&self, job: &Cancel) {
        self.server.attend(job.clone());
    }

    fn remember_silence(&self, file: PathBuf) {
        self.silence.remember_in(file);
    }

    fn is_there(&self) -> Result<bool> {
        self.with(Folder::is_made)
    }

    fn try_out(&self) -> Result<()> {
        self.with(Folder::try_out)
    }

    fn prepare(&self, monitor: &Monitor) -> Result<()> {
        self.server.attend(monitor.flag());
        self.with(|folder| {
            folder.make()?;
            folder.free_space().map(drop)
        })
    }

    fn clean_parts(&self, keep: &dyn Fn(&str) -> bool) -> Result<Vec<String>> {
        self.with(|folder| folder.clean(keep))
    }

    fn free_space(&self) -> Result<Option<u64>> {
        self.with(Folder::free_space)
    }

    fn look(&self, found: &mut dyn FnMut(Listed), told: &mut Vec<Note>) -> Result<()> {
        let mut last = None;
        self.looking(|folder| folder.look(&mut last, found, told))
    }

    fn stat(&self, name: &str) -> Result<Option<Stat>> {
        self.looking(|folder| folder.stat_backup(name))
    }

    fn sidecar(&self, name: &str) -> Result<Option<String>> {
        self.looking(|folder| folder.sidecar(name))
    }

    fn open(&self, name: &str) -> Result<Box<dyn Read + Send>> {
        Ok(Box::new(self.reading(name, 0)?))
    }

    fn open_at(&self, name: &str, offset: u64) -> Result<Option<Box<dyn Read + Send>>> {
        Ok(Some(Box::new(self.reading(name, offset)?)))
    }

    fn read_range(&self, name: &str, offset: u64, length: usize) -> Result<Option<Vec<u8>>> {
        check_name(name)?;
        self.with(|folder| folder.read_range(name, offset, length)).map(Some)
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.with(|folder| folder.remove_backup(name))
    }

    fn write_sidecar(&self, name: &str, text: &str) -> Result<()> {
        self.with(|folder| folder.write_sidecar(name, text))
    }

    fn follow(
        &self,
        name: &str,
        existing: Existing,
        file: &Follow,
        sidecar: &dyn Fn() -> Result<String>,
        monitor: &Monitor,
    ) -> Result<()> {
        let transfer = |folder: &Folder, offset: u64, acked: &mut Option<u64>| {
            send(folder, name, file, offset, acked, monitor)
        };
        self.follow_by(name, existing, file, sidecar, monitor, &transfer)
    }

    fn sha256(&self, name: &str, monitor: &Monitor) -> Result<Option<[u8; 32]>> {
        self.with(|folder| {
            if folder.stat_backup(name)?.is_none() {
                return Err(missing(name, &folder.place()).into());
            }
            folder.sha256(name, monitor)
        })
    }
}

/// A backup that is being read, over as many connections as it takes.
struct Reading {
    from: Sftp,
    name: String,
    size: u64,
    /// Bytes read from the server.
    offset: u64,
    // The file before its connection: dropped in this order.
    open: Option<(ssh2::File, Folder)>,
    buffer: Vec<u8>,
    /// The server answers with less than it is asked for.
    short: bool,
    /// Bytes of the buffer that were handed on.
    taken: usize,
}

impl Reading {
    fn fill(&mut self) -> Result<usize, Trouble> {
        if self.open.is_none() {
            let folder = self.from.connect()?;
            let mut file = folder.open(&self.name, OpenFlags::READ)?;
            file.seek(SeekFrom::Start(self.offset))
                .map_err(|cause| folder.io_trouble("cannot read", &folder.path(&self.name), &cause))?;
            self.open = Some((file, folder));
        }
        let Some((file, folder)) = &mut self.open else { return Ok(0) };
        self.buffer.resize(READ, 0);
        let path = folder.path(&self.name);
        let _allowed = folder.connection.watch.at_most(folder.server.patience.longer());
        folder.read_some(file, &path, &mut self.buffer, self.offset, &mut self.short)
    }
}

impl Read for Reading {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.buffer.len() {
            self.taken = 0;
            let (mut backoff, job) = (Backoff::new(self.from.server.patience), self.from.server.job());
            let read = loop {
                match self.fill() {
                    Ok(read) => break read,
                    Err(trouble) => {
                        self.buffer.clear();
                        if let Some((file, folder)) = self.open.take() {
                            folder.connection.cut();
                            drop((file, folder));
                        }
                        if !trouble.broken {
                            return Err(trouble.error.into());
                        }
                        backoff.wait(trouble.error, &job)?;
                    }
                }
            };
            self.buffer.truncate(read);
            self.offset += read as u64;
            if read == 0 && self.offset < self.size {
                let what = format!("{}/{} ends early", self.from.describe(), self.name);
                return Err(Error::new(Code::Destination, what).into());
            }
        }
        let ready = self.buffer.get(self.taken..).unwrap_or_default();
        let length = ready.len().min(out.len());
        if let (Some(to), Some(from)) = (out.get_mut(..length), ready.get(..length)) {
            to.copy_from_slice(from);
        }
        self.taken += length;
        Ok(length)
    }
}
