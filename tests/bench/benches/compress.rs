//! The hot stages by themselves: `cargo bench -p bam-bench-data --bench compress`. docs/performance.md keeps the last table.
//!
//! Sizes are printed first; then the times, of the whole encoder (all processors) beside `pigz -6` where it is
//! installed, and of the deflate implementations on one core.

use bam::compress::{self, Kind, Level};
use bam::encrypt::{Passphrase, enc};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::process::{Command, Stdio};

#[path = "../../../rust/core/src/compress/testing.rs"]
#[allow(dead_code)]
mod testing;

const LEN: usize = 48 << 20;

fn sets() -> [(&'static str, Vec<u8>); 3] {
    [("text", testing::prose(LEN)), ("pictures", testing::pictures(LEN)), ("noise", testing::noise(LEN))]
}

/// Counts what is written.
#[derive(Default)]
struct Count(u64);

impl Write for Count {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0 += data.len() as u64;
        Ok(data.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn packed(kind: Kind, level: Level, data: &[u8]) -> u64 {
    let mut encoder = compress::writer(kind, level, "data", Count::default(), 0).expect("an encoder");
    data.chunks(64 * 1024).for_each(|part| encoder.write_all(part).expect("counting"));
    encoder.finish().expect("counting").0
}

/// Size of what `pigz -6` makes; `None` where it is not installed.
#[allow(clippy::disallowed_methods, reason = "a thread that is refused ends the bench")]
fn pigz(data: &[u8]) -> Option<u64> {
    let mut child =
        Command::new("pigz").args(["-6", "-c"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
    let mut stdin = child.stdin.take()?;
    let mut stdout = child.stdout.take()?;
    let size = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(data));
        io::copy(&mut stdout, &mut io::sink()).ok()
    });
    child.wait().ok()?;
    size
}

const LEVELS: [Level; 3] = [Level::Fast, Level::Default, Level::Best];

fn encoders(c: &mut Criterion) {
    for (name, data) in sets() {
        let ratio = |size: u64| data.len() as f64 / size as f64;
        let ours = LEVELS.map(|level| format!("{:.3}", ratio(packed(Kind::Gzip, level, &data)))).join(" ");
        let theirs = pigz(&data).map_or("not installed".into(), |size| format!("{:.3}", ratio(size)));
        eprintln!("ratio of {name}: gzip fast, default, best {ours}; pigz -6 {theirs}");
        let mut group = c.benchmark_group(format!("gzip/{name}"));
        group.throughput(Throughput::Bytes(data.len() as u64)).sample_size(10);
        for level in LEVELS {
            if level == Level::Best && name != "text" {
                continue;
            }
            group.bench_function(BenchmarkId::new("bam", format!("{level:?}")), |b| {
                b.iter(|| packed(Kind::Gzip, level, black_box(&data)));
            });
        }
        if pigz(b"x").is_some() {
            group.bench_function("pigz -6", |b| b.iter(|| pigz(black_box(&data))));
        }
        group.finish();
    }
}

fn decoders(c: &mut Criterion) {
    let data = testing::prose(LEN);
    let ours = {
        let mut encoder =
            compress::writer(Kind::Gzip, Level::Default, "", Vec::new(), 0).expect("an encoder");
        encoder.write_all(&data).expect("memory");
        encoder.finish().expect("memory")
    };
    let foreign = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
        encoder.write_all(&data).expect("memory");
        encoder.finish().expect("memory")
    };
    let mut group = c.benchmark_group("gunzip/text");
    group.throughput(Throughput::Bytes(data.len() as u64)).sample_size(10);
    for (name, file) in [("ours", ours), ("foreign", foreign)] {
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut reader =
                    compress::reader(Kind::Gzip, io::Cursor::new(file.clone()), 0).expect("a reader");
                io::copy(&mut reader, &mut io::sink()).expect("a whole file")
            });
        });
    }
    group.finish();
}

/// One core, in blocks of a MiB, as the encoder uses them.
fn backends(c: &mut Criterion) {
    let data = testing::prose(8 << 20);
    let mut group = c.benchmark_group("deflate/text");
    group.throughput(Throughput::Bytes(data.len() as u64)).sample_size(10);
    let mut out = vec![0; 2 << 20];
    for level in [1, 4, 5, 6, 7, 9, 10] {
        let mut compressor =
            libdeflater::Compressor::new(libdeflater::CompressionLvl::new(level).expect("a level"));
        let mut run = || -> usize {
            let sizes = data.chunks(1 << 20).map(|block| compressor.deflate_compress(block, &mut out));
            sizes.map(|size| size.expect("room enough")).sum()
        };
        eprintln!("ratio of libdeflate {level}: {:.3}", data.len() as f64 / run() as f64);
        group.bench_function(BenchmarkId::new("libdeflate", level), |b| b.iter(&mut run));
    }
    for level in [1, 5, 6, 7, 9] {
        let run = || -> usize {
            let blocks = data.chunks(1 << 20).map(|block| {
                let mut encoder =
                    flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::new(level));
                encoder.write_all(block).expect("memory");
                encoder.finish().expect("memory").len()
            });
            blocks.sum()
        };
        eprintln!("ratio of zlib-rs {level}: {:.3}", data.len() as f64 / run() as f64);
        group.bench_function(BenchmarkId::new("zlib-rs", level), |b| b.iter(run));
    }
    group.finish();
}

fn encryption(c: &mut Criterion) {
    let data = testing::noise(LEN);
    let passphrase = Passphrase::from_first_line(b"a passphrase").expect("a passphrase");
    let encrypt = |out: Vec<u8>| {
        let mut writer = enc::Writer::new(out, &passphrase, 1).expect("a writer");
        data.chunks(1 << 20).for_each(|part| writer.write_all(part).expect("memory"));
        writer.finish().expect("memory").0
    };
    let file = encrypt(Vec::new());
    let mut group = c.benchmark_group("enc");
    group.throughput(Throughput::Bytes(data.len() as u64)).sample_size(10);
    group.bench_function("encrypt", |b| b.iter(|| encrypt(Vec::with_capacity(file.len()))));
    let mut buffer = vec![0; 1 << 20];
    group.bench_function("decrypt", |b| {
        b.iter(|| {
            let mut reader = enc::EncReader::new(&file[..], &passphrase, 1).expect("a reader");
            while reader.read(&mut buffer).expect("a whole file") > 0 {}
        });
    });
    group.finish();
}

criterion_group!(benches, encoders, decoders, backends, encryption);
criterion_main!(benches);
