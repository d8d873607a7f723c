//! What a backup's sidecar says of its bytes and their encryption.

use super::deliver::Written;
use super::keys;
use crate::catalog::{Sidecar, key};
use crate::config::{Document, EncryptionKind};
use crate::encrypt::{KeyId, MacKey};
use crate::{Code, Error, Result};
use std::thread::JoinHandle;

/// How a file is encrypted, without the key itself.
#[derive(Debug, Default)]
pub struct Seal {
    iterations: Option<u32>,
    key_id: Option<KeyId>,
    /// age public keys.
    recipients: Vec<String>,
}

/// A [`Seal`] whose key's ID is being computed.
pub struct Starting(Seal, Option<JoinHandle<KeyId>>);

impl Starting {
    /// Waits for it.
    pub fn seal(self) -> Result<Seal> {
        let Starting(seal, thread) = self;
        let bug = |_| Error::new(Code::Internal, "naming the key stopped at a bug in bam");
        Ok(Seal { key_id: thread.map(|thread| thread.join().map_err(bug)).transpose()?, ..seal })
    }
}

impl Seal {
    /// What a sidecar will say of a file that is encrypted so with the document's current key.
    pub fn start(document: &Document, kind: EncryptionKind) -> Result<Starting> {
        let (mut seal, mut key_id) = (Seal::default(), None);
        match kind {
            EncryptionKind::Aes256 => {
                seal.iterations = Some(keys::iterations(document));
                key_id = Some(KeyId::start(&keys::passphrase(document)?)?);
            }
            EncryptionKind::Age => seal.recipients = keys::recipients(document)?.names(),
            EncryptionKind::AesModule | EncryptionKind::None => {}
        }
        Ok(Starting(seal, key_id))
    }

    /// Whether a MAC will prove who made it.
    pub fn proves(&self) -> bool {
        self.key_id.is_some()
    }

    /// Whether the file of this sidecar is encrypted with the same key or to the same public keys.
    pub fn is_of(&self, sidecar: &Sidecar) -> bool {
        let key_id = sidecar.get(key::KEY_ID).and_then(KeyId::parse);
        let mut recipients: Vec<_> = sidecar.list(key::RECIPIENTS);
        recipients.sort();
        key_id == self.key_id && recipients.iter().eq(self.recipients.iter().map(String::as_bytes))
    }

    /// Writes into the sidecar, whose other fields must be final, what proves the bytes.
    pub fn stamp(&self, sidecar: &mut Sidecar, written: &Written, mac_key: Option<&MacKey>) {
        for key in [key::KDF_ITERATIONS, key::KEY_ID, key::RECIPIENTS, key::HMAC_SHA256] {
            sidecar.remove(key);
        }
        sidecar.set_number(key::FILE_SIZE, written.bytes);
        sidecar.set_digest(key::SHA256, &written.sha256);
        sidecar.set(key::BLOCKS, written.blocks.to_string());
        if let Some(iterations) = self.iterations {
            sidecar.set_number(key::KDF_ITERATIONS, u64::from(iterations));
        }
        if let Some(key_id) = self.key_id {
            sidecar.set(key::KEY_ID, key_id.to_string());
        }
        if !self.recipients.is_empty() {
            sidecar.set_list(key::RECIPIENTS, &self.recipients);
        }
        if let Some(mac_key) = mac_key {
            let tag = mac_key.tag(&written.sha256, sidecar.mac_fields());
            sidecar.set_digest(key::HMAC_SHA256, &tag);
        }
    }
}
