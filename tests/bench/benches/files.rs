//! Folders to tar and back, without compression: `cargo bench -p bam-bench-data --bench files`. Beside GNU tar.

use bam::Monitor;
use bam::archive::{ExtractOptions, Extractor, Reader, Writer};
use bam::source::files::FileTree;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::fs::{self, File};
use std::io::{self, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

#[path = "../../../rust/core/src/compress/testing.rs"]
#[allow(dead_code)]
mod testing;

/// 20 000 files of 4 KB, or 64 of 2 MB.
fn tree(root: &Path, files: usize, size: usize) {
    let content = testing::noise(size);
    for number in 0..files {
        let folder = root.join(format!("{}", number % 97));
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join(format!("file-{number}")), &content).expect("a file");
    }
}

fn pack(root: &Path, out: impl Write) {
    let mut tar = Writer::new(out);
    let tree = FileTree { base: root.to_owned(), ..FileTree::default() };
    tree.walk(&Monitor::new(), &mut |entry, body| tar.append(entry, body).map(drop)).expect("all of it");
    tar.finish().expect("written");
}

fn gnu_tar_to_pipe(root: &Path) {
    let mut child = Command::new("tar")
        .arg("-C")
        .arg(root)
        .args(["-cf", "-", "."])
        .stdout(Stdio::piped())
        .spawn()
        .expect("tar");
    io::copy(&mut child.stdout.take().expect("a pipe"), &mut io::sink()).expect("all of it");
    assert!(child.wait().expect("tar").success());
}

fn folders(c: &mut Criterion) {
    for (name, files, size) in [("small files", 20_000, 4_000), ("large files", 64, 2_000_000)] {
        let dir = tempfile::tempdir().expect("a folder");
        let (root, tar, back) = (dir.path().join("tree"), dir.path().join("tar"), dir.path().join("back"));
        tree(&root, files, size);
        pack(&root, File::create(&tar).expect("a file"));
        let mut group = c.benchmark_group(format!("tar/{name}"));
        group.throughput(Throughput::Bytes((files * size) as u64)).sample_size(10);
        group.bench_function("bam, pack", |b| b.iter(|| pack(&root, io::sink())));
        // To a pipe: GNU tar does not read the files when it writes to /dev/null.
        group.bench_function("tar, pack", |b| b.iter(|| gnu_tar_to_pipe(&root)));
        let fresh = || {
            let _ = fs::remove_dir_all(&back);
            fs::create_dir(&back).expect("a folder");
        };
        group.bench_function("bam, extract", |b| {
            b.iter_batched(
                fresh,
                |()| {
                    let monitor = Monitor::new();
                    let mut reader =
                        Reader::new(BufReader::with_capacity(128 * 1024, File::open(&tar).expect("a file")));
                    Extractor::into_folder(&back, ExtractOptions::default(), &monitor)
                        .and_then(|extractor| extractor.run(&mut reader))
                        .expect("all of it");
                },
                criterion::BatchSize::PerIteration,
            );
        });
        group.bench_function("tar, extract", |b| {
            b.iter_batched(
                fresh,
                |()| {
                    let done =
                        Command::new("tar").arg("-C").arg(&back).arg("-xf").arg(&tar).status().expect("tar");
                    assert!(done.success());
                },
                criterion::BatchSize::PerIteration,
            );
        });
        group.finish();
    }
}

criterion_group!(benches, folders);
criterion_main!(benches);
