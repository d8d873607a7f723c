//! The loops of AES in CBC mode and of PBKDF2: RustCrypto's, which are generic, so they are compiled where they are called.
//! Here that is optimized also where the engine is not, in builds for development and tests, which spend their time on
//! little else.

use aes::{Aes128, Aes192, Aes256};
use cbc::cipher::{Array, BlockModeDecrypt, BlockModeEncrypt, InOutBuf, typenum::U16};
use pbkdf2::pbkdf2_hmac;

/// Whole blocks: from where they are, and to where.
pub type Blocks<'i, 'o> = InOutBuf<'i, 'o, Array<u8, U16>>;

macro_rules! cbc_of {
    ($encrypt:ident, $decrypt:ident, $cipher:ty) => {
        /// Encrypts blocks; the last of them stays for the next.
        #[inline(never)]
        pub fn $encrypt(cipher: &mut cbc::Encryptor<$cipher>, blocks: Blocks<'_, '_>) {
            cipher.encrypt_blocks_inout(blocks);
        }

        /// Decrypts blocks; the last of them stays for the next.
        #[inline(never)]
        pub fn $decrypt(cipher: &mut cbc::Decryptor<$cipher>, blocks: Blocks<'_, '_>) {
            cipher.decrypt_blocks_inout(blocks);
        }
    };
}

cbc_of!(encrypt_aes128, decrypt_aes128, Aes128);
cbc_of!(encrypt_aes192, decrypt_aes192, Aes192);
cbc_of!(encrypt_aes256, decrypt_aes256, Aes256);

macro_rules! pbkdf2_of {
    ($name:ident, $digest:ty) => {
        /// PBKDF2-HMAC over this digest: from a passphrase, a salt and a number of iterations as many bytes as are asked for.
        #[inline(never)]
        pub fn $name(passphrase: &[u8], salt: &[u8], iterations: u32, out: &mut [u8]) {
            pbkdf2_hmac::<$digest>(passphrase, salt, iterations, out);
        }
    };
}

pbkdf2_of!(pbkdf2_md5, md5::Md5);
pbkdf2_of!(pbkdf2_sha1, sha1::Sha1);
pbkdf2_of!(pbkdf2_sha224, sha2::Sha224);
pbkdf2_of!(pbkdf2_sha256, sha2::Sha256);
pbkdf2_of!(pbkdf2_sha384, sha2::Sha384);
pbkdf2_of!(pbkdf2_sha512, sha2::Sha512);
