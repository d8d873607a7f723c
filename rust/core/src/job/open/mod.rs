//! Opening a backup: bring it to this machine, prove that it is what was written, then decode it.
//!
//! Nothing is decrypted before the MAC is checked, and nothing is changed before all of this is done. Restoring, verifying, rekeying and drilling all begin here; `decrypt` and `look` are for whoever wants
//! the file, or single members of it, and no restore. `share` reads a part of what lies in a repository, `tables` a part of a dump. `suggestions` finds the names that were probably meant.

pub(super) mod decrypt;
pub mod look;
mod share;
mod streams;
pub(super) mod suggestions;
mod tables;

use self::streams::{Named, peek};
pub use self::tables::DumpShare;
use super::index::{Clear, Index, Parts};
use super::keys::{self, Fit};
use super::local::{BLOCK, Local, read_prefix};
use super::lock;
use super::made::Made;
use super::pipe::on_a_thread;
use super::trust::{self, Demand};
use crate::archive::{Input, Layout, Reader, Survey, show};
use crate::catalog::{FileName, Kind, Sidecar, key};
use crate::compress::{self, detect::What};
use crate::config::{Document, Driver};
use crate::destination::{Destination, Follow};
use crate::encrypt::{self, aes_module, age, enc, kdf};
use crate::monitor::Meter;
use crate::source::database;
use crate::{Code, Error, Fact, Monitor, NoteKind, Phase, Result, Told};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

/// A backup that is proven, or that the user takes as it is.
pub struct Opened {
    local: Local,
    how: Decryption,
    name: Option<FileName>,
    authentic: bool,
    /// By which only parts of it are read.
    index: Option<Arc<Index>>,
    /// Counts what is read of it.
    meter: Meter,
}

enum Decryption {
    Enc(kdf::Keys),
    AesModule(aes_module::Settings),
    Age(age::Identities),
    None,
}

impl Local {
    /// Proves the bytes against the sidecar: size, SHA-256, and the MAC by the site's key. What has none is refused where
    /// the site has a key ([`trust`]), unless the user takes it as it is; what is still possible then is done by
    /// [`Opened::survey`].
    pub fn prove(self, document: &Document, unauthenticated: bool, monitor: &Monitor) -> Result<Opened> {
        self.open(document, Demand::unless(unauthenticated), monitor)
    }

    /// The same for what is only looked at: where the site's other backups are proven and this one is not, that is said.
    pub fn show(self, document: &Document, unauthenticated: bool, monitor: &Monitor) -> Result<Opened> {
        self.open(document, if unauthenticated { Demand::Nothing } else { Demand::Say }, monitor)
    }

    /// Proves it as [`Local::prove`] does, as far as that takes no decrypting: to hand it on. A machine without any key
    /// proves no more than its SHA-256.
    pub fn trusted(mut self, document: &Document, monitor: &Monitor) -> Result<Local> {
        self.must_be_a_file()?;
        let is_bare = self.sidecar.as_ref().and_then(|s| s.digest(key::SHA256)).is_none();
        if is_bare && !Made::of(document).was_sealed(&self.name) || keys::Ring::of(document).is_keyless() {
            return self.checked_of(document, monitor);
        }
        self.settle(document, Demand::Proof, monitor)?;
        Ok(self)
    }

    /// The same for a copy that is taken away: a file of somebody else's goes along where there is no key, or when the
    /// user takes it as it is.
    pub fn exportable(
        mut self,
        document: &Document,
        unauthenticated: bool,
        monitor: &Monitor,
    ) -> Result<Local> {
        self.must_be_a_file()?;
        // What is ours takes a key to be proven, and only that.
        if self.encryption()? == encrypt::Kind::Enc && keys::Ring::of(document).is_keyless() {
            return match self.sidecar.as_ref().and_then(|s| s.digest(key::SHA256)) {
                Some(_) => self.checked_of(document, monitor),
                None => Ok(self),
            };
        }
        self.settle(document, Demand::unless(unauthenticated), monitor)?;
        Ok(self)
    }

