//! What a member has besides content, mode, owner and time: fractions of the time, access control lists, extended
//! attributes. In the tar they stand in pax headers, as GNU tar (`--acls --xattrs`), star and bsdtar write and read
//! them: `mtime`, `SCHILY.acl.access`, `SCHILY.acl.default`, `SCHILY.xattr.NAME`.
//!
//! An access control list is in the kernel's form (linux/posix_acl_xattr.h) on a file system, and in words in a tar:
//! `user::rwx,user:deploy:rwx:1000,group::r-x,mask::rwx,other::r-x`, names first, so that it fits other machines.

use super::Owners;

/// A list's names: on a file system, and in a tar.
const ACLS: [(&[u8], &[u8]); 2] = [
    (b"system.posix_acl_access", b"SCHILY.acl.access"),
    (b"system.posix_acl_default", b"SCHILY.acl.default"),
];
const XATTR: &[u8] = b"SCHILY.xattr.";

/// One extended attribute, or one access control list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// As the file system calls it; of an archive's access control list, as the archive does.
    pub name: Vec<u8>,
    /// Any bytes.
    pub value: Vec<u8>,
}

/// What else a member has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extras {
    /// Nanoseconds of the modification time, below 1 000 000 000, counted upwards from its seconds.
    pub nanos: u32,
    /// Extended attributes and access control lists.
    pub attributes: Vec<Attribute>,
}

impl Extras {
    /// Whether there is nothing that a plain header does not hold.
    pub fn is_empty(&self) -> bool {
        self.nanos == 0 && self.attributes.is_empty()
    }

    /// The records of a pax header.
    pub(super) fn records(&self, mtime: i64, owners: &Owners) -> Vec<u8> {
        let mut records = Vec::new();
        if self.nanos > 0 {
            record(&mut records, b"mtime", decimal(mtime, self.nanos).as_bytes());
        }
        for Attribute { name, value } in &self.attributes {
            match ACLS.iter().find(|(own, _)| own == name) {
                Some((_, key)) => {
                    if let Some(text) = in_words(value, owners) {
                        record(&mut records, key, text.as_bytes());
                    }
                }
                None => record(&mut records, &[XATTR, &escaped(name)].concat(), value),
            }
        }
        records
    }
}

/// What the file system is given for an attribute: its name and value. `None` for a list that makes no sense here.
pub(super) fn for_file_system(attribute: &Attribute, owners: Option<&Owners>) -> Option<(Vec<u8>, Vec<u8>)> {
    match ACLS.iter().find(|(_, key)| *key == attribute.name) {
        Some((own, _)) => Some((own.to_vec(), from_words(&attribute.value, owners)?)),
        None => Some((attribute.name.clone(), attribute.value.clone())),
    }
}

/// Whether it is one of the two lists, by either name.
pub(super) fn is_acl(name: &[u8]) -> bool {
    ACLS.iter().any(|(own, key)| *own == name || *key == name)
}

/// A pax record as an attribute; `None` where it is something else.
pub(super) fn attribute(key: &[u8], value: &[u8]) -> Option<Attribute> {
    let name = match key.strip_prefix(XATTR) {
        Some(name) => unescaped(name),
        None if is_acl(key) => key.to_vec(),
        None => return None,
    };
    Some(Attribute { name, value: value.to_vec() })
}

/// `length key=value\n`, the length counting itself.
fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut len = rest + 1;
    while len != rest + len.to_string().len() {
        len = rest + len.to_string().len();
    }
    records.extend_from_slice(len.to_string().as_bytes());
    records.push(b' ');
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

/// Seconds with their fraction.
fn decimal(seconds: i64, nanos: u32) -> String {
    let digits = |nanos: u32| format!("{nanos:09}").trim_end_matches('0').to_owned();
    match seconds < 0 {
        true => format!("-{}.{}", -(seconds + 1), digits(1_000_000_000 - nanos)),
        false => format!("{seconds}.{}", digits(nanos)),
    }
}

/// An equals sign in a name would end the key (GNU tar encodes it so).
fn escaped(name: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(name.len());
    for byte in name {
        match byte {
            b'%' => text.extend_from_slice(b"%25"),
            b'=' => text.extend_from_slice(b"%3D"),
            byte => text.push(*byte),
        }
    }
    text
}

fn unescaped(name: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((first, after)) = rest.split_first() {
        let (byte, after) = match rest.get(..3) {
            Some(b"%25") => (b'%', rest.get(3..)),
            Some(b"%3D") => (b'=', rest.get(3..)),
            _ => (*first, Some(after)),
        };
        text.push(byte);
        rest = after.unwrap_or_default();
    }
    text
}

/// Tags of the kernel's form, with their words.
const TAGS: [(u16, &str, bool); 6] = [
    (0x01, "user", false),
    (0x02, "user", true),
    (0x04, "group", false),
    (0x08, "group", true),
    (0x10, "mask", false),
    (0x20, "other", false),
];
const VERSION: [u8; 4] = 2u32.to_le_bytes();
const NOBODY: u32 = u32::MAX;

