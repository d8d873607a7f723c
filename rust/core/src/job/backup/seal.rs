//! What a backup's sidecar says of its bytes and their encryption, and the seal on both: a MAC by the site's key.
//!
//! Every backup of a site that has a key gets one, also where it is not encrypted, or to public keys: a restore on that
//! site refuses what has none.

use super::writers::Written;
use crate::catalog::{Sidecar, hex, key};
use crate::config::{Document, EncryptionKind};
use crate::encrypt::kdf::{Derivation, Kdf, Keys};
use crate::encrypt::{KeyCheck, Passphrase, eight_bytes};
use crate::job::keys;
use crate::{Error, Monitor, NoteKind, Result};

/// How a file is encrypted and sealed.
#[derive(Default)]
pub struct Seal {
    iterations: u32,
    /// The key of the MAC, where the site has one.
    passphrase: Option<Passphrase>,
    /// Of a file that is no container of ours: that has its own.
    own: Option<Keys>,
    /// age public keys.
    recipients: Vec<String>,
}

/// A [`Seal`] whose keys are being derived.
pub struct Starting(Seal, Option<Derivation>);

impl Starting {
    /// Waits for them.
    pub fn seal(self) -> Result<Seal> {
        let Starting(seal, derivation) = self;
        Ok(Seal { own: derivation.map(Derivation::keys).transpose()?, ..seal })
    }
}

impl Seal {
    /// How the document's current key seals a file that is encrypted so. A backup that needs no key is not lost for want
    /// of one: that nothing will prove it is said.
    pub fn start(document: &Document, kind: EncryptionKind, monitor: &Monitor) -> Result<Starting> {
        let mut seal = Seal { iterations: keys::iterations(document), ..Seal::default() };
        if kind == EncryptionKind::Age {
            seal.recipients = keys::recipients(document)?.names();
        }
        seal.passphrase = match kind {
            EncryptionKind::Aes256 => Some(keys::to_encrypt(document)?),
            _ => keys::sealing(document).unwrap_or_else(|error| {
                monitor.note(NoteKind::Missing, unsealed(&error));
                None
            }),
        };
        let own = seal.passphrase.as_ref().filter(|_| kind != EncryptionKind::Aes256);
        let kdf = Kdf::ours(seal.iterations);
        let derivation = own.map(|passphrase| Derivation::fresh(kdf, passphrase)).transpose()?;
        Ok(Starting(seal, derivation))
    }

    /// Whether a MAC will prove who made it.
    pub fn proves(&self) -> bool {
        self.passphrase.is_some()
    }

    /// Whether the file of this sidecar is as this seal makes one: of the same key or for the same public keys, with as
    /// many iterations, and telling nothing that an earlier version told of the key.
    pub fn is_of(&self, sidecar: &Sidecar, monitor: &Monitor) -> Result<bool> {
        let mut recipients: Vec<_> = sidecar.list(key::RECIPIENTS);
        recipients.sort();
        if !recipients.iter().eq(self.recipients.iter().map(String::as_bytes)) {
            return Ok(false);
        }
        let Some(passphrase) = &self.passphrase else { return Ok(true) };
        let check = sidecar.get(key::KEY_CHECK).and_then(KeyCheck::parse);
        let salt = sidecar.get(key::SALT).and_then(eight_bytes);
        let iterations = sidecar.number(key::KDF_ITERATIONS).and_then(|number| u32::try_from(number).ok());
        let (Some(check), Some(salt), Some(iterations)) = (check, salt, iterations) else { return Ok(false) };
        if sidecar.get(key::KEY_ID).is_some() || iterations < self.iterations {
            return Ok(false);
        }
        let derivation = Derivation::start(Kdf::ours(iterations), passphrase, salt)?;
        Ok(derivation.keys_unless_cancelled(monitor)?.check() == check)
    }

    /// Writes into the sidecar, whose other fields must be final, what proves the bytes. `container` has the keys of a
    /// file that was encrypted with some.
    pub fn stamp(&self, sidecar: &mut Sidecar, written: &Written, container: Option<&Keys>) {
        sidecar.set_number(key::FILE_SIZE, written.bytes);
        sidecar.set_digest(key::SHA256, &written.sha256);
        sidecar.set(key::BLOCKS, written.blocks.to_string());
        self.tag(sidecar, &written.sha256, container);
    }

    /// Seals a file anew that stays as it is: no container, whose keys would change with it.
    pub fn renew(&self, sidecar: &mut Sidecar, sha256: &[u8; 32]) {
        self.tag(sidecar, sha256, None);
    }

    fn tag(&self, sidecar: &mut Sidecar, sha256: &[u8; 32], container: Option<&Keys>) {
        for key in
            [key::KDF_ITERATIONS, key::SALT, key::KEY_CHECK, key::KEY_ID, key::RECIPIENTS, key::HMAC_SHA256]
        {
            sidecar.remove(key);
        }
        if !self.recipients.is_empty() {
            sidecar.set_list(key::RECIPIENTS, &self.recipients);
        }
        if let Some(keys) = container.or(self.own.as_ref()) {
            sidecar.set_number(key::KDF_ITERATIONS, u64::from(self.iterations));
            sidecar.set(key::SALT, hex(&keys.salt()));
            sidecar.set(key::KEY_CHECK, keys.check().to_string());
            let tag = keys.mac_key().tag(sha256, sidecar.mac_fields());
            sidecar.set_digest(key::HMAC_SHA256, &tag);
        }
    }
}

fn unsealed(why: &Error) -> String {
    format!("the backup is made without a MAC, and restoring it will take --unauthenticated: {why}")
}