    fn open(mut self, document: &Document, demand: Demand, monitor: &Monitor) -> Result<Opened> {
        let parsed = FileName::parse(&self.name);
        if self.parts.is_none() {
            // Once to be checked, once to be decoded.
            let size = self.file.metadata().map_err(|e| self.failed(e))?.len();
            monitor.expect(size.saturating_mul(2));
        }
        let (encryption, keys) = self.settle(document, demand, monitor)?;
        let authentic = keys.is_some() || self.kept.is_some();
        let how = match (encryption, keys) {
            (encrypt::Kind::Enc, Some(keys)) => Decryption::Enc(keys),
            (encrypt::Kind::Enc, None) => Decryption::Enc(self.guess_keys(document, monitor)?),
            (encrypt::Kind::AesModule, _) => {
                if !authentic {
                    monitor.note(
                        NoteKind::Warning,
                        "the aes module's encryption has no MAC: nobody can tell whether this backup was changed on purpose",
                    );
                }
                Decryption::AesModule(keys::aes_settings(document)?)
            }
            (encrypt::Kind::Age, _) => self.find_identity(document)?,
            (encrypt::Kind::None, _) => Decryption::None,
        };
        let meter = monitor.meter();
        let index = match self.parts.clone() {
            Some(parts) => {
                let index = self.load_index(parts, &how, document, monitor);
                Some(index.inspect_err(|error| self.remember(document, error, monitor))?)
            }
            None => None,
        };
        Ok(Opened { local: self, how, name: parsed, authentic, index, meter })
    }

    /// The index, once the sidecar is as proven as it can be.
    fn load_index(
        &self,
        parts: Parts,
        how: &Decryption,
        document: &Document,
        monitor: &Monitor,
    ) -> Result<Arc<Index>> {
        let meter = monitor.meter();
        let clear = match how {
            Decryption::Enc(keys) => Clear::enc(parts, keys.clone(), meter),
            Decryption::None => Clear::plain(parts, meter),
            Decryption::Age(identities) => Clear::age(parts, identities, meter)?
                .ok_or_else(|| Error::new(Code::Key, "the age identity is gone"))?,
            Decryption::AesModule(_) => return Err(no_parts()),
        };
        Index::load(clear, &lock::state_dir(document)?, monitor).map(Arc::new)
    }

    /// Everything that takes no decrypting: how it is encrypted, and the keys that its MAC proves to be its own.
    fn settle(
        &mut self,
        document: &Document,
        demand: Demand,
        monitor: &Monitor,
    ) -> Result<(encrypt::Kind, Option<kdf::Keys>)> {
        monitor.phase(Phase::Verifying);
        let encryption = self.encryption()?;
        let checked = match self.sidecar.as_ref().and_then(|s| s.digest(key::SHA256)) {
            // Each part is compared when it is read.
            Some(_) if self.parts.is_some() => self.check_size().map(drop),
            Some(expected) => self.check_hash(&expected, monitor),
            None => Ok(()),
        };
        checked.inspect_err(|error| self.remember(document, error, monitor))?;
        let container = match encryption {
            encrypt::Kind::Enc => {
                let first = self.first()?;
                Some(enc::read_salt(&mut first.as_slice()).within(Fact::Backup, &self.name)?)
            }
            _ => None,
        };
        trust::settle(document, self, encryption, container, demand, monitor).map(|keys| (encryption, keys))
    }

    /// The keys of a container that nothing proves.
    fn guess_keys(&mut self, document: &Document, monitor: &Monitor) -> Result<kdf::Keys> {
        if self.parts.is_some() {
            return Err(no_parts());
        }
        let id = self.sidecar.as_ref().and_then(|s| s.get(key::KEY_ID)).and_then(encrypt::KeyId::parse);
        self.file.rewind().map_err(|e| self.failed(e))?;
        let salt = enc::read_salt(&mut self.file).within(Fact::Backup, &self.name)?;
        let name = self.name.clone();
        let guessed = keys::Ring::of(document).open(&name, id, monitor, |passphrase| {
            monitor.check()?;
            match self.guess(document, passphrase)? {
                Some(kdf) => Ok(Fit::Yes(kdf.derive(passphrase, salt)?)),
                None => {
                    let error = Error::new(
                        Code::Integrity,
                        format!("{name} does not open: the key is wrong or the file is damaged"),
                    );
                    Ok(Fit::Perhaps(error.hint(
                        "check the key and, where there is no sidecar, --iterations; if they are right, use another \
                         copy of this backup",
                    )))
                }
            }
        });
        guessed?
    }

