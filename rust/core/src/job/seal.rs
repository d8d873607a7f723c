//! The encryption of a file that is being written, and what its sidecar says of it.

use super::deliver::Written;
use super::keys;
use super::pipeline::Cipher;
use crate::catalog::{Sidecar, key};
use crate::config::{Document, EncryptionKind};
use crate::encrypt::{KeyId, MacKey, age, enc, kdf};
use crate::{Code, Error, Result};
use std::thread::JoinHandle;

/// How a file is encrypted, without the key itself.
#[derive(Debug, Default)]
pub struct Seal {
    iterations: Option<u32>,
    /// Being computed.
    key_id: Option<JoinHandle<KeyId>>,
    /// age public keys.
    recipients: Vec<String>,
}

impl Seal {
    /// A cipher of this kind with the document's current key. Its keys begin to be derived.
    pub fn start(document: &Document, kind: EncryptionKind) -> Result<(Cipher, Seal)> {
        Ok(match kind {
            EncryptionKind::Aes256 => {
                let passphrase = keys::passphrase(document)?;
                let iterations = document.encryption.iterations.unwrap_or(kdf::DEFAULT_ITERATIONS);
                let cipher = Cipher::Enc(enc::start(&passphrase, iterations)?);
                let key_id = Some(KeyId::start(&passphrase)?);
                (cipher, Seal { iterations: Some(iterations), key_id, ..Seal::default() })
            }
            EncryptionKind::AesModule => (Cipher::AesModule(keys::aes_settings(document)?), Seal::default()),
            EncryptionKind::Age => {
                let recipients = age::Recipients::parse(&document.encryption.recipients)?;
                let names = recipients.names();
                (Cipher::Age(recipients), Seal { recipients: names, ..Seal::default() })
            }
            EncryptionKind::None => (Cipher::None, Seal::default()),
        })
    }

    /// Writes into the sidecar, whose other fields must be final, what proves the bytes.
    pub fn stamp(self, sidecar: &mut Sidecar, written: &Written, mac_key: Option<&MacKey>) -> Result<()> {
        for key in [key::KDF_ITERATIONS, key::KEY_ID, key::RECIPIENTS, key::HMAC_SHA256] {
            sidecar.remove(key);
        }
        sidecar.set_number(key::FILE_SIZE, written.bytes);
        sidecar.set_digest(key::SHA256, &written.sha256);
        if let Some(iterations) = self.iterations {
            sidecar.set_number(key::KDF_ITERATIONS, u64::from(iterations));
        }
        if let Some(thread) = self.key_id {
            let key_id = thread
                .join()
                .map_err(|_| Error::new(Code::Internal, "naming the key stopped at a bug in bam"))?;
            sidecar.set(key::KEY_ID, key_id.to_string());
        }
        if !self.recipients.is_empty() {
            sidecar.set_list(key::RECIPIENTS, &self.recipients);
        }
        if let Some(mac_key) = mac_key {
            let tag = mac_key.tag(&written.sha256, sidecar.mac_fields());
            sidecar.set_digest(key::HMAC_SHA256, &tag);
        }
        Ok(())
    }
}
