//! Against the real gzip, pigz, tar and PHP, in both directions.

use super::super::testing::{mixed, noise, prose, shell};
use super::super::{Level, entropy};
use sha2::{Digest, Sha256};
use std::io::{self, Read, Write};
use std::process::Command;

fn compress(data: &[u8], level: Level, threads: usize, piece: usize) -> Vec<u8> {
    let (mut encoder, _) = super::encoder(Vec::new(), level, threads).unwrap();
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
    let (mut inner, inner_pieces) = super::encoder(Vec::new(), Level::Default, 1).unwrap();
    inner.write_all(&ready).unwrap();
    let spliced = inner.finish().unwrap();
    let (mut encoder, pieces) = super::encoder(Vec::new(), Level::Default, 2).unwrap();
    encoder.write_all(&before).unwrap();
    encoder.splice(&mut &*spliced, &inner_pieces.take()).unwrap();
    encoder.write_all(&after).unwrap();
    let file = encoder.finish().unwrap();
    let all = [before, ready, after].concat();
    assert!(shell("gunzip", &file) == all);
    assert!(decompress(&file).unwrap() == all);
    each_piece_stands_for_itself(&file, &all, &pieces.take());
}

fn each_piece_stands_for_itself(file: &[u8], data: &[u8], pieces: &[super::super::Piece]) {
    let (mut rest, mut expected) = (file, data);
    for piece in pieces {
        let (packed, later) = rest.split_at(piece.packed as usize);
        let (own, after) = expected.split_at(piece.data as usize);
        assert_eq!(<[u8; 32]>::from(Sha256::digest(packed)), piece.sha256);
        let mut unpacked = Vec::new();
        super::unpack_piece(packed, own.len(), &mut unpacked).unwrap();
        assert!(unpacked == own);
        assert!(super::unpack_piece(packed, own.len() + 1, &mut Vec::new()).is_err());
        assert!(super::unpack_piece(&packed[..packed.len() - 1], own.len(), &mut Vec::new()).is_err());
        (rest, expected) = (later, after);
    }
    assert!(rest.is_empty() && expected.is_empty());
}

#[test]
fn what_stands_aside_is_nothing_to_any_gunzip_and_comes_back() {
    let data = mixed(3 << 20);
    for aside in [0, 1, 7_999, 8_000, 8_001, 300_000].map(noise) {
        let mut file = compress(&data, Level::Default, 2, 1 << 20);
        let at = file.len();
        let length = super::aside::write(&mut &*aside, &mut file).unwrap();
        assert_eq!(file.len() as u64, at as u64 + length);
        for gunzip in ["gunzip", "pigz -d", "gzip -t && printf x | cat /dev/null"] {
            let out = shell(gunzip, &file);
            assert!(out == data || gunzip.contains("-t") && out.is_empty(), "{gunzip}");
        }
        assert!(decompress(&file).unwrap() == data);
        let mut back = Vec::new();
        super::aside::Reader::new(&file[at..]).read_to_end(&mut back).unwrap();
        assert!(back == aside);
        if aside.len() > 1 {
            let cut = &file[at..file.len() - 1];
            assert!(super::aside::Reader::new(cut).read_to_end(&mut Vec::new()).is_err());
        }
        assert!(super::aside::Reader::new(&data[..100]).read_to_end(&mut Vec::new()).is_err());
    }
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
