//! This room against the test vectors of others (tests/fixtures/crypto): the primitives as they are used here, and the
//! formats built of them.

use super::age;
use super::cbc::{self, KeyIv, Padding};
use super::mac::hmac;
use crate::{Code, Error, Result};
use hmac::{KeyInit, Mac};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::io::{Read, Write};
use std::path::PathBuf;

fn fixtures(folder: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "../../tests/fixtures/crypto", folder].iter().collect()
}

fn text(file: &str) -> String {
    std::fs::read_to_string(fixtures(file)).unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2), "{hex}");
    (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect()
}

/// A key of one of the three lengths that AES has, no other.
fn keys(key: &[u8], iv: &[u8]) -> KeyIv {
    assert!(matches!(key.len(), 16 | 24 | 32));
    KeyIv::padded(key, iv.try_into().unwrap())
}

fn encrypt(keys: &KeyIv, plain: &[u8], padding: Padding) -> Vec<u8> {
    let mut writer = cbc::Writer::new(Vec::new(), keys, b"");
    writer.write_all(plain).unwrap();
    writer.finish(padding).unwrap()
}

fn decrypt(keys: &KeyIv, sealed: &[u8], unpad: cbc::Unpad) -> Result<Vec<u8>> {
    let mut plain = Vec::new();
    cbc::CbcReader::new(sealed, keys, unpad).read_to_end(&mut plain)?;
    Ok(plain)
}

/// `KEY = value` lines, up to the next empty line, of every case behind a heading `[…]` or none.
fn cases(text: &str) -> Vec<std::collections::HashMap<String, String>> {
    let mut cases = vec![std::collections::HashMap::new()];
    for line in text.lines().map(str::trim) {
        match line.split_once(" = ") {
            Some((key, value)) if !line.starts_with('#') => {
                cases.last_mut().unwrap().insert(key.to_ascii_uppercase(), value.to_owned());
            }
            _ if line.is_empty() => cases.push(std::collections::HashMap::new()),
            _ => {}
        }
    }
    cases.retain(|case| !case.is_empty());
    cases
}

/// The cases of a file of Wycheproof's, each with the number that names it.
fn wycheproof(file: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(&text(&format!("wycheproof/{file}"))).unwrap();
    let groups = file["testGroups"].as_array().unwrap();
    let all: Vec<Value> =
        groups.iter().flat_map(|group| group["tests"].as_array().unwrap().clone()).collect();
    assert_eq!(all.len() as u64, file["numberOfTests"].as_u64().unwrap());
    all
}

#[test]
fn aes_cbc_of_nists_validation_program() {
    let mut count = 0;
    for name in ["GFSbox", "KeySbox", "MMT"] {
        for bits in [128, 192, 256] {
            for case in cases(&text(&format!("cavp/CBC{name}{bits}.rsp"))) {
                let Some(key) = case.get("KEY") else { continue };
                let keys = keys(&bytes(key), &bytes(&case["IV"]));
                let (plain, sealed) = (bytes(&case["PLAINTEXT"]), bytes(&case["CIPHERTEXT"]));
                assert_eq!(encrypt(&keys, &plain, Padding::Zeros), sealed, "{name}{bits}: {case:?}");
                assert_eq!(decrypt(&keys, &sealed, |tail| Ok(tail.len())).unwrap(), plain, "{name}{bits}");
                assert_eq!(cbc::decrypt_blocks(&keys, &sealed), plain);
                count += 1;
            }
        }
    }
    assert_eq!(count, 2 * (7 + 6 + 5 + 21 + 24 + 16 + 3 * 10), "cases, encrypted and decrypted each");
}

/// NIST SP 800-38A, F.2.5 and F.2.6: CBC-AES256.
#[test]
fn aes_cbc_of_sp_800_38a() {
    let keys = keys(
        &bytes("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"),
        &bytes("000102030405060708090a0b0c0d0e0f"),
    );
    let plain = bytes(
        "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52ef\
         f69f2445df4f9b17ad2b417be66c3710",
    );
    let sealed = bytes(
        "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d39f23369a9d9bacfa530e26304231461\
         b2eb05e2c39be9fcda6c19078c6a9d1b",
    );
    assert_eq!(encrypt(&keys, &plain, Padding::Zeros), sealed);
    assert_eq!(cbc::decrypt_blocks(&keys, &sealed), plain);
}

#[test]
fn padding_of_wycheproof() {
    let mut refused = 0;
    for case in wycheproof("aes_cbc_pkcs5_test.json") {
        let part = |name: &str| bytes(case[name].as_str().unwrap());
        let keys = keys(&part("key"), &part("iv"));
        let opened = decrypt(&keys, &part("ct"), cbc::unpad_pkcs7);
        match case["result"].as_str().unwrap() {
            "valid" => {
                assert_eq!(opened.unwrap(), part("msg"), "{case}");
                assert_eq!(encrypt(&keys, &part("msg"), Padding::Pkcs7), part("ct"), "{case}");
            }
            "invalid" => {
                assert_eq!(opened.unwrap_err().code(), Code::Integrity, "{case}");
                refused += 1;
            }
            other => panic!("{other}"),
        }
    }
    assert!(refused > 100, "{refused} are invalid");
}