    /// age has no MAC that a stranger could not make: what the sidecar's SHA-256 proves was proven before.
    fn find_identity(&mut self, document: &Document) -> Result<Decryption> {
        let recipients = self.sidecar.as_ref().map(|s| s.list(key::RECIPIENTS)).unwrap_or_default();
        let recipients: Vec<String> =
            recipients.into_iter().filter_map(|r| String::from_utf8(r).ok()).collect();
        let (name, parts, file) = (self.name.clone(), self.parts.clone(), &mut self.file);
        let opens = |identities: &age::Identities| {
            if let Some(parts) = &parts {
                return Ok(Clear::age(parts.clone(), identities, Meter::default())?.is_some());
            }
            file.rewind()?;
            Ok(age::AgeReader::new(io::BufReader::new(file), identities)
                .within(Fact::Backup, &name)?
                .is_some())
        };
        keys::Ring::of(document).identities(&name, &recipients, opens).map(Decryption::Age)
    }

    /// Which derivation a container without a sidecar was made with.
    fn guess(&mut self, document: &Document, passphrase: &encrypt::Passphrase) -> Result<Option<kdf::Kdf>> {
        let mut prefix = [0; 1024];
        let got = read_prefix(&mut self.file, &mut prefix).map_err(|e| self.failed(e))?;
        let own = kdf::Kdf::ours(document.encryption.iterations.unwrap_or(kdf::DEFAULT_ITERATIONS));
        let mut candidates = vec![own, kdf::Kdf::ours(kdf::DEFAULT_ITERATIONS)];
        candidates.dedup();
        candidates.extend(kdf::Kdf::OPENSSL_DEFAULTS);
        let known = |plain: &[u8]| compress::detect::what(plain) != compress::detect::What::Unknown;
        enc::guess(prefix.get(..got).unwrap_or_default(), passphrase, &candidates, known)
    }
}

/// That something needs all of a backup of which there are only parts.
fn no_parts() -> Error {
    Error::new(Code::Internal, "this backup is read in parts")
}

impl Opened {
    /// The decrypted bytes, on a thread of their own.
    pub fn decrypted(&self) -> Result<Box<dyn Read + Send>> {
        if let Some(kept) = &self.local.kept {
            return self.metered(kept.stream()?);
        }
        if self.index.is_some() {
            return Err(no_parts());
        }
        let mut file = self.local.file.try_clone().map_err(|e| self.local.failed(e))?;
        file.seek(SeekFrom::Start(0)).map_err(|e| self.local.failed(e))?;
        let file = Named { file, place: self.local.place.clone(), meter: self.meter.clone() };
        Ok(match &self.how {
            Decryption::Enc(keys) => Box::new(on_a_thread(Box::new(enc::EncReader::with_keys(file, keys)?))?),
            Decryption::AesModule(settings) => Box::new(aes_module::AesModuleReader::new(file, settings)),
            Decryption::Age(identities) => {
                let file = io::BufReader::with_capacity(BLOCK, file);
                let reader = age::AgeReader::new(file, identities).within(Fact::Backup, &self.local.name)?;
                let reader = reader.ok_or_else(|| Error::new(Code::Key, "the age identity is gone"))?;
                Box::new(on_a_thread(Box::new(reader))?)
            }
            Decryption::None => Box::new(file),
        })
    }

