//! Which restic there is: found, and of a version that fits.

use super::failure;
use crate::child::cannot_run;
use crate::{Code, Error, Result, limits};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

pub(super) const PROGRAM: &str = "restic";
/// The oldest version that does all that is asked of it: Debian 12's.
const OLDEST: (u32, u32) = (0, 14);

pub(super) const INSTALL: &str = "install it: apt-get install restic (0.14 or newer)";

/// Fails where restic is not there, or too old. Asked once.
pub(super) fn check_version() -> Result<()> {
    static FOUND: OnceLock<(u32, u32)> = OnceLock::new();
    let found = match FOUND.get() {
        Some(found) => *found,
        None => {
            let mut command = Command::new(PROGRAM);
            command.arg("version").env("LC_ALL", "C").stdin(Stdio::null());
            let printed = crate::environment::clean(&mut command).output();
            let printed = printed.map_err(|cause| cannot_run(PROGRAM, INSTALL, cause))?;
            let text = String::from_utf8_lossy(&printed.stdout).into_owned();
            let found = version(&text).ok_or_else(|| untold(&String::from_utf8_lossy(&printed.stderr)))?;
            *FOUND.get_or_init(|| found)
        }
    };
    if found < OLDEST {
        let text = format!("restic {}.{} is too old: 0.14 or newer is needed", found.0, found.1);
        return Err(Error::new(Code::Unsupported, text).hint(INSTALL));
    }
    Ok(())
}

/// It is there and does not tell its version.
fn untold(said: &str) -> Error {
    let words = failure::last_words(said);
    let text = match limits::crash(said) {
        Some(_) => "cannot run the program restic",
        None => "the program restic does not tell its version",
    };
    let error = Error::new(Code::Unsupported, text);
    let error = if words.is_empty() { error } else { error.caused_by(&words) };
    error.hint(limits::told(&words).unwrap_or("`restic version` shows why; it must be 0.14 or newer"))
}

/// Of `restic 0.14.0 compiled with go1.19.8 on linux/amd64`.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.strip_prefix("restic ")?.split(['.', ' ', '-']);
    Some((numbers.next()?.trim_start_matches('v').parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(version("restic 0.14.0 compiled with go1.19.8 on linux/amd64\n"), Some((0, 14)));
        assert_eq!(version("restic 0.18.1-dev (compiled manually)"), Some((0, 18)));
        assert_eq!(version("bash: restic"), None);
        assert!((0, 9) < OLDEST && (1, 0) > OLDEST);
    }
}