/// All 256 last bytes with right paddings of several lengths before them, and every length to which a file may be cut.
#[test]
fn every_padding_and_every_truncation() {
    let keys = KeyIv::aes256(&[5; 32], &[9; 16]);
    for last in 0..=255_u8 {
        for filled in [0_usize, 1, 2, 8, 15, 16, 17] {
            let mut plain = vec![0xEE; 48];
            plain.iter_mut().rev().take(filled).for_each(|byte| *byte = last);
            plain[47] = last;
            let right = usize::from(last);
            // A byte of the data may look like padding, too.
            let valid = (1..=16).contains(&right) && (filled.max(1) >= right || last == 0xEE);
            let opened = decrypt(&keys, &encrypt(&keys, &plain, Padding::Zeros), cbc::unpad_pkcs7);
            match opened {
                Ok(opened) => assert!(valid && opened == plain[..48 - right], "{last} {filled}"),
                Err(error) => assert!(!valid && error.code() == Code::Integrity, "{last} {filled}: {error}"),
            }
        }
    }
    let plain: Vec<u8> = (0..80).collect();
    let sealed = encrypt(&keys, &plain, Padding::Pkcs7);
    for cut in 0..sealed.len() {
        // Behind each block these bytes are no padding: 15, 31, 47 … are too large or not repeated.
        let error = decrypt(&keys, &sealed[..cut], cbc::unpad_pkcs7).unwrap_err();
        assert_eq!(error.code(), Code::Integrity, "cut to {cut}");
    }
}

#[test]
fn hmac_sha256_of_rfc_4231_and_wycheproof() {
    let mut seen = Vec::new();
    let mut check = |key: &[u8], message: &[u8], tag: &[u8], valid: bool, what: &str| {
        let mut mac = hmac::Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(message);
        let whole: [u8; 32] = mac.clone().finalize().into_bytes().into();
        assert_eq!(whole.starts_with(tag), valid, "{what}");
        // What the engine calls compares in constant time, and takes a whole tag only.
        assert_eq!(mac.verify_slice(tag).is_ok(), valid && tag.len() == 32, "{what}");
        // The engine's own keys are no longer than a block.
        if key.len() <= 64 {
            assert_eq!(hmac(key).chain_update(message).finalize().into_bytes()[..], whole, "{what}");
        }
        seen.push(valid);
    };
    for case in cases(&text("rfc/4231-hmac-sha256.txt")) {
        if let Some(key) = case.get("KEY") {
            check(&bytes(key), &bytes(&case["MSG"]), &bytes(&case["MD"]), true, &format!("{case:?}"));
        }
    }
    for case in wycheproof("hmac_sha256_test.json") {
        let part = |name: &str| bytes(case[name].as_str().unwrap());
        let valid = case["result"] == "valid";
        check(&part("key"), &part("msg"), &part("tag"), valid, &case.to_string());
    }
    assert!(seen.iter().filter(|valid| !**valid).count() > 50 && seen.len() > 174, "{}", seen.len());
}

#[test]
fn pbkdf2_of_rfc_7914_wycheproof_and_rfc_6070() {
    let mut of_rfc_7914 = 0;
    for case in wycheproof("pbkdf2_hmacsha256_test.json") {
        let part = |name: &str| bytes(case[name].as_str().unwrap());
        let mut key = vec![0; case["dkLen"].as_u64().unwrap() as usize];
        let iterations = case["iterationCount"].as_u64().unwrap() as u32;
        bam_crypto::pbkdf2_sha256(&part("password"), &part("salt"), iterations, &mut key);
        assert_eq!(key, part("dk"), "{case}");
        assert_eq!(case["result"], "valid");
        of_rfc_7914 += u32::from(case["comment"].as_str().unwrap().contains("RFC 7914"));
    }
    assert_eq!(of_rfc_7914, 2);
    // RFC 6070, for files that `openssl enc -md sha1` made; without the case of 16 777 216 iterations.
    let vectors: [(&[u8], &[u8], u32, &str); 5] = [
        (b"password", b"salt", 1, "0c60c80f961f0e71f3a9b524af6012062fe037a6"),
        (b"password", b"salt", 2, "ea6c014dc72d6f8ccd1ed92ace1d41f0d8de8957"),
        (b"password", b"salt", 4096, "4b007901b765489abead49d926f721d065a429c1"),
        (
            b"passwordPASSWORDpassword",
            b"saltSALTsaltSALTsaltSALTsaltSALTsalt",
            4096,
            "3d2eec4fe41c849b80c8d83662c0e44a8b291a964cf2f07038",
        ),
        (b"pass\0word", b"sa\0lt", 4096, "56fa6aa75548099dcc37d7f03425e0c3"),
    ];
    for (password, salt, iterations, expected) in vectors {
        let mut key = vec![0; expected.len() / 2];
        bam_crypto::pbkdf2_sha1(password, salt, iterations, &mut key);
        assert_eq!(key, bytes(expected));
    }
}

