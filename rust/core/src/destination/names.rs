//! The names beside a backup: part, sidecar, sidecar on its way.

use crate::{Code, Error, Result};

/// Longest sidecar that is read, in bytes: ours are below 4 KiB.
pub(crate) const SIDECAR_MAX: u64 = 1 << 20;

/// Most bytes of sidecars of one listing: those of 10 000 backups.
pub(super) const SIDECARS_MAX: usize = 40 << 20;

/// Refuses what could leave the folder, hide, or be taken for a sidecar.
pub fn check_name(name: &str) -> Result<()> {
    // The longest name derived from it is `.NAME.info.part`; file systems take 255 bytes.
    let wrong = if name.is_empty() {
        "is empty"
    } else if name.starts_with('.') {
        "begins with a dot"
    } else if name.contains('/') || name.chars().any(char::is_control) {
        "holds a slash or a control character"
    } else if name.ends_with(".info") {
        "ends in .info, which marks a sidecar"
    } else if name.len() > 244 {
        "is longer than 244 bytes"
    } else {
        return Ok(());
    };
    Err(Error::new(Code::Usage, format!("the backup name {name:?} {wrong}")).hint("use another file name"))
}

/// A hidden file that is written to find out whether a place takes files. Unlike parts it has no name of a backup in it.
pub(super) fn trial() -> String {
    format!("{TRIAL_NAME}{}-{}", std::process::id(), getrandom::u32().unwrap_or_default())
}

const TRIAL_NAME: &str = ".bam-trial-";

/// What a trial holds.
pub(super) const TRIAL: &str = "bam tries whether this place takes files and gives them back.\n";

/// What came back of a trial is not what was written.
pub(super) fn trial_failed(place: &str) -> Error {
    Error::new(Code::Integrity, format!("{place}: a small file did not come back as it was written"))
        .hint("check the disk there")
}

/// `NAME.info`
pub(super) fn sidecar(name: &str) -> String {
    format!("{name}.info")
}

/// `.NAME.part`: data on its way.
pub(super) fn part(name: &str) -> String {
    format!(".{name}.part")
}

/// `.NAME.info.part`: a sidecar that belongs to data which is whole; see `Directory::settle`.
pub(super) fn sidecar_part(name: &str) -> String {
    format!(".{name}.info.part")
}

/// `.NAME.info.new`: the next text of an existing sidecar, perhaps half-written.
pub(super) fn sidecar_new(name: &str) -> String {
    format!(".{name}.info.new")
}

/// `.NAME.old`: data that a whole new one is about to replace, where that takes several steps.
pub(super) fn old(name: &str) -> String {
    format!(".{name}.old")
}

/// `.NAME.lease`: which run makes the hidden files of that name.
pub(super) fn lease(name: &str) -> String {
    format!(".{name}.lease")
}

/// `.bam-probe-…`: an empty file that shows whether we may write.
pub(super) fn probe() -> String {
    format!("{PROBE}{}", super::lease::random())
}

/// The same name for all attempts of a run: its lease before that has its own.
pub(super) fn draft(run: &str) -> String {
    format!("{PROBE}{run}")
}

const PROBE: &str = ".bam-probe-";

/// Whether a sidecar's text is bam's own.
pub(super) fn is_our_text(text: &str) -> bool {
    text.lines().any(|line| line.starts_with("bam_format"))
}

/// What a file in a backup folder is, by its name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    Data(&'a str),
    Sidecar(&'a str),
    Part(&'a str),
    SidecarPart(&'a str),
    SidecarNew(&'a str),
    Old(&'a str),
    Lease(&'a str),
    /// What was written to see whether that works; a killed run may have left it.
    Probe,
    Other,
}

impl<'a> Kind<'a> {
    /// Of which backup a hidden file is, that was made on the way.
    pub fn hidden_of(&self) -> Option<&'a str> {
        match *self {
            Kind::Part(name)
            | Kind::SidecarPart(name)
            | Kind::SidecarNew(name)
            | Kind::Old(name)
            | Kind::Lease(name) => Some(name),
            Kind::Data(_) | Kind::Sidecar(_) | Kind::Probe | Kind::Other => None,
        }
    }
}

pub(super) fn kind(file: &str) -> Kind<'_> {
    let kind = if let Some(hidden) = file.strip_prefix('.') {
        if let Some(name) = hidden.strip_suffix(".info.part") {
            Kind::SidecarPart(name)
        } else if let Some(name) = hidden.strip_suffix(".info.new") {
            Kind::SidecarNew(name)
        } else if let Some(name) = hidden.strip_suffix(".part") {
            Kind::Part(name)
        } else if let Some(name) = hidden.strip_suffix(".old") {
            Kind::Old(name)
        } else if let Some(name) = hidden.strip_suffix(".lease") {
            Kind::Lease(name)
        } else if file.starts_with(PROBE) || file.starts_with(TRIAL_NAME) {
            Kind::Probe
        } else {
            Kind::Other
        }
    } else if let Some(name) = file.strip_suffix(".info") {
        Kind::Sidecar(name)
    } else {
        Kind::Data(file)
    };
    match kind {
        Kind::Data(name)
        | Kind::Sidecar(name)
        | Kind::Part(name)
        | Kind::SidecarPart(name)
        | Kind::SidecarNew(name)
        | Kind::Old(name)
        | Kind::Lease(name)
            if check_name(name).is_err() =>
        {
            Kind::Other
        }
        known => known,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_derived_name_is_told_apart() {
        let name = "site-2026.tar.gz.enc";
        assert_eq!(kind(name), Kind::Data(name));
        assert_eq!(kind(&sidecar(name)), Kind::Sidecar(name));
        assert_eq!(kind(&part(name)), Kind::Part(name));
        assert_eq!(kind(&sidecar_part(name)), Kind::SidecarPart(name));
        assert_eq!(kind(&sidecar_new(name)), Kind::SidecarNew(name));
        assert_eq!(kind(&old(name)), Kind::Old(name));
        assert_eq!(kind(&lease(name)), Kind::Lease(name));
        assert_eq!(kind(&probe()), Kind::Probe);
        for other in [".htaccess", "..part", ".info", "", ".x"] {
            assert_eq!(kind(other), Kind::Other, "{other}");
        }
    }

    #[test]
    fn names_cannot_leave_the_folder() {
        for bad in ["", ".", "..", "../x", "a/b", ".hidden", "x.info", "a\0b", "a\nb", &"n".repeat(245)] {
            assert_eq!(check_name(bad).map_err(|e| e.code()), Err(Code::Usage), "{bad:?}");
        }
        assert!(check_name(&"n".repeat(244)).is_ok());
    }
}
