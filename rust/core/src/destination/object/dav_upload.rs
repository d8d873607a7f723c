//! Sending to a WebDAV server. The protocol has no way to go on where a line broke, and many servers take no body whose
//! length they are not told: an upload starts when the backup is complete, and again after a break.

use super::dav::Dav;
use super::place::Place;
use super::upload::Uploading;
use crate::destination::ssh::retry::Trouble;
use crate::destination::{Existing, names, taken};
use crate::{Error, Result};
use futures_util::stream;
use std::os::unix::fs::FileExt;
use std::time::Duration;

/// Bytes read at once.
const BLOCK: usize = 256 << 10;
/// Bytes a second below which a line counts as dead.
const SLOWEST: u64 = 16 << 10;

impl Place {
    fn dav(&self) -> Result<&Dav> {
        self.dav.as_ref().ok_or_else(|| Error::new(crate::Code::Internal, "this is no WebDAV server"))
    }

    pub fn dav_is_there(&self) -> Result<bool> {
        let dav = self.dav()?;
        self.ask("cannot look at", self.looking(), || dav.has_folder(dav.folder.as_str()))
    }

    /// Makes the folder and those above it.
    pub fn dav_make(&self) -> Result<()> {
        let dav = self.dav()?;
        let mut missing = Vec::new();
        let mut folder = dav.folder.clone();
        let parts = folder.path_segments().map_or(0, Iterator::count).saturating_sub(1);
        for _ in 0..parts {
            let address = folder.to_string();
            if self.ask("cannot make the folder", self.patience.request(), || dav.has_folder(&address))? {
                break;
            }
            missing.push(address);
            if let Ok(mut segments) = folder.path_segments_mut() {
                segments.pop_if_empty().pop().push("");
            }
        }
        for address in missing.iter().rev() {
            self.ask("cannot make the folder", self.patience.request(), || async {
                dav.send(dav.request("MKCOL", address)).await.map(drop)
            })?;
        }
        Ok(())
    }

    /// Gives a file another name; `false` where that is taken and `overwrite` is not wanted.
    fn dav_move(&self, from: &str, to: &str, overwrite: bool) -> Result<bool, Trouble> {
        let dav = self.dav()?;
        self.wait("cannot put in place", self.patience.longer(), async {
            let request = dav
                .request("MOVE", &dav.address(from))
                .header("Destination", dav.address(to))
                .header("Overwrite", if overwrite { "T" } else { "F" });
            dav.send(request).await.map(|status| status != 412)
        })
    }
}

impl Uploading<'_> {
    /// Sends all of it into a part, and gives that its name.
    pub fn by_dav(&self) -> Result<()> {
        let (place, name) = (self.place, self.name);
        let size = self.file.wait_finished(self.monitor)?;
        let part = names::part(name);
        self.again(|| self.put(&part, size))?;
        let there = place.stat(&part)?.map(|found| found.content_length());
        if there != Some(size) {
            let text =
                format!("{}: the server has {} bytes of {size} sent", place.describe(), there.unwrap_or(0));
            return Err(Error::new(crate::Code::Destination, text)
                .hint("look at the server's disk, or the quota there"));
        }
        let text = (self.sidecar)()?;
        let replace = self.existing == Existing::Replace && place.stat(name)?.is_some();
        let sidecar = if replace { names::sidecar_part(name) } else { names::sidecar(name) };
        place.write(&sidecar, &text, false)?;
        let mut tried = false;
        let moved = self.again(|| {
            // The answer of the try before may have been lost.
            if std::mem::replace(&mut tried, true) && place.stat(&part)?.is_none() {
                return Ok(true);
            }
            place.dav_move(&part, name, self.existing == Existing::Replace)
        })?;
        if !moved {
            return Err(taken(name, &place.describe()));
        }
        // Servers move to other names than they are told to.
        if place.stat(name)?.map(|found| found.content_length()) != Some(size) {
            let text = format!(
                "{}: the server says that it moved {part} to {name}, which is not there",
                place.describe()
            );
            return Err(Error::new(crate::Code::Integrity, text)
                .hint("use a file name of letters, digits and ._- alone"));
        }
        if replace {
            self.again(|| place.dav_move(&sidecar, &names::sidecar(name), true))?;
        }
        Ok(())
    }

    fn put(&self, part: &str, size: u64) -> Result<(), Trouble> {
        let (place, dav) = (self.place, self.place.dav()?);
        let file = self.file.reader()?;
        let body = stream::unfold((file, 0), move |(file, at)| async move {
            let left = usize::try_from(size.saturating_sub(at)).unwrap_or(usize::MAX);
            if left == 0 {
                return None;
            }
            let mut block = vec![0; BLOCK.min(left)];
            match file.read_exact_at(&mut block, at) {
                Ok(()) => {
                    let next = at + block.len() as u64;
                    Some((Ok(block), (file, next)))
                }
                Err(cause) => Some((Err(cause), (file, size))),
            }
        });
        let limit = place.patience.longer() + Duration::from_secs(size / SLOWEST);
        place.wait("cannot write", limit, async {
            let request = dav
                .request("PUT", &dav.address(part))
                .header("Content-Type", "application/octet-stream")
                .header("Content-Length", size)
                .body(reqwest::Body::wrap_stream(body));
            dav.send(request).await.map(drop)
        })
    }
}
