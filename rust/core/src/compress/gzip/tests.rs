//! Against the real gzip, pigz, tar and PHP, in both directions.

use super::super::testing::{mixed, noise, prose, shell};
use super::super::{Level, entropy};
use std::io::{self, Read, Write};
use std::process::Command;

fn compress(data: &[u8], level: Level, threads: usize, piece: usize) -> Vec<u8> {
    let mut encoder = super::encoder(Vec::new(), level, threads).unwrap();
    for part in data.chunks(piece) {
        encoder.write_all(part).unwrap();
    }
    encoder.finish().unwrap()
}

fn decompress(file: &[u8]) -> crate::Result<Vec<u8>> {
    let mut data = Vec::new();
    super::reader(io::Cursor::new(file.to_vec()), 3)?.read_to_end(&mut data)?;
    Ok(data)
}

#[test]
fn tar_and_php_read_what_we_write() {
    let names = shell("tar xzO", &compress(&shell("tar c -C / etc/passwd", b""), Level::Default, 2, 512));
    assert_eq!(names, std::fs::read("/etc/passwd").unwrap());
    let data = mixed(4 << 20);
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("data.gz");
    std::fs::write(&path, compress(&data, Level::Default, 2, 1 << 20)).unwrap();
    let php = "$f = gzopen($argv[1], 'rb'); while (!gzeof($f)) { echo gzread($f, 524288); }";
    let out = Command::new("php").args(["-r", php]).arg(&path).output().unwrap();
    assert!(out.stdout == data, "gzopen: {}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn text_is_as_small_as_gzip_makes_it_and_noise_hardly_grows() {
    let text = prose(8 << 20);
    let (ours, theirs) = (compress(&text, Level::Default, 2, 1 << 20).len(), shell("gzip -6", &text).len());
    assert!(ours * 100 <= theirs * 101, "{ours} bytes, gzip -6 {theirs}");
    let size = |level| compress(&text, level, 2, 1 << 20).len();
    assert!(size(Level::Best) < ours && ours < size(Level::Fast));
    let noise = noise(8 << 20);
    assert!(compress(&noise, Level::Default, 2, 1 << 20).len() < noise.len() + noise.len() / 5000);
    assert!(entropy::stretches(&noise[..1 << 20]).iter().all(|stretch| stretch.1));
}

#[test]
fn what_is_compressed_already_is_taken_over_at_its_place() {
    let (before, ready, after) = (prose(100_000), mixed((2 << 20) + 5), noise(70_000));
    let mut encoder = super::encoder(Vec::new(), Level::Default, 2).unwrap();
    encoder.write_all(&before).unwrap();
    encoder.splice(&mut &*compress(&ready, Level::Default, 1, 1 << 20)).unwrap();
    encoder.write_all(&after).unwrap();
    let file = encoder.finish().unwrap();
    let all = [before, ready, after].concat();
    assert!(shell("gunzip", &file) == all);
    assert!(decompress(&file).unwrap() == all);
}

#[test]
fn foreign_gzip_is_read() {
    let data = mixed(3 << 20);
    for script in ["gzip -1", "gzip -9n", "pigz -6 -p2", "cat > /dev/null; printf x | gzip"] {
        let file = shell(script, &data);
        assert!(decompress(&file).unwrap() == shell("gunzip", &file), "{script}");
    }
    // Members of several makers in one file, ours first, between and last; padding as on tapes.
    let ours = compress(&data, Level::Fast, 2, 1 << 20);
    let theirs = shell("gzip", &data);
    for order in [[&ours, &theirs, &ours], [&theirs, &ours, &theirs]] {
        let mut file = order.map(Vec::as_slice).concat();
        assert!(decompress(&file).unwrap() == [&data[..], &data, &data].concat());
        file.extend([0; 10_000]);
        assert!(decompress(&file).unwrap() == [&data[..], &data, &data].concat());
    }
}
