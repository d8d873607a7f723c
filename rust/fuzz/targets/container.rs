//! Encrypted files: whatever is in them, decrypting ends, and with an error where it is damaged.
#![no_main]

use bam::encrypt::aes_module::{self, Settings};
use bam::encrypt::age::{self, Identities};
use bam::encrypt::{Passphrase, detect, enc};
use libfuzzer_sys::fuzz_target;
use std::io;
use std::sync::LazyLock;

/// Of the age test kit (C2SP/CCTV), whose files are among the seeds.
static KEY: LazyLock<Identities> = LazyLock::new(|| {
    Identities::parse("AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0")
        .expect("a key")
});

fuzz_target!(|data: &[u8]| {
    let _ = detect("x.age", data);
    let passphrase = Passphrase::from_first_line(b"a passphrase").expect("a passphrase");
    if let Ok(mut reader) = enc::EncReader::new(data, &passphrase, 1) {
        let _ = io::copy(&mut reader, &mut io::sink());
    }
    for settings in [
        Settings::phpseclib(b"a key"),
        Settings::mcrypt(b"a key", b"aXY="),
        Settings::real_aes(&[7; 16]).expect("16 bytes"),
    ] {
        let _ = io::copy(&mut aes_module::AesModuleReader::new(data, &settings), &mut io::sink());
    }
    if let Ok(Some(mut reader)) = age::AgeReader::new(data, &KEY) {
        let _ = io::copy(&mut reader, &mut io::sink());
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = Identities::parse(text);
    }
});
