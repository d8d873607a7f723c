//! Logging in at a server whose key was checked.

use super::retry::Trouble;
use super::server::{Server, at_home, is_broken};
use crate::destination::address::setting;
use crate::look;
use crate::regular;
use crate::{Code, Error};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ssh2::{ErrorCode, KeyboardInteractivePrompt, Prompt, Session};
use std::io::{ErrorKind, Read};
use std::path::Path;
use zeroize::Zeroizing;

/// Keys and passwords offered in one login: OpenSSH hangs up at the sixth (MaxAuthTries).
const OFFERS: usize = 5;

/// Bytes that are read of a key file: one of RSA with 16384 bits has 13 000.
const LONGEST_KEY: usize = 1 << 20;

/// libssh2's codes for key files that it cannot use (LIBSSH2_ERROR_FILE, LIBSSH2_ERROR_KEYFILE_AUTH_FAILED); the server's no has
/// others.
const UNUSABLE: [ErrorCode; 2] = [ErrorCode::Session(-16), ErrorCode::Session(-48)];

/// How public keys begin.
const PUBLIC: [&str; 6] = [
    "ssh-",
    "ecdsa-",
    "sk-",
    "-----BEGIN PUBLIC KEY",
    "-----BEGIN RSA PUBLIC KEY",
    "---- BEGIN SSH2 PUBLIC KEY",
];

impl Server {
    /// By the configured key file, else the agent's keys and the usual key files; then by password.
    pub(super) fn log_in(&self, session: &Session) -> Result<(), Trouble> {
        let user = self.user()?;
        let offered = match session.auth_methods(&user) {
            Ok(methods) => methods.to_owned(),
            Err(_) if session.authenticated() => return Ok(()),
            Err(cause) => return Err(self.trouble("cannot log in", None, &cause)),
        };
        let asks = offered.contains("password") || offered.contains("keyboard-interactive");
        let password = self.password.as_ref().filter(|_| asks);
        // The one that we were given is worth more than a key that happens to lie about.
        let keys = OFFERS - usize::from(password.is_some());
        let mut tried = Tried::default();
        if offered.contains("publickey") && self.by_key(session, &user, keys, &mut tried)? {
            return Ok(());
        }
        if let Some(password) = password.filter(|_| !tried.hung_up) {
            let password = std::str::from_utf8(password.expose())
                .map_err(|_| Error::new(Code::Config, "the password is not UTF-8"))?;
            let entered = if offered.contains("password") {
                session.userauth_password(&user, password)
            } else {
                session.userauth_keyboard_interactive(&user, &mut Answer(password))
            };
            if self.is_in(entered, "the password".into(), &mut tried)? {
                return Ok(());
            }
        }
        let left =
            if tried.left > 0 { format!(", {} more keys were not", tried.left) } else { String::new() };
        let tried = match tried.what.as_slice() {
            [] => "nothing to try".into(),
            what => format!("tried {}{left}", what.join(", ")),
        };
        Err(Error::new(
            Code::Destination,
            format!("{} does not let {user} in: it takes {offered}; {tried}", self.host()),
        )
        .hint(match &self.identity_file {
            Some(file) if offered.contains("publickey") && self.password.is_none() => format!(
                "add the public half of {} to ~/.ssh/authorized_keys of {user} on that machine, e.g. with `ssh-copy-id -i`; or set \
                 another {}",
                file.display(),
                setting(&self.id, "identity_file")
            ),
            _ => format!(
                "set {} or a password; a key file with a passphrase needs a running ssh-agent",
                setting(&self.id, "identity_file")
            ),
        })
        .into())
    }