    /// The plain bytes: decrypted and decompressed on threads of their own.
    pub fn decode(&self) -> Result<Box<dyn Read + Send>> {
        if let Some(index) = &self.index {
            let dump = self.kind().is_some_and(Kind::is_database);
            return Ok(Box::new(if dump { index.dump() } else { index.tar()? }));
        }
        let (compressed, what) = peek(self.decrypted()?)?;
        let promised = self.name.as_ref().map_or(compress::Kind::None, |name| name.compression);
        let kind = compress::Kind::detect_as(what);
        self.refuse_unread(what)?;
        if kind == compress::Kind::None && promised != kind {
            return Err(self.not_as_named(what));
        }
        let (plain, what) = peek(compress::reader(kind, compressed, 0)?)?;
        self.refuse_unread(what)?;
        if kind == compress::Kind::Zip
            && self.name.is_none()
            && !matches!(what, What::Tar | What::Sql | What::Sqlite)
        {
            return Err(Error::new(
                Code::Unsupported,
                format!(
                    "{} is a zip archive of files; bam reads a zip that holds one backup",
                    self.local.name
                ),
            )
            .hint("unpack it and make a tar: `unzip FILE -d FOLDER; tar czf files.tar.gz -C FOLDER .`"));
        }
        let kind = self.kind();
        if what == What::Empty && kind.is_some_and(|kind| kind.is_database() && kind != Kind::Sqlite) {
            let text = format!("{} is an empty file: there is no statement in it", self.local.name);
            return Err(Error::new(Code::Integrity, text).hint("use another copy or an older backup"));
        }
        let fits = match kind {
            Some(Kind::Tar | Kind::SiteArchive) => matches!(what, What::Tar | What::Empty),
            Some(Kind::Sqlite) => what == What::Sqlite,
            Some(Kind::Mysql | Kind::Pgsql | Kind::Sql) => {
                matches!(what, What::Sql | What::Text)
            }
            None => what != What::Unknown,
        };
        if fits { Ok(plain) } else { Err(self.not_as_named(what)) }
    }

    /// The members of an archive; where it has an index, contents that nobody reads are not fetched.
    pub fn members(&self) -> Result<Reader<Box<dyn Input>>> {
        match &self.index {
            Some(index) => index.members(),
            None => Ok(Reader::of(Box::new(self.decode()?))),
        }
    }

    /// Whether only parts of it are read, of which each is compared with what was written when it is: nothing shows the
    /// rest.
    pub fn is_in_parts(&self) -> bool {
        self.index.is_some()
    }

    /// What bam does not read is named for what it is: it is not damaged.
    fn refuse_unread(&self, what: What) -> Result<()> {
        let Some(command) = what.unpacked_by() else { return Ok(()) };
        Err(Error::new(
            Code::Unsupported,
            format!("{} is {}, which bam does not read", self.local.name, what.describe()),
        )
        .hint(format!("unpack it first: `{command} {}`", self.local.name)))
    }

    fn not_as_named(&self, what: What) -> Error {
        let error = Error::new(
            Code::Integrity,
            format!("{} is not what its name says: inside is {}", self.local.name, what.describe()),
        );
        error.hint(match self.how {
            Decryption::None => "look at the file, or use another copy of this backup",
            _ => "the key is wrong or the file is damaged; check the key, or use another copy",
        })
    }

    /// What the name promises.
    pub fn kind(&self) -> Option<Kind> {
        self.name.as_ref().map(|name| name.kind)
    }

    /// The destination that it was brought from.
    pub(super) fn from(&self) -> Option<&Arc<dyn Destination>> {
        self.local.from.as_ref()
    }

    /// Whether a MAC proved it: only who has the key can have made it.
    pub fn is_authentic(&self) -> bool {
        self.authentic
    }

    /// Whether reading it takes a key.
    pub fn is_encrypted(&self) -> bool {
        !matches!(self.how, Decryption::None)
    }

    /// SHA-256 of the file: what the sidecar says was proven, else it is computed.
    pub fn sha256(&self, monitor: &Monitor) -> Result<[u8; 32]> {
        if let Some(kept) = &self.local.kept {
            return Ok(kept.digest());
        }
        match self.sidecar().and_then(|sidecar| sidecar.digest(key::SHA256)) {
            Some(known) => Ok(known),
            None => Follow::finished(self.local.file.try_clone()?)?.sha256(monitor),
        }
    }

