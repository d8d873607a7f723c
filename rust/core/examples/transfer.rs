//! Moves single files with the engine's destinations, e.g. for tests/bench/transfer:
//! `transfer put SETTINGS.json FILE [SHA256]` and `transfer get SETTINGS.json NAME > OUT`, where SETTINGS.json holds one
//! destination as in docs/configuration.md, and SHA256 is the file's, in hex: of a backup it is known when it is sent.
//! Prints seconds and MB/s to stderr.

use bam::Monitor;
use bam::destination::{Existing, Follow, open};
use std::error::Error;
use std::path::Path;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: transfer put SETTINGS.json FILE [SHA256] | get SETTINGS.json NAME";
    let (what, settings) = (arguments.next().ok_or(usage)?, arguments.next().ok_or(usage)?);
    let config = serde_json::from_str(&std::fs::read_to_string(settings)?)?;
    let place = open("transfer", &config, &bam::config::document::Site::default())?;
    let monitor = Monitor::new();
    let file = arguments.next().ok_or(usage)?;
    let start = Instant::now();
    let bytes = match what.as_str() {
        "put" => {
            let name = Path::new(&file).file_name().and_then(|name| name.to_str()).ok_or("no file name")?;
            let local = Follow::finished(std::fs::File::open(&file)?)?;
            if let Some(hex) = arguments.next() {
                let digest: Result<Vec<u8>, _> = (0..64)
                    .step_by(2)
                    .map(|at| u8::from_str_radix(hex.get(at..at + 2).unwrap_or(""), 16))
                    .collect();
                local.set_sha256(digest?.as_slice().try_into()?);
            }
            place.follow(name, Existing::Replace, &local, &|| Ok(String::new()), &monitor)?;
            local.wait_finished(&monitor)?
        }
        "get" => std::io::copy(&mut place.open(&file)?, &mut std::io::stdout())?,
        _ => return Err(usage.into()),
    };
    let seconds = start.elapsed().as_secs_f64();
    eprintln!("{what} {file}: {seconds:.2} s, {:.0} MB/s", bytes as f64 / 1e6 / seconds);
    for note in monitor.notes() {
        eprintln!("{}", note.text);
    }
    Ok(())
}