/// What the age crate takes although the specification says no: stanzas whose last, short line is missing, as its own first
/// versions wrote them. The header's MAC holds, so it is nobody else's doing.
const TAKEN: [&str; 2] = ["stanza_missing_body", "stanza_missing_final_line"];

/// A file of age's test kit: what is said about it, then the file.
struct Kit {
    name: String,
    expect: String,
    payload: Option<Vec<u8>>,
    identities: Vec<String>,
    /// Whether it is of a kind that bam does not have: a passphrase, or ASCII armor.
    foreign: bool,
    file: Vec<u8>,
}

impl Kit {
    fn read(path: &std::path::Path) -> Kit {
        let whole = std::fs::read(path).unwrap();
        let end = whole.windows(2).position(|two| two == b"\n\n").unwrap();
        let head = std::str::from_utf8(&whole[..end]).unwrap();
        let all = |key: &str| -> Vec<String> {
            let values =
                head.lines().filter_map(|line| line.split_once(": ")).filter(|(name, _)| *name == key);
            values.map(|(_, value)| value.to_owned()).collect()
        };
        let mut file = whole[end + 2..].to_vec();
        if all("compressed") == ["zlib"] {
            let mut plain = Vec::new();
            flate2::read::ZlibDecoder::new(&file[..]).read_to_end(&mut plain).unwrap();
            file = plain;
        }
        Kit {
            name: path.file_name().unwrap().to_string_lossy().into_owned(),
            expect: all("expect").concat(),
            payload: all("payload").first().map(|hex| bytes(hex)),
            identities: all("identity"),
            foreign: !all("passphrase").is_empty() || all("armored") == ["yes"],
            file,
        }
    }

    /// What comes out before the end or a failure, and which it was. `None`: no key opens it.
    fn open(&self) -> Option<(Vec<u8>, Result<()>)> {
        // The kit's own key where a case has none.
        let stranger = age::Identities::generate();
        let keys = match self.identities.is_empty() {
            true => stranger,
            false => age::Identities::parse(&self.identities.join("\n")).unwrap(),
        };
        let mut out = Vec::new();
        match age::AgeReader::new(&self.file[..], &keys) {
            Ok(None) => None,
            Ok(Some(mut reader)) => {
                let ended = reader.read_to_end(&mut out).map(|_| ()).map_err(Error::from);
                Some((out, ended))
            }
            Err(error) => Some((out, Err(error))),
        }
    }
}

#[test]
fn age_files_of_its_test_kit() {
    let mut seen = std::collections::BTreeMap::new();
    for entry in std::fs::read_dir(fixtures("age")).unwrap() {
        let kit = Kit::read(&entry.unwrap().path());
        let (name, opened) = (&kit.name, kit.open());
        let hash = |out: &[u8]| Sha256::digest(out).to_vec();
        if kit.foreign {
            let opened_it = matches!(&opened, Some((_, Ok(()))));
            assert!(!opened_it, "{name}: it has passphrase or armor");
        } else {
            match (kit.expect.as_str(), opened) {
                ("header failure", Some((_, Ok(())))) if TAKEN.contains(&name.as_str()) => {}
                ("success", Some((out, Ok(())))) => assert_eq!(Some(hash(&out)), kit.payload, "{name}"),
                ("no match", None) => {}
                ("HMAC failure" | "header failure", Some((out, Err(error)))) => {
                    assert_eq!(error.code(), Code::Integrity, "{name}: {error}");
                    assert!(out.is_empty(), "{name}");
                }
                ("payload failure", Some((out, Err(error)))) => {
                    assert_eq!(error.code(), Code::Integrity, "{name}: {error}");
                    assert!(
                        kit.payload.is_none_or(|payload| payload == hash(&out)),
                        "{name}: {} bytes",
                        out.len()
                    );
                }
                (expect, opened) => {
                    panic!("{name}: {expect} is expected, not {:?}", opened.map(|(_, end)| end))
                }
            }
        }
        *seen.entry(if kit.foreign { "foreign".to_owned() } else { kit.expect }).or_insert(0) += 1;
    }
    let kinds: Vec<&str> = seen.keys().map(String::as_str).collect();
    assert_eq!(
        kinds,
        ["HMAC failure", "foreign", "header failure", "no match", "payload failure", "success"]
    );
    assert_eq!(seen.values().sum::<u32>(), 124, "{seen:?}");
}