    /// Whether its bytes were compared with the SHA-256 that its sidecar tells.
    pub fn is_checked(&self) -> bool {
        // A repository compares every block that it reads.
        self.local.kept.is_some()
            || self.sidecar().is_some_and(|sidecar| sidecar.digest(key::SHA256).is_some())
    }

    /// The file's name.
    pub fn file(&self) -> &str {
        &self.local.name
    }

    /// Remembers a failure that says that the copy it was read from is damaged.
    pub fn remember(&self, document: &Document, error: &Error, monitor: &Monitor) {
        self.local.remember(document, error, monitor);
    }

    /// The local file's sidecar.
    pub fn sidecar(&self) -> Option<&Sidecar> {
        self.local.sidecar()
    }

    /// How a tar of others is laid out, which takes a pass over all of it that also shows whether it is whole. `None` for
    /// ours, which begin with what they are.
    pub fn foreign_layout(&self, monitor: &Monitor) -> Result<Option<Layout>> {
        match self.sidecar().is_some_and(|sidecar| sidecar.get(key::FORMAT).is_some()) {
            true => Ok(None),
            false => self.survey(monitor).map(Some),
        }
    }

    /// Reads a tar to its end without putting anything anywhere: whether it is whole, and how it is laid out.
    fn survey(&self, monitor: &Monitor) -> Result<Layout> {
        let mut reader = self.members()?;
        reader.forgive_no_end_mark();
        let mut survey = Survey::default();
        while let Some(member) = reader.next_member()? {
            monitor.check()?;
            survey.observe(&member.entry, &mut reader)?;
        }
        survey.end();
        let name = &self.local.name;
        if reader.is_unmarked() {
            let text = format!("{name} has no end mark: it may be cut off; all that is there is read");
            monitor.note(NoteKind::Warning, text);
        }
        let top = survey.top().map(<[u8]>::to_vec);
        let layout = survey.layout();
        if let (Layout::Files { base }, Some(top)) = (&layout, top) {
            let text = match base.is_empty() {
                false => {
                    format!("everything in {name} lies in its folder {}, whose content is meant", show(base))
                }
                true => format!(
                    "everything in {name} lies in one folder, {}, which stays around it: it becomes a folder inside",
                    show(&top)
                ),
            };
            monitor.note(NoteKind::Warning, text);
        }
        Ok(layout)
    }

    /// Reads everything to its end, and of what no SHA-256 proves the content itself: whether a dump is there and its end,
    /// whether a tar's members are whole. What of a tar cannot be known is told.
    pub fn examine(&self, document: &Document, spool_dir: &Path, monitor: &Monitor) -> Result<()> {
        let Some(kind) = self.kind().filter(|_| !self.is_checked()) else {
            return self.read_through(monitor).map(drop);
        };
        if !kind.is_database() {
            return self.survey(monitor).map(drop).within(Fact::Backup, &self.local.name);
        }
        // A name that ends with .sql does not say of which server; it is read by the rules of the site's.
        let site = || document.connection("db").map_or(Driver::Mysql, |connection| connection.driver);
        let driver = kind.driver().unwrap_or_else(site);
        if driver == Driver::Sqlite && kind != Kind::Sqlite {
            return self.read_through(monitor).map(drop);
        }
        match database::contents(Some(driver), &mut self.decode()?, None, spool_dir, monitor) {
            // Whole it may be all the same; a restore says what it needs for it.
            Err(error) if matches!(error.code(), Code::Unsupported | Code::NotFound | Code::Usage) => {
                self.read_through(monitor).map(drop)
            }
            done => done.map(drop).within(Fact::Backup, &self.local.name),
        }
    }

    /// Reads everything to its end: whether it decrypts and decompresses.
    pub fn read_through(&self, monitor: &Monitor) -> Result<u64> {
        let (mut input, mut block, mut bytes) = (self.decode()?, vec![0; BLOCK], 0);
        loop {
            monitor.check()?;
            match input.read(&mut block)? {
                0 => return Ok(bytes),
                read => bytes += read as u64,
            }
        }
    }
}