    /// Offers at most so many keys.
    fn by_key(&self, session: &Session, user: &str, most: usize, tried: &mut Tried) -> Result<bool, Trouble> {
        let files = match &self.identity_file {
            Some(file) => vec![file.clone()],
            None => {
                let usual = ["id_ed25519", "id_ecdsa", "id_rsa"];
                let usual = usual.map(|name| at_home(&Path::new("~/.ssh").join(name)));
                usual.into_iter().filter(|file| look::is_file(file).unwrap_or(true)).collect()
            }
        };
        if self.identity_file.is_none()
            && let Ok(mut agent) = session.agent()
            && agent.connect().and_then(|()| agent.list_identities()).is_ok()
        {
            // Some room is left for a key file.
            let most = most - usize::from(!files.is_empty());
            let identities = agent.identities().unwrap_or_default();
            tried.left += identities.len().saturating_sub(most);
            for identity in identities.iter().take(most) {
                let entered = agent.userauth(user, identity);
                if self.is_in(entered, format!("the agent's key {}", identity.comment()), tried)? {
                    return Ok(true);
                }
            }
        }
        for file in files {
            if tried.what.len() >= most || tried.hung_up {
                tried.left += 1;
                continue;
            }
            let key = match read_key(&file) {
                Ok(key) => key,
                Err(cause) if self.identity_file.is_some() => return Err(self.no_key(&file, cause).into()),
                Err(cause) => {
                    tried.what.push(format!("{} (it cannot be read: {cause})", file.display()));
                    continue;
                }
            };
            let entered = session.userauth_pubkey_memory(user, None, &key, None);
            let (why, is_ours) = match &entered {
                // What libssh2 says of a file that it cannot use is the same whatever is wrong with it.
                Err(cause) if UNUSABLE.contains(&cause.code()) => (unusable(&key), true),
                Err(cause) => ((cause.message().to_owned(), String::new()), false),
                Ok(()) => Default::default(),
            };
            if let (true, Some(file)) = (is_ours, &self.identity_file) {
                let what = format!("the identity_file {} {}", file.display(), why.0);
                return Err(Error::new(Code::Config, what).hint(why.1).into());
            }
            let why = if is_ours { format!("it {}", why.0) } else { why.0 };
            let what = format!("{} ({why})", file.display());
            if self.is_in(entered, what, tried)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// That the configured key file cannot be read.
    fn no_key(&self, file: &Path, cause: std::io::Error) -> Error {
        let hint = match cause.kind() {
            ErrorKind::PermissionDenied => "give it to the user who runs this",
            _ => "make a key with ssh-keygen -t ed25519, or correct the path",
        };
        let what = format!("cannot read the identity_file {}", file.display());
        Error::new(Code::Config, what).because(cause).hint(hint)
    }

    /// Whether that let us in. A server that hangs up on what it was offered has refused it; trying that again would
    /// only get us locked out.
    fn is_in(
        &self,
        entered: Result<(), ssh2::Error>,
        what: String,
        tried: &mut Tried,
    ) -> Result<bool, Trouble> {
        match entered {
            Ok(()) => return Ok(true),
            Err(_) if tried.hung_up => {}
            Err(cause) if is_broken(&cause) => {
                if tried.what.is_empty() {
                    return Err(self.trouble("cannot log in", None, &cause));
                }
                tried.hung_up = true;
                tried.what.push("then it hung up".into());
            }
            Err(_) => tried.what.push(what),
        }
        Ok(false)
    }
}

/// The text of a key file: libssh2 does not say why it cannot read one, and puts it down to its format.
fn read_key(file: &Path) -> std::io::Result<Zeroizing<String>> {
    // With room for all of it: growing would leave copies behind.
    let mut key = Zeroizing::new(String::with_capacity(LONGEST_KEY));
    regular::open(file)?.take(LONGEST_KEY as u64).read_to_string(&mut key)?;
    Ok(key)
}

/// What is wrong with a key file that no login was tried with, and what to do.
fn unusable(key: &str) -> (String, String) {
    const MAKE: &str = "make a key with ssh-keygen -t ed25519";
    let (what, hint) = match key.trim_start() {
        "" => ("is empty", MAKE),
        text if text.starts_with('\u{feff}') => {
            ("begins with a byte order mark, which some editor has put there", "save it as UTF-8 without one")
        }
        text if PUBLIC.iter().any(|front| text.starts_with(front)) => {
            ("is a public key", "name the private one, mostly the file of the same name without .pub")
        }
        text if text.starts_with("PuTTY-User-Key-File") => {
            ("is a key in PuTTY's format", "write it in OpenSSH's: `puttygen KEY -O private-openssh -o NEW`")
        }
        text if !text.starts_with("-----BEGIN ") => ("is no private key", MAKE),
        text if !text.contains("-----END ") => ("is cut short", "bring the whole file here"),
        text if has_passphrase(text) => (
            "has a passphrase, which nobody can type here",
            "take it off a copy for backups (`ssh-keygen -p`); or leave identity_file out, and let a running ssh-agent hold the key",
        ),
        _ => ("cannot be used: it is damaged, or of a kind that is not known here", MAKE),
    };
    (what.to_owned(), hint.to_owned())
}

/// Whether a private key in one of OpenSSL's formats or OpenSSH's is encrypted.
fn has_passphrase(key: &str) -> bool {
    if key.lines().take(2).any(|line| line.contains("ENCRYPTED")) {
        return true;
    }
    // OpenSSH's PROTOCOL.key: the name of the cipher comes behind this and its own length, in 4 bytes.
    const MAGIC: &[u8] = b"openssh-key-v1\0";
    let Some(bytes) = key.lines().nth(1).and_then(|line| BASE64_STANDARD.decode(line.get(..64)?).ok()) else {
        return false;
    };
    bytes.strip_prefix(MAGIC).is_some_and(|rest| !rest.starts_with(b"\0\0\0\x04none"))
}

/// Answers every question with the password: that is what servers with PAM ask for.
struct Answer<'a>(&'a str);

impl KeyboardInteractivePrompt for Answer<'_> {
    fn prompt(&mut self, _user: &str, _instructions: &str, prompts: &[Prompt<'_>]) -> Vec<String> {
        prompts.iter().map(|_| self.0.to_owned()).collect()
    }
}

/// What was offered in a login.
#[derive(Debug, Default)]
struct Tried {
    what: Vec<String>,
    /// Keys that were not offered.
    left: usize,
    hung_up: bool,
}