fn in_words(list: &[u8], owners: &Owners) -> Option<String> {
    let mut words = Vec::new();
    for entry in list.strip_prefix(&VERSION)?.chunks(8) {
        let (tag, rest) = entry.split_first_chunk()?;
        let (permissions, id) = rest.split_first_chunk()?;
        let (tag, permissions) = (u16::from_le_bytes(*tag), u16::from_le_bytes(*permissions));
        let id = u32::from_le_bytes(*id.first_chunk()?);
        let (_, word, named) = TAGS.iter().find(|(known, ..)| *known == tag)?;
        let bit = |bit: u16, letter: char| if permissions & bit != 0 { letter } else { '-' };
        let permissions: String = [bit(4, 'r'), bit(2, 'w'), bit(1, 'x')].iter().collect();
        words.push(if *named {
            let name = if *word == "user" { owners.user_name(id) } else { owners.group_name(id) };
            let name = if name.is_empty() { id.to_string() } else { name };
            format!("{word}:{name}:{permissions}:{id}")
        } else {
            format!("{word}::{permissions}")
        });
    }
    Some(words.join(","))
}

/// `owners` where names count.
fn from_words(text: &[u8], owners: Option<&Owners>) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    let mut entries = Vec::new();
    for word in text.split([',', '\n']).map(|word| word.split('#').next().unwrap_or_default().trim()) {
        if word.is_empty() {
            continue;
        }
        let mut parts = word.split(':');
        let (kind, name, permissions) = (parts.next()?, parts.next()?.trim(), parts.next()?);
        let kind = match kind {
            "u" => "user",
            "g" => "group",
            "m" => "mask",
            "o" => "other",
            kind => kind,
        };
        let (tag, ..) = TAGS.iter().find(|(_, known, named)| *known == kind && *named != name.is_empty())?;
        let told = parts.next().and_then(|id| id.trim().parse::<u32>().ok());
        let own = owners.and_then(|owners| match kind {
            "user" => owners.uid(name.as_bytes()),
            _ => owners.gid(name.as_bytes()),
        });
        let id = match name.is_empty() {
            true => NOBODY,
            false => own.or(told).or_else(|| name.parse().ok())?,
        };
        let mut bits = 0u16;
        for letter in permissions.trim().chars() {
            bits |= match letter {
                'r' => 4,
                'w' => 2,
                'x' => 1,
                '-' => 0,
                _ => return None,
            };
        }
        entries.push((*tag, id, bits));
    }
    // The kernel wants them in this order.
    entries.sort_unstable();
    let mut list = VERSION.to_vec();
    for (tag, id, bits) in entries {
        list.extend(tag.to_le_bytes());
        list.extend(bits.to_le_bytes());
        list.extend(id.to_le_bytes());
    }
    Some(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_go_into_words_and_back() {
        let owners = Owners::with(&[("deploy", 1000)], &[("editors", 50)]);
        let words = b"user::rwx,user:deploy:rw-:1000,user:3900000007:r--:3900000007,group::r-x,group:editors:r-x:50,mask::rwx,other::---";
        let list = from_words(words, Some(&owners)).unwrap();
        assert_eq!(in_words(&list, &owners).unwrap().as_bytes(), words);
        // As GNU tar writes it: names alone, a line each.
        let lines =
            b"user::rwx\nuser:deploy:rw-\nuser:3900000007:r--\ngroup::r-x\ngroup:editors:r-x\nmask::rwx\nother::---\n";
        assert_eq!(from_words(lines, Some(&owners)), Some(list.clone()));
        // Where that user has another number, the name counts; by numbers alone, the number.
        let elsewhere = Owners::with(&[("deploy", 2000)], &[]);
        assert!(
            from_words(words, Some(&elsewhere)).unwrap().windows(4).any(|id| id == 2000u32.to_le_bytes())
        );
        assert_eq!(from_words(words, None), Some(list));
        for nonsense in [&b"user::rwq"[..], b"nobody::r--", b"user", b"user:ghost:rwx", b"\xff"] {
            assert_eq!(from_words(nonsense, None), None);
        }
        assert_eq!(in_words(b"\x03\0\0\0", &owners), None);
        assert_eq!(in_words(b"\x02\0\0\0\x01\0", &owners), None);
    }

    #[test]
    fn fractions_before_1970_count_upwards() {
        assert_eq!(decimal(12, 500_000_000), "12.5");
        assert_eq!(decimal(-2, 250_000_000), "-1.75");
        assert_eq!(decimal(-1, 1), "-0.999999999");
    }

    #[test]
    fn names_with_equals_signs_come_back() {
        for name in [&b"user.a=b%c"[..], b"user.%3D", b"user.%"] {
            assert_eq!(unescaped(&escaped(name)), name);
        }
    }
}
